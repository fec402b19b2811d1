//! A key's rotation beside running servers: a new key, everything sealed anew with it, and the old one let go.
//!
//! What is done shows in the file and the rows alone, so a rotation that was interrupted goes on where it was: as long
//! as anything is sealed with another key than the ring's first, no further key is made.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::file::rewrite;
use super::{KeyRingError, key_file, parse};
use crate::server::cipher::{CipherError, KeyRing};
use crate::server::config::Config;
use crate::server::domain::Secret;
use crate::server::store::{INSTANCE_LIFE, Instance, Store, StoreError};

/// How often servers are looked at that haven't got so far.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Why a key can't be rotated, or let go. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    #[error(
        "everything is sealed with {kid}, the first key of EVERGRANT_KEYS, which no command can change. Put a new key \
         before it (kid:base64 of 32 random bytes, as `openssl rand -base64 32` prints them), restart the servers with \
         that, one after the other, and run evergrant keys rotate again"
    )]
    InEnvironment { kid: String },
    #[error("the keys are in EVERGRANT_KEYS, which no command can change. Take out what may go yourself: {}", .may_go.join(", "))]
    RetireInEnvironment { may_go: Vec<String> },
    #[error(
        "{} can't open key {kid} yet, so nothing was sealed with it. Servers that share this key file find it by \
         themselves; copy it to the others, or restart them with the same EVERGRANT_KEYS. Then run evergrant keys \
         rotate again: it goes on where it was",
        .who.join(", ")
    )]
    Lacking { kid: String, who: Vec<String> },
    #[error("{} still seal with another key than {kid}: run evergrant keys rotate again", .who.join(", "))]
    StillSealing { kid: String, who: Vec<String> },
    #[error(
        "the servers have sealed with {kid} for less than a minute, and what they sealed before may still be on its way. \
         Run this again in a minute"
    )]
    TooSoon { kid: String },
    #[error("the key file can't be rewritten: {0}. Its folder must be one that this user may write to")]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Cipher(#[from] CipherError),
    #[error(transparent)]
    KeyRing(#[from] KeyRingError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far a rotation is.
#[derive(Debug)]
pub enum Progress {
    Made {
        kid: String,
    },
    Resumed {
        kid: String,
    },
    /// These servers don't hold the key yet, or seal with another.
    Waiting {
        who: Vec<String>,
    },
    Resealed {
        texts: u64,
    },
}

/// How a rotation ended.
#[derive(Debug)]
pub struct Report {
    /// The key that everything is sealed with now.
    pub kid: String,
    pub resealed: u64,
    /// Texts that don't open, and so stay as they are.
    pub refused: Vec<StoreError>,
    pub keys: Vec<KeyUse>,
}

/// What one of the ring's keys is needed for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyUse {
    pub kid: String,
    pub texts: i64,
    /// Whatever but the texts of the database needs it.
    pub needed_by: Vec<String>,
    /// Nothing needs it: it can be taken out of the ring.
    pub may_go: bool,
}

/// Brings in a new key, or goes on with the last one that was brought in, and seals everything with it. `patience` is
/// how long running servers have to follow.
pub async fn rotate(
    config: &Config,
    store: &Store,
    spooled_here: &[String],
    patience: Duration,
    mut tell: impl FnMut(Progress),
) -> Result<Report, RotateError> {
    let first = wanted(store.ring());
    if is_unfinished(store, &first).await? {
        tell(Progress::Resumed { kid: first });
    } else if config.keys.is_some() {
        return Err(RotateError::InEnvironment { kid: first });
    } else {
        add_a_key(config, &first)?;
        store.ring().reread();
        tell(Progress::Made { kid: wanted(store.ring()) });
    }
    let kid = wanted(store.ring());
    let lacks = |instance: &Instance| !instance.kids.contains(&kid);
    wait_for(store, patience, &mut tell, lacks).await?.map_err(|who| RotateError::Lacking { kid: kid.clone(), who })?;
    store.ring().seal_with(&kid);
    let mut resealed = 0;
    loop {
        // Looked at before the walk: what one of these seals later, a later walk must see.
        let seals_otherwise = |instance: &Instance| instance.seals_with != kid;
        let settled = !store.running_instances().await?.iter().any(seals_otherwise);
        let pass = store.reseal(|pass| tell(Progress::Resealed { texts: resealed + pass.resealed })).await?;
        resealed += pass.resealed;
        if settled && pass.resealed == 0 && pass.moved == 0 {
            let keys = key_use(store, spooled_here).await?;
            return Ok(Report { kid, resealed, refused: pass.refused, keys });
        }
        wait_for(store, patience, &mut tell, seals_otherwise)
            .await?
            .map_err(|who| RotateError::StillSealing { kid: kid.clone(), who })?;
    }
}

