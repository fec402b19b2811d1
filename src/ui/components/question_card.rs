//! Cards that ask a question, and the one that asks to confirm.

use leptos::prelude::*;

use crate::ui::components::org_field::org_field;
use crate::ui::components::rendered::Rendered;

/// Asks a question. Its buttons submit the answer.
#[component]
pub fn QuestionCard(
    /// Id of the title.
    id: String,
    /// The question.
    title: String,
    /// What depends on the answer.
    text: Rendered,
    /// Where the form is posted.
    action: &'static str,
    /// Name and value of the form's field: what the question is about.
    field: (&'static str, String),
    /// The buttons.
    children: Children,
) -> impl IntoView {
    let (name, value) = field;
    view! {
        <section class="card question" aria-labelledby=id.clone()>
            <h2 id=id.clone()>{title}</h2>
            <p>{text}</p>
            <form class="dialog-actions" method="post" action=action>
                {org_field()}
                <input type="hidden" name=name value=value />
                {children()}
            </form>
        </section>
    }
}

/// Asks to confirm an action that can't simply be undone.
#[component]
pub fn ConfirmationCard(
    /// The question.
    title: String,
    /// What the action does.
    text: Rendered,
    /// Where the form is posted.
    action: &'static str,
    /// Name and value of the form's field: what the action is about.
    field: (&'static str, String),
    /// Path of the page without the question.
    #[prop(into)]
    cancel: String,
    /// Label of the button that runs the action.
    verb: &'static str,
) -> impl IntoView {
    view! {
        <QuestionCard id="question".to_owned() title text action field>
            <a class="button" href=cancel>
                "Cancel"
            </a>
            <button class="button danger">{verb}</button>
        </QuestionCard>
    }
}

/// Renders the end of a form with a field: Cancel, which leads back, and the button that submits. `kind` is `primary`, or
/// `danger` for what can't simply be undone.
pub fn answer_buttons<C: Into<String>>(cancel: C, kind: &'static str, verb: &'static str) -> impl IntoView + use<C> {
    let cancel = cancel.into();
    view! {
        <div class="dialog-actions">
            <a class="button" href=cancel>
                "Cancel"
            </a>
            <button class=format!("button {kind}")>{verb}</button>
        </div>
    }
}
