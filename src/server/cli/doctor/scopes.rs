//! Checks what consents ask for: what Xero refused of it, what ends, and which connections have less.

use chrono::DateTime;

use super::check::{Check, pluralize, unreadable};
use crate::model::{
    BROAD_SCOPES_END, GrantStatus, SMALLEST_SCOPES, is_broad_scope, missing_scopes, scopes_beyond_smallest,
};
use crate::server::clock::Clock;
use crate::server::config::{Config, ScopesFallback};
use crate::server::startup;
use crate::server::store::{Database, ScopeRefusal, StoreError};

/// The most refusals that a check lists.
const MAX_REFUSALS: i64 = 3;

pub async fn check_scopes(config: &Config, database: &Database, clock: &Clock) -> Check {
    match read(config, database, clock).await {
        Ok((refusals, (lacking, known))) => report(config, &refusals, lacking, known),
        Err(error) => unreadable("scopes", &error),
    }
}

/// Reads the app's last refusals, and counts the grants with known scopes and those of them that lack a wanted one.
async fn read(
    config: &Config,
    database: &Database,
    clock: &Clock,
) -> Result<(Vec<ScopeRefusal>, (usize, usize)), StoreError> {
    // If the endpoints are wrong, the check of the app says so.
    let app = startup::xero_client(config, clock, config.listen).map(|xero| xero.app().client_id).unwrap_or_default();
    let refusals = database.last_scope_refusals(&app, MAX_REFUSALS).await?;
    let grants = database.grant_summaries(None).await?;
    let known = grants.iter().map(|listed| &listed.grant);
    let known: Vec<_> = known.filter(|grant| grant.status == GrantStatus::Active && !grant.scopes.is_empty()).collect();
    let lacks = |scopes: &str| !missing_scopes(scopes, &config.xero.scopes).is_empty();
    let lacking = known.iter().filter(|grant| lacks(&grant.scopes)).count();
    Ok((refusals, (lacking, known.len())))
}

fn report(config: &Config, refusals: &[ScopeRefusal], lacking: usize, known: usize) -> Check {
    let wanted = &config.xero.scopes;
    let mut found = vec![format!("Consents ask for: {wanted}.")];
    let mut to_do = Vec::new();
    if lacking > 0 {
        let grants = pluralize(known, "grant", "grants");
        found.push(format!("{lacking} of {grants} had consented to less; owners and admins see which."));
    }
    found.extend(refusals.iter().map(refusal_text));
    let standing = refusals.iter().any(|refusal| refusal.accepted_at.is_none() && refusal.scopes == *wanted);
    if standing {
        let fallback = match config.xero.scopes_fallback {
            ScopesFallback::None => format!(
                "XERO_SCOPES_FALLBACK=smallest lets people connect with {SMALLEST_SCOPES} meanwhile: such a connection \
                 stays alive, but programs read nothing with it, and Test connection doesn't work."
            ),
            ScopesFallback::Smallest => {
                format!("Meanwhile people can connect with {SMALLEST_SCOPES}, which opens no data.")
            }
        };
        to_do.push(format!(
            "Take the scopes that the app may not ask for out of XERO_SCOPES, or let Xero enable them for the app. \
             {fallback}"
        ));
    }
    let broad: Vec<&str> = wanted.split_whitespace().filter(|scope| is_broad_scope(scope)).collect();
    if !broad.is_empty() {
        found.push(format!("Xero ends {} on {BROAD_SCOPES_END}.", broad.join(", ")));
        to_do.push(
            "Replace the broad scopes in XERO_SCOPES by the narrower ones that the app needs. The integrations page \
             then shows who must consent again."
                .to_owned(),
        );
    }
    match to_do.is_empty() {
        true => Check::ok("scopes", found.join(" ")),
        false => Check::warn("scopes", found.join(" "), to_do.join(" ")),
    }
}

/// Says what Xero refused and when, and which of it only older apps may ask for.
fn refusal_text(refusal: &ScopeRefusal) -> String {
    let at = DateTime::from_timestamp(refusal.refused_at, 0).unwrap_or_default().format("%-d %b %Y, %H:%M UTC");
    let beyond = scopes_beyond_smallest(&refusal.scopes);
    let suspects = if refusal.named.is_empty() { &beyond } else { &refusal.named };
    let mut text =
        format!("Last refused on {at}: Xero said that {}, about {}.", refusal.cause.text(), suspects.join(", "));
    let older: Vec<&str> = suspects.iter().map(String::as_str).filter(|scope| is_broad_scope(scope)).collect();
    if !older.is_empty() {
        text.push_str(&format!(" Only apps made before 2 March 2026 may ask for {}.", older.join(", ")));
    }
    if refusal.accepted_at.is_some() {
        text.push_str(" Xero has granted the same since.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ScopeRefusalCause;

    #[test]
    fn refusal_tells_the_suspects_and_which_are_for_older_apps() {
        let refusal = ScopeRefusal {
            scopes: "openid offline_access accounting.transactions files".into(),
            named: Vec::new(),
            cause: ScopeRefusalCause::WrongAppScopes,
            refused_at: 1_800_000_000,
            accepted_at: None,
        };
        let text = refusal_text(&refusal);
        assert!(
            text.starts_with("Last refused on 15 Jan 2027, 08:00 UTC: Xero said that these are scopes of"),
            "{text}"
        );
        assert!(text.contains("about accounting.transactions, files."), "{text}");
        assert!(text.ends_with("Only apps made before 2 March 2026 may ask for accounting.transactions."), "{text}");
        let named = ScopeRefusal { named: vec!["files".into()], accepted_at: Some(1_800_000_001), ..refusal };
        assert!(refusal_text(&named).ends_with("about files. Xero has granted the same since."));
    }
}
