//! The operations of the server functions about the caller's second factor, and the proof that sensitive actions need.

use axum::http::StatusCode;
use axum::http::request::Parts;
use leptos::prelude::use_context;

use super::account::reject_account;
use super::rejection::{Rejection, reject_with_flash};
use super::{ServerFnContext, append_cookie, empty_parts};
use crate::model::AccountFlash;
use crate::server::auth::{AccountChange, RecoveryCodes};
use crate::server::domain::Secret;
use crate::server::http::internal_error::InternalError;
use crate::server::http::one_time_secret;
use crate::server::http::routes::second_factor::proof_path;
use crate::server::http::safe_redirect::referer_page;

impl ServerFnContext {
    /// Fails with 403 unless the caller proved within ten minutes who they are. Every sensitive action calls it first. A
    /// plain form is sent to the page that asks for the proof, and from there back to the form's page.
    pub fn require_recent_proof(&self) -> Result<(), Rejection> {
        if self.caller.is_recently_proven(self.state.store.clock().now()) {
            return Ok(());
        }
        let headers = use_context::<Parts>().unwrap_or_else(empty_parts).headers;
        let from = referer_page(&self.state.config.public_url, &headers);
        let path = proof_path(from.as_deref().unwrap_or(self.return_path));
        let mut rejection = reject_with_flash(StatusCode::FORBIDDEN, AccountFlash::ProofNeeded);
        rejection.error.continue_at = Some(path);
        Err(rejection)
    }

    /// Starts to add a second factor.
    pub async fn begin_second_factor(&self) -> Result<(), Rejection> {
        self.require_recent_proof()?;
        done(
            self.local_account()?
                .begin_enrollment(&self.caller)
                .await
                .map_err(|error| InternalError::logged(&error))?,
        )
    }

    /// Confirms a second factor with its first code. Returns the recovery codes.
    pub async fn confirm_second_factor(&self, code: String) -> Result<Vec<String>, Rejection> {
        self.require_recent_proof()?;
        let headers = use_context::<Parts>().unwrap_or_else(empty_parts).headers;
        let code = Secret::new(code);
        let local = self.local_account()?;
        let added = local.confirm_enrollment(&self.caller, &code, self.client_ip.0, &headers).await;
        self.reveal(added.map_err(|error| InternalError::logged(&error))?)
    }

    /// Removes the caller's second factor. The code is the proof of who they are, however recent another one is.
    pub async fn remove_second_factor(&self, code: String) -> Result<(), Rejection> {
        let headers = use_context::<Parts>().unwrap_or_else(empty_parts).headers;
        let code = Secret::new(code);
        let removed = self.local_account()?.remove_factor(&self.caller, &code, self.client_ip.0, &headers).await;
        done(removed.map_err(|error| InternalError::logged(&error))?)
    }

    /// Replaces the caller's recovery codes and returns the new ones.
    pub async fn create_recovery_codes(&self) -> Result<Vec<String>, Rejection> {
        self.require_recent_proof()?;
        let created = self.local_account()?.renew_recovery_codes(&self.caller, self.client_ip.0).await;
        self.reveal(created.map_err(|error| InternalError::logged(&error))?)
    }

    /// Returns recovery codes. A plain form gets them in a cookie for the next page, too.
    fn reveal(&self, created: AccountChange<RecoveryCodes>) -> Result<Vec<String>, Rejection> {
        let codes = done(created)?;
        if self.is_plain_form {
            append_cookie(one_time_secret::RECOVERY_CODES.cookie(&self.state, &codes.joined()));
        }
        Ok(codes.exposed())
    }
}

fn done<T>(change: AccountChange<T>) -> Result<T, Rejection> {
    match change {
        AccountChange::Done(value) => Ok(value),
        AccountChange::Refused(why) => Err(reject_account(why)),
    }
}
