//! What the server knows of the request that a page is rendered for.

use std::sync::Arc;

use leptos::prelude::*;

use crate::model::{Page, Permission};

/// Returns what the server knows of this request, or a default outside of a request, such as while listing routes. It is
/// shared, because each form of a page asks for it.
pub fn page() -> Arc<Page> {
    use_context::<Arc<Page>>().unwrap_or_default()
}

/// Returns whether the signed-in person has the permission in their current organization.
pub fn may(permission: Permission) -> bool {
    let page = page();
    page.session.as_ref().and_then(|session| session.org.as_ref()).is_some_and(|org| org.role.may(permission))
}
