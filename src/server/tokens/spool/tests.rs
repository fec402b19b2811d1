//! What the spool's folder holds and who removes it.

use super::*;

fn sealed_with(kid: &str) -> String {
    format!("v1.{kid}.{}.AAAA", "A".repeat(16))
}

fn kept(from_generation: i64) -> Kept {
    let rotation = SealedRotation {
        grant_id: "g1".into(),
        from_generation,
        sealed: SealedTokens { access: sealed_with("new"), refresh: sealed_with("old") },
        scopes: "offline_access".into(),
        expires_at: 30,
        refresh_token_issued_at: 10,
        consent: None,
    };
    let end = AttemptEnd {
        outcome: "refreshed",
        error_code: None,
        http_status: Some(200),
        correlation_id: Some("trace".into()),
    };
    Kept { rotation, attempt: "a1".into(), end }
}

fn generations(spool: &Spool) -> Vec<i64> {
    spool.lock().kept.keys().map(|(_, generation)| *generation).collect()
}

#[test]
fn what_is_kept_outlives_the_process_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    spool.keep(&kept(4)).unwrap();
    spool.keep(&kept(5)).unwrap();
    let later = Spool::open(folder.path()).unwrap();
    assert_eq!(generations(&later), [4, 5]);
    assert_eq!(later.kids(), ["new", "old"]);
    assert_eq!(Spool::look(folder.path()).unwrap().kids, later.kids());
    assert_eq!(later.lock().kept[&("g1".into(), 5)].0, kept(5));
    assert!(later.forget(&kept(4)));
    assert!(!later.forget(&kept(4)), "twice");
    assert_eq!(generations(&Spool::open(folder.path()).unwrap()), [5], "an older one's end took the newer one along");
    assert!(later.forget(&kept(5)));
    assert!(Spool::open(folder.path()).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_another_process_leaves_is_found_and_what_it_removes_is_no_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let (server, command) = (Spool::open(folder.path()).unwrap(), Spool::open(folder.path()).unwrap());
    command.keep(&kept(4)).unwrap();
    assert!(server.is_empty());
    server.gather().unwrap();
    server.gather().unwrap();
    assert_eq!(generations(&server), [4]);
    command.keep(&kept(5)).unwrap();
    assert!(command.forget(&kept(4)));
    assert!(server.forget(&kept(4)), "its file is gone already");
    server.gather().unwrap();
    assert_eq!(generations(&server), [5]);
}

#[test]
fn an_unreadable_file_is_left_alone_and_an_unfinished_one_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("g1.0.json"), "{").unwrap();
    std::fs::write(folder.path().join("g2.0.x.new"), "{").unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    assert!(spool.is_empty());
    assert_eq!(spool.lock().passed_over.len(), 1, "it is named in the log once");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    spool.keep(&kept(4)).unwrap();
    let waiting = Spool::look(folder.path()).unwrap();
    assert_eq!((waiting.grants, waiting.unreadable), (vec!["g1".into()], vec![folder.path().join("g1.0.json")]));
    assert!(Spool::look(&folder.path().join("none")).unwrap().unreadable.is_empty());
}

#[test]
fn one_that_was_written_whole_and_never_renamed_is_found_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path()).unwrap();
    spool.keep(&kept(4)).unwrap();
    std::fs::rename(folder.path().join("g1.4.json"), folder.path().join("g1.4.x.new")).unwrap();
    let waiting = Spool::look(folder.path()).unwrap();
    assert_eq!((waiting.grants, waiting.kids), (vec!["g1".into()], vec!["new".to_owned(), "old".to_owned()]));
    std::fs::copy(folder.path().join("g1.4.x.new"), folder.path().join("g1.4.json")).unwrap();
    assert_eq!(Spool::look(folder.path()).unwrap().grants.len(), 1, "the same one twice");
    std::fs::remove_file(folder.path().join("g1.4.json")).unwrap();
    let later = Spool::open(folder.path()).unwrap();
    assert_eq!(generations(&later), [4]);
    assert!(later.forget(&kept(4)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_disk_that_takes_nothing_leaves_the_token_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&folder.path().join("spool")).unwrap();
    std::fs::remove_dir_all(folder.path().join("spool")).unwrap();
    assert!(spool.keep(&kept(0)).is_err());
    assert_eq!(spool.len(), 1);
}
