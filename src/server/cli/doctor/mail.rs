//! Checks that no email waits for long, as it does if no server can send it.

use super::check::{Check, pluralize, unreadable};
use crate::server::clock::Clock;
use crate::server::config::Config;
use crate::server::store::{Database, StoreError};

/// How many seconds are long: for email to wait, and for no server with a mail server to run.
const LONG: i64 = 60 * 60;

pub async fn email(config: &Config, database: &Database, clock: &Clock) -> Check {
    check(config, database, clock.now() - LONG).await.unwrap_or_else(|error| unreadable("email", &error))
}

async fn check(config: &Config, database: &Database, long_ago: i64) -> Result<Check, StoreError> {
    let name = "email";
    let last_seen = database.last_mailer_heartbeat().await?;
    let waiting = usize::try_from(database.email_due_since(long_ago).await?).unwrap_or(usize::MAX);
    if waiting == 0 {
        let is_off = config.notify.mail.is_none() && last_seen.is_none();
        return Ok(Check::ok(name, if is_off { "No mail server is set up." } else { "No message waits." }));
    }
    let wait = pluralize(waiting, "message has waited", "messages have waited");
    Ok(if last_seen.is_none_or(|seen_at| seen_at <= long_ago) {
        Check::warn(
            name,
            format!("{wait} for more than an hour, in which no server with a mail server has run."),
            "Set EVERGRANT_SMTP_URL and EVERGRANT_SMTP_FROM on a server, or start the one that has them.",
        )
    } else {
        Check::warn(
            name,
            format!("{wait} for more than an hour, although a server with a mail server runs."),
            "Check that the mail server answers; the notifications page shows the last error of each message.",
        )
    })
}
