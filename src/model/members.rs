//! `/settings/members`: who belongs to an organisation, who is invited, and what its forms have to say.

use serde::{Deserialize, Serialize};

use super::status::spelt;
use super::{InvitationId, Role, UserId};

/// What `/settings/members` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MembersView {
    pub organisation: String,
    /// Your own role; what you may do follows from it.
    pub role: Role,
    /// Owners first, then by address.
    pub members: Vec<MemberView>,
    /// Open ones, newest first; for those alone who may invite.
    pub invitations: Vec<InvitationView>,
    /// Somebody else keeps the members: nothing is changed here.
    pub kept_elsewhere: bool,
    pub as_of: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberView {
    pub user_id: UserId,
    pub email: String,
    pub role: Role,
    pub since: i64,
    pub is_you: bool,
}

/// A link that hasn't been used yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvitationView {
    pub id: InvitationId,
    pub role: Role,
    pub invited_by: Option<String>,
    pub created_at: i64,
    pub expires_at: i64,
}

/// What the page behind a link says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    pub organisation: String,
    pub role: Role,
    pub invited_by: Option<String>,
}

impl MembersView {
    pub fn owners(&self) -> usize {
        self.members.iter().filter(|one| one.role == Role::Owner).count()
    }
}

spelt!(
    /// What came of a form about members, invitations or the organisation itself.
    MembersNotice {
        InvitationMade = "invitation-made",
        InvitationRevoked = "invitation-revoked",
        NoSuchInvitation = "invitation-missing",
        TooManyInvitations = "invitation-too-many",
        /// Used, taken back or too old.
        InvitationOver = "invitation-over",
        Joined = "joined",
        MemberAlready = "member-already",
        RoleChanged = "role-changed",
        Removed = "member-removed",
        Left = "left",
        Transferred = "ownership-transferred",
        NoSuchMember = "member-missing",
        LastOwner = "last-owner",
        Created = "organisation-created",
        Renamed = "organisation-renamed",
        NameNotFit = "organisation-name",
        NameTaken = "organisation-name-taken",
        TooManyOrganisations = "organisation-too-many",
        NotAllowed = "members-not-allowed",
        KeptElsewhere = "members-elsewhere",
        EmailNotFit = "invitation-email",
        EmailTaken = "invitation-email-taken",
        ShortPassword = "invitation-password",
        TooManyTries = "invitation-too-many-tries",
    }
);

impl MembersNotice {
    pub fn is_good(self) -> bool {
        matches!(
            self,
            Self::InvitationMade
                | Self::InvitationRevoked
                | Self::Joined
                | Self::MemberAlready
                | Self::RoleChanged
                | Self::Removed
                | Self::Left
                | Self::Transferred
                | Self::Created
                | Self::Renamed
        )
    }

    pub fn text(self) -> &'static str {
        match self {
            Self::InvitationMade => "The invitation is made. Copy its link now: it is shown this once.",
            Self::InvitationRevoked => "The invitation is taken back. Its link no longer works.",
            Self::NoSuchInvitation => "That invitation is used or taken back already.",
            Self::TooManyInvitations => "Fifty invitations are open already. Take one back first.",
            Self::InvitationOver => {
                "This invitation is used, taken back or too old. Ask whoever sent it to you for another."
            }
            Self::Joined => "You have joined the organisation.",
            Self::MemberAlready => "You belong to this organisation already. The invitation is still open.",
            Self::RoleChanged => "The role is changed.",
            Self::Removed => "The member is removed.",
            Self::Left => "You have left the organisation.",
            Self::Transferred => "Ownership is handed over. You are an admin now.",
            Self::NoSuchMember => "That person doesn't belong to this organisation any more.",
            Self::LastOwner => "An organisation needs an owner. Make somebody else owner first.",
            Self::Created => "The organisation is made, and you own it.",
            Self::Renamed => "The organisation has its new name.",
            Self::NameNotFit => "A name needs 1 to 80 characters on one line.",
            Self::NameTaken => "You belong to an organisation of that name already. Choose another name.",
            Self::TooManyOrganisations => "You own twenty organisations already. That is as many as one person can.",
            Self::NotAllowed => "Your role doesn't allow that. Ask an owner of the organisation.",
            Self::KeptElsewhere => "Members and organisations are kept in Clerk. Change them there.",
            Self::EmailNotFit => "That isn't an e-mail address. Check it, then try again.",
            Self::EmailTaken => "That address has an account already. Sign in with it, then open the invitation again.",
            Self::ShortPassword => "The password needs at least 12 characters.",
            Self::TooManyTries => "Too many tries. Wait a minute, then try again.",
        }
    }
}
