//! What the rows say: attempts that never ended, grants by health.

use super::check::{Check, count, ids, unread};
use crate::model::GrantStatus;
use crate::server::clock::Clock;
use crate::server::config::Config;
use crate::server::domain::{Ended, GRACE};
use crate::server::store::{Database, Listed};

const DAY: i64 = 24 * 60 * 60;
/// Refresh tokens older than these are overdue for their roll, which comes within a day after forty-five, and close to
/// their end at sixty days.
const OLD: i64 = 46 * DAY;
const VERY_OLD: i64 = 55 * DAY;

pub async fn all(config: &Config, database: &Database, clock: &Clock) -> Vec<Check> {
    let listed = match database.listed_grants(None).await {
        Ok(listed) => listed,
        Err(error) => return vec![unread("grants", &error)],
    };
    vec![attempts(config, database, clock.now()).await, health(&listed, clock.now())]
}

async fn attempts(config: &Config, database: &Database, now: i64) -> Check {
    let name = "attempts";
    let lease = i64::try_from(config.lease_ttl.as_secs()).unwrap_or(i64::MAX);
    match database.unfinished_attempts(now.saturating_sub(lease), now).await {
        Err(error) => unread(name, &error),
        Ok(unfinished) if unfinished.is_empty() => Check::ok(name, "None was left unfinished."),
        Ok(unfinished) => {
            let young = unfinished.iter().filter(|attempt| now - attempt.started_at < GRACE).count();
            let grants = ids(unfinished.iter().map(|attempt| &attempt.grant_id));
            Check::warn(
                name,
                format!(
                    "{} and never ended, {young} of them less than 30 minutes ago. Grants: {grants}.",
                    count(unfinished.len(), "exchange began", "exchanges began")
                ),
                "evergrant grants refresh --grant ID for each: the stored token is sent again, which Xero honours for \
                 30 minutes after it was first exchanged.",
            )
        }
    }
}

/// Grants by how they do. A refresh token's age counts while its grant is active.
fn health(listed: &[Listed], now: i64) -> Check {
    let name = "grants";
    let active: Vec<&Listed> = listed.iter().filter(|listed| listed.grant.status == GrantStatus::Active).collect();
    let failing: Vec<&Listed> = active.iter().filter(|listed| listed.grant.failure_count > 0).copied().collect();
    let dead: Vec<&Listed> = listed.iter().filter(|listed| listed.grant.status == GrantStatus::RefreshFailed).collect();
    let older = |age: i64| -> Vec<&Listed> {
        active.iter().filter(|listed| now - listed.grant.refresh_token_issued_at > age).copied().collect()
    };
    let (old, very_old) = (older(OLD), older(VERY_OLD));
    let found = format!(
        "{} active, {} of them failing; {} to be reconnected; {} with a refresh token older than 46 days, {} older \
         than 55.",
        active.len(),
        failing.len(),
        dead.len(),
        old.len(),
        very_old.len()
    );
    let named = |listed: &[&Listed]| ids(listed.iter().map(|listed| &listed.grant.id));
    let mut to_do = Vec::new();
    if !very_old.is_empty() {
        to_do.push(format!(
            "At sixty days Xero ends a refresh token for good. Now: evergrant grants refresh --grant ID for {}.",
            named(&very_old)
        ));
    } else if !old.is_empty() {
        to_do.push(format!("evergrant grants refresh --all-due renews the old ones: {}.", named(&old)));
    }
    if !failing.is_empty() {
        to_do.push("evergrant grants list shows why and when the failing ones are tried again.".to_owned());
    }
    let lost = |listed: &&Listed| listed.trouble_code.as_deref() == Some(Ended::LostReply.code());
    let lost: Vec<&Listed> = dead.iter().copied().filter(lost).collect();
    if !lost.is_empty() {
        to_do.push(format!(
            "A reply of Xero's was lost for longer than its 30 minutes: find out what kept Evergrant or its database \
             from trying again, for {}.",
            named(&lost)
        ));
    }
    if !dead.is_empty() {
        to_do.push(format!(
            "A person can reconnect {}, under Settings, Integrations; where there is a refresh token from elsewhere: evergrant \
             grants rescue --grant ID.",
            named(&dead)
        ));
    }
    match (to_do.is_empty(), very_old.is_empty()) {
        (true, _) => Check::ok(name, found),
        (false, true) => Check::warn(name, found, to_do.join(" ")),
        (false, false) => Check::fail(name, found, to_do.join(" ")),
    }
}
