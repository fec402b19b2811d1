//! Recognizes a pooler that gives a session to several clients in turn, such as PgBouncer in transaction mode.
//!
//! Such a pooler loses what belongs to a session: time-outs of locks and statements, notifications, prepared statements.

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

/// Returns whether a second connection sees a setting of the first one's session. `first` is outside a transaction, and
/// free for a pooler to give away.
pub(super) async fn shares_sessions(first: &mut AnyConnection, url: &str) -> Result<bool, sqlx::Error> {
    let mark = uuid::Uuid::new_v4().simple().to_string();
    // Without parameters: a statement that is prepared could fail through a pooler.
    sqlx::raw_sql(AssertSqlSafe(format!("SET evergrant.pooler_probe = '{mark}'"))).execute(&mut *first).await?;
    let mut second = AnyConnection::connect(url).await?;
    let row = sqlx::raw_sql("SELECT coalesce(current_setting('evergrant.pooler_probe', true), '')");
    let seen: String = row.fetch_one(&mut second).await?.try_get(0)?;
    second.close().await?;
    Ok(seen == mark)
}

/// Returns whether the error is that of a pooler that does not know a parameter of the driver's first message.
/// PostgreSQL itself knows them all.
pub(super) fn refuses_parameters(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().contains("unsupported startup parameter"))
}
