//! The operations of the server functions about the caller's own account, and their errors.

use axum::http::StatusCode;
use axum::http::request::Parts;
use leptos::prelude::use_context;

use super::rejection::{Rejection, reject_with_flash};
use super::{ServerFnContext, append_cookie, empty_parts};
use crate::model::{AccountFlash, AccountView, time_zones};
use crate::server::auth::cookie::{SESSION_COOKIE, write_cookie};
use crate::server::auth::{AccountChange, LocalAuth};
use crate::server::domain::Secret;
use crate::server::http::internal_error::InternalError;
use crate::server::store::{EndSessions, SESSION_COOKIE_LIFETIME};
use crate::server::views;

const MAX_NAME_CHARACTERS: usize = 80;

impl ServerFnContext {
    /// Returns what `/account` shows.
    pub async fn account(&self) -> Result<AccountView, Rejection> {
        let (store, caller) = (&self.state.store, &self.caller);
        if self.state.auth.local().is_none() {
            return Ok(views::clerk_account(store, &caller.email, caller.time_zone.clone()));
        }
        let mail = self.state.notifier.channels().await?.mail;
        let provider = self.state.config.oidc.as_ref().map(|oidc| (oidc.name.as_str(), oidc.issuer.as_str()));
        let who = (&caller.user_id, caller.email.as_str());
        Ok(views::account(store, who, &caller.session_hash, provider, mail).await?)
    }

    /// Changes the caller's password. The response has the cookie of the session that goes on.
    pub async fn change_password(&self, current: String, new: String) -> Result<(), Rejection> {
        let (local, headers) = (self.local_account()?, use_context::<Parts>().unwrap_or_else(empty_parts).headers);
        let passwords = (Secret::new(current), Secret::new(new));
        let changed = local.change_password(&self.caller, passwords, self.client_ip.0, &headers).await;
        match changed.map_err(|error| InternalError::logged(&error))? {
            AccountChange::Refused(why) => Err(reject_account(why)),
            AccountChange::Done(session) => {
                let url = &self.state.config.public_url;
                append_cookie(write_cookie(url, SESSION_COOKIE, session.expose(), SESSION_COOKIE_LIFETIME));
                Ok(())
            }
        }
    }

    /// Asks for the message that confirms a new email address.
    pub async fn request_email_change(&self, email: &str, password: String) -> Result<(), Rejection> {
        let (local, headers) = (self.local_account()?, use_context::<Parts>().unwrap_or_else(empty_parts).headers);
        if !self.state.notifier.channels().await?.mail {
            return Err(reject_account(AccountFlash::NoMailServer));
        }
        let (password, from) = (Secret::new(password), self.client_ip.0);
        let asked = local.request_email_change(&self.caller, password, email, from, &headers).await;
        match asked.map_err(|error| InternalError::logged(&error))? {
            AccountChange::Refused(why) => Err(reject_account(why)),
            AccountChange::Done(()) => Ok(()),
        }
    }

    /// Changes the caller's name; an empty one removes it.
    pub async fn set_person_name(&self, name: &str) -> Result<(), Rejection> {
        self.local_account()?;
        let name = name.trim();
        if name.chars().count() > MAX_NAME_CHARACTERS || name.chars().any(char::is_control) {
            return Err(reject_account(AccountFlash::InvalidName));
        }
        let store = self.state.store.as_actor(self.actor());
        Ok(store.set_person_name(&self.caller.user_id, Some(name).filter(|name| !name.is_empty())).await?)
    }

    /// Changes the caller's time zone; an empty one removes it. It is kept here if Clerk manages the account, too.
    pub async fn set_time_zone(&self, zone: &str) -> Result<(), Rejection> {
        let zone = Some(zone).filter(|zone| !zone.is_empty());
        if zone.is_some_and(|zone| !time_zones().any(|known| known == zone)) {
            return Err(reject_account(AccountFlash::InvalidTimeZone));
        }
        Ok(self.state.store.as_actor(self.actor()).set_time_zone(&self.caller.user_id, zone).await?)
    }

    /// Ends one of the caller's sessions, or fails with 404.
    pub async fn end_session(&self, id: &str) -> Result<(), Rejection> {
        self.end_sessions(EndSessions::One(id)).await
    }

    /// Ends the caller's other sessions. There may be none.
    pub async fn end_other_sessions(&self) -> Result<(), Rejection> {
        self.local_account()?;
        let store = self.state.store.as_actor(self.actor());
        // None to end is what was asked for.
        _ = store.end_sessions(&self.caller.user_id, EndSessions::AllBut(&self.caller.session_hash)).await?;
        Ok(())
    }

    async fn end_sessions(&self, which: EndSessions<'_>) -> Result<(), Rejection> {
        self.local_account()?;
        let ended = self.state.store.as_actor(self.actor()).end_sessions(&self.caller.user_id, which).await?;
        ended.ok_or_else(|| reject_account(AccountFlash::NoSuchSession))
    }

    /// Returns local sign-in, or 409 if Clerk manages the account.
    pub(super) fn local_account(&self) -> Result<&LocalAuth, Rejection> {
        self.state.auth.local().ok_or_else(|| reject_account(AccountFlash::ManagedByClerk))
    }
}

pub(super) fn reject_account(notice: AccountFlash) -> Rejection {
    let status = match notice {
        AccountFlash::NoSuchSession => StatusCode::NOT_FOUND,
        AccountFlash::WrongPassword | AccountFlash::WrongCode => StatusCode::FORBIDDEN,
        AccountFlash::TooManyAttempts | AccountFlash::TooManyCodes | AccountFlash::TooManyMails => {
            StatusCode::TOO_MANY_REQUESTS
        }
        AccountFlash::ManagedByClerk
        | AccountFlash::DemoAccount
        | AccountFlash::NoMailServer
        | AccountFlash::FactorElsewhere
        | AccountFlash::FactorUnchanged
        | AccountFlash::FactorExpired
        | AccountFlash::ProviderTaken
        | AccountFlash::ProviderUnchanged
        | AccountFlash::LinkExpired
        | AccountFlash::PasswordNeeded => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    reject_with_flash(status, notice)
}
