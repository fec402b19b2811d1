//! The page that asks for a code after the password.

use leptos::prelude::*;

use super::problem_notice;
use super::words;
use crate::model::{LoginProblem, LoginView};
use crate::ui::context::page;
use crate::ui::layout::BareLayout;

/// The page at `/login/code`.
#[component]
pub fn SignInCode() -> impl IntoView {
    let LoginView { problem, next, .. } = page().login.clone();
    let is_refused = problem.is_some_and(LoginProblem::is_refusal);
    view! {
        <BareLayout title=words::ENTER_YOUR_CODE>
            <h1>{words::ENTER_YOUR_CODE}</h1>
            {problem.map(problem_notice)}
            <form class="card stack" method="post" action="/api/session/code">
                {next.map(|next| view! { <input type="hidden" name="next" value=next /> })}
                <label class="field">
                    <span>"Code"</span>
                    <input
                        name="code"
                        autocomplete="one-time-code"
                        autocapitalize="none"
                        spellcheck="false"
                        maxlength="40"
                        required=true
                        autofocus=true
                        aria-invalid=is_refused.then_some("true")
                        aria-describedby=if is_refused { "problem code-hint" } else { "code-hint" }
                    />
                </label>
                <p class="hint" id="code-hint">
                    {words::CODE_HINT}
                </p>
                <button class="button primary wide">{words::SIGN_IN}</button>
            </form>
            <p class="aside"><a href="/login">{words::BACK_TO_SIGN_IN}</a></p>
        </BareLayout>
    }
}
