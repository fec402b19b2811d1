//! Recovery codes: 80 random bits each, in base32, so that their hashes can't be searched.

use super::totp::random_base32;
use crate::model::RECOVERY_CODES;
use crate::server::crypto::random::{RandomError, hash_secret};
use crate::server::domain::Secret;

/// The characters of a code, without dashes.
const CODE_CHARACTERS: usize = 16;

/// New codes, to show once.
pub struct RecoveryCodes(Vec<Secret>);

impl RecoveryCodes {
    /// Creates as many codes as an account gets.
    pub(super) fn generate() -> Result<Self, RandomError> {
        (0..RECOVERY_CODES).map(|_| Ok(Secret::new(grouped(&random_base32()?)))).collect::<Result<_, _>>().map(Self)
    }

    /// Reads the codes that `joined` wrote. `None` if they are malformed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let codes: Vec<Secret> = text
            .split('.')
            .map(|code| normalize(code).map(|code| Secret::new(grouped(&code))))
            .collect::<Option<_>>()?;
        (codes.len() == RECOVERY_CODES).then_some(Self(codes))
    }

    /// Returns the hashes by which the database finds the codes.
    pub(super) fn hashes(&self) -> Vec<String> {
        self.0.iter().filter_map(|code| hash_of(code.expose())).collect()
    }

    /// Returns the codes in one text, for a cookie.
    pub fn joined(&self) -> Secret {
        Secret::new(self.exposed().join("."))
    }

    /// Returns the codes. Call it only where they are shown.
    pub fn exposed(&self) -> Vec<String> {
        self.0.iter().map(|code| code.expose().to_owned()).collect()
    }
}

/// Returns the hash of a recovery code as a person typed it; `None` if it can't be one.
pub(super) fn hash_of(code: &str) -> Option<String> {
    normalize(code).map(|code| hash_secret(&Secret::new(code)))
}

/// Removes what people add to a code: blanks, dashes, capitals.
fn normalize(code: &str) -> Option<String> {
    let code: String = code.chars().filter(|one| !one.is_whitespace() && *one != '-').collect();
    let code = code.to_ascii_lowercase();
    let fits = code.len() == CODE_CHARACTERS && code.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
    fits.then_some(code)
}

/// Puts a dash after every four characters.
fn grouped(code: &str) -> String {
    let groups: Vec<&str> = code.as_bytes().chunks(4).filter_map(|four| std::str::from_utf8(four).ok()).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_different_and_read_back_however_they_are_typed() {
        let codes = RecoveryCodes::generate().unwrap();
        let hashes = codes.hashes();
        let mut different = hashes.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), RECOVERY_CODES);
        assert_eq!(RecoveryCodes::parse(codes.joined().expose()).unwrap().hashes(), hashes);
        let first = &codes.exposed()[0];
        assert_eq!(first.len(), 19, "{first}");
        for typed in [first.to_uppercase(), first.replace('-', ""), format!(" {} ", first.replace('-', " "))] {
            assert_eq!(hash_of(&typed).as_ref(), Some(&hashes[0]), "{typed}");
        }
    }

    #[test]
    fn malformed_codes_have_no_hash() {
        for text in ["", "123456", "aaaa-bbbb-cccc-ddd", "aaaa-bbbb-cccc-ddd1", "aaaa-bbbb-cccc-dddé"] {
            assert_eq!(hash_of(text), None, "{text}");
            assert!(RecoveryCodes::parse(text).is_none());
        }
    }
}
