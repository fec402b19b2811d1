//! What the server knows of the request that a page is rendered for.

use leptos::prelude::*;

use crate::model::{Page, Permission};

/// Returns what the server knows of this request, or a default outside of a request, such as while listing routes.
pub fn page() -> Page {
    use_context::<Page>().unwrap_or_default()
}

/// Returns whether the signed-in person has the permission in their current organization.
pub fn may(permission: Permission) -> bool {
    page().session.and_then(|session| session.org).is_some_and(|org| org.role.may(permission))
}
