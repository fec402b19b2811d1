//! Permissions of roles. The server enforces them, and the pages hide what is not permitted.

use super::Role;

/// An action that not every member may perform. Every member may view and refresh connections, change their own email
/// setting, and leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Connect, reconnect, disconnect, and keep the connections of former members.
    ManageConnections,
    /// Manage webhooks, and who gets email.
    ManageNotifications,
    /// Create and revoke API keys.
    ManageApiKeys,
    /// Invite and remove members and change roles, except owners.
    ManageMembers,
    /// Change the organization's name.
    RenameOrganization,
    /// See what concerns the whole app, such as credentials that Xero refuses or a rotated encryption key.
    ViewAppStatus,
    /// Promote, demote and remove owners, and transfer ownership.
    ManageOwners,
    /// Change where connect links may send the browser.
    ManageReturnUrls,
}

impl Permission {
    /// Every permission.
    pub const ALL: &'static [Self] = &[
        Self::ManageConnections,
        Self::ManageNotifications,
        Self::ManageApiKeys,
        Self::ManageMembers,
        Self::RenameOrganization,
        Self::ViewAppStatus,
        Self::ManageOwners,
        Self::ManageReturnUrls,
    ];
}

impl Permission {
    /// Returns whether only owners have it.
    fn is_owners_only(self) -> bool {
        matches!(self, Self::ManageOwners | Self::ManageReturnUrls)
    }
}

impl Role {
    /// Returns whether the role has the permission.
    pub fn may(self, permission: Permission) -> bool {
        match self {
            Self::Owner => true,
            Self::Admin => !permission.is_owners_only(),
            Self::Member => false,
        }
    }

    /// Returns whether the role may grant the `other` role, revoke it, or invite with it.
    pub fn may_manage(self, other: Self) -> bool {
        self.may(if other == Self::Owner { Permission::ManageOwners } else { Permission::ManageMembers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_have_every_permission_admins_all_but_the_owners_and_members_none() {
        for permission in Permission::ALL {
            assert!(Role::Owner.may(*permission));
            let owners_only = [Permission::ManageOwners, Permission::ManageReturnUrls].contains(permission);
            assert_eq!(Role::Admin.may(*permission), !owners_only);
            assert!(!Role::Member.may(*permission));
        }
        assert!(Role::Owner.may_manage(Role::Owner) && Role::Admin.may_manage(Role::Admin));
        assert!(!Role::Admin.may_manage(Role::Owner) && !Role::Member.may_manage(Role::Member));
    }
}
