//! Questions that wait for an answer: a former member's connection, and a second Xero user.

use leptos::prelude::*;

use super::words;
use crate::model::{DepartingConnection, PendingConfirmation};
use crate::ui::components::question_card::QuestionCard;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;

/// Asks whether to keep a connection whose owner has left.
pub fn departing_card(one: &DepartingConnection) -> impl IntoView + use<> {
    let text = words::somebody_left(one.connected_by.clone(), time::date(one.ends_at));
    view! {
        <QuestionCard
            id=format!("leaves-{}", one.binding_id)
            title=words::will_be_disconnected(&one.tenant_name)
            text=text.rendered()
            action="/api/integrations/xero/keep"
            field=("binding_id", one.binding_id.0.clone())
        >
            <button class="button primary">{words::KEEP_IT}</button>
        </QuestionCard>
    }
}

/// Asks which Xero user to use for tenants that are connected through another one, or whether to use one who also
/// connects another organization.
pub fn xero_user_card(pending: &PendingConfirmation) -> impl IntoView + use<> {
    let PendingConfirmation { replaces_user, by_link, .. } = *pending;
    let (keep, replace) = words::xero_user_answers(replaces_user, by_link);
    let shared = pending.is_shared_user.then(|| view! { {words::user_is_shared(by_link)} " " });
    let replaces = replaces_user.then(|| words::user_is_another(by_link));
    view! {
        <QuestionCard
            id=format!("pending-{}", pending.id)
            title=words::xero_user_title(replaces_user, &pending.tenant_names)
            text=view! { {shared} {replaces} }.rendered()
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
