//! Loads the view of `/account`.

use crate::model::{AccountView, SecondFactorView, UserId};
use crate::server::store::{Store, StoreError};

/// Loads the account of `user`, whose own session has the hash `session`. The caller adds the provider.
pub async fn account(
    store: &Store,
    (user, email): (&UserId, &str),
    session: &str,
    can_send_email: bool,
) -> Result<AccountView, StoreError> {
    let profile = store.profile(user).await?;
    let has_password = profile.as_ref().is_some_and(|profile| !profile.password_hash.expose().is_empty());
    let (name, time_zone, is_demo) =
        profile.map_or((None, None, false), |profile| (profile.name, profile.time_zone, profile.is_demo));
    Ok(AccountView {
        managed_by_clerk: false,
        email: email.to_owned(),
        name,
        time_zone,
        unconfirmed_email: store.unconfirmed_email(user).await?,
        can_send_email,
        is_demo,
        has_password,
        provider: None,
        second_factor: store.factor_view(user).await?,
        sessions: store.sessions_of(user, session).await?,
        sign_ins: store.recent_sign_ins(user).await?,
        as_of: store.clock().now(),
    })
}

/// Returns the view of an account that Clerk manages: who the person is, and nothing else.
pub fn clerk_account(store: &Store, email: &str) -> AccountView {
    AccountView {
        managed_by_clerk: true,
        email: email.to_owned(),
        name: None,
        time_zone: None,
        unconfirmed_email: None,
        can_send_email: false,
        is_demo: false,
        has_password: false,
        provider: None,
        second_factor: SecondFactorView::default(),
        sessions: Vec::new(),
        sign_ins: Vec::new(),
        as_of: store.clock().now(),
    }
}
