//! Who is signed in, as pages see it.

use serde::{Deserialize, Serialize};

use super::OrgId;
use super::status::spelt;

spelt!(
    /// What a person is in an organisation; `Permission` says what that lets them do.
    Role {
        Owner = "owner",
        Admin = "admin",
        Member = "member",
    }
);

spelt!(
    /// The colours a person chose; `System` follows the device.
    #[derive(Default)]
    Theme {
        #[default]
        System = "system",
        Light = "light",
        Dark = "dark",
    }
);

/// An organisation that the person is a member of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrgView {
    pub id: OrgId,
    pub name: String,
    pub role: Role,
}

/// The signed-in person and the organisation they work in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionView {
    pub email: String,
    /// Every organisation the person belongs to, by name.
    pub orgs: Vec<OrgView>,
    /// `None` while the person belongs to no organisation.
    pub org: Option<OrgView>,
    /// Bindings of the active organisation that a person has to act on.
    pub attention: u32,
    /// What happened there that the person hasn't marked as read.
    pub unread: u32,
}
