//! What the rows say: sealed tokens that don't open, attempts that never ended, grants by health.

use super::check::{Check, count};
use crate::model::{GrantId, GrantStatus};
use crate::server::cipher::KeyRing;
use crate::server::clock::Clock;
use crate::server::config::Config;
use crate::server::store::{Database, Listed, Store, StoreError};

const DAY: i64 = 24 * 60 * 60;
/// Xero honours a refresh token for this long after it was first exchanged, in seconds (Xero's OAuth FAQ).
const GRACE: i64 = 30 * 60;
/// Refresh tokens older than these are overdue for their roll, and close to their end at sixty days.
const OLD: i64 = 45 * DAY;
const VERY_OLD: i64 = 55 * DAY;
/// How many grants are named before the rest is only counted.
const NAMED: usize = 5;

pub async fn all(config: &Config, database: &Database, ring: Option<KeyRing>, clock: &Clock) -> Vec<Check> {
    let listed = match database.listed_grants(None).await {
        Ok(listed) => listed,
        Err(error) => return vec![unread("grants", &error)],
    };
    let mut checks = Vec::new();
    if let Some(ring) = ring {
        checks.push(sealed(&Store::new(database.clone(), ring, clock.clone()), &listed));
    }
    checks.push(attempts(config, database, clock.now()).await);
    checks.push(health(&listed, clock.now()));
    checks
}

/// The ring's own check opens one text a key; here each is opened, so that the grant it belongs to is named.
fn sealed(store: &Store, listed: &[Listed]) -> Check {
    let name = "sealed tokens";
    let opens = |listed: &Listed| {
        let access = store.open_access(&listed.grant).map(drop);
        access.and_then(|()| store.open_refresh(&listed.grant).map(drop))
    };
    let refused: Vec<StoreError> = listed.iter().filter_map(|listed| opens(listed).err()).collect();
    if refused.is_empty() {
        return Check::ok(name, format!("{} with tokens that open.", count(listed.len(), "grant", "grants")));
    }
    let named: Vec<String> = refused.iter().take(NAMED).map(StoreError::to_string).collect();
    let number = count(refused.len(), "grant's tokens don't open", "grants' tokens don't open");
    Check::fail(
        name,
        format!("{number}: {}{}.", named.join("; "), rest(refused.len())),
        "Restore these rows from a backup that is younger than their last refresh, or have a person reconnect them; \
         find out who changed them.",
    )
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
        "{} active, {} of them failing; {} to be reconnected; {} with a refresh token older than 45 days, {} older \
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
    if !dead.is_empty() {
        to_do.push(format!("Only a person can reconnect {}, under Settings, Integrations.", named(&dead)));
    }
    match (to_do.is_empty(), very_old.is_empty()) {
        (true, _) => Check::ok(name, found),
        (false, true) => Check::warn(name, found, to_do.join(" ")),
        (false, false) => Check::fail(name, found, to_do.join(" ")),
    }
}

fn unread(name: &'static str, error: &StoreError) -> Check {
    Check::fail(name, format!("They couldn't be read: {error}."), "See that the database answers, then look again.")
}

/// The first few, and how many more there are. Each once.
fn ids<'a>(grants: impl Iterator<Item = &'a GrantId>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for grant in grants {
        if !all.contains(&grant.as_str()) {
            all.push(grant.as_str());
        }
    }
    let named: Vec<&str> = all.iter().take(NAMED).copied().collect();
    format!("{}{}", named.join(", "), rest(all.len()))
}

fn rest(number: usize) -> String {
    if number > NAMED { format!(" and {} more", number - NAMED) } else { String::new() }
}
