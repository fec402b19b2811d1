//! Server functions for the caller's own account. None of them depends on an organization.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{AccountView, ApiError};

/// Returns what `/account` shows.
#[server(prefix = "/api", endpoint = "account/view", input = PostUrl, output = Json)]
pub async fn account() -> Result<AccountView, ApiError> {
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| ctx.account().await).await.without_flash()
}

/// Changes the caller's password, which ends their other sessions.
#[server(prefix = "/api", endpoint = "account/change-password", input = PostUrl, output = Json)]
pub async fn change_password(current_password: String, new_password: String) -> Result<(), ApiError> {
    use crate::model::{AccountFlash::PasswordChanged, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::ACCOUNT);
    ctx.run(async |ctx| ctx.change_password(current_password, new_password).await).await.flash(|()| PasswordChanged)
}

/// Mails a confirmation link to a new email address. The address changes once the link is confirmed.
#[server(prefix = "/api", endpoint = "account/change-email", input = PostUrl, output = Json)]
pub async fn change_email(email: String, current_password: String) -> Result<(), ApiError> {
    use crate::model::{AccountFlash::EmailRequested, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::ACCOUNT);
    ctx.run(async |ctx| ctx.request_email_change(&email, current_password).await).await.flash(|()| EmailRequested)
}

/// Changes the caller's name.
#[server(prefix = "/api", endpoint = "account/set-name", input = PostUrl, output = Json)]
pub async fn set_name(name: String) -> Result<(), ApiError> {
    use crate::model::{AccountFlash::NameChanged, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::ACCOUNT);
    ctx.run(async |ctx| ctx.set_person_name(&name).await).await.flash(|()| NameChanged)
}

/// Changes the caller's time zone.
#[server(prefix = "/api", endpoint = "account/set-time-zone", input = PostUrl, output = Json)]
pub async fn set_time_zone(time_zone: String) -> Result<(), ApiError> {
    use crate::model::{AccountFlash::TimeZoneChanged, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::ACCOUNT);
    ctx.run(async |ctx| ctx.set_time_zone(&time_zone).await).await.flash(|()| TimeZoneChanged)
}

/// Ends one of the caller's sessions.
#[server(prefix = "/api", endpoint = "account/end-session", input = PostUrl, output = Json)]
pub async fn end_session(session: String) -> Result<(), ApiError> {
    use crate::model::{AccountFlash::SessionEnded, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::ACCOUNT);
    ctx.run(async |ctx| ctx.end_session(&session).await).await.flash(|()| SessionEnded)
}

/// Ends the caller's other sessions.
#[server(prefix = "/api", endpoint = "account/end-other-sessions", input = PostUrl, output = Json)]
pub async fn end_other_sessions() -> Result<(), ApiError> {
    use crate::model::{AccountFlash::SessionsEnded, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::ACCOUNT);
    ctx.run(async |ctx| ctx.end_other_sessions().await).await.flash(|()| SessionsEnded)
}

/// Starts to add a second factor. The account's page shows its secret until a code confirms it.
#[server(prefix = "/api", endpoint = "account/begin-second-factor", input = PostUrl, output = Json)]
pub async fn begin_second_factor() -> Result<(), ApiError> {
    use crate::model::{AccountFlash::FactorBegun, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::ACCOUNT);
    ctx.run(async |ctx| ctx.begin_second_factor().await).await.flash(|()| FactorBegun)
}

/// Confirms a second factor with its first code, and returns the recovery codes. They are shown once: after a plain form
/// post, on the next page.
#[server(prefix = "/api", endpoint = "account/confirm-second-factor", input = PostUrl, output = Json)]
pub async fn confirm_second_factor(code: String) -> Result<Vec<String>, ApiError> {
    use crate::model::{AccountFlash::FactorAdded, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::ACCOUNT);
    ctx.run(async |ctx| ctx.confirm_second_factor(code).await).await.flash(|_| FactorAdded)
}

/// Removes the caller's second factor and recovery codes, which ends their other sessions. Takes a code once more.
#[server(prefix = "/api", endpoint = "account/remove-second-factor", input = PostUrl, output = Json)]
pub async fn remove_second_factor(code: String) -> Result<(), ApiError> {
    use crate::model::{AccountFlash::FactorRemoved, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::ACCOUNT);
    ctx.run(async |ctx| ctx.remove_second_factor(code).await).await.flash(|()| FactorRemoved)
}

/// Links the account at the OpenID Connect provider that the caller's session asked for.
#[server(prefix = "/api", endpoint = "account/link-provider", input = PostUrl, output = Json)]
pub async fn link_provider() -> Result<(), ApiError> {
    use crate::model::{AccountFlash::ProviderLinked, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::ACCOUNT);
    ctx.run(async |ctx| ctx.link_provider().await).await.flash(|()| ProviderLinked)
}

/// Unlinks the OpenID Connect provider from the caller's account, which ends their other sessions.
#[server(prefix = "/api", endpoint = "account/unlink-provider", input = PostUrl, output = Json)]
pub async fn unlink_provider() -> Result<(), ApiError> {
    use crate::model::{AccountFlash::ProviderUnlinked, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::ACCOUNT);
    ctx.run(async |ctx| ctx.unlink_provider().await).await.flash(|()| ProviderUnlinked)
}

/// Replaces the caller's recovery codes and returns the new ones. They are shown once, as those of a new factor.
#[server(prefix = "/api", endpoint = "account/create-recovery-codes", input = PostUrl, output = Json)]
pub async fn create_recovery_codes() -> Result<Vec<String>, ApiError> {
    use crate::model::{AccountFlash::RecoveryCodesCreated, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::ACCOUNT);
    ctx.run(async |ctx| ctx.create_recovery_codes().await).await.flash(|_| RecoveryCodesCreated)
}
