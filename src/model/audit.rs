//! Audit log entries: actors and actions, with the values that the database, the export and the pages share.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;
use super::{ActivityRange, Cursor, RangeProblem, Span, Stored};

str_enum!(
    /// Kind of actor.
    ActorKind {
        User = "user",
        ApiKey = "api_key",
        /// A person at the command line.
        Operator = "operator",
        Clerk = "clerk",
        /// Evergrant's own background jobs.
        System = "system",
    }
);

str_enum!(
    /// An audited action. Released values never change: programs read the export.
    Action {
        GrantConnected = "grant.connected",
        GrantReconnected = "grant.reconnected",
        GrantDisconnected = "grant.disconnected",
        ConnectionKept = "grant.kept",
        ConnectionLabeled = "connection.labeled",
        ConnectionTested = "connection.tested",
        ContactsChanged = "connection.contacts_changed",
        /// A contact wants no more letters.
        ContactUnsubscribed = "contact.unsubscribed",
        ConnectLinkCreated = "connect_link.created",
        ConnectLinkCancelled = "connect_link.cancelled",
        /// Somebody went on to Xero with a link.
        ConnectLinkStarted = "connect_link.started",
        /// A consent by a link ended.
        ConnectLinkUsed = "connect_link.used",
        /// Xero refused the scopes of a consent.
        ScopesRefused = "connection.scopes_refused",
        ReturnUrlsChanged = "organization.return_urls_changed",
        GrantRescued = "grant.rescued",
        /// A token set that the database had not accepted was committed from the spool.
        GrantRecovered = "grant.recovered",
        /// A connection was moved to another system, with its refresh token.
        GrantExported = "grant.exported",
        TokenVended = "token.vended",
        /// Further tokens within a minute, in one event.
        TokensVended = "token.vended_summary",
        XeroCalled = "xero.called",
        ApiKeyCreated = "api_key.created",
        ApiKeyRotated = "api_key.rotated",
        /// The secret before the last rotation ended early.
        ApiKeyPreviousEnded = "api_key.previous_ended",
        ApiKeyRenamed = "api_key.renamed",
        /// The connections that the key opens were changed.
        ApiKeyLimited = "api_key.limited",
        ApiKeyRevoked = "api_key.revoked",
        InvitationCreated = "invitation.created",
        InvitationRevoked = "invitation.revoked",
        MemberJoined = "member.joined",
        MemberRoleChanged = "member.role_changed",
        MemberRemoved = "member.removed",
        MemberLeft = "member.left",
        OrganizationCreated = "organization.created",
        OrganizationRenamed = "organization.renamed",
        FactorPolicyChanged = "organization.factor_policy_changed",
        OrganizationDeleted = "organization.ended",
        OwnershipTransferred = "organization.ownership_transferred",
        WebhookAdded = "webhook.added",
        WebhookChanged = "webhook.changed",
        WebhookEventsChosen = "webhook.events_chosen",
        DeliveryResent = "webhook.delivery_resent",
        WebhookSecretRotated = "webhook.secret_rotated",
        WebhookRemoved = "webhook.removed",
        MailChanged = "mail.changed",
        SignedIn = "session.signed_in",
        SignInRefused = "session.refused",
        SignedOut = "session.signed_out",
        /// A person or an operator ended sessions from elsewhere.
        SessionsEnded = "session.ended",
        PasswordChanged = "account.password_changed",
        PasswordResetRequested = "account.password_reset_requested",
        PasswordReset = "account.password_reset",
        EmailChangeRequested = "account.email_change_requested",
        EmailChanged = "account.email_changed",
        EmailConfirmed = "account.email_confirmed",
        ProfileChanged = "account.profile_changed",
        FactorAdded = "account.factor_added",
        FactorRemoved = "account.factor_removed",
        RecoveryCodeUsed = "account.recovery_code_used",
        RecoveryCodesCreated = "account.recovery_codes_created",
        SignInLinked = "account.sign_in_linked",
        SignInUnlinked = "account.sign_in_unlinked",
        AccountDisabled = "account.disabled",
        AccountEnabled = "account.enabled",
        AccountDeleted = "account.deleted",
        KeyRotated = "key_ring.rotated",
        KeyRetired = "key_ring.retired",
    }
);

/// One audit event as the pages and the export show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditView {
    /// Unique id that sorts after the ids that the same process created before.
    pub id: String,
    /// Unix seconds at which the event happened.
    pub at: i64,
    /// Kind of the actor that caused the event.
    pub actor_kind: ActorKind,
    /// Name of the actor at the time of the event, such as a user's email address or a key's name.
    pub actor: String,
    /// What was done.
    pub action: Stored<Action>,
    /// Names and values, sorted by name.
    pub detail: Vec<(String, String)>,
    /// IP address of the request, or `cli`.
    pub address: Option<String>,
}

/// Filter of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangesFilter {
    /// Action of the shown events, or `None` for every action.
    pub action: Option<Action>,
    /// Actor kind of the shown events, or `None` for every kind.
    pub actor: Option<ActorKind>,
    /// Only events within this span.
    pub span: Span,
    /// Only events by the actor of this name; empty for all.
    pub person: String,
}

