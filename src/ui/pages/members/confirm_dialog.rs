//! Confirmations before a member is removed or leaves, or ownership is transferred.

use leptos::prelude::*;

use crate::model::{MemberView, MembersView, Permission};

/// An action to confirm, chosen in a member's menu.
pub struct ConfirmationRequest {
    /// Id of the member.
    user_id: String,
    /// Transfer ownership to the member, rather than remove the member.
    is_transfer: bool,
}

impl ConfirmationRequest {
    /// Reads the action from the URL's query. `None` if there is none.
    pub fn from_query(asked: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let remove = asked("remove").map(|whom| Self { user_id: whom, is_transfer: false });
        remove.or_else(|| asked("transfer").map(|whom| Self { user_id: whom, is_transfer: true }))
    }
}

/// Renders the confirmation. `None` if the action isn't allowed.
pub fn confirmation(view: &MembersView, asked: &ConfirmationRequest) -> Option<AnyView> {
    let one = view.members.iter().find(|one| one.user_id.0 == asked.user_id).filter(|_| !view.kept_elsewhere)?;
    if asked.is_transfer {
        let may = !one.is_you && view.role.may(Permission::ManageOwners);
        return may.then(|| transfer_card(one).into_any());
    }
    let may = one.is_you || view.role.may_manage(one.role);
    may.then(|| removal_card(one, &view.organisation).into_any())
}

fn transfer_card(one: &MemberView) -> impl IntoView + use<> {
    view! {
        <section class="card question" aria-labelledby="question">
            <h2 id="question">"Transfer ownership to " {one.email.clone()} "?"</h2>
            <p>
                "They become an owner and you become an admin. Only an owner can make you an owner again."
            </p>
            <form class="dialog-actions" method="post" action="/api/members/transfer-ownership">
                <input type="hidden" name="user_id" value=one.user_id.0.clone() />
                <a class="button" href="/settings/members">"Cancel"</a>
                <button class="button danger">"Transfer ownership"</button>
            </form>
        </section>
    }
}

fn removal_card(one: &MemberView, organisation: &str) -> impl IntoView + use<> {
    let (title, action, verb) = if one.is_you {
        (format!("Leave {organisation}?"), "/api/members/leave", "Leave")
    } else {
        (format!("Remove {} from {organisation}?", one.email), "/api/members/remove", "Remove")
    };
    let text = if one.is_you {
        "You will no longer see its connections, and API keys that you created will stop working. Connections that you made will keep working. You need an invitation to come back."
    } else {
        "They will no longer see its connections. Their open invitations and the API keys that they created will stop working. Connections that they made will keep working."
    };
    view! {
        <section class="card question" aria-labelledby="question">
            <h2 id="question">{title}</h2>
            <p>{text}</p>
            <form class="dialog-actions" method="post" action=action>
                <input type="hidden" name="user_id" value=one.user_id.0.clone() />
                <a class="button" href="/settings/members">"Cancel"</a>
                <button class="button danger">{verb}</button>
            </form>
        </section>
    }
    .into_any()
}
