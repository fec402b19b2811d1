//! The key ring that seals tokens: AES-256-GCM, bound to where the text belongs.
//!
//! A sealed text is `v1.<kid>.<nonce>.<ciphertext>`, the last two in base64url without padding. Its additional
//! data names organisation, grant, field and generation, so that a text moved to another row, another column or
//! an older generation doesn't open.

use std::fmt::Write as _;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::domain::Secret;
use crate::model::{EndpointId, GrantId, OrgId};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// Several keys: the first seals, all of them open.
pub struct KeyRing {
    keys: Vec<(String, Aes256Gcm)>,
}

/// Where a sealed text belongs.
pub enum Place<'a> {
    Token {
        org: &'a OrgId,
        grant: &'a GrantId,
        field: Field,
        generation: i64,
    },
    /// A PKCE verifier, by the hash of the `state` it was made with.
    Verifier {
        state_hash: &'a str,
    },
    /// What a webhook endpoint's events are signed with.
    Webhook {
        org: &'a OrgId,
        endpoint: &'a EndpointId,
    },
}

/// Which of a grant's two tokens.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    Access,
    Refresh,
}

/// Why a ring can't be read, or a text can't be opened.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum CipherError {
    #[error("the key ring is empty: expected kid:base64key, several separated by commas")]
    EmptyRing,
    #[error(
        "key {position} of the ring isn't kid:base64key with 32 bytes of key and a kid of letters, digits and dashes"
    )]
    MalformedKey { position: usize },
    #[error("the key ring names {kid} twice")]
    DuplicateKey { kid: String },
    #[error("a sealed text isn't of the form v1.kid.nonce.ciphertext")]
    Malformed,
    #[error("a text is sealed with key {kid}, which the ring doesn't hold: add it to EVERGRANT_KEYS or the keys file")]
    UnknownKey { kid: String },
    #[error(
        "a text sealed with key {kid} doesn't open: it was changed, moved to another row, or the key isn't the one it was sealed with"
    )]
    Refused { kid: String },
    #[error("the system gave no random bytes")]
    NoRandom,
}

impl KeyRing {
    /// Reads `kid:base64key[,kid:base64key…]`; line ends count as commas, as in a file.
    pub fn parse(text: &Secret) -> Result<Self, CipherError> {
        let mut keys: Vec<(String, Aes256Gcm)> = Vec::new();
        let entries = text.expose().split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        for (index, entry) in entries.enumerate() {
            let malformed = CipherError::MalformedKey { position: index + 1 };
            let Some((kid, key)) = entry.split_once(':') else { return Err(malformed) };
            let Ok(bytes) = STANDARD.decode(key.trim()) else { return Err(malformed) };
            let Ok(cipher) = Aes256Gcm::new_from_slice(&bytes) else { return Err(malformed) };
            if !is_kid(kid) {
                return Err(malformed);
            }
            if keys.iter().any(|(known, _)| known == kid) {
                return Err(CipherError::DuplicateKey { kid: kid.to_owned() });
            }
            keys.push((kid.to_owned(), cipher));
        }
        if keys.is_empty() { Err(CipherError::EmptyRing) } else { Ok(Self { keys }) }
    }

    /// A fresh key with a kid of its own, as `parse` reads it.
    pub fn generate() -> Result<Secret, CipherError> {
        let mut kid = String::from("k");
        for byte in random::<4>()? {
            // Writing to a String can't fail.
            let _ = write!(kid, "{byte:02x}");
        }
        Ok(Secret::new(format!("{kid}:{}", STANDARD.encode(random::<KEY_BYTES>()?))))
    }

    /// The ids of the keys, the sealing one first.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(kid, _)| kid.as_str())
    }

    pub fn seal(&self, place: &Place<'_>, text: &str) -> Result<String, CipherError> {
        let (kid, cipher) = self.keys.first().ok_or(CipherError::EmptyRing)?;
        let nonce = random::<NONCE_BYTES>()?;
        let sealed = cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: text.as_bytes(), aad: &place.bytes() })
            .map_err(|_| CipherError::Refused { kid: kid.clone() })?;
        Ok(format!("v1.{kid}.{}.{}", URL_SAFE_NO_PAD.encode(nonce), URL_SAFE_NO_PAD.encode(sealed)))
    }

    pub fn open(&self, place: &Place<'_>, sealed: &str) -> Result<Secret, CipherError> {
        let mut parts = sealed.split('.');
        let (Some("v1"), Some(kid), Some(nonce), Some(body), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CipherError::Malformed);
        };
        if !is_kid(kid) {
            return Err(CipherError::Malformed);
        }
        let nonce = URL_SAFE_NO_PAD.decode(nonce).map_err(|_| CipherError::Malformed)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| CipherError::Malformed)?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| CipherError::Malformed)?;
        let (_, cipher) = self
            .keys
            .iter()
            .find(|(known, _)| known == kid)
            .ok_or_else(|| CipherError::UnknownKey { kid: kid.to_owned() })?;
        let refused = || CipherError::Refused { kid: kid.to_owned() };
        let text =
            cipher.decrypt(&Nonce::from(nonce), Payload { msg: &body, aad: &place.bytes() }).map_err(|_| refused())?;
        String::from_utf8(text).map(Secret::new).map_err(|_| refused())
    }
}

