//! Results of the forms about connections, and of the way to Xero and back.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::text_enum::str_enum;
use crate::model::{FlashMessage, Tone};

str_enum!(
    /// Result of a form about connections that needs no further value.
    ConnectionFlash {
        Disconnected = "disconnected",
        /// Disconnected here; Xero may still list the connection.
        DisconnectedHere = "disconnected-here",
        /// Disconnected here; another organization uses the same connection at Xero.
        DisconnectedShared = "disconnected-shared",
        /// The person declined on Xero's consent page.
        ConsentRefused = "consent-refused",
        /// The app may not ask Xero for the scopes that it is configured with.
        ScopesRefused = "scopes-refused",
        /// Xero redirected to the callback with another error.
        ConsentFailed = "consent-failed",
        /// The same callback came before, and is still at work.
        ConsentRunning = "consent-running",
        /// The `state` was unknown, used or expired.
        StateExpired = "state-expired",
        /// The `state` belonged to another session.
        StateOfOtherSession = "state-foreign",
        /// `offline_access` wasn't granted, so there is no refresh token.
        NoRefreshToken = "no-refresh-token",
        /// The consent covers no tenant.
        NoTenants = "no-tenants",
        /// Exchanging the authorization code failed: Xero refused it or did not respond.
        ExchangeFailed = "exchange-failed",
        /// The exchange succeeded, but the list of connections could not be read.
        ConnectionListFailed = "connections-unread",
        /// A tenant is bound through another Xero user, or this one also connects another organization: the page asks
        /// which one to use.
        ConfirmXeroUser = "confirm",
        /// The current Xero user or connection is kept.
        Kept = "kept",
        /// The person decided against connecting as this Xero user.
        NotConnected = "not-connected",
        /// Members may not change connections.
        NotAllowed = "not-allowed",
        /// The connection belongs to another organization or no longer exists.
        NotFound = "not-found",
        /// The question about the Xero user was answered already, or a newer consent replaced it.
        ConfirmationOver = "confirmation-over",
        LinkCreated = "link-created",
        /// No connection lacks any access that the app asks for.
        NothingMissing = "nothing-missing",
        LinkCancelled = "link-cancelled",
        /// The link was used, cancelled or has expired.
        NoSuchLink = "link-not-found",
        TooManyLinks = "link-too-many",
        /// Too many mails were sent to the address, or by the organization.
        TooManyMails = "link-too-many-mails",
        /// The note or the name is too long, or the lifetime is out of range.
        LinkInvalid = "link-invalid",
        LinkLabels = "link-labels",
        ExternalIdTaken = "link-external-id",
        ReturnUrlNotAllowed = "link-return-url",
        ReturnUrlsSaved = "return-urls-saved",
        ReturnUrlsInvalid = "return-urls-invalid",
        /// The link is also sent to the address that the form named.
        LinkMailed = "link-mailed",
        LinkEmailInvalid = "link-email",
        LinkNoMailServer = "link-no-mail",
        ContactsSaved = "contacts-saved",
        ContactsInvalid = "contacts-invalid",
        /// A link in an email is about an organization that can't be switched to.
        LinkOrganization = "link-organization",
        /// A link was used too often within a minute.
        TooManyLinkAttempts = "link-attempts",
        /// Test connection succeeded.
        TestPassed = "test-passed",
        /// There were too many tests within a minute.
        TooManyTests = "test-too-many",
    }
);

impl FlashMessage for ConnectionFlash {
    fn tone(&self) -> Tone {
        match self {
            Self::Disconnected
            | Self::DisconnectedShared
            | Self::Kept
            | Self::NotConnected
            | Self::LinkCreated
            | Self::NothingMissing
            | Self::LinkCancelled
            | Self::LinkMailed
            | Self::ContactsSaved
            | Self::ReturnUrlsSaved
            | Self::TestPassed => Tone::Good,
            _ => Tone::Warn,
        }
    }

