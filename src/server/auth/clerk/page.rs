//! What a page needs for Clerk's script.

use super::ClerkAuth;
use crate::model::ClerkView;
use crate::server::auth::caller::Caller;
use crate::server::auth::csp::CspSources;

impl ClerkAuth {
    /// Returns the data for Clerk's script.
    pub fn view(&self, caller: Option<&Caller>) -> ClerkView {
        ClerkView {
            frontend_api: self.app.frontend_api.clone(),
            publishable_key: self.app.publishable_key.clone(),
            organization: caller.and_then(|caller| caller.external_org.clone()),
            signed_in: caller.is_some(),
        }
    }

    /// Returns the sources from Clerk's Content-Security-Policy guide: its host, its images of people and
    /// organizations, Cloudflare's bot check, and the styles that its components insert.
    pub fn csp_sources(&self) -> CspSources {
        let host = &self.app.frontend_api;
        CspSources {
            script: format!(" {host} https://challenges.cloudflare.com"),
            style: " 'unsafe-inline'",
            image: " https://img.clerk.com",
            connect: format!(" {host}"),
            extra_directives: " frame-src https://challenges.cloudflare.com; worker-src 'self' blob:;",
        }
    }
}
