//! Checks the database for unfinished attempts and counts grants by health.

use super::check::{Check, list_grant_ids, pluralize, to_sentence, unreadable};
use crate::model::GrantStatus;
use crate::server::clock::Clock;
use crate::server::config::Config;
use crate::server::domain::{AppIdentity, GrantEnd, XERO_REPLAY_WINDOW};
use crate::server::startup;
use crate::server::store::{Database, GrantSummary};

const DAY: i64 = 24 * 60 * 60;
/// The age from which a refresh token is overdue: it is normally rolled within a day after 45 days.
const OVERDUE_ROLL_AGE: i64 = 46 * DAY;
/// The age from which a refresh token is close to its end at 60 days.
const NEAR_EXPIRY_AGE: i64 = 55 * DAY;

pub async fn all(config: &Config, database: &Database, clock: &Clock) -> Vec<Check> {
    let listed = match database.grant_summaries(None).await {
        Ok(listed) => listed,
        Err(error) => return vec![unreadable("grants", &error)],
    };
    let attempts = attempts(config, database, clock.now()).await;
    let (app, refusals) = match startup::xero_client(config, clock, config.listen).map(|xero| xero.app()) {
        Ok(configured) => (app(&configured, &listed), refusals(database, &configured, &listed, clock.now()).await),
        Err(error) => {
            let to_do = "Check XERO_LOGIN_URL, XERO_IDENTITY_URL and XERO_API_URL.";
            let failed = Check::fail("app", to_sentence(&error), to_do);
            (failed, Check::warn("refusals", "Not checked.", "Correct the settings of the app first."))
        }
    };
    vec![attempts, app, refusals, health(&listed, clock.now())]
}

/// Checks for refusals that are not believed yet.
async fn refusals(database: &Database, app: &AppIdentity, listed: &[GrantSummary], now: i64) -> Check {
    let name = "refusals";
    let is_refused =
        |listed: &&GrantSummary| listed.grant.status == GrantStatus::Active && listed.grant.refused_at.is_some();
    let refused: Vec<&GrantSummary> = listed.iter().filter(is_refused).collect();
    if refused.is_empty() {
        return Check::ok(name, "No refusal by Xero waits to be believed.");
    }
    let are_held = match database.refused_grants(app, now).await {
        Ok(tally) => tally.is_suspicious(),
        Err(error) => return unreadable(name, &error),
    };
    let mut orgs: Vec<&str> = refused.iter().map(|listed| listed.grant.org_id.as_str()).collect();
    orgs.sort_unstable();
    orgs.dedup();
    let found = format!(
        "Xero refuses {} of {}, and none is ended yet: {}.",
        pluralize(refused.len(), "grant", "grants"),
        pluralize(orgs.len(), "organization", "organizations"),
        list_grant_ids(refused.iter().map(|listed| &listed.grant.id))
    );
    if !are_held {
        return Check::warn(name, found, "Nothing: each is checked again for ten minutes before it is believed.");
    }
    Check::fail(
        name,
        found,
        "Refusals of several organizations without a success between them are held, because they say nothing about the \
         grants. Check that XERO_CLIENT_ID is the app that people connected, that DATABASE_URL isn't an older copy, and \
         Xero's status page. One success lets them be judged one by one. If the tokens are really dead, run evergrant \
         grants retry --all --accept-refusals.",
    )
}

/// Checks that every grant's tokens were issued by the configured app, because they are sent to no other.
fn app(app: &AppIdentity, listed: &[GrantSummary]) -> Check {
    let name = "app";
    let foreign: Vec<&GrantSummary> = listed.iter().filter(|listed| listed.grant.app != *app).collect();
    let Some(first) = foreign.first() else { return Check::ok(name, format!("Every grant belongs to {app}.")) };
    Check::fail(
        name,
        format!(
            "{} to another app than {app}, for example to {}: {}. They are not refreshed.",
            pluralize(foreign.len(), "grant belongs", "grants belong"),
            first.grant.app,
            list_grant_ids(foreign.iter().map(|listed| &listed.grant.id))
        ),
        "Set that app's XERO_CLIENT_ID and XERO_CLIENT_SECRET. If you replaced the app, people must reconnect.",
    )
}

