//! The words of the account page, of the page that asks for a proof, and of the one that links a way to sign in.

use leptos::prelude::*;

pub const TITLE: &str = "Your account";
pub const MANAGED_BY_CLERK: &str = "Your account is managed in Clerk: your name, email address, password, second factor and where you are signed in. Open it with your picture at the top of this page.";

// Name and time zone.
pub const ABOUT_YOU: &str = "About you";
pub const SAVE_NAME: &str = "Save name";
pub const TIME_ZONE: &str = "Time zone";
pub const AS_ON_EACH_DEVICE: &str = "As on each device";
pub const SAVE_TIME_ZONE: &str = "Save time zone";

// Email address.
pub const EMAIL_ADDRESS: &str = "Email address";
pub fn waiting_for_confirmation(email: impl IntoView) -> impl IntoView {
    ("Waiting for the link in the email to ", email, " to be opened.")
}
pub fn cannot_be_confirmed(email: impl IntoView) -> impl IntoView {
    (email, " isn't confirmed yet: no email can be sent.")
}
pub const NEW_EMAIL_ADDRESS: &str = "New email address";
pub const EMAIL_CHANGES_ONCE_CONFIRMED: &str =
    "It changes once you open the link that is sent there. Your old address gets a notice.";
pub const CHANGE_EMAIL_ADDRESS: &str = "Change email address";
pub const NO_MAIL_SERVER: &str =
    "It can't be changed yet: your Evergrant administrator hasn't set up a mail server to confirm a new one with.";

// Password.
pub const PASSWORD: &str = "Password";
pub const NEW_PASSWORD_SIGNS_OUT: &str = " You are signed out everywhere else.";
pub const CHANGE_PASSWORD: &str = "Change password";
pub const NO_PASSWORD: &str =
    "Your account has no password. To set one, sign out, then choose \"Forgot your password?\" on the sign-in page.";

// The OpenID Connect provider.
pub fn sign_in_with(provider: &str) -> String {
    format!("Sign-in with {provider}")
}
pub fn linked_since(badge: impl IntoView, date: impl IntoView) -> impl IntoView {
    (badge, " since ", date, ".")
}
pub const PASSWORD_BEFORE_UNLINKING: &str = "You sign in with nothing else. To unlink it, set a password first: sign out, then choose \"Forgot your password?\".";
pub const LINKING_ADDS_A_WAY: &str = "Once it is linked, you can sign in with it, too. Your password keeps working.";

// The second factor.
pub const SECOND_FACTOR: &str = "Second factor";
pub const WHAT_A_SECOND_FACTOR_DOES: &str = "With a second factor, nobody signs in with your password alone: an app on your phone shows a code that changes every 30 seconds.";
pub const SET_UP_SECOND_FACTOR: &str = "Set up a second factor";
pub const SECOND_FACTOR_IS_ELSEWHERE: &str =
    "You sign in with another service, which asks for a second factor if you turn it on there.";
pub const SCAN_THIS: &str = "Scan this with an authenticator app:";
pub const QR_CODE: &str = "QR code of the secret below";
pub fn or_enter_the_secret(secret: impl IntoView) -> impl IntoView {
    ("Or enter the secret: ", secret)
}
pub const FIRST_CODE_HINT: &str =
    "The six digits that the app shows. You are signed out everywhere else, and the secret is not shown again.";
pub const TURN_ON: &str = "Turn on";
pub const START_AGAIN: &str = "Start again with a new secret";
pub fn factor_is_on(badge: impl IntoView, date: impl IntoView, codes_left: u32) -> impl IntoView {
    let left = match codes_left {
        0 => "No recovery code is left. Create new ones now.".to_owned(),
        1 => "One recovery code is left.".to_owned(),
        left => format!("{left} recovery codes are left."),
    };
    (badge, " since ", date, ". ", left)
}
pub const CREATE_RECOVERY_CODES: &str = "Create new recovery codes";
pub const REMOVE_SECOND_FACTOR: &str = "Remove the second factor";

// The question before it is removed.
pub const REMOVE_SECOND_FACTOR_QUESTION: &str = "Remove the second factor?";
pub fn app_no_longer_signs_in(date: impl IntoView) -> impl IntoView {
    ("The authenticator app that you set up on ", date, " no longer signs you in.")
}
pub fn recovery_codes_stop(left: u32) -> Option<String> {
    match left {
        0 => None,
        1 => Some("Your recovery code stops working.".to_owned()),
        left => Some(format!("Your {left} recovery codes stop working.")),
    }
}
pub const PASSWORD_ALONE_SIGNS_IN: &str = "Your password alone signs you in. You are signed out everywhere else.";
pub const ORGANIZATIONS_STAY_CLOSED: &str =
    "Organisations that require a second factor stay closed to you until you set one up again.";
pub fn email_about_removal(email: &str) -> String {
    format!("We send an email about it to {email}.")
}
pub const CODE_HINT: &str = "The six digits that your authenticator app shows, or one of your recovery codes.";

// New recovery codes.
pub const RECOVERY_CODES: &str = "Recovery codes";
pub const KEEP_RECOVERY_CODES: &str = "Keep them where you keep other passwords. Each signs you in once, instead of a code, if you don't have your phone. You won't be able to see them again.";
pub const COPY_THE_CODES: &str = "Copy the codes";

// Sessions.
pub const WHERE_YOU_ARE_SIGNED_IN: &str = "Where you are signed in";
pub const UNKNOWN_BROWSER: &str = "Unknown browser";
pub fn browser_on(browser: &str, system: &str) -> String {
    format!("{browser} on {system}")
}
pub const THIS_BROWSER: &str = "This browser";
pub fn session_times(address: Option<String>, seen: impl IntoView, signed_in: impl IntoView) -> impl IntoView {
    (address.map(|address| format!("{address}, ")), "last seen on ", seen, ", signed in on ", signed_in)
}
pub const SIGN_OUT: &str = "Sign out";
pub const SIGN_OUT_EVERYWHERE_ELSE: &str = "Sign out everywhere else";

// Sign-ins.
pub const RECENT_SIGN_INS: &str = "Recent sign-ins";
pub const SIGNED_IN: &str = "Signed in";
pub const CHANGE_PASSWORD_IF_NOT_YOU: &str = "If one of them wasn't you, change your password.";

// The page that asks for a proof.
pub const PROOF_TITLE: &str = "Confirm that it's you";
pub const WHY_A_PROOF: &str = "This action needs a confirmation that is at most ten minutes old. You then return to the page that you came from, where you submit the form again.";
pub const SIGN_IN_AGAIN: &str = "Sign in again with the service that you use.";
pub const SIGN_IN: &str = "Sign in";
pub const SIGN_OUT_AND_IN: &str = "Sign out, then sign in again.";
pub const CURRENT_PASSWORD: &str = "Current password";

// The page that links a way to sign in.
pub const LINK_TITLE: &str = "Link a way to sign in";
pub fn account_at(email: Option<String>, provider: &str) -> String {
    email.map_or_else(|| format!("this account of {provider}"), |email| format!("{email} at {provider}"))
}
pub fn link_question(account: impl IntoView, own: impl IntoView, provider: String) -> impl IntoView {
    let consequence = format!("Whoever can sign in to it at {provider} can then sign in here as you.");
    ("Link ", account, " to your Evergrant account ", own, "? ", consequence)
}
pub const NOTHING_TO_LINK: &str = "Nothing waits to be linked in this browser. It may have taken too long.";
pub const BACK_TO_ACCOUNT: &str = "Back to your account";
