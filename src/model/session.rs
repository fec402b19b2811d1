//! The signed-in person as the pages see them.

use serde::{Deserialize, Serialize};

use super::OrgId;
use super::text_enum::str_enum;

str_enum!(
    /// A person's role in an organization. `Permission` says what it permits.
    Role {
        Owner = "owner",
        Admin = "admin",
        Member = "member",
    }
);

str_enum!(
    /// The appearance that a person chose; `System` follows the device.
    #[derive(Default)]
    Theme {
        #[default]
        System = "system",
        Light = "light",
        Dark = "dark",
    }
);

impl Role {
    /// Returns the role's label on a page.
    pub fn label(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::Admin => "Admin",
            Self::Member => "Member",
        }
    }

    /// Returns the role as part of a sentence: "an owner".
    pub fn with_article(self) -> &'static str {
        match self {
            Self::Owner => "an owner",
            Self::Admin => "an admin",
            Self::Member => "a member",
        }
    }
}

/// An organization that the person is a member of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrgView {
    /// Id of the organization.
    pub id: OrgId,
    /// Display name of the organization.
    pub name: String,
    /// The person's role in the organization.
    pub role: Role,
    /// Number of its connections that a person has to act on.
    pub attention: u32,
}

/// The signed-in person and their current organization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionView {
    /// Email address, or Clerk's user id if none is known.
    pub email: String,
    /// Every organization that the person belongs to, by name.
    pub orgs: Vec<OrgView>,
    /// The current organization; `None` if the person belongs to none.
    pub org: Option<OrgView>,
    /// The chosen organization, if the person reaches nothing of it because they have no second factor.
    pub locked_org: Option<OrgView>,
    /// The organizations that the person belongs to and reaches nothing of.
    pub locked_orgs: Vec<OrgView>,
    /// Unix seconds from which on the current organization requires a second factor, which the person has not.
    pub factor_due: Option<i64>,
    /// Number of the organization's events that the person hasn't marked as read.
    pub unread: u32,
}
