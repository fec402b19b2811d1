//! Checks that the key ring fits the database, what each key is needed for, and that every sealed value opens.

use super::check::{Check, MAX_LISTED, and_n_more, pluralize, to_sentence, unreadable};
use crate::server::clock::Clock;
use crate::server::config::Config;
use crate::server::crypto::key_ring::KeyRing;
use crate::server::encryption_keys;
use crate::server::encryption_keys::{KeyRingError, KeyUse};
use crate::server::store::{Database, Instance, KeyUses, MAX_KEY_USES, Store, StoreError};
use crate::server::tokens::Spool;

pub async fn all(config: &Config, database: &Database, clock: &Clock) -> Vec<Check> {
    let (check, ring) = ring(config, database).await;
    let mut checks = vec![check];
    checks.push(match database.key_uses().await {
        Ok(all) => judge_uses(&all),
        Err(error) => unreadable(KEY_USES, &error),
    });
    if let Some(ring) = ring {
        let store = Store::new(database.clone(), ring, clock.clone());
        checks.push(in_use(config, &store).await.unwrap_or_else(|error| unreadable("keys in use", &error)));
        checks.push(sealed_values(&store).await.unwrap_or_else(|error| unreadable("sealed texts", &error)));
    }
    checks
}

const KEY_USES: &str = "key uses";

/// Checks that no key has sealed too many values.
fn judge_uses(all: &[KeyUses]) -> Check {
    let Some(most) = all.first() else { return Check::ok(KEY_USES, "No value was sealed yet.") };
    let found = format!("Key {} has sealed {} of at most {MAX_KEY_USES} values.", most.kid, most.uses);
    let to_do = "Run evergrant encryption-key rotate, which puts a new key in its place.";
    match most.uses {
        uses if uses >= MAX_KEY_USES / 10 * 9 => Check::fail(KEY_USES, found, to_do),
        uses if uses >= MAX_KEY_USES / 2 => Check::warn(KEY_USES, found, to_do),
        _ => Check::ok(KEY_USES, found),
    }
}

/// Returns the check, and the ring if it fits.
async fn ring(config: &Config, database: &Database) -> (Check, Option<KeyRing>) {
    let name = "key ring";
    match encryption_keys::load_existing(config, database).await {
        Ok(Some(ring)) => {
            let kids = ring.kids().join(", ");
            (Check::ok(name, format!("It fits the sealed values. Keys, the sealing one first: {kids}.")), Some(ring))
        }
        Ok(None) => (Check::ok(name, "There is no key and nothing sealed yet; the first start creates a key."), None),
        Err(error) => {
            let to_do = match error {
                KeyRingError::Store(_) => "Make sure that the database answers, then run this again.",
                KeyRingError::KeyFileMissing { .. } | KeyRingError::WrongKeys(_) => {
                    "Restore the keys that this database was sealed with, from a copy of the key file. No server \
                     starts without them, and connections whose tokens can't be opened have to be reconnected."
                }
                _ => "Fix the key ring: kid:base64key with 32 bytes of key, several separated by commas.",
            };
            (Check::fail(name, to_sentence(&error), to_do), None)
        }
    }
}

/// Checks what each key is needed for, and that the running servers seal with the first.
async fn in_use(config: &Config, store: &Store) -> Result<Check, StoreError> {
    let name = "keys in use";
    // Problems with the spool are reported by its own check.
    let spooled = Spool::inspect(&config.spool_dir()).map(|waiting| waiting.kids).unwrap_or_default();
    let keys = encryption_keys::key_use(store, &spooled).await?;
    let running = store.running_instances().await?;
    let (first, others) = match keys.split_first() {
        Some((first, others)) => (&first.kid, others),
        None => return Ok(Check::ok(name, "There are no keys.")),
    };
    let said: Vec<String> = keys.iter().map(|key| describe_key(key, first)).collect();
    let servers = pluralize(running.len(), "server runs", "servers run");
    let found = format!("{} {servers} on this database.", said.join(" "));
    let behind = |instance: &&Instance| !instance.kids.contains(first) || instance.seals_with != *first;
    let behind: Vec<&str> = running.iter().filter(behind).map(|instance| instance.address.as_str()).collect();
    if !behind.is_empty() {
        let to_do = "Give them the same key file, or restart them with the same EVERGRANT_KEYS; then run evergrant \
                     encryption-key rotate.";
        return Ok(Check::warn(name, format!("{found} Not sealing with {first} yet: {}.", behind.join(", ")), to_do));
    }
    if others.iter().any(|key| key.texts > 0) {
        return Ok(Check::warn(
            name,
            found,
            "Run evergrant encryption-key rotate to seal the rest with the first key.",
        ));
    }
    Ok(Check::ok(name, found))
}

fn describe_key(KeyUse { kid, texts, needed_by, may_go }: &KeyUse, first: &str) -> String {
    let texts = pluralize(usize::try_from(*texts).unwrap_or(usize::MAX), "value", "values");
    if *may_go {
        return format!("{kid}: nothing needs it; evergrant encryption-key rotate --retire removes it.");
    }
    let first = if kid.as_str() == first { ", the first" } else { "" };
    let also = if needed_by.is_empty() { String::new() } else { format!("; needed by {}", needed_by.join("; ")) };
    format!("{kid}{first}: {texts}{also}.")
}

/// Opens every sealed value, so that the rows of those that don't open are named. The ring's check opens one per key.
async fn sealed_values(store: &Store) -> Result<Check, StoreError> {
    let name = "sealed texts";
    let (number, refused) = store.verify_sealed_values().await?;
    if refused.is_empty() {
        return Ok(Check::ok(name, format!("All {number} open.")));
    }
    let named: Vec<String> = refused.iter().take(MAX_LISTED).map(StoreError::to_string).collect();
    let number = pluralize(refused.len(), "value can't be opened", "values can't be opened");
    Ok(Check::fail(
        name,
        format!("{number}: {}{}.", named.join("; "), and_n_more(refused.len())),
        "Restore these rows from a backup that is newer than their last refresh, or reconnect them. Find out who \
         changed them.",
    ))
}
