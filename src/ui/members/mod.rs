//! The parts of the members page. All of it is HTML and forms.

mod invitations;
mod list;
mod organisation;
mod question;

pub use invitations::{invitations, link};
pub use list::list;
pub use organisation::{create, organisation};
pub use question::{Question, question};

use crate::model::Role;

/// A role's name on a page.
fn word(role: Role) -> &'static str {
    match role {
        Role::Owner => "Owner",
        Role::Admin => "Admin",
        Role::Member => "Member",
    }
}