    fn text(&self) -> Cow<'static, str> {
        match self {
            Self::Disconnected => "Disconnected from Xero.",
            Self::DisconnectedHere => {
                "Disconnected here. If Xero still lists Evergrant under Connected apps, remove it there."
            }
            Self::DisconnectedShared => {
                "Disconnected from this organisation. Another organisation in Evergrant uses the same connection, so it stays in Xero."
            }
            Self::ConsentRefused => "Nothing was connected: the request was declined at Xero.",
            Self::ConsentFailed => "Nothing was connected: Xero reported an error. Try again in a moment.",
            Self::ConsentRunning => "Evergrant is still waiting for Xero. Look again in a moment.",
            Self::StateExpired => {
                "Nothing was changed: this Xero sign-in has expired or was used before. If a connection is missing, start again with Connect to Xero."
            }
            Self::StateOfOtherSession => {
                "Nothing was connected: this Xero sign-in was started in another session, or before you signed in again. Start again with Connect to Xero."
            }
            Self::NoRefreshToken => {
                "Nothing was connected: Xero granted no offline access. Your Evergrant administrator needs to add offline_access to XERO_SCOPES."
            }
            Self::NoTenants => {
                "Nothing was connected: no organisation was chosen at Xero. Connect again and choose one."
            }
            Self::ExchangeFailed => "Nothing was connected: Xero didn't accept the sign-in. Try again in a moment.",
            Self::ConnectionListFailed => {
                "Signed in to Xero, but its list of organisations couldn't be read. Connect again in a moment."
            }
            Self::ConfirmXeroUser => "Check which Xero user to use.",
            Self::Kept => "The connection stays as it was.",
            Self::NotConnected => "Nothing was connected.",
            Self::NotAllowed => "Only owners and admins can change connections. Ask one of them.",
            Self::NotFound => "That connection isn't in this organisation any more.",
            Self::ConfirmationOver => {
                "That question has already been answered, or a newer Xero sign-in replaced it. Nothing was changed."
            }
            Self::TooManyTests => {
                "Connections were tested many times just now, and each test uses one of Xero's calls. Wait a minute, then try again."
            }
            Self::ScopesRefused => {
                "Nothing was connected: Xero doesn't let this app ask for its scopes. Your Evergrant administrator needs to correct XERO_SCOPES."
            }
            Self::LinkCreated => "The link is ready. Copy it now: you won't be able to see it again.",
            Self::NothingMissing => "No link was needed: every connection has the access that the app asks for.",
            Self::LinkCancelled => "The link is cancelled.",
            Self::NoSuchLink => "That link has already been used or cancelled, or it has expired.",
            Self::TooManyLinks => "There are too many open links. Cancel some first.",
            Self::TooManyMails => {
                "No link was created: many emails went to that address just now. Try again in half an hour, or leave the address out and send the link yourself."
            }
            Self::LinkInvalid => {
                "No link was created: the name has at most 100 characters and the note at most 300, on one line each."
            }
            Self::LinkLabels => {
                "No link was created: the ID has at most 255 characters. Tags are lower case letters, digits and - _ . : / with spaces between them, at most 20."
            }
            Self::ExternalIdTaken => "No link was created: another connection has this ID.",
            Self::ReturnUrlNotAllowed => {
                "No link was created: the return address has to begin with one of this organisation's return addresses. An owner adds them below."
            }
            Self::ReturnUrlsSaved => "The return addresses are saved.",
            Self::ReturnUrlsInvalid => {
                "Nothing was changed: each line is an https address without ? and #, and there are at most 20."
            }
            Self::LinkMailed => "The link is on its way by email. You can also copy it now: you won't be able to see it again.",
            Self::LinkEmailInvalid => "No link was created: that isn't an email address.",
            Self::LinkNoMailServer => {
                "No link was created: this Evergrant can't send email. Leave the address empty, and send the link yourself."
            }
            Self::ContactsSaved => "The contacts are saved.",
            Self::ContactsInvalid => "Nothing was changed: each line is an email address, and there are at most 5.",
            Self::LinkOrganization => {
                "That link is about another organisation. If you belong to it, switch to it, then open the link again."
            }
            Self::TooManyLinkAttempts => "This link was used many times just now. Wait a minute, then try again.",
            Self::TestPassed => "Xero answered: the connection works.",
        }
        .into()
    }
}
