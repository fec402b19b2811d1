//! Results of the forms about a person's own account, and of the links in messages about it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::text_enum::str_enum;
use crate::model::{FlashMessage, PasswordProblem, Tone};

str_enum!(
    /// Result of a form about a person's own account.
    AccountFlash {
        PasswordChanged = "account-password-changed",
        WrongPassword = "account-password-wrong",
        PasswordTooShort = "account-password-short",
        PasswordCommon = "account-password-common",
        PasswordLikeEmail = "account-password-email",
        TooManyAttempts = "account-too-many-tries",
        /// Said for an unknown address, too.
        ResetRequested = "account-reset-asked",
        PasswordReset = "account-password-reset",
        /// The link was used, has expired or never was.
        LinkNotOpen = "account-link-over",
        EmailRequested = "account-email-asked",
        EmailChanged = "account-email-changed",
        EmailConfirmed = "account-email-confirmed",
        InvalidEmail = "account-email-invalid",
        SameEmail = "account-email-same",
        EmailTaken = "account-email-taken",
        TooManyMails = "account-too-many-mails",
        NoMailServer = "account-no-mail",
        NameChanged = "account-name",
        InvalidName = "account-name-invalid",
        TimeZoneChanged = "account-time-zone",
        InvalidTimeZone = "account-time-zone-invalid",
        SessionEnded = "account-session-ended",
        SessionsEnded = "account-sessions-ended",
        NoSuchSession = "account-session-missing",
        FactorBegun = "account-factor-begun",
        FactorAdded = "account-factor-added",
        FactorRemoved = "account-factor-removed",
        /// There is a factor already, or there is none.
        FactorUnchanged = "account-factor-unchanged",
        /// The account has no password, so its provider asks for the second factor.
        FactorElsewhere = "account-factor-elsewhere",
        FactorExpired = "account-factor-expired",
        /// An organization requires a second factor, and the person has none.
        FactorRequired = "account-factor-required",
        WrongCode = "account-code-wrong",
        TooManyCodes = "account-too-many-codes",
        RecoveryCodesCreated = "account-recovery-codes",
        /// A sensitive action needs a proof of the last ten minutes.
        ProofNeeded = "account-proof-needed",
        Proven = "account-proven",
        ProviderLinked = "account-provider-linked",
        ProviderUnlinked = "account-provider-unlinked",
        /// The provider didn't say who the person is.
        ProviderNotLinked = "account-provider-not-linked",
        /// The provider's account signs in another person.
        ProviderTaken = "account-provider-taken",
        /// No account of the provider is linked, or none can be.
        ProviderUnchanged = "account-provider-unchanged",
        LinkExpired = "account-link-expired",
        /// The account has no password, so the provider is the only way to sign in.
        PasswordNeeded = "account-password-needed",
        /// Clerk manages the account.
        ManagedByClerk = "account-elsewhere",
        /// The demo login's address and password stay as they are.
        DemoAccount = "account-demo",
    }
);

impl FlashMessage for AccountFlash {
    fn tone(&self) -> Tone {
        match self {
            Self::PasswordChanged
            | Self::ResetRequested
            | Self::PasswordReset
            | Self::EmailRequested
            | Self::EmailChanged
            | Self::EmailConfirmed
            | Self::NameChanged
            | Self::TimeZoneChanged
            | Self::FactorBegun
            | Self::FactorAdded
            | Self::FactorRemoved
            | Self::RecoveryCodesCreated
            | Self::Proven
            | Self::ProviderLinked
            | Self::ProviderUnlinked
            | Self::SessionEnded
            | Self::SessionsEnded => Tone::Good,
            _ => Tone::Warn,
        }
    }

