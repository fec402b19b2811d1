//! Confirmations before a member is removed or leaves, or ownership is transferred.

use leptos::prelude::*;

use crate::model::{MemberBelongings, MemberView, MembersView, Permission, paths};
use crate::ui::components::question_card::ConfirmationCard;

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
pub fn confirmation(view: &MembersView, asked: &MemberAction, belongings: &MemberBelongings) -> Option<AnyView> {
    let (MemberAction::Remove(id) | MemberAction::Transfer(id)) = asked;
    let one = view.members.iter().find(|one| one.user_id.0 == *id).filter(|_| !view.managed_by_clerk)?;
    match asked {
        MemberAction::Transfer(_) => {
            let may = !one.is_you && view.role.may(Permission::ManageOwners);
            may.then(|| transfer_card(one).into_any())
        }
        MemberAction::Remove(_) if one.is_you => Some(leave_card(one, &view.organisation, belongings).into_any()),
        MemberAction::Remove(_) => {
            view.role.may_manage(one.role).then(|| removal_card(one, &view.organisation, belongings).into_any())
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

/// Says what becomes of what the person created.
fn consequences(belongings: &MemberBelongings) -> String {
    let MemberBelongings { api_keys, webhooks, connections } = belongings;
    let mut text = String::new();
    if !api_keys.is_empty() {
        text.push_str(&format!(" These API keys stop working: {}.", api_keys.join(", ")));
    }
    if !webhooks.is_empty() {
        let (them, each) =
            if webhooks.len() == 1 { ("This webhook stays", "it") } else { ("These webhooks stay", "each") };
        text.push_str(&format!(
            " {them}: {}. Whoever added {each} knows the signing secret, so give {each} a new one.",
            webhooks.join(", ")
        ));
    }
    if !connections.is_empty() {
        text.push_str(&format!(" These connections keep working: {}.", connections.join(", ")));
    }
    text
}

fn leave_card(one: &MemberView, organization: &str, belongings: &MemberBelongings) -> impl IntoView + use<> {
    let text = format!(
        "You will no longer see its connections. You need an invitation to come back.{}",
        consequences(belongings)
    );
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

fn removal_card(one: &MemberView, organization: &str, belongings: &MemberBelongings) -> impl IntoView + use<> {
    let text = format!(
        "They will no longer see its connections, and their open invitations will stop working.{}",
        consequences(belongings)
    );
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consequences_name_what_ends_and_what_stays() {
        assert_eq!(consequences(&MemberBelongings::default()), "");
        let text = consequences(&MemberBelongings {
            api_keys: vec!["Export".into(), "Import".into()],
            webhooks: vec!["hooks.example.com".into()],
            connections: vec!["Harbour Coffee".into()],
        });
        for words in ["stop working: Export, Import.", "stays: hooks.example.com.", "working: Harbour Coffee."] {
            assert!(text.contains(words), "{text}");
        }
    }
}
