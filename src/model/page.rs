//! What the server knows of a request before it renders a page. The layout reads it from context.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;
use super::{
    ConnectLinkPage, FactorEnrollment, Flash, FlashMessage as _, InvitationDetails, PendingIdentityPage, ProofPage,
    SessionView, Theme, TypedForm, UnsubscribePage, paths,
};

/// Everything a page needs besides its own data. Never leaves the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// No Xero credentials are set: the built-in sandbox is the provider.
    pub sandbox: bool,
    /// Set while Xero refuses the app's credentials.
    pub app_alarm: Option<AppAlarm>,
    /// The person's chosen appearance, from the theme cookie.
    pub theme: Theme,
    /// Message of the form that redirected here, shown once.
    pub flash: Option<Flash>,
    /// Name of the tenant that the message is about.
    pub flash_tenant: Option<String>,
    /// Names of the tenants that need reconnecting, beside a message about others that work now.
    pub still_broken: Vec<String>,
    /// The signed-in person; `None` on pages that anyone may see.
    pub session: Option<SessionView>,
    /// Data of the login page.
    pub login: LoginView,
    /// Set if people sign in with Clerk.
    pub clerk: Option<ClerkView>,
    /// A webhook's new secret, shown once.
    pub webhook_secret: Option<RevealedSecret>,
    /// A new invitation's link, shown once.
    pub invitation_link: Option<NewInvitationLink>,
    /// A new API key, shown once.
    pub new_api_key: Option<RevealedSecret>,
    /// The secret of a second factor that is being added, until a code confirms it.
    pub factor_enrollment: Option<FactorEnrollment>,
    /// New recovery codes, one a line, shown once.
    pub recovery_codes: Option<RevealedSecret>,
    /// The identity at the provider that waits to be linked, on the pages that ask about it.
    pub pending_identity: Option<PendingIdentityPage>,
    /// Set on the page that asks for a proof.
    pub proof: Option<ProofPage>,
    /// Set on the page behind an invitation link.
    pub invitation: Option<InvitationPage>,
    /// A new connect link's URL, shown once.
    pub new_connect_link: Option<RevealedSecret>,
    /// New connect links for several connections, shown once: the connections' names, and the URLs.
    pub new_connect_links: Vec<(String, RevealedSecret)>,
    /// The link, on the page behind a connect link; `None` if it doesn't exist or was not opened.
    pub connect_link: Option<ConnectLinkPage>,
    /// The letters to stop, on the page that asks; `None` if the link is unknown or was not opened.
    pub unsubscribe: Option<UnsubscribePage>,
    /// Set on the page behind a link in a message about an account.
    pub link: Option<LinkPage>,
    /// The form that was refused and that this page gives back as it was typed.
    pub typed: Option<TypedForm>,
    /// Set if the page stands in place of one that failed.
    pub failure: Option<FailurePage>,
    /// Path of the request, without the query.
    pub path: String,
    /// Name of the time zone that the person chose; `None` if they go by each device.
    pub time_zone: Option<String>,
    /// Ids of the regions that the browser asked for; `None` if it asked for the whole page.
    pub regions: Option<Vec<String>>,
}

impl Page {
    /// Returns whether the answer contains the region.
    pub fn shows_region(&self, id: &str) -> bool {
        self.regions.as_ref().is_none_or(|asked| asked.iter().any(|one| one == id))
    }
}

impl Page {
    /// Returns the field that a form was refused for, and why, if the page says so there.
    pub fn refusal(&self) -> Option<(&'static str, Cow<'static, str>)> {
        let flash = self.flash.as_ref().filter(|_| self.typed.is_some() || self.path == paths::PROOF)?;
        Some((flash.field()?, flash.text()))
    }

    /// Returns whether the page reports a refused form, or a failure that requires action.
    pub fn has_error(&self) -> bool {
        self.flash.as_ref().is_some_and(Flash::is_alert) || self.login.problem.is_some_and(LoginProblem::is_refusal)
    }
}

/// Xero refuses the app's credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct AppAlarm {
    /// Xero's error code; `None` for members who may not see it.
    pub code: Option<String>,
}

/// What the page in place of one that failed shows.
#[derive(Clone, Debug, PartialEq)]
pub struct FailurePage {
    /// The id that the cause is logged with.
    pub id: String,
    /// The path of the page to try again.
    pub again: String,
    /// Whether the browser has a session, which the person may want to leave.
    pub has_session: bool,
}

/// What a page behind a link in a message about an account shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkPage {
    /// Whether the link still works.
    pub is_open: bool,
    /// The email address that the message went to, if the link still works.
    pub email: Option<String>,
}

/// A secret for the one page that shows it. `Debug` hides it, and no other trait exposes it.
#[derive(Clone, PartialEq)]
pub struct RevealedSecret {
    /// URL of the webhook that the secret belongs to; empty for other secrets.
    pub webhook_url: String,
    secret: String,
}

impl RevealedSecret {
    /// Wraps a secret.
    pub fn new(url: String, secret: &str) -> Self {
        Self { webhook_url: url, secret: secret.to_owned() }
    }

    /// Returns the secret. Call it only on the line that renders it.
    pub fn expose(&self) -> &str {
        &self.secret
    }
}

impl std::fmt::Debug for RevealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Revealed")
    }
}

/// A new invitation's link, as the page that shows it once describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewInvitationLink {
    /// The link.
    pub link: RevealedSecret,
    /// The only email address that may accept it; `None` if the link is enough.
    pub email: Option<String>,
    /// Whether a mail with a link of its own is sent there.
    pub is_sent_by_mail: bool,
}

/// The link that starts signing in with the OpenID Connect provider.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderLink {
    /// What the provider is called.
    pub name: String,
    /// The path of the link.
    pub path: String,
}

