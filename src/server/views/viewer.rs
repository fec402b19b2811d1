//! Which people a view names to its reader. Members see nobody's addresses but their own.

use crate::model::{Permission, Role};

/// The reader of a view.
#[derive(Clone, Debug)]
pub struct Viewer {
    role: Role,
    email: String,
}

impl Viewer {
    /// Returns the reader with this role and email address.
    pub fn new(role: Role, email: &str) -> Self {
        Self { role, email: email.to_owned() }
    }

    /// Returns whether the reader may see the addresses of a person, of whom `email` is one.
    pub fn sees(&self, email: &str) -> bool {
        self.only_address().is_none_or(|own| own == email)
    }

    /// Returns the only address that the reader may see, their own, or `None` if they may see all.
    pub fn only_address(&self) -> Option<&str> {
        (!self.role.may(Permission::ManageMembers)).then_some(self.email.as_str())
    }

    /// Returns the name of a person or a program as the reader sees it. An email address that they may not see keeps its
    /// first letter and its domain.
    pub fn name(&self, name: String) -> String {
        match name.split_once('@') {
            Some((local, domain)) if !self.sees(&name) => {
                format!("{}…@{domain}", local.chars().next().unwrap_or_default())
            }
            _ => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_see_their_own_address_and_the_domain_of_others() {
        let (member, admin) = (Viewer::new(Role::Member, "eve@e.example"), Viewer::new(Role::Admin, "bob@e.example"));
        for (name, seen) in [
            ("ann@e.example", "a…@e.example"),
            ("eve@e.example", "eve@e.example"),
            ("Nightly export", "Nightly export"),
        ] {
            assert_eq!(member.name(name.into()), seen);
            assert_eq!(admin.name(name.into()), name);
        }
    }
}