impl Place<'_> {
    /// Each part with its length before it, so that no two places spell the same bytes.
    fn bytes(&self) -> Vec<u8> {
        let generation;
        let parts: [&str; 5] = match self {
            Self::Token { org, grant, field, generation: counter } => {
                generation = counter.to_string();
                let field = match field {
                    Field::Access => "access_token",
                    Field::Refresh => "refresh_token",
                };
                ["token", org.as_str(), grant.as_str(), field, &generation]
            }
            Self::Verifier { state_hash } => ["verifier", state_hash, "", "", ""],
            Self::Webhook { org, endpoint } => ["webhook", org.as_str(), endpoint.as_str(), "", ""],
        };
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// Fit to stand between dots, and in a `LIKE` pattern, as it is.
fn is_kid(kid: &str) -> bool {
    !kid.is_empty() && kid.len() <= 32 && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Bytes that nobody can guess.
pub fn random<const N: usize>() -> Result<[u8; N], CipherError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| CipherError::NoRandom)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(kids: &[&str]) -> KeyRing {
        let text: Vec<String> =
            kids.iter().map(|kid| format!("{kid}:{}", STANDARD.encode([kid.len() as u8; KEY_BYTES]))).collect();
        KeyRing::parse(&Secret::new(text.join(","))).unwrap()
    }

    fn place<'a>(org: &'a OrgId, grant: &'a GrantId, field: Field, generation: i64) -> Place<'a> {
        Place::Token { org, grant, field, generation }
    }

    #[test]
    fn what_was_sealed_opens_only_where_it_belongs() {
        let ring = ring(&["a"]);
        let (org, grant) = (OrgId::from("o1"), GrantId::from("g1"));
        let sealed = ring.seal(&place(&org, &grant, Field::Access, 3), "the token").unwrap();
        assert!(sealed.starts_with("v1.a.") && !sealed.contains("the token"));
        assert_eq!(ring.open(&place(&org, &grant, Field::Access, 3), &sealed).unwrap().expose(), "the token");

        let (other_org, other_grant) = (OrgId::from("o2"), GrantId::from("g2"));
        for elsewhere in [
            place(&other_org, &grant, Field::Access, 3),
            place(&org, &other_grant, Field::Access, 3),
            place(&org, &grant, Field::Refresh, 3),
            place(&org, &grant, Field::Access, 2),
            Place::Verifier { state_hash: "o1" },
        ] {
            let refused = ring.open(&elsewhere, &sealed).err();
            assert_eq!(refused, Some(CipherError::Refused { kid: "a".into() }));
        }
    }

    #[test]
    fn a_changed_text_is_refused_and_a_broken_one_is_malformed() {
        let ring = ring(&["a"]);
        let place = Place::Verifier { state_hash: "s" };
        let sealed = ring.seal(&place, "text").unwrap();
        let flipped = if sealed.ends_with('A') { "B" } else { "A" };
        let changed = format!("{}{flipped}", &sealed[..sealed.len() - 3]);
        assert!(ring.open(&place, &changed).is_err());
        for broken in ["", "v1", "v1.a.b", "v2.a.b.c", "v1.a.!.c", "v1.a.AAAA.AAAA", &format!("{sealed}.x")] {
            assert_eq!(ring.open(&place, broken).err(), Some(CipherError::Malformed), "{broken}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let place = Place::Verifier { state_hash: "s" };
        let old = ring(&["a"]).seal(&place, "text").unwrap();
        let both = ring(&["bb", "a"]);
        assert_eq!(both.open(&place, &old).unwrap().expose(), "text");
        assert!(both.seal(&place, "text").unwrap().starts_with("v1.bb."));
        assert_eq!(ring(&["bb"]).open(&place, &old).err(), Some(CipherError::UnknownKey { kid: "a".into() }));
    }

    #[test]
    fn a_ring_that_makes_no_sense_says_where() {
        let key = STANDARD.encode([7; KEY_BYTES]);
        let parse = |text: String| KeyRing::parse(&Secret::new(text)).err();
        assert_eq!(parse(" , \n".into()), Some(CipherError::EmptyRing));
        assert_eq!(parse(format!("a:{key},b")), Some(CipherError::MalformedKey { position: 2 }));
        assert_eq!(parse("a:c2hvcnQ=".into()), Some(CipherError::MalformedKey { position: 1 }));
        assert_eq!(parse(format!("a.b:{key}")), Some(CipherError::MalformedKey { position: 1 }));
        assert_eq!(parse(format!("a:{key},a:{key}")), Some(CipherError::DuplicateKey { kid: "a".into() }));
    }

    #[test]
    fn a_generated_key_is_read_back() {
        let generated = KeyRing::generate().unwrap();
        let ring = KeyRing::parse(&generated).unwrap();
        assert_eq!(ring.kids().count(), 1);
    }
}
