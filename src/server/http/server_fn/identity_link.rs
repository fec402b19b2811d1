//! The operations of the server functions that link and unlink the OpenID Connect provider.

use axum::http::request::Parts;
use leptos::prelude::use_context;

use super::account::reject_account;
use super::rejection::Rejection;
use super::{ServerFnContext, append_cookie, empty_parts};
use crate::model::AccountFlash;
use crate::server::auth::AccountChange;
use crate::server::auth::cookie::{PENDING_IDENTITY_COOKIE, delete_cookie};
use crate::server::http::internal_error::InternalError;
use crate::server::http::routes::identity_link::pending_token;

impl ServerFnContext {
    /// Links the identity that the caller's session asked for.
    pub async fn link_provider(&self) -> Result<(), Rejection> {
        self.require_recent_proof()?;
        let headers = use_context::<Parts>().unwrap_or_else(empty_parts).headers;
        let local = self.local_account()?;
        let Some(token) = pending_token(&self.state, &headers) else {
            return Err(reject_account(AccountFlash::LinkExpired));
        };
        let linked = local.link_provider(&self.caller, &token, self.client_ip.0).await;
        done(linked.map_err(|error| InternalError::logged(&error))?)?;
        append_cookie(delete_cookie(&self.state.config.public_url, PENDING_IDENTITY_COOKIE));
        Ok(())
    }

    /// Unlinks the provider from the caller's account.
    pub async fn unlink_provider(&self) -> Result<(), Rejection> {
        self.require_recent_proof()?;
        let unlinked = self.local_account()?.unlink_provider(&self.caller, self.client_ip.0).await;
        done(unlinked.map_err(|error| InternalError::logged(&error))?)
    }
}

fn done(change: AccountChange) -> Result<(), Rejection> {
    match change {
        AccountChange::Done(()) => Ok(()),
        AccountChange::Refused(why) => Err(reject_account(why)),
    }
}
