//! Requests for regions of a page, by which the browser brings an open page up to date.

use axum::body::Body;
use axum::http::header::VARY;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::model::{ORGANIZATION_HEADER, OrgId, Page, REGIONS_HEADER};

/// The regions that a request asks for.
pub struct RegionRequest {
    ids: Vec<String>,
    /// The organization that the open page shows.
    org: Option<OrgId>,
}

impl RegionRequest {
    /// Reads the request's headers. Returns `None` if it asks for the whole page.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let ids = text(REGIONS_HEADER)?.split(',').map(|id| id.trim().to_owned()).collect();
        let org = text(ORGANIZATION_HEADER).filter(|org| !org.is_empty()).map(|org| OrgId(org.to_owned()));
        Some(Self { ids, org })
    }

    /// Returns the context to render the regions with: without what a page shows once, which no region contains. Returns
    /// `None` if the open page shows another organization.
    pub fn page(self, page: Page) -> Option<Page> {
        let org = page.session.as_ref().and_then(|session| session.org.as_ref()).map(|org| &org.id);
        (org == self.org.as_ref()).then(|| Page {
            regions: Some(self.ids),
            flash: None,
            typed: None,
            webhook_secret: None,
            invitation_link: None,
            new_api_key: None,
            factor_enrollment: None,
            recovery_codes: None,
            new_connect_link: None,
            new_connect_links: Vec::new(),
            ..page
        })
    }
}

/// Returns the response that has the browser load the whole page again.
pub fn load_again() -> Response {
    let mut response = Body::empty().into_response();
    *response.status_mut() = StatusCode::RESET_CONTENT;
    response
}

/// Says that the response depends on the headers above, so that nothing serves regions as a page.
pub fn vary_by_regions(mut response: Response) -> Response {
    for name in [REGIONS_HEADER, ORGANIZATION_HEADER] {
        response.headers_mut().append(VARY, HeaderValue::from_static(name));
    }
    response
}
