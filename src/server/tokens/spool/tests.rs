//! What the spool folder contains, and which process removes a file.

use super::*;
use crate::server::domain::{Predecessor, SealedToken, SealedTokens};

fn sealed_with(kid: &str) -> String {
    format!("v1.{kid}.{}.AAAA", "A".repeat(16))
}

fn spooled(from_generation: i64) -> SpooledRotation {
    let rotation = SealedRotation {
        grant_id: "g1".into(),
        from_generation,
        sealed: SealedTokens { access: sealed_with("new"), refresh: sealed_with("old") },
        scopes: "offline_access".into(),
        expires_at: 30,
        refresh_token_issued_at: 10,
        received_at: 20,
        database_id: Some("d1".into()),
        consent: None,
        predecessor: Some(Predecessor { sealed: SealedToken(sealed_with("old")), generation: from_generation }),
    };
    let end = AttemptEnd::refreshed(Some(200), Some("trace".into()));
    SpooledRotation { rotation, attempt: "a1".into(), end, lease_owner: Some("owner".into()) }
}

fn generations(spool: &Spool) -> Vec<i64> {
    spool.state.lock().rotations.keys().map(|(_, generation)| *generation).collect()
}

#[test]
fn rotation_survives_a_restart_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    spool.insert(&spooled(4)).unwrap();
    spool.insert(&spooled(5)).unwrap();
    let later = Spool::open(folder.path()).unwrap();
    assert_eq!(generations(&later), [4, 5]);
    assert_eq!(later.kids(), ["new", "old"]);
    assert_eq!(Spool::inspect(folder.path()).unwrap().kids, later.kids());
    assert_eq!(later.state.lock().rotations[&("g1".into(), 5)].0, spooled(5));
    assert!(later.remove(&spooled(4)));
    assert!(!later.remove(&spooled(4)), "twice");
    assert_eq!(generations(&Spool::open(folder.path()).unwrap()), [5], "removing the older one removed the newer one");
    assert!(later.remove(&spooled(5)));
    assert!(Spool::open(folder.path()).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn rescan_finds_other_processes_files_and_tolerates_removed_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (server, command) = (Spool::open(folder.path()).unwrap(), Spool::open(folder.path()).unwrap());
    command.insert(&spooled(4)).unwrap();
    assert!(server.is_empty());
    server.rescan().unwrap();
    server.rescan().unwrap();
    assert_eq!(generations(&server), [4]);
    command.insert(&spooled(5)).unwrap();
    assert!(command.remove(&spooled(4)));
    assert!(server.remove(&spooled(4)), "its file is already removed");
    server.rescan().unwrap();
    assert_eq!(generations(&server), [5]);
}

#[test]
fn malformed_and_incomplete_files_are_ignored_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("g1.0.json"), "{").unwrap();
    std::fs::write(folder.path().join("g2.0.x.new"), "{").unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    assert!(spool.is_empty());
    assert_eq!(spool.state.lock().ignored.len(), 1, "it is logged once");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    spool.insert(&spooled(4)).unwrap();
    let waiting = Spool::inspect(folder.path()).unwrap();
    assert_eq!(
        (waiting.grants, waiting.malformed),
        (vec![("g1".into(), Some("d1".to_owned()))], vec![folder.path().join("g1.0.json")])
    );
    assert!(Spool::inspect(&folder.path().join("none")).unwrap().malformed.is_empty());
}

#[test]
fn complete_file_without_rename_is_found_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    spool.insert(&spooled(4)).unwrap();
    std::fs::rename(folder.path().join("g1.4.json"), folder.path().join("g1.4.x.new")).unwrap();
    let waiting = Spool::inspect(folder.path()).unwrap();
    assert_eq!(
        (waiting.grants, waiting.kids),
        (vec![("g1".into(), Some("d1".to_owned()))], vec!["new".to_owned(), "old".to_owned()])
    );
    std::fs::copy(folder.path().join("g1.4.x.new"), folder.path().join("g1.4.json")).unwrap();
    assert_eq!(Spool::inspect(folder.path()).unwrap().grants.len(), 1, "the same one twice");
    std::fs::remove_file(folder.path().join("g1.4.json")).unwrap();
    let later = Spool::open(folder.path()).unwrap();
    assert_eq!(generations(&later), [4]);
    assert!(later.remove(&spooled(4)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn rotation_stays_in_memory_if_the_disk_fails() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&folder.path().join("spool")).unwrap();
    let path = folder.path().join("spool");
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    assert!(spool.insert(&spooled(0)).is_err());
    assert_eq!((spool.len(), spool.unwritten()), (1, 1));
    assert!(spool.write_missing().is_err());
    std::fs::remove_file(&path).unwrap();
    spool.write_missing().unwrap();
    assert_eq!((spool.len(), spool.unwritten()), (1, 0));
    assert_eq!(generations(&Spool::open(&path).unwrap()), [0]);
}