/// What `/login` shows besides its form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoginView {
    /// Why the page is shown; `None` if there is nothing to report.
    pub problem: Option<LoginProblem>,
    /// Where to go after signing in; always a path of this site.
    pub next: Option<String>,
    /// The link to the OpenID Connect provider, if people may sign in with one.
    pub provider: Option<ProviderLink>,
    /// No account exists yet: the page says how to create the first one.
    pub no_users: bool,
    /// Whether email can be sent, such as a reset link.
    pub can_send_email: bool,
    /// The seeded email address and password, in sandbox mode only.
    pub demo_login: Option<(&'static str, &'static str)>,
}

/// What the page behind an invitation link shows.
#[derive(Clone, Debug, PartialEq)]
pub struct InvitationPage {
    /// `None` if the link is invalid, used, canceled or expired.
    pub invitation: Option<InvitationDetails>,
    /// Name of the organization that the signed-in person has joined with this link.
    pub joined: Option<String>,
    /// Email address of the signed-in person; `None` if nobody is signed in.
    pub signed_in_as: Option<String>,
    /// The link to the OpenID Connect provider, if people may sign in with one.
    pub provider: Option<ProviderLink>,
    /// Clerk manages the members.
    pub managed_by_clerk: bool,
}

/// What a page needs to load Clerk's scripts. All of it is public.
#[derive(Clone, Debug, PartialEq)]
pub struct ClerkView {
    /// Origin of Clerk's scripts.
    pub frontend_api: String,
    /// Clerk's public key of the app.
    pub publishable_key: String,
    /// Clerk's id of the organization that the page is rendered for.
    pub organization: Option<String>,
    /// Whether the request has a valid session.
    pub signed_in: bool,
}

str_enum!(
    /// Why the login page is shown. Unknown addresses and wrong passwords are not distinguished.
    LoginProblem {
        /// The email address or the password is wrong.
        Credentials = "credentials",
        /// The password of the account to link is wrong.
        WrongPassword = "wrong-password",
        /// The rate limit of login attempts was reached.
        TooManyAttempts = "too-many-tries",
        /// The code at sign-in is wrong, or was used.
        WrongCode = "wrong-code",
        /// The limit of codes at sign-in was reached.
        TooManyCodes = "too-many-codes",
        /// The code was entered too late, or in another browser.
        SignInExpired = "sign-in-expired",
        /// The person signed out.
        SignedOut = "signed-out",
        /// The session ended, or another one of the person's ended it.
        SessionEnded = "session-ended",
        /// The OpenID Connect provider could not be reached, or did not answer as one.
        ProviderUnavailable = "provider-unavailable",
        /// The person, or the provider, declined.
        ProviderDeclined = "provider-declined",
        /// The provider's answer could not be verified.
        ProviderRejected = "provider-rejected",
        /// The sign-in took too long, or was started in another browser.
        ProviderExpired = "provider-expired",
        /// The person has no account, no invitation, and no verified address of an admitted domain.
        NotInvited = "not-invited",
        /// The invitation was sent by mail, and the provider doesn't say that the address is the person's.
        InvitationByMail = "invitation-by-mail",
        /// Another account has the person's email address.
        EmailTaken = "email-taken",
        /// The person accepted an invitation, and signs in next. It is said for a new address and for a known one.
        SignInToJoin = "sign-in-to-join",
    }
);

impl LoginProblem {
    /// Returns whether what was typed was refused.
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::Credentials | Self::WrongPassword | Self::TooManyAttempts | Self::WrongCode | Self::TooManyCodes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AccountFlash;

    #[test]
    fn answer_has_the_regions_that_were_asked_for_or_all() {
        for (asked, shows) in [(None, true), (Some(vec!["alarm", "bell"]), true), (Some(vec!["alarm"]), false)] {
            let regions = asked.map(|ids| ids.into_iter().map(str::to_owned).collect());
            let page = Page { regions, ..Page::default() };
            assert_eq!(page.shows_region("bell"), shows, "{:?}", page.regions);
        }
    }

    #[test]
    fn refusal_is_said_at_the_field_of_a_form_that_is_shown_again() {
        for (flash, is_typed, path, field) in [
            (AccountFlash::WrongPassword, true, paths::ACCOUNT, Some("current_password")),
            (AccountFlash::WrongPassword, false, paths::PROOF, Some("current_password")),
            (AccountFlash::WrongPassword, false, paths::ACCOUNT, None),
            (AccountFlash::TooManyAttempts, true, paths::ACCOUNT, None),
            (AccountFlash::PasswordChanged, true, paths::ACCOUNT, None),
        ] {
            let is_refusal = flash != AccountFlash::PasswordChanged;
            let flash = Flash::from(flash);
            let typed = is_typed.then(TypedForm::default);
            let page = Page { flash: Some(flash.clone()), typed, path: path.to_owned(), ..Page::default() };
            assert_eq!(page.refusal(), field.map(|field| (field, flash.text())), "{flash:?} {path}");
            assert_eq!(page.has_error(), is_refusal, "{flash:?} {path}");
        }
    }

    #[test]
    fn login_page_has_an_error_if_what_was_typed_was_refused() {
        for (problem, has_error) in
            [(Some(LoginProblem::WrongCode), true), (Some(LoginProblem::SignedOut), false), (None, false)]
        {
            let page = Page { login: LoginView { problem, ..LoginView::default() }, ..Page::default() };
            assert_eq!(page.has_error(), has_error, "{problem:?}");
        }
    }

    #[test]
    fn secret_that_is_shown_once_is_not_printed() {
        let secret = RevealedSecret::new(String::new(), "whsec-1");
        assert_eq!((secret.expose(), format!("{secret:?}").as_str()), ("whsec-1", "Revealed"));
    }
}
