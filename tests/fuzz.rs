//! The inputs that the fuzz targets keep (`fuzz/corpus/`): samples of every kind, and what once broke something, each
//! tried on what must hold whatever comes in.

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
mod properties;

/// Tries each input that a target keeps. The one that breaks the property is named by the panic that follows it.
fn try_what_is_kept(target: &str, hold: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let kept: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(kept.len() >= 10, "{}: {} inputs", folder.display(), kept.len());
    for path in kept {
        eprintln!("{}", path.display());
        hold(&fs::read(path).unwrap());
    }
}

#[test]
fn no_text_opens_but_what_was_sealed_and_nothing_breaks_the_ring() {
    try_what_is_kept("ciphertext", properties::ciphertext::hold);
}

#[test]
fn no_header_is_taken_for_a_key_but_one_that_spells_it() {
    try_what_is_kept("api_keys", properties::api_keys::hold);
}

#[test]
fn no_retry_after_makes_us_wait_for_ever() {
    try_what_is_kept("retry_after", properties::retry_after::hold);
}

#[test]
fn no_reply_ends_a_connection_but_one_and_none_repeats_a_secret() {
    try_what_is_kept("provider_replies", properties::provider_replies::hold);
}

#[test]
fn no_callback_leads_away_from_us_or_connects_anything_by_itself() {
    try_what_is_kept("callback", properties::callback::hold);
}
