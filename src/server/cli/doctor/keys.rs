//! Whether the key ring fits what is kept sealed, what each key is needed for, and which texts don't open.

use super::check::{Check, NAMED, count, rest, sentence, unread};
use crate::server::cipher::KeyRing;
use crate::server::clock::Clock;
use crate::server::config::Config;
use crate::server::keyring::{self, KeyRingError, KeyUse};
use crate::server::store::{Database, Instance, Store, StoreError};
use crate::server::tokens::Spool;

pub async fn all(config: &Config, database: &Database, clock: &Clock) -> Vec<Check> {
    let (check, ring) = ring(config, database).await;
    let mut checks = vec![check];
    if let Some(ring) = ring {
        let store = Store::new(database.clone(), ring, clock.clone());
        checks.push(in_use(config, &store).await.unwrap_or_else(|error| unread("keys in use", &error)));
        checks.push(texts(&store).await.unwrap_or_else(|error| unread("sealed texts", &error)));
    }
    checks
}

/// The ring comes with the check where it fits.
async fn ring(config: &Config, database: &Database) -> (Check, Option<KeyRing>) {
    let name = "key ring";
    match keyring::find(config, database).await {
        Ok(Some(ring)) => {
            let kids = ring.kids().join(", ");
            (
                Check::ok(
                    name,
                    format!("It fits what the database keeps sealed. Keys, the sealing one first: {kids}."),
                ),
                Some(ring),
            )
        }
        Ok(None) => (Check::ok(name, "There is no key yet and nothing sealed: the first start makes one."), None),
        Err(error) => {
            let to_do = match error {
                KeyRingError::Store(_) => "See that the database answers, then look again.",
                KeyRingError::Lost { .. } | KeyRingError::Misfit(_) => {
                    "Bring back the keys that this database was sealed with, from the key file's copy. No server \
                     starts without them, and a person would have to reconnect whatever they can't open."
                }
                _ => "Mend the key ring: kid:base64key with 32 bytes of key, several separated by commas.",
            };
            (Check::fail(name, sentence(&error), to_do), None)
        }
    }
}

/// What each key is needed for, and whether the running servers hold the first.
async fn in_use(config: &Config, store: &Store) -> Result<Check, StoreError> {
    let name = "keys in use";
    // What is wrong with the spool is the spool's own finding.
    let spooled = Spool::look(&config.spool()).map(|waiting| waiting.kids).unwrap_or_default();
    let keys = keyring::key_use(store, &spooled).await?;
    let running = store.running_instances().await?;
    let (first, others) = match keys.split_first() {
        Some((first, others)) => (&first.kid, others),
        None => return Ok(Check::ok(name, "There is none.")),
    };
    let said: Vec<String> = keys.iter().map(|key| line(key, key.kid == *first)).collect();
    let servers = count(running.len(), "server runs", "servers run");
    let found = format!("{} {servers} on this database.", said.join(" "));
    let behind = |instance: &&Instance| !instance.kids.contains(first) || instance.seals_with != *first;
    let behind: Vec<&str> = running.iter().filter(behind).map(|instance| instance.address.as_str()).collect();
    if !behind.is_empty() {
        let to_do =
            "Give them the same key file, or restart them with the same EVERGRANT_KEYS; then evergrant keys rotate.";
        return Ok(Check::warn(name, format!("{found} Not sealing with {first} yet: {}.", behind.join(", ")), to_do));
    }
    if others.iter().any(|key| key.texts > 0) {
        return Ok(Check::warn(name, found, "evergrant keys rotate seals the rest with the first key."));
    }
    Ok(Check::ok(name, found))
}

fn line(KeyUse { kid, texts, needed_by, may_go }: &KeyUse, is_first: bool) -> String {
    let texts = count(usize::try_from(*texts).unwrap_or(usize::MAX), "text", "texts");
    if *may_go {
        return format!("{kid}: nothing needs it, evergrant keys rotate --retire takes it out.");
    }
    let first = if is_first { ", the first" } else { "" };
    let also = if needed_by.is_empty() { String::new() } else { format!("; needed by {}", needed_by.join("; ")) };
    format!("{kid}{first}: {texts}{also}.")
}

/// The ring's own check opens one text a key; here each is opened, so that the row it belongs to is named.
async fn texts(store: &Store) -> Result<Check, StoreError> {
    let name = "sealed texts";
    let (number, refused) = store.try_texts().await?;
    if refused.is_empty() {
        return Ok(Check::ok(name, format!("{number} in all, and each opens.")));
    }
    let named: Vec<String> = refused.iter().take(NAMED).map(StoreError::to_string).collect();
    let number = count(refused.len(), "text doesn't open", "texts don't open");
    Ok(Check::fail(
        name,
        format!("{number}: {}{}.", named.join("; "), rest(refused.len())),
        "Restore these rows from a backup that is younger than their last refresh, or have a person reconnect them; \
         find out who changed them.",
    ))
}
