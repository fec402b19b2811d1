//! What a role may do: decided here, enforced by the server, and read by pages, which hide what is forbidden.

use super::Role;

/// Something that not everybody in an organisation may do. Looking, refreshing, choosing one's own mail and leaving
/// are every member's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Connect, reconnect, disconnect, and decide what becomes of connections.
    ManageConnections,
    /// Webhooks, and who gets mail.
    ManageNotifications,
    ManageApiKeys,
    /// Invite, change roles and remove, as far as no owner is concerned.
    ManageMembers,
    RenameOrganisation,
    /// Know what concerns the whole app: that Xero refuses it, that its key was rotated.
    SeeTheApp,
    /// Make owners and unmake them, remove one, hand ownership over.
    ManageOwners,
}

impl Permission {
    pub const ALL: &'static [Self] = &[
        Self::ManageConnections,
        Self::ManageNotifications,
        Self::ManageApiKeys,
        Self::ManageMembers,
        Self::RenameOrganisation,
        Self::SeeTheApp,
        Self::ManageOwners,
    ];
}

impl Role {
    /// Whether somebody of this role may do it.
    pub fn may(self, permission: Permission) -> bool {
        match self {
            Self::Owner => true,
            Self::Admin => permission != Permission::ManageOwners,
            Self::Member => false,
        }
    }

    /// Whether somebody of this role may have to do with one of that role: invite as it, give it, or take it away.
    pub fn may_manage(self, other: Self) -> bool {
        self.may(if other == Self::Owner { Permission::ManageOwners } else { Permission::ManageMembers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_may_everything_admins_all_but_owners_and_members_nothing_of_it() {
        for permission in Permission::ALL {
            assert!(Role::Owner.may(*permission));
            assert_eq!(Role::Admin.may(*permission), *permission != Permission::ManageOwners);
            assert!(!Role::Member.may(*permission));
        }
        assert!(Role::Owner.may_manage(Role::Owner) && Role::Admin.may_manage(Role::Admin));
        assert!(!Role::Admin.may_manage(Role::Owner) && !Role::Member.may_manage(Role::Member));
    }
}
