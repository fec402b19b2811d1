//! Sealed values and key rings: a value opens only unchanged and in the context it was sealed for, and no text makes
//! the parsers panic.

use std::collections::HashSet;
use std::sync::OnceLock;

use evergrant::model::{GrantId, OrgId};
use evergrant::server::crypto::key_ring::KeyRing;
use evergrant::server::crypto::sealed::{CipherError, SealContext, TokenField, kid_of};
use evergrant::server::domain::Secret;

/// 32 bytes each: of 0x00 and of 0xff.
const RING: &str = "new:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,old://////////////////////////////////////////8=";

/// Values sealed for the refresh token at generation 7, with their plaintexts. No other text may open there.
const SEALED: [(&str, &str); 2] = [
    ("v1.old.AQIDBAUGBwgJCgsM.DzkKYd2kaae_aS87mHiVR_v209ysUo6yzKkblg", "an old token"),
    ("v1.new.AgMEBQYHCAkKCwwN.xBxjqnEMpsSSIsZ0Vhn4HA", ""),
];

struct Bench {
    ring: KeyRing,
    org: OrgId,
    grant: GrantId,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| Bench { ring: ring(RING).unwrap(), org: "o-1".into(), grant: "g-1".into() })
}

fn ring(text: &str) -> Result<KeyRing, CipherError> {
    KeyRing::parse(&Secret::new(text))
}

fn place(field: TokenField, generation: i64) -> SealContext<'static> {
    SealContext::Token { org: &bench().org, grant: &bench().grant, field, generation }
}

/// Uses the input as a sealed value, as a plaintext and as a key ring.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    nothing_else_opens(&text);
    comes_back_and_only_whole(&text, input);
    is_a_ring_or_is_refused(&text);
}

fn nothing_else_opens(text: &str) {
    let opened = bench().ring.open(&place(TokenField::Refresh, 7), text);
    match SEALED.iter().find(|(sealed, _)| *sealed == text) {
        Some((_, held)) => assert_eq!(opened.unwrap_or_else(|error| panic!("{error}")).expose(), *held),
        None => assert!(opened.is_err(), "{text:?} opened"),
    }
    for elsewhere in
        [place(TokenField::Access, 7), place(TokenField::Refresh, 8), SealContext::PkceVerifier { state_hash: text }]
    {
        assert!(bench().ring.open(&elsewhere, text).is_err(), "{text:?} opened in another context");
    }
    if let Some(kid) = kid_of(text) {
        assert!(text.starts_with(&format!("v1.{kid}.")), "kid {kid:?} of {text:?}");
    }
}

fn comes_back_and_only_whole(text: &str, input: &[u8]) {
    let Bench { ring, .. } = bench();
    let here = place(TokenField::Access, 1);
    let sealed = ring.seal(&here, text).unwrap();
    assert_eq!(kid_of(&sealed), Some("new"));
    assert_eq!(ring.open(&here, &sealed).unwrap_or_else(|error| panic!("{error}")).expose(), text);
    assert!(ring.open(&place(TokenField::Access, 2), &sealed).is_err(), "opened at another generation");
    for altered in altered(&sealed, input) {
        assert!(altered == sealed || ring.open(&here, &altered).is_err(), "{altered:?} opened instead of {sealed:?}");
    }
}

/// Returns the value with a character replaced, removed or inserted, and truncated, at a position from the input.
fn altered(sealed: &str, input: &[u8]) -> [String; 4] {
    let byte = |at: usize| input.get(at).copied().unwrap_or(0);
    let at = usize::from(u16::from_be_bytes([byte(0), byte(1)])) % sealed.len();
    let letter = char::from(byte(2) & 0x7f);
    let (before, from) = sealed.split_at(at);
    let after = &from[1..];
    [
        format!("{before}{letter}{after}"),
        format!("{before}{after}"),
        format!("{before}{letter}{from}"),
        before.to_owned(),
    ]
}

fn is_a_ring_or_is_refused(text: &str) {
    let Ok(ring) = ring(text) else { return };
    let kids = ring.kids();
    let distinct: HashSet<String> = kids.iter().map(|kid| kid.to_ascii_lowercase()).collect();
    assert_eq!(distinct.len(), kids.len(), "{kids:?}");
    let here = SealContext::PkceVerifier { state_hash: "s" };
    let sealed = ring.seal(&here, "x").unwrap();
    assert_eq!(kid_of(&sealed), kids.first().map(String::as_str));
    assert!(ring.open(&here, &sealed).is_ok());
}
