//! Results of the forms about members, invitations and the organization itself.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::text_enum::str_enum;
use crate::model::{FlashMessage, PasswordProblem, Tone};

str_enum!(
    /// Result of a form about members, invitations or the organization itself.
    MembersFlash {
        InvitationCreated = "invitation-made",
        InvitationSent = "invitation-sent",
        InvitationRevoked = "invitation-revoked",
        NoSuchInvitation = "invitation-missing",
        TooManyInvitations = "invitation-too-many",
        /// Too many mails were sent to the address, or by the organization.
        TooManyMails = "invitation-too-many-mails",
        /// The invitation was used or canceled, or has expired.
        InvitationInvalid = "invitation-over",
        /// Another invitation was opened after the page that was answered.
        InvitationReplaced = "invitation-replaced",
        /// The invitation is for another email address.
        InvitationOfOther = "invitation-other-address",
        /// The invitation was sent by email, and the address has not been confirmed by opening the link in it.
        InvitationByMail = "invitation-by-mail",
        Joined = "joined",
        /// The session stays in the organization that the person works in.
        JoinedBeside = "joined-beside",
        AlreadyMember = "member-already",
        RoleChanged = "role-changed",
        /// The role is that of a plain member now.
        Demoted = "role-member",
        Removed = "member-removed",
        Left = "left",
        Transferred = "ownership-transferred",
        NoSuchMember = "member-missing",
        LastOwner = "last-owner",
        Created = "organisation-created",
        Renamed = "organisation-renamed",
        InvalidName = "organisation-name",
        NameTaken = "organisation-name-taken",
        TooManyOrganizations = "organisation-too-many",
        FactorRequired = "factor-required",
        FactorNotRequired = "factor-not-required",
        /// An owner without a second factor can't require one.
        OwnFactorFirst = "factor-own-first",
        InvalidDays = "factor-days",
        NotAllowed = "members-not-allowed",
        ManagedByClerk = "members-elsewhere",
        InvalidEmail = "invitation-email",
        EmailTaken = "invitation-email-taken",
        PasswordTooShort = "invitation-password",
        PasswordCommon = "invitation-password-common",
        PasswordLikeEmail = "invitation-password-email",
        TooManyAttempts = "invitation-too-many-tries",
    }
);

impl FlashMessage for MembersFlash {
    fn tone(&self) -> Tone {
        match self {
            Self::InvitationCreated
            | Self::InvitationSent
            | Self::InvitationRevoked
            | Self::Joined
            | Self::JoinedBeside
            | Self::AlreadyMember
            | Self::RoleChanged
            | Self::Demoted
            | Self::Removed
            | Self::Left
            | Self::Transferred
            | Self::Created
            | Self::Renamed
            | Self::FactorRequired
            | Self::FactorNotRequired => Tone::Good,
            _ => Tone::Warn,
        }
    }

    fn text(&self) -> Cow<'static, str> {
        match self {
            Self::InvitationCreated => "Invitation created. Copy its link now: it is shown only once.",
            Self::InvitationSent => "Invitation created. It is on its way by email, and here is a link of it: copy it now, it is shown only once.",
            Self::TooManyMails => {
                "No invitation was created: many emails went to that address just now. Try again in half an hour, or leave the address out and send the link yourself."
            }
            Self::InvitationRevoked => "Invitation cancelled. Its link no longer works.",
            Self::NoSuchInvitation => "That invitation has already been used or cancelled.",
            Self::TooManyInvitations => "There are already 50 open invitations. Cancel one first.",
            Self::InvitationInvalid => {
                "This invitation has expired or been used. Ask the person who sent it for a new one."
            }
            Self::InvitationReplaced => {
                "Nothing was done: another invitation was opened in this browser meanwhile. This is the one that was opened last."
            }
            Self::InvitationOfOther => {
                "This invitation is for another email address. Sign in with that one, or ask for a new invitation."
            }
            Self::InvitationByMail => {
                "Nothing was done: open the link in the email that Evergrant sent to the invited address. It shows that the mailbox is yours."
            }
            Self::Joined => "You have joined the organisation.",
            Self::JoinedBeside => {
                "You have joined the organisation. Choose it at the top of the page to work in it."
            }
            Self::AlreadyMember => "You already belong to this organisation. The invitation is still open.",
            Self::RoleChanged => "Role changed.",
            Self::Demoted => "Role changed. API keys and open invitations that this person created no longer work.",
            Self::Removed => "Member removed.",
            Self::Left => "You have left the organisation.",
            Self::Transferred => "Ownership transferred. You are now an admin.",
            Self::NoSuchMember => "That person no longer belongs to this organisation.",
            Self::LastOwner => "An organisation needs an owner. Make someone else an owner first.",
            Self::Created => "Organisation created. You are its owner.",
            Self::Renamed => "Organisation renamed.",
            Self::InvalidName => "A name needs 1 to 80 characters on one line.",
            Self::NameTaken => "You already belong to an organisation with that name. Choose another name.",
            Self::TooManyOrganizations => "You already own 20 organisations, the most that one person can own.",
            Self::FactorRequired => "A second factor is required. Members without one see how long they have.",
            Self::FactorNotRequired => "A second factor is no longer required.",
            Self::OwnFactorFirst => "Set up your own second factor first, on your account page.",
            Self::InvalidDays => "Choose the number of days from the list.",
            Self::NotAllowed => "Your role doesn't allow that. Ask an owner of the organisation.",
            Self::ManagedByClerk => "Members and organisations are managed in Clerk. Change them there.",
            Self::InvalidEmail => "That isn't an email address. Check it, then try again.",
            Self::EmailTaken => {
                "That email address already has an account. Sign in with it, then open the invitation again."
            }
            Self::PasswordTooShort => "The password needs at least 12 characters.",
            Self::PasswordCommon => "That password is too common. Choose one that nobody would guess.",
            Self::PasswordLikeEmail => "That password is too close to your email address. Choose another.",
            Self::TooManyAttempts => "Too many attempts. Wait a minute, then try again.",
        }
        .into()
    }
}

impl From<PasswordProblem> for MembersFlash {
    fn from(problem: PasswordProblem) -> Self {
        match problem {
            PasswordProblem::TooShort => Self::PasswordTooShort,
            PasswordProblem::Common => Self::PasswordCommon,
            PasswordProblem::LikeEmail => Self::PasswordLikeEmail,
        }
    }
}
