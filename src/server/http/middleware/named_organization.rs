//! Links in email name the organization that they are about. Opening one switches to it, so that the page shows the right
//! connection, also after signing in.

use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use crate::model::{ConnectionFlash, OrgId};
use crate::server::auth::Switched;
use crate::server::http::flash::{see_other, see_other_with_flash};
use crate::server::http::internal_error::InternalError;
use crate::server::http::oauth::is_lookahead;
use crate::server::http::safe_redirect::safe_redirect;
use crate::server::http::state::AppState;

/// The query parameter that names the organization.
pub(super) const PARAMETER: &str = "org";

/// Switches to the organization that the address names, and redirects to the address without it, so that reading the page
/// again switches nothing. Returns `None` if it names none, or nobody is signed in: the sign-in leads back here.
///
/// Only a person who opens the link switches. Whoever is no member of the organization is told so.
pub async fn open_named_organization(
    state: &AppState,
    method: &Method,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Option<Response>, InternalError> {
    let Some((named, page)) = split_address(uri) else { return Ok(None) };
    // `//host` is an address of ours here, and another site in a redirect.
    let Some(page) = safe_redirect(&state.config.public_url, &page) else { return Ok(None) };
    let Some(caller) = state.auth.caller(headers).await? else { return Ok(None) };
    if caller.org.as_ref().is_some_and(|org| org.id == named) {
        return Ok(Some(see_other(&page)));
    }
    if is_lookahead(method, headers) {
        return Ok(Some(StatusCode::SERVICE_UNAVAILABLE.into_response()));
    }
    Ok(Some(match state.auth.switch_org(&caller, &named).await? {
        Switched::Yes => see_other(&page),
        Switched::NotAMember | Switched::Delegated => {
            see_other_with_flash(state, &page, &ConnectionFlash::LinkOrganization.into())
        }
    }))
}

/// Returns the organization that an address names, and the address without it.
fn split_address(uri: &Uri) -> Option<(OrgId, String)> {
    let query = uri.query()?;
    let (named, rest): (Vec<_>, Vec<_>) =
        form_urlencoded::parse(query.as_bytes()).partition(|(name, _)| name == PARAMETER);
    let (_, org) = named.into_iter().next()?;
    let rest = form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
    let page = if rest.is_empty() { uri.path().to_owned() } else { format!("{}?{rest}", uri.path()) };
    Some((OrgId(org.into_owned()), page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_split_into_the_organization_and_the_page() {
        let split = |uri: &str| split_address(&uri.parse().unwrap()).map(|(org, page)| (org.0, page));
        let parts = |org: &str, page: &str| Some((org.to_owned(), page.to_owned()));
        assert_eq!(
            split("/settings/integrations?org=o&connection=b"),
            parts("o", "/settings/integrations?connection=b")
        );
        assert_eq!(split("/?org=o"), parts("o", "/"));
        assert_eq!(split("/?org=o&org=p&a=%26"), parts("o", "/?a=%26"));
        assert_eq!(split("/?a=b"), None);
        assert_eq!(split("/"), None);
    }
}
