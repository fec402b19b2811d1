//! Addresses that nobody has confirmed yet: the account may be somebody else's than the mailbox.

use sqlx::AnyConnection;

use crate::model::{AccountMessageKind, UserId};
use crate::server::store::accounts::recovery_codes::delete_recovery_codes;
use crate::server::store::{Invitee, Store, StoreError};

impl Store {
    /// Marks the address of a new account as unconfirmed and asks for the mail that confirms it, in the caller's
    /// transaction.
    pub(in crate::server::store) async fn ask_for_confirmation(
        &self,
        connection: &mut AnyConnection,
        user: &UserId,
        email: &str,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE users SET email_unconfirmed_since = $1 WHERE id = $2")
            .bind(self.clock().now())
            .bind(user.as_str())
            .execute(&mut *connection)
            .await?;
        self.insert_account_message(connection, AccountMessageKind::ConfirmEmail, user, email).await
    }

    /// Returns whether the account's address is only what the person entered.
    pub async fn is_email_unconfirmed(&self, user: &UserId) -> Result<bool, StoreError> {
        let mut connection = self.pool().acquire().await?;
        is_unconfirmed(&mut connection, user).await
    }
}

/// Returns whether the account's address is only what the person entered.
pub(super) async fn is_unconfirmed(connection: &mut AnyConnection, user: &UserId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT id FROM users WHERE id = $1 AND email_unconfirmed_since IS NOT NULL");
    Ok(row.bind(user.as_str()).fetch_optional(connection).await?.is_some())
}

/// Returns whether somebody else than the person says that their address is theirs: its mailbox was read before, or the
/// provider vouches for it.
pub(in crate::server::store::accounts) async fn is_address_confirmed(
    connection: &mut AnyConnection,
    guest: &Invitee<'_>,
) -> Result<bool, StoreError> {
    match guest {
        Invitee::SignedIn { user, .. } => Ok(!is_unconfirmed(connection, user).await?),
        Invitee::NewAccount { .. } => Ok(false),
        Invitee::NewIdentity { is_verified, .. } => Ok(*is_verified),
    }
}

/// Ends what was added to an account before its mailbox's owner came: somebody else may have created it with their
/// address, and must neither share it from now on nor have locked it. Returns how many of them there were.
pub(super) async fn end_other_ways_in(connection: &mut AnyConnection, user: &UserId) -> Result<u64, StoreError> {
    delete_recovery_codes(connection, user).await?;
    let mut ended = 0;
    for statement in
        ["DELETE FROM external_identities WHERE user_id = $1", "DELETE FROM second_factors WHERE user_id = $1"]
    {
        ended += sqlx::query(statement).bind(user.as_str()).execute(&mut *connection).await?.rows_affected();
    }
    Ok(ended)
}

/// Marks a person's address as theirs.
pub(super) async fn mark_email_confirmed(connection: &mut AnyConnection, user: &UserId) -> Result<(), StoreError> {
    let confirmed = sqlx::query("UPDATE users SET email_unconfirmed_since = NULL WHERE id = $1").bind(user.as_str());
    confirmed.execute(connection).await?;
    Ok(())
}
