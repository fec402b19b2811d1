//! Confirmations before a member is removed or leaves, or ownership is transferred.

use leptos::prelude::*;

use crate::model::{MemberView, MembersView, Permission, paths};
use crate::ui::components::question_card::ConfirmationCard;

/// An action to confirm, chosen in the menu of the member with this id.
pub enum MemberAction {
    /// Remove the member, or leave.
    Remove(String),
    /// Transfer ownership to the member.
    Transfer(String),
}

impl MemberAction {
    /// Reads the action from the URL's query. `None` if there is none.
    pub fn from_query(asked: impl Fn(&str) -> Option<String>) -> Option<Self> {
        asked("remove").map(Self::Remove).or_else(|| asked("transfer").map(Self::Transfer))
    }
}

/// Renders the confirmation. `None` if the action isn't allowed.
pub fn confirmation(view: &MembersView, asked: &MemberAction) -> Option<AnyView> {
    let (MemberAction::Remove(id) | MemberAction::Transfer(id)) = asked;
    let one = view.members.iter().find(|one| one.user_id.0 == *id).filter(|_| !view.managed_by_clerk)?;
    match asked {
        MemberAction::Transfer(_) => {
            let may = !one.is_you && view.role.may(Permission::ManageOwners);
            may.then(|| transfer_card(one).into_any())
        }
        MemberAction::Remove(_) if one.is_you => Some(leave_card(one, &view.organisation).into_any()),
        MemberAction::Remove(_) => {
            view.role.may_manage(one.role).then(|| removal_card(one, &view.organisation).into_any())
        }
    }
}

fn transfer_card(one: &MemberView) -> impl IntoView + use<> {
    let text = "They become an owner and you become an admin. Only an owner can make you an owner again.";
    view! {
        <ConfirmationCard
            title=format!("Transfer ownership to {}?", one.email)
            text=text.into_any()
            action="/api/members/transfer-ownership"
            field=("user_id", one.user_id.0.clone())
            cancel=paths::MEMBERS
            verb="Transfer ownership"
        />
    }
}

fn leave_card(one: &MemberView, organization: &str) -> impl IntoView + use<> {
    let text = "You will no longer see its connections, and API keys that you created will stop working. Connections that you made will keep working. You need an invitation to come back.";
    view! {
        <ConfirmationCard
            title=format!("Leave {organization}?")
            text=text.into_any()
            action="/api/members/leave"
            field=("user_id", one.user_id.0.clone())
            cancel=paths::MEMBERS
            verb="Leave"
        />
    }
}

fn removal_card(one: &MemberView, organization: &str) -> impl IntoView + use<> {
    let text = "They will no longer see its connections. Their open invitations and the API keys that they created will stop working. Connections that they made will keep working.";
    view! {
        <ConfirmationCard
            title=format!("Remove {} from {organization}?", one.email)
            text=text.into_any()
            action="/api/members/remove"
            field=("user_id", one.user_id.0.clone())
            cancel=paths::MEMBERS
            verb="Remove"
        />
    }
}
