//! Confirmations before a member is removed or leaves, or ownership is transferred.

use leptos::prelude::*;

use super::words;
use crate::model::{MemberBelongings, MemberView, MembersView, Permission, paths};
use crate::ui::components::question_card::ConfirmationCard;
use crate::ui::components::rendered::{IntoRendered as _, Rendered};

/// An action to confirm, chosen in the menu of the member with this id.
pub enum MemberAction {
    /// Remove the member, or leave.
    Remove(String),
    /// Transfer ownership to the member.
    Transfer(String),
}

impl MemberAction {
    /// Returns the member of a removal.
    pub fn removed(&self) -> Option<&str> {
        match self {
            Self::Remove(id) => Some(id),
            Self::Transfer(_) => None,
        }
    }

    /// Reads the action from the URL's query. `None` if there is none.
    pub fn from_query(asked: impl Fn(&str) -> Option<String>) -> Option<Self> {
        asked("remove").map(Self::Remove).or_else(|| asked("transfer").map(Self::Transfer))
    }
}

/// Renders the confirmation. `None` if the action isn't allowed.
pub fn confirmation(view: &MembersView, asked: &MemberAction, belongings: &MemberBelongings) -> Option<Rendered> {
    let (MemberAction::Remove(id) | MemberAction::Transfer(id)) = asked;
    let one = view.members.iter().find(|one| one.user_id.0 == *id).filter(|_| !view.managed_by_clerk)?;
    match asked {
        MemberAction::Transfer(_) => {
            let may = !one.is_you && view.role.may(Permission::ManageOwners);
            may.then(|| transfer_card(one).rendered())
        }
        MemberAction::Remove(_) if one.is_you => Some(leave_card(one, &view.organisation, belongings).rendered()),
        MemberAction::Remove(_) => {
            view.role.may_manage(one.role).then(|| removal_card(one, &view.organisation, belongings).rendered())
        }
    }
}

fn transfer_card(one: &MemberView) -> impl IntoView + use<> {
    view! {
        <ConfirmationCard
            title=words::transfer_question(&one.email)
            text=words::WHAT_TRANSFERRING_DOES.rendered()
            action="/api/members/transfer-ownership"
            field=("user_id", one.user_id.0.clone())
            cancel=paths::MEMBERS
            verb=words::TRANSFER_OWNERSHIP
        />
    }
}

fn leave_card(one: &MemberView, organization: &str, belongings: &MemberBelongings) -> impl IntoView + use<> {
    view! {
        <ConfirmationCard
            title=words::leave_question(organization)
            text=words::what_leaving_does(belongings).rendered()
            action="/api/members/leave"
            field=("user_id", one.user_id.0.clone())
            cancel=paths::MEMBERS
            verb="Leave"
        />
    }
}

fn removal_card(one: &MemberView, organization: &str, belongings: &MemberBelongings) -> impl IntoView + use<> {
    view! {
        <ConfirmationCard
            title=words::remove_question(&one.email, organization)
            text=words::what_removing_does(belongings).rendered()
            action="/api/members/remove"
            field=("user_id", one.user_id.0.clone())
            cancel=paths::MEMBERS
            verb="Remove"
        />
    }
}