    fn text(&self) -> Cow<'static, str> {
        match self {
            Self::PasswordChanged => "Password changed. You are signed out everywhere else.",
            Self::WrongPassword => "That isn't your current password. Nothing was changed.",
            Self::PasswordTooShort => "The new password needs at least 12 characters.",
            Self::PasswordCommon => "That password is too common. Choose one that nobody would guess.",
            Self::PasswordLikeEmail => "That password is too close to your email address. Choose another.",
            Self::TooManyAttempts => "Too many attempts. Wait a minute, then try again.",
            Self::ResetRequested => {
                "If there is an account with that address, an email with a link is on its way. The link works for 30 minutes."
            }
            Self::PasswordReset => "Your password is changed, and you are signed out everywhere. Sign in with the new one.",
            Self::LinkNotOpen => "This link has expired or been used.",
            Self::EmailRequested => "Open the link in the email that is on its way to your new address. It works for 30 minutes.",
            Self::EmailChanged => "Your email address is changed. Sign in with it from now on.",
            Self::EmailConfirmed => "Your email address is confirmed.",
            Self::InvalidEmail => "That isn't an email address. Check it, then try again.",
            Self::SameEmail => "That is your email address already.",
            Self::EmailTaken => "Another account has that email address by now. Yours is unchanged.",
            Self::TooManyMails => "No email was sent: many went to that address just now. Try again in half an hour.",
            Self::NoMailServer => "No email can be sent: your Evergrant administrator hasn't set up a mail server.",
            Self::NameChanged => "Name saved.",
            Self::InvalidName => "A name has at most 80 characters, on one line.",
            Self::TimeZoneChanged => "Time zone saved.",
            Self::InvalidTimeZone => "Choose a time zone from the list.",
            Self::SessionEnded => "That browser is signed out.",
            Self::SessionsEnded => "You are signed out everywhere else.",
            Self::NoSuchSession => "That browser was signed out already.",
            Self::FactorBegun => "Scan the code, then enter the six digits that your app shows.",
            Self::FactorAdded => "Your second factor is on. Save the recovery codes now: they are shown once.",
            Self::FactorRemoved => "Your second factor is removed. You are signed out everywhere else.",
            Self::FactorUnchanged => "Nothing was changed: look at your second factor again.",
            Self::FactorElsewhere => "You sign in with another service. Turn its second factor on there.",
            Self::FactorExpired => "That took too long, or was begun in another browser. Start again.",
            Self::FactorRequired => "This organisation requires a second factor. Set yours up first.",
            Self::WrongCode => "That code is wrong or was used already. Wait for the next one, then try again.",
            Self::TooManyCodes => "Too many wrong codes. Wait five minutes, then try again.",
            Self::RecoveryCodesCreated => "The old recovery codes no longer work. Save the new ones now: they are shown once.",
            Self::ProofNeeded => "Confirm first that it's you. Nothing was changed.",
            Self::Proven => "Confirmed. Nothing was changed yet: submit the form again.",
            Self::ProviderLinked => "Linked. From now on you can sign in with it, too.",
            Self::ProviderUnlinked => "Unlinked. You are signed out everywhere else.",
            Self::ProviderNotLinked => "Nothing was linked: the sign-in service didn't say who you are. Try again.",
            Self::ProviderTaken => "Nothing was linked: that account signs in to another Evergrant account.",
            Self::ProviderUnchanged => "Nothing was changed: look at your ways to sign in again.",
            Self::LinkExpired => "Nothing was linked: that took too long, or was begun in another browser. Start again.",
            Self::PasswordNeeded => {
                "You sign in with nothing else. Set a password first: sign out, then choose \"Forgot your password?\"."
            }
            Self::ManagedByClerk => "Your account is managed in Clerk. Change it there.",
            Self::DemoAccount => "The demo login keeps its email address and password, and has no second factor.",
        }
        .into()
    }
}

impl From<PasswordProblem> for AccountFlash {
    fn from(problem: PasswordProblem) -> Self {
        match problem {
            PasswordProblem::TooShort => Self::PasswordTooShort,
            PasswordProblem::Common => Self::PasswordCommon,
            PasswordProblem::LikeEmail => Self::PasswordLikeEmail,
        }
    }
}
