//! The words of the sign-in page, and of the pages of people who can't sign in.

use leptos::prelude::*;

use crate::model::{LoginProblem, Tone};

pub const SIGN_IN: &str = "Sign in";
/// Says why the page is shown, with the tone and the role of the text.
pub fn problem(problem: LoginProblem) -> (Tone, &'static str, &'static str) {
    match problem {
        LoginProblem::Credentials => {
            (Tone::Bad, "alert", "That email and password don't match. Check both, then try again.")
        }
        LoginProblem::WrongPassword => {
            (Tone::Bad, "alert", "That isn't the password of an account with this address. Check it, then try again.")
        }
        LoginProblem::TooManyAttempts => (Tone::Bad, "alert", "Too many attempts. Wait a minute, then try again."),
        LoginProblem::WrongCode => {
            (Tone::Bad, "alert", "That code is wrong or was used already. Wait for the next one, then try again.")
        }
        LoginProblem::TooManyCodes => (Tone::Bad, "alert", "Too many wrong codes. Wait five minutes, then try again."),
        LoginProblem::SignInExpired => (
            Tone::Bad,
            "alert",
            "That sign-in took too long or began in another browser. Enter your email and password again.",
        ),
        LoginProblem::SignedOut => (Tone::Quiet, "status", "You are signed out. Sign in to continue."),
        LoginProblem::SessionEnded => {
            (Tone::Quiet, "status", "Your session has ended, so nothing was changed. Sign in to go on where you were.")
        }
        LoginProblem::ProviderUnavailable => {
            (Tone::Bad, "alert", "The sign-in service isn't answering. Try again in a minute, or use your password.")
        }
        LoginProblem::ProviderDeclined => {
            (Tone::Quiet, "status", "Nobody was signed in, because the request was declined. You can try again.")
        }
        LoginProblem::ProviderRejected => (
            Tone::Bad,
            "alert",
            "The sign-in service's answer couldn't be verified. Try again, or tell your administrator.",
        ),
        LoginProblem::ProviderExpired => {
            (Tone::Bad, "alert", "That sign-in took too long or began in another browser. Start again.")
        }
        LoginProblem::NotInvited => (
            Tone::Bad,
            "alert",
            "You have no Evergrant account that can sign in. Ask somebody in your organisation for an invitation.",
        ),
        LoginProblem::InvitationByMail => (
            Tone::Bad,
            "alert",
            "Nobody joined. Open the link in the email that Evergrant sent to the invited address: it shows that the mailbox is yours.",
        ),
        LoginProblem::SignInToJoin => (
            Tone::Quiet,
            "status",
            "Almost there. Sign in with that email address and its password. If you had an account with it before, use the password of that.",
        ),
        LoginProblem::EmailTaken => (
            Tone::Quiet,
            "status",
            "An account with your email address exists already. Enter its password to link the two.",
        ),
    }
}
pub const DEMO_LOGIN: &str = "Demo login";

// Nobody can sign in yet.
pub const CREATE_THE_FIRST_ACCOUNT: &str = "Create the first account";
pub const NOBODY_CAN_SIGN_IN: &str = "Nobody can sign in yet. On the machine that runs Evergrant, run:";
pub const ADD_USER_COMMAND: &str = "evergrant user add --email you@example.com --org \"Your company\"";
pub const WHAT_THE_COMMAND_DOES: &str =
    "The command asks for a password and creates the organisation with you as its owner.";

// The code after the password.
pub const ENTER_YOUR_CODE: &str = "Enter your code";
pub const CODE_HINT: &str = "The six digits that your authenticator app shows, or one of your recovery codes.";
pub const BACK_TO_SIGN_IN: &str = "Back to sign in";

// A forgotten password.
pub const FORGOT_YOUR_PASSWORD: &str = "Forgot your password?";
pub const YOU_GET_AN_EMAIL: &str = "You get an email with a link to choose a new password.";
pub const SEND_THE_LINK: &str = "Send the link";
pub const ASK_WHO_RUNS_IT: &str =
    "This Evergrant can't send email. Ask the person who runs it for a new password. They run:";
pub const SET_PASSWORD_COMMAND: &str = "evergrant user set-password --email you@example.com";
pub const CLERK_RESETS_IT: &str = "You sign in with Clerk. Its sign-in form resets your password.";

// A new password.
pub const NEW_PASSWORD: &str = "New password";
pub const CHOOSE_A_NEW_PASSWORD: &str = "Choose a new password";
pub const NEW_PASSWORD_SIGNS_OUT: &str = " You are signed out everywhere.";
pub const CHANGE_PASSWORD: &str = "Change password";
pub const LINK_IS_OVER: &str = "This link has expired or been used";
pub const LINK_WORKS_ONCE: &str = "A link works once, for 30 minutes.";
pub const SEND_A_NEW_ONE: &str = "Send a new one";

// A new email address.
pub const NEW_EMAIL_ADDRESS: &str = "New email address";
pub fn sign_in_with(email: impl IntoView) -> impl IntoView {
    ("Sign in to Evergrant with ", email, " from now on?")
}
pub const EMAIL_LINK_IS_OVER: &str = "This link has expired or been used. A link works once, for 30 minutes.";
pub const GO_TO_YOUR_ACCOUNT: &str = "Go to your account";

// Linking an account with the provider's.
pub const LINK_YOUR_ACCOUNT: &str = "Link your account";
pub fn account_is_not_linked(provider: &str) -> String {
    format!(
        "You signed in with {provider}, which is linked to no Evergrant account yet. If you have an account with this \
         address, enter its password once: the two are linked, and you are signed in. If you have none, ask somebody in \
         your organisation for an invitation."
    )
}
pub const PASSWORD_OF_YOUR_ACCOUNT: &str = "Password of your Evergrant account";
pub const LINK_AND_SIGN_IN: &str = "Link and sign in";
