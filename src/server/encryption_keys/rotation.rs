//! Key rotation beside running servers: adds a key, reseals everything with it, and retires old keys.
//!
//! The state is in the key file and the rows only, so an interrupted rotation can be resumed: as long as anything is
//! sealed with another key than the ring's first, no further key is created.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::key_file::rewrite_key_file;
use super::{KeyRingError, key_file_path, parse};
use crate::server::config::Config;
use crate::server::crypto::key_ring::KeyRing;
use crate::server::crypto::sealed::CipherError;
use crate::server::domain::Secret;
use crate::server::store::{INSTANCE_TIMEOUT, Instance, Store, StoreError};

/// How often servers that are behind are checked again.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Why a key can't be rotated or retired. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// A new key can't be added, because the keys are in the environment.
    #[error(
        "everything is sealed with {kid}, the first key of EVERGRANT_KEYS, which no command can change. Put a new key \
         before it (kid:base64 of 32 random bytes, as `openssl rand -base64 32` prints them), restart the servers with \
         that, one after the other, and run evergrant encryption-key rotate again"
    )]
    RotateInEnvironment {
        /// The id of the ring's first key.
        kid: String,
    },
    /// The keys can't be removed, because they are in the environment.
    #[error("the keys are in EVERGRANT_KEYS, which no command can change. Remove from it: {}", .may_go.join(", "))]
    RetireInEnvironment {
        /// The ids of the keys that can be removed.
        may_go: Vec<String>,
    },
    /// Some running servers did not load the key in time.
    #[error(
        "{} can't use key {kid} yet, so nothing was sealed with it. Servers that share this key file load it by \
         themselves; copy it to the others, or restart them with the same EVERGRANT_KEYS. Then run evergrant \
         encryption-key rotate again to resume",
        .who.join(", ")
    )]
    KeyNotLoaded {
        /// The id of the new key.
        kid: String,
        /// The addresses of these servers.
        who: Vec<String>,
    },
    /// Some running servers did not switch to the key in time.
    #[error("{} still seal with another key than {kid}: run evergrant encryption-key rotate again", .who.join(", "))]
    SealingWithOldKey {
        /// The id of the new key.
        kid: String,
        /// The addresses of these servers.
        who: Vec<String>,
    },
    /// The servers switched keys too recently to remove the old ones.
    #[error(
        "the servers have sealed with {kid} for less than a minute, and what they sealed before may not be stored yet. \
         Run this again in a minute"
    )]
    TooSoon {
        /// The id of the ring's first key.
        kid: String,
    },
    /// The key file can't be rewritten.
    #[error("can't rewrite the key file: {0}. This user needs write access to its folder")]
    File(#[from] std::io::Error),
    /// A key can't be generated, or the keys can't be parsed.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The key file can't be loaded.
    #[error(transparent)]
    KeyRing(#[from] KeyRingError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The progress of a rotation.
#[derive(Debug)]
pub enum RotationProgress {
    /// A new key was added to the key file.
    Created {
        /// The id of the new key.
        kid: String,
    },
    /// An interrupted rotation is resumed.
    Resumed {
        /// The id of the key to reseal with.
        kid: String,
    },
    /// These servers lack the key, or seal with another.
    Waiting {
        /// The addresses of these servers.
        instances: Vec<String>,
    },
    /// Some values were resealed.
    Resealed {
        /// How many values this rotation has resealed so far.
        texts: u64,
    },
}

/// The result of a rotation.
#[derive(Debug)]
pub struct RotationReport {
    /// The key that everything is sealed with now.
    pub kid: String,
    /// How many values were resealed.
    pub resealed: u64,
    /// The errors of values that don't open, which were left unchanged.
    pub refused: Vec<StoreError>,
    /// What each key of the ring is needed for, in the ring's order.
    pub keys: Vec<KeyUse>,
}

/// What one of the ring's keys is needed for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyUse {
    /// The id of the key.
    pub kid: String,
    /// How many values in the database are sealed with it.
    pub texts: i64,
    /// What needs it besides values in the database.
    pub needed_by: Vec<String>,
    /// Whether nothing needs it, so that it can be removed from the ring.
    pub may_go: bool,
}

/// Adds a key, or resumes with the last one added, and reseals everything with it. `patience` is how long to wait for
/// running servers.
pub async fn rotate(
    config: &Config,
    store: &Store,
    spooled_here: &[String],
    patience: Duration,
    mut on_progress: impl FnMut(RotationProgress),
) -> Result<RotationReport, RotationError> {
    let first = preferred_kid(store.ring());
    if is_incomplete(store, &first).await? {
        on_progress(RotationProgress::Resumed { kid: first });
    } else if config.keys.is_some() {
        return Err(RotationError::RotateInEnvironment { kid: first });
    } else {
        add_key(config, &first)?;
        store.ring().reload();
        on_progress(RotationProgress::Created { kid: preferred_kid(store.ring()) });
    }
    let kid = preferred_kid(store.ring());
    let lacks = |instance: &Instance| !instance.kids.contains(&kid);
    let not_loaded = |who| RotationError::KeyNotLoaded { kid: kid.clone(), who };
    wait_until_none_is_behind(store, patience, &mut on_progress, lacks, not_loaded).await?;
    store.ring().set_sealing_key(&kid);
    let mut resealed = 0;
    loop {
        // Checked before the pass: values that these servers seal during it need a later pass.
        let seals_otherwise = |instance: &Instance| instance.seals_with != kid;
        let settled = !store.running_instances().await?.iter().any(seals_otherwise);
        let pass =
            store.reseal(|pass| on_progress(RotationProgress::Resealed { texts: resealed + pass.resealed })).await?;
        resealed += pass.resealed;
        store.add_key_uses().await?;
        if settled && pass.resealed == 0 && pass.changed_meanwhile == 0 {
            let keys = key_use(store, spooled_here).await?;
            return Ok(RotationReport { kid, resealed, refused: pass.failures, keys });
        }
        let still_old = |who| RotationError::SealingWithOldKey { kid: kid.clone(), who };
        wait_until_none_is_behind(store, patience, &mut on_progress, seals_otherwise, still_old).await?;
    }
}

/// Removes the keys that nothing needs any more from the file, and returns their ids.
pub async fn retire(config: &Config, store: &Store, spooled_here: &[String]) -> Result<Vec<String>, RotationError> {
    let keys = key_use(store, spooled_here).await?;
    let may_go: Vec<String> = keys.into_iter().filter(|key| key.may_go).map(|key| key.kid).collect();
    if may_go.is_empty() {
        return Ok(may_go);
    }
    let long_ago = store.clock().now() - INSTANCE_TIMEOUT;
    if store.running_instances().await?.iter().any(|instance| instance.sealing_since > long_ago) {
        return Err(RotationError::TooSoon { kid: preferred_kid(store.ring()) });
    }
    if config.keys.is_some() {
        return Err(RotationError::RetireInEnvironment { may_go });
    }
    rewrite_key_file(&key_file_path(config), |text| {
        let entries = text.expose().split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        let goes = |entry: &&str| entry.split_once(':').is_some_and(|(kid, _)| may_go.iter().any(|gone| gone == kid));
        let rest: Vec<&str> = entries.filter(|entry| !goes(entry)).collect();
        let rest = Secret::new(rest.join("\n"));
        // Never writes a ring that no server can start with.
        KeyRing::parse(&rest)?;
        Ok::<_, RotationError>(Some(rest))
    })?;
    Ok(may_go)
}

/// Returns what each key of the ring is needed for, in the ring's order.
pub async fn key_use(store: &Store, spooled_here: &[String]) -> Result<Vec<KeyUse>, StoreError> {
    let texts = store.count_sealed_values_by_key().await?;
    let (instances, running) = (store.instances().await?, store.running_instances().await?);
    let first = preferred_kid(store.ring());
    let mut keys = Vec::new();
    for (kid, texts) in texts.by_key {
        let mut needed_by = Vec::new();
        if spooled_here.contains(&kid) {
            needed_by.push("token sets in this data directory's spool".to_owned());
        }
        for instance in instances.iter().filter(|instance| instance.spooled_kids.contains(&kid)) {
            needed_by.push(format!("token sets in the spool of {}", instance.address));
        }
        for instance in running.iter().filter(|instance| instance.seals_with == kid && kid != first) {
            needed_by.push(format!("{}, which still seals with it", instance.address));
        }
        let may_go = kid != first && texts == 0 && needed_by.is_empty();
        keys.push(KeyUse { kid, texts, needed_by, may_go });
    }
    Ok(keys)
}

/// Returns the id of the key that everything should be sealed with: the first.
fn preferred_kid(ring: &KeyRing) -> String {
    // A ring has at least one key.
    ring.kids().into_iter().next().unwrap_or_default()
}

/// Returns whether a value is sealed with another key than the first, or a server seals with another.
async fn is_incomplete(store: &Store, first: &str) -> Result<bool, StoreError> {
    let texts = store.count_sealed_values_by_key().await?;
    let by_another = texts.unknown_keys > 0 || texts.by_key.iter().any(|(kid, texts)| kid != first && *texts > 0);
    Ok(by_another || store.running_instances().await?.iter().any(|instance| instance.seals_with != first))
}

/// Adds a new key as the first, unless another command has done so since the ring was read.
fn add_key(config: &Config, first: &str) -> Result<(), RotationError> {
    let path = key_file_path(config);
    rewrite_key_file(&path, |text| {
        let now = parse(text, &path.display().to_string())?;
        if preferred_kid(&now) != first {
            return Ok(None);
        }
        let new = KeyRing::generate()?;
        Ok(Some(Secret::new(format!("{}\n{}", new.expose(), text.expose()))))
    })
}

/// Waits until no running server is behind. After `patience` it fails with the error for those that still are.
async fn wait_until_none_is_behind(
    store: &Store,
    patience: Duration,
    on_progress: &mut impl FnMut(RotationProgress),
    is_behind: impl Fn(&Instance) -> bool,
    error: impl FnOnce(Vec<String>) -> RotationError,
) -> Result<(), RotationError> {
    let deadline = Instant::now() + patience;
    let mut reported = Vec::new();
    loop {
        let running = store.running_instances().await?;
        let who: Vec<String> = running.iter().filter(|one| is_behind(one)).map(|one| one.address.clone()).collect();
        if who.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(error(who));
        }
        if who != reported {
            on_progress(RotationProgress::Waiting { instances: who.clone() });
            reported = who;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
