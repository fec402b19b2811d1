//! A person's own account, as `/account` shows it, and the rules of passwords in words.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;
use super::{Action, SecondFactorView};

/// The shortest password, in characters. NIST SP 800-63B-4, 3.1.1.2, and OWASP's cheat sheet ask for 8 with and 15
/// without a second factor; 12 with a limit on attempts is in between.
pub const MIN_PASSWORD_CHARACTERS: usize = 12;

str_enum!(
    /// Why a new password is refused. `Display` is the sentence for the person who chose it.
    PasswordProblem {
        /// It has fewer than `MIN_PASSWORD_CHARACTERS` characters.
        TooShort = "password-short",
        /// It is one of the passwords that are tried first.
        Common = "password-common",
        /// It is the email address, or little more than it.
        LikeEmail = "password-email",
    }
);

impl std::fmt::Display for PasswordProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooShort => write!(f, "the password must have at least {MIN_PASSWORD_CHARACTERS} characters"),
            Self::Common => f.write_str("the password is too common: others use it, so it is easy to guess"),
            Self::LikeEmail => f.write_str("the password is too close to the email address"),
        }
    }
}

impl std::error::Error for PasswordProblem {}

str_enum!(
    /// A message about an account.
    AccountMessageKind {
        /// Has a link that resets the password.
        ResetPassword = "reset_password",
        /// Has a link that confirms a new email address. It goes there.
        ConfirmEmail = "confirm_email",
        /// Tells the old email address of the new one.
        EmailChanged = "email_changed",
        /// Tells of a new password.
        PasswordChanged = "password_changed",
    }
);

/// Returns the time zones that a person can choose, by their IANA names.
pub fn time_zones() -> impl Iterator<Item = &'static str> {
    include_str!("time_zones.txt").lines().filter(|line| !line.starts_with('#'))
}

/// What `/account` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountView {
    /// Clerk manages the account: the rest is empty.
    pub managed_by_clerk: bool,
    /// Email address that the person signs in with.
    pub email: String,
    /// The person's name, if they have said it.
    pub name: Option<String>,
    /// The person's time zone, by its IANA name, if they have chosen one.
    pub time_zone: Option<String>,
    /// New email address that waits for its confirmation.
    pub unconfirmed_email: Option<String>,
    /// Whether a mail server is set up, without which an email address cannot be confirmed.
    pub can_send_email: bool,
    /// Whether this is the sandbox's demo login. Its email address and password can't be changed.
    pub is_demo: bool,
    /// Whether the account has a password. One that began with the OpenID Connect provider has none.
    pub has_password: bool,
    /// The OpenID Connect provider, if people may sign in with one.
    pub provider: Option<ProviderSignIn>,
    /// The second factor.
    pub second_factor: SecondFactorView,
    /// Where the person is signed in, the latest first.
    pub sessions: Vec<AccountSession>,
    /// The latest sign-ins and refused ones, newest first.
    pub sign_ins: Vec<SignInView>,
    /// Unix seconds at which the view was read.
    pub as_of: i64,
}

/// The OpenID Connect provider, and whether it signs the person in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderSignIn {
    /// What the provider is called.
    pub name: String,
    /// Unix seconds since which an account there is linked; `None` if there is none.
    pub linked_since: Option<i64>,
}

/// What pages show of an identity at the provider that waits to be linked. Never leaves the server but on that page.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingIdentityPage {
    /// What the provider is called.
    pub provider: String,
    /// The address that the provider names.
    pub email: Option<String>,
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountSession {
    /// By which the session can be ended. It opens nothing.
    pub id: String,
    /// Whether the request came from it.
    pub is_current: bool,
    /// The browser as it names itself.
    pub user_agent: Option<String>,
    /// IP address from which it was last seen.
    pub address: Option<String>,
    /// Unix seconds at which the person signed in.
    pub created_at: i64,
    /// Unix seconds at which it was last seen, at most an hour ago too early.
    pub last_seen_at: i64,
}

/// A sign-in, or one that was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignInView {
    /// `SignedIn` or `SignInRefused`.
    pub action: Action,
    /// IP address that it came from.
    pub address: Option<String>,
    /// Unix seconds at which it happened.
    pub at: i64,
}
