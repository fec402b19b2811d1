//! The format of API keys: a prefix, random bits and a checksum.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::server::crypto::random::{RandomError, hash_secret, random_bytes};
use crate::server::domain::{ApiKey, Secret};

/// The prefix of every key, by which people and secret scanners recognize it.
pub const PREFIX: &str = "egk_";
/// The hex digits of a key's 256 random bits.
const RANDOM_DIGITS: usize = 64;
/// The hex digits of the checksum after them.
const CHECKSUM_DIGITS: usize = 8;
/// The length of the part that is stored in clear text.
const DISPLAY_PREFIX_LENGTH: usize = PREFIX.len() + 8;
/// Returns whether a bearer token has the prefix of our keys, and so can't be a session token.
pub fn has_key_prefix(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// Returns the prefix by which people tell keys apart.
pub fn display_prefix(key: &str) -> &str {
    key.get(..DISPLAY_PREFIX_LENGTH).unwrap_or(key)
}

/// Returns a new random key.
pub(super) fn generate_key() -> Result<ApiKey, RandomError> {
    Ok(format_key(&random_bytes()?))
}

/// Formats a key: prefix, bits and checksum.
pub fn format_key(bits: &[u8; RANDOM_DIGITS / 2]) -> ApiKey {
    let body = hex(bits);
    let checksum = checksum(&body);
    ApiKey::new(format!("{PREFIX}{body}{checksum}"))
}

/// Returns whether format and checksum are right. Detects typing errors without the database.
pub fn is_well_formed(key: &str) -> bool {
    let Some(rest) = key.strip_prefix(PREFIX).filter(|rest| rest.len() == RANDOM_DIGITS + CHECKSUM_DIGITS) else {
        return false;
    };
    let digits = |body: &str| body.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    rest.split_at_checked(RANDOM_DIGITS).is_some_and(|(body, sum)| digits(body) && checksum(body) == sum)
}

fn checksum(body: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(format!("{PREFIX}{body}")).into();
    hex(&digest[..CHECKSUM_DIGITS / 2])
}

/// Returns the hash by which the database stores a key.
pub(super) fn hash_key(key: &ApiKey) -> String {
    hash_secret(&Secret::new(key.expose()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_typing_errors_are_detected() {
        let (one, other) = (generate_key().unwrap(), generate_key().unwrap());
        assert_ne!(one.expose(), other.expose());
        let key = one.expose();
        assert_eq!((key.len(), display_prefix(key).len()), (76, 12));
        assert!(is_well_formed(key) && has_key_prefix(key) && !has_key_prefix(&key[4..]));
        for place in 4..key.len() {
            let letter = if &key[place..=place] == "0" { "1" } else { "0" };
            let wrong = format!("{}{letter}{}", &key[..place], &key[place + 1..]);
            assert!(!is_well_formed(&wrong), "{place}");
        }
        for wrong in ["", "egk_", &key[..75], &format!("{key}0"), &key[4..], &"é".repeat(38), "egk_é"] {
            assert!(!is_well_formed(wrong), "{wrong}");
        }
        // A right checksum is not enough: the digits must be lower-case hex.
        for body in ["z".repeat(64), key[4..68].to_uppercase(), "é".repeat(32)] {
            let summed = format!("{PREFIX}{body}{}", checksum(&body));
            assert_eq!(is_well_formed(&summed), summed == key, "{summed}");
        }
    }
}
