//! Loads the view of `/account`.

use crate::model::{AccountView, ProviderSignIn, SecondFactorView, UserId};
use crate::server::store::{Store, StoreError};

/// Loads the account of `user`, whose own session has the hash `session`. `provider` is the name and the
/// issuer of the OpenID Connect provider, if people may sign in with one.
pub async fn account(
    store: &Store,
    (user, email): (&UserId, &str),
    session: &str,
    provider: Option<(&str, &str)>,
    can_send_email: bool,
) -> Result<AccountView, StoreError> {
    let issuer = provider.map_or("", |(_, issuer)| issuer);
    let details = store.account_details(user, issuer).await?;
    Ok(AccountView {
        managed_by_clerk: false,
        email: email.to_owned(),
        name: details.name,
        time_zone: details.time_zone,
        unconfirmed_email: details.unconfirmed_email,
        can_send_email,
        is_demo: details.is_demo,
        has_password: details.has_password,
        provider: provider
            .map(|(name, _)| ProviderSignIn { name: name.to_owned(), linked_since: details.linked_since }),
        second_factor: details.second_factor,
        sessions: store.sessions_of(user, session).await?,
        sign_ins: store.recent_sign_ins(user).await?,
        as_of: store.clock().now(),
    })
}

/// Returns the view of an account that Clerk manages: who the person is, and the time zone that they chose here.
pub fn clerk_account(store: &Store, email: &str, time_zone: Option<String>) -> AccountView {
    AccountView {
        managed_by_clerk: true,
        email: email.to_owned(),
        name: None,
        time_zone,
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
