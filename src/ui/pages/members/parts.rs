//! The parts of the members page: plain HTML and forms.

pub use super::confirm_dialog::{ConfirmationRequest, confirmation};
pub use super::invitations::{invitation_link, invitations};
pub use super::list::list;
pub use super::organization::{create_organization_form, organization};

use crate::model::Role;

/// Returns a role's label on a page.
pub(super) fn role_label(role: Role) -> &'static str {
    match role {
        Role::Owner => "Owner",
        Role::Admin => "Admin",
        Role::Member => "Member",
    }
}