/// Takes the keys out of the file that nothing needs any more, and returns their ids.
pub async fn retire(config: &Config, store: &Store, spooled_here: &[String]) -> Result<Vec<String>, RotateError> {
    let keys = key_use(store, spooled_here).await?;
    let may_go: Vec<String> = keys.into_iter().filter(|key| key.may_go).map(|key| key.kid).collect();
    if may_go.is_empty() {
        return Ok(may_go);
    }
    let long_ago = store.clock().now() - INSTANCE_LIFE;
    if store.running_instances().await?.iter().any(|instance| instance.sealing_since > long_ago) {
        return Err(RotateError::TooSoon { kid: wanted(store.ring()) });
    }
    if config.keys.is_some() {
        return Err(RotateError::RetireInEnvironment { may_go });
    }
    rewrite(&key_file(config), |text| {
        let entries = text.expose().split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        let goes = |entry: &&str| entry.split_once(':').is_some_and(|(kid, _)| may_go.iter().any(|gone| gone == kid));
        let rest: Vec<&str> = entries.filter(|entry| !goes(entry)).collect();
        let rest = Secret::new(rest.join("\n"));
        // Never a file that no server starts with.
        KeyRing::parse(&rest)?;
        Ok::<_, RotateError>(Some(rest))
    })?;
    Ok(may_go)
}

/// What each key of the ring is needed for, in the ring's order.
pub async fn key_use(store: &Store, spooled_here: &[String]) -> Result<Vec<KeyUse>, StoreError> {
    let texts = store.texts_by_key().await?;
    let (instances, running) = (store.instances().await?, store.running_instances().await?);
    let first = wanted(store.ring());
    let mut keys = Vec::new();
    for (kid, texts) in texts.known {
        let mut needed_by = Vec::new();
        if spooled_here.contains(&kid) {
            needed_by.push("token sets that wait in this data directory's spool".to_owned());
        }
        for instance in instances.iter().filter(|instance| instance.spooled_kids.contains(&kid)) {
            needed_by.push(format!("token sets that wait in the spool of {}", instance.address));
        }
        for instance in running.iter().filter(|instance| instance.seals_with == kid && kid != first) {
            needed_by.push(format!("{}, which still seals with it", instance.address));
        }
        let may_go = kid != first && texts == 0 && needed_by.is_empty();
        keys.push(KeyUse { kid, texts, needed_by, may_go });
    }
    Ok(keys)
}

/// The key that everything should be sealed with.
fn wanted(ring: &KeyRing) -> String {
    // A ring has one key at least.
    ring.kids().into_iter().next().unwrap_or_default()
}

/// Whether a text is sealed with another key than the first, or a server hasn't followed yet.
async fn is_unfinished(store: &Store, first: &str) -> Result<bool, StoreError> {
    let texts = store.texts_by_key().await?;
    let by_another = texts.others > 0 || texts.known.iter().any(|(kid, texts)| kid != first && *texts > 0);
    Ok(by_another || store.running_instances().await?.iter().any(|instance| instance.seals_with != first))
}

/// Puts a new key first, unless another command has done so since the ring was read.
fn add_a_key(config: &Config, first: &str) -> Result<(), RotateError> {
    let path = key_file(config);
    rewrite(&path, |text| {
        let now = parse(text, &path.display().to_string())?;
        if wanted(&now) != first {
            return Ok(None);
        }
        let new = KeyRing::generate()?;
        Ok(Some(Secret::new(format!("{}\n{}", new.expose(), text.expose()))))
    })
}

/// Waits until no running server is behind. The others' names where patience ends before.
async fn wait_for(
    store: &Store,
    patience: Duration,
    tell: &mut impl FnMut(Progress),
    is_behind: impl Fn(&Instance) -> bool,
) -> Result<Result<(), Vec<String>>, StoreError> {
    let deadline = Instant::now() + patience;
    let mut told = Vec::new();
    loop {
        let running = store.running_instances().await?;
        let who: Vec<String> = running.iter().filter(|one| is_behind(one)).map(|one| one.address.clone()).collect();
        if who.is_empty() {
            return Ok(Ok(()));
        }
        if Instant::now() >= deadline {
            return Ok(Err(who));
        }
        if who != told {
            tell(Progress::Waiting { who: who.clone() });
            told = who;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
