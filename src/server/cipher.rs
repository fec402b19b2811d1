//! The key ring that seals tokens: AES-256-GCM, bound to where the text belongs.
//!
//! A sealed text is `v1.<kid>.<nonce>.<ciphertext>`, the last two in base64url without padding. Its additional
//! data names organisation, grant, field and generation, so that a text moved to another row, another column or
//! an older generation doesn't open. `ring` has the keys; this file says where a text belongs and how it is written.

mod ring;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use self::ring::{KeyRing, Source};
use crate::model::{EndpointId, GrantId, OrgId};

const NONCE_BYTES: usize = 12;

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
    #[error("the key ring names {kid} twice; capitals make no difference")]
    DuplicateKey { kid: String },
    #[error("what is kept isn't a sealed text (v1.kid.nonce.ciphertext): it was cut short or overwritten")]
    Malformed,
    #[error(
        "it is sealed with key {kid}, which the ring doesn't hold: add that key to EVERGRANT_KEYS or the keys file"
    )]
    UnknownKey { kid: String },
    #[error(
        "sealed with key {kid}, it doesn't open: it was changed, moved to another row, or the key isn't the one it was sealed with"
    )]
    Refused { kid: String },
    #[error("the system gave no random bytes")]
    NoRandom,
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

/// A sealed text, taken apart.
struct Parts<'a> {
    kid: &'a str,
    nonce: [u8; NONCE_BYTES],
    body: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a str) -> Result<Self, CipherError> {
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
        let nonce = nonce.try_into().map_err(|_| CipherError::Malformed)?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| CipherError::Malformed)?;
        Ok(Self { kid, nonce, body })
    }

    fn join(&self) -> String {
        let Self { kid, nonce, body } = self;
        format!("v1.{kid}.{}.{}", URL_SAFE_NO_PAD.encode(nonce), URL_SAFE_NO_PAD.encode(body))
    }
}

/// The id of the key that a text was sealed with, where it is a sealed text.
pub fn kid_of(sealed: &str) -> Option<&str> {
    Parts::of(sealed).ok().map(|parts| parts.kid)
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
