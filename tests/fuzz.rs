//! Checks the properties of the fuzz targets on every input of `fuzz/corpus/`: samples of each kind and past failures.

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
mod properties;

/// Checks a property on each input of a target's corpus. Prints the path before each check, so that a panic can be
/// traced to its input.
fn check_corpus(target: &str, hold: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let kept: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(kept.len() >= 10, "{}: {} inputs", folder.display(), kept.len());
    for path in kept {
        eprintln!("{}", path.display());
        hold(&fs::read(path).unwrap());
    }
}

#[test]
fn only_sealed_values_open_and_no_text_breaks_the_key_ring() {
    check_corpus("ciphertext", properties::ciphertext::hold);
}

#[test]
fn only_an_exact_key_is_accepted_from_a_header() {
    check_corpus("api_keys", properties::api_keys::hold);
}

#[test]
fn retry_after_never_delays_beyond_the_limit() {
    check_corpus("retry_after", properties::retry_after::hold);
}

#[test]
fn only_invalid_grant_ends_a_grant_and_no_error_repeats_a_secret() {
    check_corpus("provider_replies", properties::provider_replies::hold);
}

#[test]
fn callback_never_redirects_elsewhere_or_connects() {
    check_corpus("callback", properties::callback::hold);
}
