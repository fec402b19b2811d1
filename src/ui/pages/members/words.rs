//! The words of the members page.

use leptos::prelude::*;

use crate::model::{MemberBelongings, NewInvitationLink};

pub const TITLE: &str = "Members";
pub fn who_belongs(organization: &str) -> String {
    format!("Who belongs to {organization}, and what they can do.")
}

// The questions before ownership is transferred, and before somebody leaves or is removed.
pub fn transfer_question(email: &str) -> String {
    format!("Transfer ownership to {email}?")
}
pub const WHAT_TRANSFERRING_DOES: &str =
    "They become an owner and you become an admin. Only an owner can make you an owner again.";
pub const TRANSFER_OWNERSHIP: &str = "Transfer ownership";
pub fn leave_question(organization: &str) -> String {
    format!("Leave {organization}?")
}
pub fn what_leaving_does(belongings: &MemberBelongings) -> String {
    format!(
        "You will no longer see its connections. You need an invitation to come back.{}",
        what_becomes_of(belongings)
    )
}
pub fn remove_question(email: &str, organization: &str) -> String {
    format!("Remove {email} from {organization}?")
}
pub fn what_removing_does(belongings: &MemberBelongings) -> String {
    format!(
        "They will no longer see its connections, and their open invitations will stop working.{}",
        what_becomes_of(belongings)
    )
}
/// Says what becomes of what the person created.
fn what_becomes_of(belongings: &MemberBelongings) -> String {
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

// A new invitation's link, which is shown once.
pub const INVITATION_LINK: &str = "Invitation link";
pub const COPY_THE_LINK: &str = "Copy the link";
/// Says who can use the link.
pub fn who_can_use(new: &NewInvitationLink) -> String {
    let who = match (&new.email, new.is_sent_by_mail) {
        (Some(email), true) => format!(
            "Evergrant sends {email} a link of its own, which shows that the mailbox is theirs. This link is for somebody who already has an account with that address."
        ),
        (Some(email), false) => format!(
            "Send it only to {email}: without a mail server Evergrant can't check the address, so anyone with the link can join under it."
        ),
        (None, _) => "Send it only to the person you are inviting: anyone with the link can use it.".to_owned(),
    };
    format!("{who} You won't be able to see it again.")
}

// The members.
pub const PEOPLE: &str = "People";
pub const MANAGED_BY_CLERK: &str = "Members are managed in Clerk: invite, change and remove people in its organisation menu at the top of this page. This list shows everyone who has signed in here.";
pub fn member_since(is_you: bool, date: impl IntoView, has_factor: bool) -> impl IntoView {
    let since = if is_you { "You, since " } else { "since " };
    (since, date, has_factor.then_some(", second factor on"))
}
pub fn make(role_with_article: &str) -> String {
    format!("Make {role_with_article}")
}
pub const WHAT_ROLES_CAN_DO: &str = "Owners can do everything. Admins can do everything except manage owners. Members can view and refresh connections, and leave.";

// The open invitations.
pub const INVITATIONS: &str = "Invitations";
pub const NO_INVITATION_IS_OPEN: &str = "No invitation is open.";
pub fn invitation(role: &str, email: Option<&str>) -> String {
    match email {
        Some(email) => format!("{role} invitation for {email}"),
        None => format!("{role} invitation"),
    }
}
pub fn invited_by(by: Option<String>, expires: impl IntoView) -> impl IntoView {
    (by.map_or_else(|| "expires on ".to_owned(), |by| format!("by {by}, expires on ")), expires)
}
pub const CANCEL_INVITATION: &str = "Cancel invitation";

// The form that invites somebody.
pub const EMAIL: &str = "Email (optional)";
pub const CREATE_INVITATION: &str = "Create invitation";
pub const INVITATION_HINT: &str = "You get a link for one person. It works once and expires after seven days. With an email address, only the person with that address can use it, and Evergrant sends it if it has a mail server.";

// The second factor that the organization requires.
pub const SECOND_FACTOR: &str = "Second factor";
pub fn factor_needed_from(date: impl IntoView) -> impl IntoView {
    ("Every member needs a second factor from ", date, " on.")
}
pub const FACTOR_NEEDED: &str = "Every member needs a second factor.";
pub const FACTOR_NOT_NEEDED: &str = "Members may sign in without a second factor.";
pub fn factor_in(days: i64) -> String {
    if days == 0 { "At once".to_owned() } else { format!("In {days} days") }
}
pub const REQUIRE_FACTOR: &str = "Require a second factor";
pub const WHAT_REQUIRING_DOES: &str = "After that, members without one reach nothing of this organisation until they set one up. You need one yourself first. People who sign in with another service are asked for it there. API keys keep working.";
pub const STOP_REQUIRING_FACTOR: &str = "Stop requiring a second factor";

// The organization itself.
pub const ORGANIZATION: &str = "Organisation";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consequences_name_what_ends_and_what_stays() {
        assert_eq!(what_becomes_of(&MemberBelongings::default()), "");
        let text = what_becomes_of(&MemberBelongings {
            api_keys: vec!["Export".into(), "Import".into()],
            webhooks: vec!["hooks.example.com".into()],
            connections: vec!["Harbour Coffee".into()],
        });
        for words in ["stop working: Export, Import.", "stays: hooks.example.com.", "working: Harbour Coffee."] {
            assert!(text.contains(words), "{text}");
        }
    }
}