async fn attempts(config: &Config, database: &Database, now: i64) -> Check {
    let name = "attempts";
    let lease = i64::try_from(config.refresh.lease_ttl.as_secs()).unwrap_or(i64::MAX);
    match database.dangling_attempts(now.saturating_sub(lease), now).await {
        Err(error) => unreadable(name, &error),
        Ok(unfinished) if unfinished.is_empty() => Check::ok(name, "None was left unfinished."),
        Ok(unfinished) => {
            let young = unfinished.iter().filter(|attempt| now - attempt.started_at < XERO_REPLAY_WINDOW).count();
            let grants = list_grant_ids(unfinished.iter().map(|attempt| &attempt.grant_id));
            Check::warn(
                name,
                format!(
                    "{} and never finished, {young} of them less than 30 minutes ago. Grants: {grants}.",
                    pluralize(unfinished.len(), "exchange started", "exchanges started")
                ),
                "Run evergrant grants refresh --grant ID for each: the stored token is sent again, which Xero accepts \
                 for 30 minutes after its first exchange.",
            )
        }
    }
}

/// Counts grants by health. A refresh token's age matters only while its grant is active.
fn health(listed: &[GrantSummary], now: i64) -> Check {
    let name = "grants";
    let active: Vec<&GrantSummary> =
        listed.iter().filter(|listed| listed.grant.status == GrantStatus::Active).collect();
    let failing: Vec<&GrantSummary> = active.iter().filter(|listed| listed.grant.failure_count > 0).copied().collect();
    let ended = |listed: &&GrantSummary| listed.grant.status == GrantStatus::RefreshFailed;
    let (exported, dead): (Vec<&GrantSummary>, Vec<&GrantSummary>) =
        listed.iter().filter(ended).partition(|listed| listed.grant.exported_at.is_some());
    let older = |age: i64| -> Vec<&GrantSummary> {
        active.iter().filter(|listed| now - listed.grant.refresh_token_issued_at > age).copied().collect()
    };
    let (old, very_old) = (older(OVERDUE_ROLL_AGE), older(NEAR_EXPIRY_AGE));
    let found = format!(
        "{} active, {} of them failing; {} need reconnecting; {} with a refresh token older than 46 days, {} older \
         than 55.",
        active.len(),
        failing.len(),
        dead.len(),
        old.len(),
        very_old.len()
    );
    let found = match exported.len() {
        0 => found,
        number => format!("{found} {number} exported to another system."),
    };
    let named = |listed: &[&GrantSummary]| list_grant_ids(listed.iter().map(|listed| &listed.grant.id));
    let mut to_do = Vec::new();
    if !very_old.is_empty() {
        to_do.push(format!(
            "Xero ends a refresh token for good at sixty days. Run evergrant grants refresh --grant ID now for {}.",
            named(&very_old)
        ));
    } else if !old.is_empty() {
        to_do.push(format!("Run evergrant grants refresh --all-due to renew the old ones: {}.", named(&old)));
    }
    if !failing.is_empty() {
        to_do.push("Run evergrant grants list to see why grants fail and when they are tried again.".to_owned());
    }
    let lost = |listed: &&GrantSummary| listed.last_failure_code.as_deref() == Some(GrantEnd::ReplyLost.code());
    let lost: Vec<&GrantSummary> = dead.iter().copied().filter(lost).collect();
    if !lost.is_empty() {
        to_do.push(format!(
            "A reply from Xero was lost or unreadable, and the exchange was not repeated within 30 minutes: find out what kept \
             Evergrant or its database from doing so, for {}.",
            named(&lost)
        ));
    }
    if !dead.is_empty() {
        to_do.push(format!(
            "A person can reconnect {} under Settings, Integrations. If you have a refresh token from elsewhere, run \
             evergrant grants rescue --grant ID.",
            named(&dead)
        ));
    }
    match (to_do.is_empty(), very_old.is_empty()) {
        (true, _) => Check::ok(name, found),
        (false, true) => Check::warn(name, found, to_do.join(" ")),
        (false, false) => Check::fail(name, found, to_do.join(" ")),
    }
}
