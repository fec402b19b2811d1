//! The client for one tenant's accounting API.

use reqwest::Method;

use super::client::XeroClient;
use super::endpoints::join_path;
use super::error::XeroError;
use super::parse;
use super::wire::Organization;
use crate::server::domain::AccessToken;

/// A client that sends one access token and one tenant id.
pub struct XeroApiClient {
    xero: XeroClient,
    access: AccessToken,
    tenant_id: String,
}

impl XeroClient {
    /// Returns a client for one tenant's accounting API.
    pub fn api(&self, access: AccessToken, tenant_id: String) -> XeroApiClient {
        XeroApiClient { xero: self.clone(), access, tenant_id }
    }
}

impl XeroApiClient {
    /// Fetches the tenant's details. This is the smallest call that proves that the token gives access to the tenant.
    pub async fn organization(&self) -> Result<Organization, XeroError> {
        let url = join_path(&self.xero.endpoints().api, &["api.xro", "2.0", "Organisation"]);
        let request = self
            .xero
            .request(Method::GET, url)
            .bearer_auth(self.access.expose())
            .header("xero-tenant-id", &self.tenant_id);
        self.xero.call_api(request, |answer| parse::organization(answer, &self.access)).await
    }
}
