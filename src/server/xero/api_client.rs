//! Xero's accounting API as one tenant sees it.

use reqwest::Method;

use super::client::XeroClient;
use super::endpoints::under;
use super::error::XeroError;
use super::reading;
use super::wire::Organisation;
use crate::server::domain::AccessToken;

/// A client bound to an access token and a tenant.
pub struct XeroApiClient {
    xero: XeroClient,
    access: AccessToken,
    tenant_id: String,
}

impl XeroApiClient {
    pub(super) fn new(xero: XeroClient, access: AccessToken, tenant_id: String) -> Self {
        Self { xero, access, tenant_id }
    }

    /// What Xero knows about the tenant; the smallest call that proves that token and tenant belong together.
    pub async fn organisation(&self) -> Result<Organisation, XeroError> {
        let url = under(&self.xero.endpoints().api, &["api.xro", "2.0", "Organisation"]);
        let request = self
            .xero
            .request(Method::GET, url)
            .bearer_auth(self.access.expose())
            .header("xero-tenant-id", &self.tenant_id);
        self.xero.ask_api(request, |answer| reading::organisation(answer, &self.access)).await
    }

    pub fn tenant_id(&self) -> &str {
        &self.tenant_id
    }

    pub fn access_token(&self) -> &AccessToken {
        &self.access
    }
}
