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
    assert_eq!((server.is_empty(), generations(&server)), (false, vec![4]));
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
    assert!(Spool::inspect(&path).is_err(), "no folder, yet not a missing one");
    std::fs::remove_file(&path).unwrap();
    spool.write_missing().unwrap();
    assert_eq!((spool.len(), spool.unwritten()), (1, 0));
    assert_eq!(generations(&Spool::open(&path).unwrap()), [0]);
}

#[test]
fn file_that_cannot_be_read_is_an_error_and_one_that_is_gone_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    let path = folder.path().join("g1.4.json");
    // A link to nothing is read as a file that another process has removed since the folder was listed.
    std::os::unix::fs::symlink(folder.path().join("removed"), &path).unwrap();
    spool.rescan().unwrap();
    assert_eq!(Spool::inspect(folder.path()).unwrap().grants, []);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(spool.rescan().is_err() && Spool::open(folder.path()).is_err() && Spool::inspect(folder.path()).is_err());
}

/// Returns another token set of the same grant and generation, as after a replayed request.
fn sibling(from_generation: i64) -> SpooledRotation {
    SpooledRotation { attempt: "a2".into(), ..spooled(from_generation) }
}

fn attempt_in(path: &Path) -> String {
    serde_json::from_slice::<SpoolFile>(&std::fs::read(path).unwrap()).unwrap().attempt_id
}

#[test]
fn rotation_that_replaced_another_is_not_removed_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    spool.insert(&spooled(4)).unwrap();
    spool.insert(&sibling(4)).unwrap();
    assert!(!spool.remove(&spooled(4)), "it was replaced");
    assert_eq!((spool.len(), attempt_in(&folder.path().join("g1.4.json"))), (1, "a2".to_owned()));
    assert!(spool.remove(&sibling(4)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn second_file_of_a_generation_replaces_nothing_and_waits_until_the_first_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    spool.insert(&spooled(4)).unwrap();
    let other = folder.path().join("other.json");
    write(folder.path(), &sibling(4), &other).unwrap();
    spool.rescan().unwrap();
    assert_eq!(spool.state.lock().rotations[&("g1".into(), 4)].0, spooled(4));
    assert!(spool.remove(&spooled(4)));
    assert_eq!(attempt_in(&other), "a2", "the other file stays");
    spool.rescan().unwrap();
    assert_eq!(spool.state.lock().rotations[&("g1".into(), 4)].0, sibling(4));
    assert!(spool.remove(&sibling(4)) && !other.exists());
}

#[test]
fn running_process_leaves_unfinished_files_of_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    write(folder.path(), &spooled(4), &folder.path().join("g1.4.x.new")).unwrap();
    spool.rescan().unwrap();
    assert!(spool.is_empty(), "its writer renames it");
    std::fs::rename(folder.path().join("g1.4.x.new"), folder.path().join("g1.4.json")).unwrap();
    spool.rescan().unwrap();
    assert_eq!(generations(&spool), [4]);
}

#[test]
fn file_that_cannot_be_written_leaves_nothing_and_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    // A folder in the place of the file.
    let path = folder.path().join("g1.4.json");
    std::fs::create_dir(&path).unwrap();
    assert!(spool.insert(&spooled(4)).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the folder alone");
    spool.insert(&spooled(5)).unwrap();
    assert_eq!((spool.unwritten(), attempt_in(&folder.path().join("g1.5.json"))), (1, "a1".to_owned()));
    assert!(spool.write_missing().is_err(), "the first still has no file");
    std::fs::remove_dir(&path).unwrap();
    spool.write_missing().unwrap();
    assert_eq!((spool.unwritten(), generations(&Spool::open(folder.path()).unwrap())), (0, vec![4, 5]));
}

#[test]
fn committed_file_that_cannot_be_removed_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    spool.insert(&spooled(4)).unwrap();
    let path = folder.path().join("g1.4.json");
    let text = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(spool.remove(&spooled(4)), "it has left the memory");
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, text).unwrap();
    spool.rescan().unwrap();
    assert!(spool.is_empty());
}

#[test]
fn only_a_rotation_of_this_database_speaks_for_its_grant() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    spool.insert(&spooled(4)).unwrap();
    assert!(spool.contains(&"g1".into()) && !spool.contains(&"g2".into()) && !spool.contains(&"g".into()));
    spool.state.lock().misplaced.insert(("g1".into(), 4));
    assert!(!spool.contains(&"g1".into()));
    assert_eq!((spool.len(), spool.misplaced_len()), (1, 1), "it is kept");
    assert!(spool.remove(&spooled(4)));
    assert_eq!((spool.len(), spool.misplaced_len()), (0, 0));
}
