//! What is asked before somebody goes, or ownership does.

use leptos::prelude::*;

use crate::model::{MemberView, MembersView, Permission};

/// What a menu's link asks for, about whom.
pub struct Question {
    whom: String,
    transfer: bool,
}

impl Question {
    /// From the address.
    pub fn read(asked: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let remove = asked("remove").map(|whom| Self { whom, transfer: false });
        remove.or_else(|| asked("transfer").map(|whom| Self { whom, transfer: true }))
    }
}

/// The card; nothing where the answer couldn't be carried out.
pub fn question(view: &MembersView, asked: &Question) -> Option<AnyView> {
    let one = view.members.iter().find(|one| one.user_id.0 == asked.whom).filter(|_| !view.kept_elsewhere)?;
    if asked.transfer {
        let may = !one.is_you && view.role.may(Permission::ManageOwners);
        return may.then(|| transfer(one).into_any());
    }
    let may = one.is_you || view.role.may_manage(one.role);
    may.then(|| removal(one, &view.organisation).into_any())
}

fn transfer(one: &MemberView) -> impl IntoView + use<> {
    view! {
        <section class="card question" aria-labelledby="question">
            <h2 id="question">"Hand ownership over to " {one.email.clone()} "?"</h2>
            <p>
                "They become an owner and you an admin. Only an owner can make you one again."
            </p>
            <form class="dialog-actions" method="post" action="/api/members/transfer-ownership">
                <input type="hidden" name="user_id" value=one.user_id.0.clone() />
                <a class="button" href="/settings/members">"Cancel"</a>
                <button class="button danger">"Hand over"</button>
            </form>
        </section>
    }
}

fn removal(one: &MemberView, organisation: &str) -> impl IntoView + use<> {
    let (title, action, verb) = if one.is_you {
        (format!("Leave {organisation}?"), "/api/members/leave", "Leave")
    } else {
        (format!("Remove {} from {organisation}?", one.email), "/api/members/remove", "Remove")
    };
    let text = if one.is_you {
        "You no longer see its connections, and API keys that you made end. Connections that you made stay and go on working. Somebody has to invite you to come back."
    } else {
        "They no longer see its connections, and their open invitations and the API keys that they made end. Connections that they made stay and go on working."
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