/// What `/activity?show=changes` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangesView {
    /// Events of this page, newest first.
    pub events: Vec<AuditView>,
    /// Filter that the events match.
    pub filter: ChangesFilter,
    /// The days and the person of the filter, as they were typed.
    pub range: ActivityRange,
    /// What is wrong with the days. Then there are no events.
    pub problem: Option<RangeProblem>,
    /// Cursor of the next, older page, if there is one.
    pub older: Option<Cursor>,
    /// Unix seconds at which the view was read.
    pub as_of: i64,
}

impl AuditView {
    /// Returns the event's position in the list.
    pub fn cursor(&self) -> Cursor {
        Cursor { at: self.at, id: self.id.clone() }
    }
}

impl ActorKind {
    /// Returns the actor kind's label on a page.
    pub fn label(self) -> &'static str {
        match self {
            Self::User => "A person",
            Self::ApiKey => "An API key",
            Self::Operator => "The command line",
            Self::Clerk => "Clerk",
            Self::System => "Evergrant",
        }
    }
}

impl Action {
    /// Returns the action's label on a page.
    pub fn label(self) -> &'static str {
        match self {
            Self::GrantConnected => "Connected to Xero",
            Self::GrantReconnected => "Reconnected to Xero",
            Self::GrantDisconnected => "Disconnected from Xero",
            Self::ConnectionKept => "Kept a connection",
            Self::ConnectionLabeled => "Changed a connection's labels",
            Self::ConnectionTested => "Tested a connection",
            Self::ContactsChanged => "Changed a connection's contacts",
            Self::ContactUnsubscribed => "Unsubscribed from reconnect emails",
            Self::ConnectLinkCreated => "Created a connect link",
            Self::ConnectLinkCancelled => "Cancelled a connect link",
            Self::ConnectLinkStarted => "Went to Xero by a connect link",
            Self::ConnectLinkUsed => "Came back from Xero by a connect link",
            Self::ScopesRefused => "Xero refused what the app asks for",
            Self::ReturnUrlsChanged => "Changed the return addresses of connect links",
            Self::GrantRescued => "Rescued a grant",
            Self::GrantRecovered => "Stored tokens kept through a database failure",
            Self::GrantExported => "Moved a connection to another system",
            Self::TokenVended => "Got an access token",
            Self::TokensVended => "Got further access tokens",
            Self::XeroCalled => "Called Xero",
            Self::ApiKeyCreated => "Created an API key",
            Self::ApiKeyRotated => "Rotated an API key",
            Self::ApiKeyPreviousEnded => "Ended an API key's old secret",
            Self::ApiKeyRenamed => "Renamed an API key",
            Self::ApiKeyLimited => "Changed an API key's connections",
            Self::ApiKeyRevoked => "Revoked an API key",
            Self::InvitationCreated => "Created an invitation",
            Self::InvitationRevoked => "Cancelled an invitation",
            Self::MemberJoined => "Joined",
            Self::MemberRoleChanged => "Changed a role",
            Self::MemberRemoved => "Removed a member",
            Self::MemberLeft => "Left",
            Self::OrganizationCreated => "Created the organisation",
            Self::OrganizationRenamed => "Renamed the organisation",
            Self::FactorPolicyChanged => "Changed whether a second factor is required",
            Self::OrganizationDeleted => "Deleted the organisation",
            Self::OwnershipTransferred => "Transferred ownership",
            Self::WebhookAdded => "Added a webhook",
            Self::WebhookChanged => "Turned a webhook on or off",
            Self::WebhookEventsChosen => "Chose a webhook's events",
            Self::DeliveryResent => "Sent a delivery again",
            Self::WebhookSecretRotated => "Changed a webhook's secret",
            Self::WebhookRemoved => "Removed a webhook",
            Self::MailChanged => "Changed who gets email",
            Self::SignedIn => "Signed in",
            Self::SignInRefused => "Sign-in refused",
            Self::SignedOut => "Signed out",
            Self::SessionsEnded => "Ended sessions",
            Self::PasswordChanged => "Changed a password",
            Self::PasswordResetRequested => "Asked to reset a password",
            Self::PasswordReset => "Reset a password",
            Self::EmailChangeRequested => "Asked to change an email address",
            Self::EmailChanged => "Changed an email address",
            Self::EmailConfirmed => "Confirmed an email address",
            Self::ProfileChanged => "Changed an account",
            Self::FactorAdded => "Added a second factor",
            Self::FactorRemoved => "Removed a second factor",
            Self::RecoveryCodeUsed => "Used a recovery code",
            Self::RecoveryCodesCreated => "Created recovery codes",
            Self::SignInLinked => "Linked a way to sign in",
            Self::SignInUnlinked => "Unlinked a way to sign in",
            Self::AccountDisabled => "Disabled an account",
            Self::AccountEnabled => "Enabled an account",
            Self::AccountDeleted => "Deleted an account",
            Self::KeyRotated => "Rotated the encryption key",
            Self::KeyRetired => "Retired an encryption key",
        }
    }
}
