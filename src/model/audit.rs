//! What people, keys and operators did, in words that the database, the export and the pages share.

use serde::{Deserialize, Serialize};

use super::Cursor;
use super::status::spelt;

spelt!(
    /// Who did something.
    ActorKind {
        User = "user",
        ApiKey = "api_key",
        /// Somebody at the command line.
        Operator = "operator",
        Clerk = "clerk",
        /// Evergrant by itself.
        System = "system",
    }
);

spelt!(
    /// What was done. A released word stays as it is: programs read the export.
    Action {
        GrantConnected = "grant.connected",
        GrantReconnected = "grant.reconnected",
        GrantDisconnected = "grant.disconnected",
        GrantKept = "grant.kept",
        GrantRescued = "grant.rescued",
        TokenVended = "token.vended",
        ApiKeyCreated = "api_key.created",
        ApiKeyRevoked = "api_key.revoked",
        InvitationCreated = "invitation.created",
        InvitationRevoked = "invitation.revoked",
        MemberJoined = "member.joined",
        MemberRoleChanged = "member.role_changed",
        MemberRemoved = "member.removed",
        MemberLeft = "member.left",
        OrganizationCreated = "organization.created",
        OrganizationRenamed = "organization.renamed",
        OrganizationEnded = "organization.ended",
        OwnershipTransferred = "organization.ownership_transferred",
        WebhookAdded = "webhook.added",
        WebhookChanged = "webhook.changed",
        WebhookSecretRotated = "webhook.secret_rotated",
        WebhookRemoved = "webhook.removed",
        MailChanged = "mail.changed",
        SignedIn = "session.signed_in",
        SignInRefused = "session.refused",
        SignedOut = "session.signed_out",
        KeyRotated = "key_ring.rotated",
        KeyRetired = "key_ring.retired",
    }
);

/// One event, as pages and the export show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditView {
    pub id: String,
    pub at: i64,
    pub actor_kind: ActorKind,
    pub actor: String,
    /// The word of an `Action`; another version may have written one that this one doesn't know.
    pub action: String,
    /// Names and values, by name.
    pub detail: Vec<(String, String)>,
    pub address: Option<String>,
}

/// What somebody wants to see of the changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangesFilter {
    pub action: Option<Action>,
    pub actor: Option<ActorKind>,
}

/// What `/activity?show=changes` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangesView {
    pub events: Vec<AuditView>,
    pub filter: ChangesFilter,
    /// Where the older ones begin, if there are any.
    pub older: Option<Cursor>,
    pub as_of: i64,
}

impl AuditView {
    pub fn cursor(&self) -> Cursor {
        Cursor { at: self.at, id: self.id.clone() }
    }
}

impl ActorKind {
    /// What it is called on a page.
    pub fn words(self) -> &'static str {
        match self {
            Self::User => "A person",
            Self::ApiKey => "An API key",
            Self::Operator => "The command line",
            Self::Clerk => "Clerk",
            Self::System => "Evergrant itself",
        }
    }
}

impl Action {
    /// What it is called on a page.
    pub fn words(self) -> &'static str {
        match self {
            Self::GrantConnected => "Connected to Xero",
            Self::GrantReconnected => "Reconnected to Xero",
            Self::GrantDisconnected => "Disconnected from Xero",
            Self::GrantKept => "Kept a connection",
            Self::GrantRescued => "Rescued a grant",
            Self::TokenVended => "Took a token",
            Self::ApiKeyCreated => "Made an API key",
            Self::ApiKeyRevoked => "Revoked an API key",
            Self::InvitationCreated => "Invited somebody",
            Self::InvitationRevoked => "Took an invitation back",
            Self::MemberJoined => "Joined",
            Self::MemberRoleChanged => "Changed a role",
            Self::MemberRemoved => "Removed a member",
            Self::MemberLeft => "Left",
            Self::OrganizationCreated => "Made the organisation",
            Self::OrganizationRenamed => "Renamed the organisation",
            Self::OrganizationEnded => "Ended the organisation",
            Self::OwnershipTransferred => "Handed over ownership",
            Self::WebhookAdded => "Added a webhook",
            Self::WebhookChanged => "Turned a webhook on or off",
            Self::WebhookSecretRotated => "Renewed a webhook's secret",
            Self::WebhookRemoved => "Removed a webhook",
            Self::MailChanged => "Changed who gets mail",
            Self::SignedIn => "Signed in",
            Self::SignInRefused => "Sign-in refused",
            Self::SignedOut => "Signed out",
            Self::KeyRotated => "Rotated the encryption key",
            Self::KeyRetired => "Retired an encryption key",
        }
    }
}
