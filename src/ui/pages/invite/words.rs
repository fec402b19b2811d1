//! The words of the page behind an invitation link.

use leptos::prelude::*;

pub const TITLE: &str = "Invitation";

// What the invitation leads to.
pub fn join(organization: &str) -> String {
    format!("Join {organization}")
}
pub fn invited_as(by: Option<&str>, role: &str) -> String {
    match by {
        Some(by) => format!("{by} invites you as {role}."),
        None => format!("You are invited as {role}."),
    }
}
pub const ORGANIZATION_ID: &str = "Organisation ID";

// Somebody who is signed in.
pub fn signed_in_as(email: impl IntoView) -> impl IntoView {
    ("You are signed in as ", email, ".")
}
pub const NOT_NOW: &str = "Not now";
pub fn invitation_is_for_another(signed_in_as: impl IntoView) -> impl IntoView {
    (
        "You are signed in as ",
        signed_in_as,
        ", and this invitation is for another email address. Sign out, then open its link again.",
    )
}

// Somebody who isn't.
pub fn open_the_email(invited: impl IntoView) -> impl IntoView {
    (
        "This invitation was sent to ",
        invited,
        ". Open the link in that email to create an account: it shows that the mailbox is yours. If it hasn't arrived, ask for a new invitation.",
    )
}
pub const CREATE_ACCOUNT_AND_JOIN: &str = "Create account and join";
pub const ALREADY_HAVE_AN_ACCOUNT: &str = "Already have an account?";
pub const SIGN_IN_TO_JOIN: &str = "Sign in to join";

// Afterwards.
pub fn joined(organization: &str) -> String {
    format!("You have joined {organization}")
}
pub const GO_TO_EVERGRANT: &str = "Go to Evergrant";

// An invitation that no longer works, and one where Clerk keeps the members.
pub const INVITATION_IS_OVER: &str = "This invitation has expired or been used";
pub const ASK_FOR_A_NEW_ONE: &str = "It may also have been cancelled. Ask the person who sent it for a new one.";
pub const MANAGED_BY_CLERK: &str = "Members are managed in Clerk";
pub const ASK_FOR_ONE_OF_CLERK: &str = "Ask the person who invited you to send an invitation from Clerk.";
