//! Members and invitations of an organization.

use serde::{Deserialize, Serialize};

use super::{InvitationId, OrgId, Role, UserId};

/// Who manages people and organizations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberSource {
    /// Owners and admins, on the pages here.
    Evergrant,
    /// Clerk, where nothing can be changed from here.
    Clerk,
}

/// What `/settings/members` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MembersView {
    /// Name of the organization.
    pub organisation: String,
    /// The viewer's role, which decides what the page offers.
    pub role: Role,
    /// Owners first, then by email address.
    pub members: Vec<MemberView>,
    /// Open invitations, newest first; empty if the viewer may not invite.
    pub invitations: Vec<InvitationView>,
    /// Unix seconds from which on every member needs a second factor; `None` if it isn't required.
    pub factor_required_from: Option<i64>,
    /// Clerk manages the members: nothing can be changed here.
    pub managed_by_clerk: bool,
    /// Time at which the view was created, in unix seconds.
    pub as_of: i64,
}

/// One member of the organization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberView {
    /// The member's id.
    pub user_id: UserId,
    /// Email address of the member.
    pub email: String,
    /// The member's role in the organization.
    pub role: Role,
    /// When the member joined, in unix seconds.
    pub since: i64,
    /// Whether the member has a second factor here.
    pub has_factor: bool,
    /// Whether the member is the viewer.
    pub is_you: bool,
}

/// What a member created in the organization.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberBelongings {
    /// Names of the API keys, which end with the membership.
    pub api_keys: Vec<String>,
    /// Hosts of the webhooks, which stay.
    pub webhooks: Vec<String>,
    /// Names of the tenants that the member connected, which stay.
    pub connections: Vec<String>,
}

/// An open invitation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvitationView {
    /// The invitation's id.
    pub id: InvitationId,
    /// Role that the invited person receives.
    pub role: Role,
    /// The only email address that may accept it; `None` if the link is enough.
    pub email: Option<String>,
    /// Email address of the person who created it; `None` if they were deleted.
    pub invited_by: Option<String>,
    /// When the invitation was created, in unix seconds.
    pub created_at: i64,
    /// When the invitation expires, in unix seconds.
    pub expires_at: i64,
}

/// An invitation as its own page describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationDetails {
    /// Name of the organization that the invitation is for. Its owners choose it, so it proves nothing.
    pub organisation: String,
    /// Id of the organization.
    pub org_id: OrgId,
    /// Email addresses of its owners.
    pub owners: Vec<String>,
    /// Role that the invited person receives.
    pub role: Role,
    /// Email address of the person who created it; `None` if they were deleted.
    pub invited_by: Option<String>,
    /// The only email address that may accept it; `None` if the link is enough.
    pub email: Option<String>,
    /// Whether the link came from a mail to that address.
    pub is_mailed: bool,
    /// Whether such a mail was due, or still is.
    pub is_sent_by_mail: bool,
}

impl InvitationDetails {
    /// Returns whether this link admits confirmed addresses only, because the email to the address has a link of its own.
    pub fn is_for_mail_readers(&self) -> bool {
        self.is_sent_by_mail && !self.is_mailed
    }
}

impl MembersView {
    /// Returns the number of owners.
    pub fn owner_count(&self) -> usize {
        self.members.iter().filter(|one| one.role == Role::Owner).count()
    }
}
