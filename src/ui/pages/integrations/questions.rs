//! Questions that wait for an answer: a former member's connection, and a second Xero user.

use leptos::prelude::*;

use crate::model::{DepartingConnection, PendingConfirmation};
use crate::ui::components::question_card::QuestionCard;
use crate::ui::components::time;

/// Asks whether to keep a connection whose owner has left.
pub fn departing_card(one: &DepartingConnection) -> impl IntoView + use<> {
    let text = view! {
        {one.connected_by.clone()}
        " connected it and has left this organisation. It will be disconnected on "
        {time::date(one.ends_at)}
        " unless you keep it. If you do, it becomes yours."
    };
    view! {
        <QuestionCard
            id=format!("leaves-{}", one.binding_id)
            title=format!("{} will be disconnected", one.tenant_name)
            text=text.into_any()
            action="/api/integrations/xero/keep"
            field=("binding_id", one.binding_id.0.clone())
        >
            <button class="button primary">"Keep it"</button>
        </QuestionCard>
    }
}

/// Asks which Xero user to use for tenants that are connected through another one, or whether to use one who also
/// connects another organization.
pub fn xero_user_card(pending: &PendingConfirmation) -> impl IntoView + use<> {
    let names = pending.tenant_names.join(", ");
    let verb = if pending.tenant_names.len() == 1 { "is" } else { "are" };
    let title = match pending.replaces_user {
        true => format!("{names} {verb} connected through another Xero user"),
        false => format!("Connect {names} through this Xero user?"),
    };
    let (keep, replace) = match pending.replaces_user {
        true if pending.by_link => ("Keep the current one", "Use that sign-in"),
        true => ("Keep the current one", "Use my sign-in"),
        false => ("Don't connect", "Connect"),
    };
    let who = match pending.by_link {
        true => "The Xero user of somebody who came by a connect link",
        false => "The Xero user you have just signed in as",
    };
    let shared = pending.is_shared_user.then(|| {
        format!(
            "{who} also connects another organisation in Evergrant. An access token of this user opens the Xero data of both, so Evergrant gives programs none unless your administrator allows it; they call Xero through Evergrant instead. To keep the two apart, the sign-in to Xero has to be that of a user who connects nothing else. "
        )
    });
    let replaces = pending.replaces_user.then_some(match pending.by_link {
        true => {
            "Somebody who came by a connect link signed in to Xero as a different user. Use that sign-in from now on, or keep the current one?"
        }
        false => {
            "You have just signed in to Xero as a different user. Use this sign-in from now on, or keep the current one?"
        }
    });
    view! {
        <QuestionCard
            id=format!("pending-{}", pending.id)
            title=title
            text=view! { {shared} {replaces} }.into_any()
            action="/api/integrations/xero/confirm"
            field=("id", pending.id.clone())
        >
            <button class="button" name="decision" value="keep">
                {keep}
            </button>
            <button class="button primary" name="decision" value="replace">
                {replace}
            </button>
        </QuestionCard>
    }
}
