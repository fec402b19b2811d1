//! What a page needs for Clerk's script to work in it.

use super::ClerkAuth;
use crate::model::ClerkView;
use crate::server::auth::{Caller, Sources};

impl ClerkAuth {
    pub fn view(&self, caller: Option<&Caller>) -> ClerkView {
        ClerkView {
            frontend_api: self.app.frontend_api.clone(),
            publishable_key: self.app.publishable_key.clone(),
            organization: caller.and_then(|caller| caller.external_org.clone()),
            signed_in: caller.is_some(),
        }
    }

    /// As Clerk's guide to Content-Security-Policy lists them: its own host, the pictures that it keeps for people and
    /// organisations, Cloudflare's check for bots, and the styles that its components write into the page.
    pub fn sources(&self) -> Sources {
        let host = &self.app.frontend_api;
        Sources {
            script: format!(" {host} https://challenges.cloudflare.com"),
            style: " 'unsafe-inline'",
            image: " https://img.clerk.com",
            connect: format!(" {host}"),
            more: " frame-src https://challenges.cloudflare.com; worker-src 'self' blob:;",
        }
    }
}
