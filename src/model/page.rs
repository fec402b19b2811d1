//! What the server knows of a request before it renders a page; the shell reads it from context.

use super::{Invited, Notice, SessionView, Theme};

/// Everything a page needs that isn't its own data. Never leaves the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// No Xero credentials are set: the provider is our own sandbox.
    pub sandbox: bool,
    /// What Xero calls its refusal of Evergrant itself, while that lasts; for owners and admins alone.
    pub alarm: Option<String>,
    pub theme: Theme,
    /// What the form that led here has to say, shown once.
    pub notice: Option<Notice>,
    /// `None` on `/login`: every other page is only rendered for somebody.
    pub session: Option<SessionView>,
    pub login: LoginView,
    /// Where Clerk knows who people are.
    pub clerk: Option<ClerkView>,
    /// A webhook's secret that this page alone shows, this once.
    pub revealed: Option<Revealed>,
    /// A new invitation's link that this page alone shows, this once.
    pub invited: Option<Revealed>,
    /// A new API key that this page alone shows, this once.
    pub new_key: Option<Revealed>,
    /// On the page behind an invitation's link.
    pub invitation: Option<InvitationPage>,
    /// `/settings/integrations`, without the query.
    pub path: String,
}

/// A secret on its way to the one page that shows it. `Debug` says nothing of it, and it has no other form.
#[derive(Clone, PartialEq)]
pub struct Revealed {
    /// The address of the webhook that it is for.
    pub url: String,
    secret: String,
}

impl Revealed {
    pub fn new(url: String, secret: &str) -> Self {
        Self { url, secret: secret.to_owned() }
    }

    /// The secret itself. Call it only on the line that shows it.
    pub fn show(&self) -> &str {
        &self.secret
    }
}

impl std::fmt::Debug for Revealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Revealed")
    }
}

/// What `/login` shows besides its form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoginView {
    pub problem: Option<LoginProblem>,
    /// Where to go after signing in; always a path of ours.
    pub next: Option<String>,
    /// Nobody can sign in yet: the page says how to make the first person.
    pub no_users: bool,
    /// The seeded e-mail address and password, in sandbox mode alone.
    pub demo: Option<(&'static str, &'static str)>,
}

/// What the page behind an invitation's link shows.
#[derive(Clone, Debug, PartialEq)]
pub struct InvitationPage {
    /// `None` where the link is over, or never was one.
    pub invited: Option<Invited>,
    /// The link's own secret, for the form that uses it.
    pub token: Revealed,
    pub signed_in_as: Option<String>,
    /// Members come from somewhere else.
    pub kept_elsewhere: bool,
}

/// What a page needs to have Clerk's script in it. All of it is public.
#[derive(Clone, Debug, PartialEq)]
pub struct ClerkView {
    /// The origin that the script comes from.
    pub frontend_api: String,
    pub publishable_key: String,
    /// The organisation that the page is rendered for, as Clerk knows it.
    pub organization: Option<String>,
    pub signed_in: bool,
}

/// Why a sign-in didn't work. One answer for an unknown address and a wrong password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginProblem {
    Credentials,
    TooManyTries,
    /// Signed out, or the session ended.
    SignedOut,
}

impl LoginProblem {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::TooManyTries => "too-many-tries",
            Self::SignedOut => "signed-out",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Credentials, Self::TooManyTries, Self::SignedOut].into_iter().find(|p| p.as_str() == text)
    }
}
