//! Sealed values: text encrypted with AES-256-GCM and bound to its row by additional data.
//!
//! The format is `v1.<kid>.<nonce>.<ciphertext>`, the last two in base64url without padding. The additional data names
//! organization, grant, field and generation, so that a value moved to another row, another column or an older
//! generation doesn't open. `key_ring` holds the keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::random::RandomError;
use crate::model::{EndpointId, GrantId, OrgId};

pub(super) const NONCE_BYTES: usize = 12;

/// What a sealed value belongs to: its additional authenticated data.
pub enum SealContext<'a> {
    Token {
        org: &'a OrgId,
        grant: &'a GrantId,
        field: TokenField,
        generation: i64,
    },
    /// A PKCE verifier, by the hash of its `state`.
    PkceVerifier {
        state_hash: &'a str,
    },
    /// A webhook endpoint's signing secret.
    WebhookSecret {
        org: &'a OrgId,
        endpoint: &'a EndpointId,
    },
}

/// One of a grant's two tokens.
#[derive(Clone, Copy, Debug)]
pub enum TokenField {
    Access,
    Refresh,
}

/// Why a key ring can't be parsed, or a value can't be sealed or opened.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum CipherError {
    #[error("the key ring is empty: expected kid:base64key, several separated by commas")]
    EmptyRing,
    #[error(
        "key {position} of the ring isn't kid:base64key with 32 bytes of key and a kid of letters, digits and dashes"
    )]
    MalformedKey { position: usize },
    #[error("the key ring contains {kid} twice; kids are case-insensitive")]
    DuplicateKey { kid: String },
    #[error("not a sealed value (v1.kid.nonce.ciphertext): it was truncated or overwritten")]
    Malformed,
    #[error("sealed with key {kid}, which the ring doesn't hold: add that key to EVERGRANT_KEYS or the key file")]
    UnknownKey { kid: String },
    #[error("sealed with key {kid}, it doesn't open: it was changed or moved, or another key has this id now")]
    OpenFailed { kid: String },
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl SealContext<'_> {
    /// Encodes the parts, each after its length, so that no two contexts have the same bytes.
    pub(super) fn aad(&self) -> Vec<u8> {
        let generation;
        let parts: [&str; 5] = match self {
            Self::Token { org, grant, field, generation: counter } => {
                generation = counter.to_string();
                let field = match field {
                    TokenField::Access => "access_token",
                    TokenField::Refresh => "refresh_token",
                };
                ["token", org.as_str(), grant.as_str(), field, &generation]
            }
            Self::PkceVerifier { state_hash } => ["verifier", state_hash, "", "", ""],
            Self::WebhookSecret { org, endpoint } => ["webhook", org.as_str(), endpoint.as_str(), "", ""],
        };
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// A parsed sealed value.
pub(super) struct SealedParts<'a> {
    pub(super) kid: &'a str,
    pub(super) nonce: [u8; NONCE_BYTES],
    pub(super) body: Vec<u8>,
}

impl<'a> SealedParts<'a> {
    pub(super) fn parse(sealed: &'a str) -> Result<Self, CipherError> {
        let mut parts = sealed.split('.');
        let (Some("v1"), Some(kid), Some(nonce), Some(body), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CipherError::Malformed);
        };
        if !is_valid_kid(kid) {
            return Err(CipherError::Malformed);
        }
        let nonce = URL_SAFE_NO_PAD.decode(nonce).map_err(|_| CipherError::Malformed)?;
        let nonce = nonce.try_into().map_err(|_| CipherError::Malformed)?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| CipherError::Malformed)?;
        Ok(Self { kid, nonce, body })
    }

    pub(super) fn encode(&self) -> String {
        let Self { kid, nonce, body } = self;
        format!("v1.{kid}.{}.{}", URL_SAFE_NO_PAD.encode(nonce), URL_SAFE_NO_PAD.encode(body))
    }
}

/// Returns the id of the key that sealed a value; `None` if it isn't a sealed value.
pub fn kid_of(sealed: &str) -> Option<&str> {
    SealedParts::parse(sealed).ok().map(|parts| parts.kid)
}

/// Returns whether a key id needs no escaping between dots and in a `LIKE` pattern.
pub(super) fn is_valid_kid(kid: &str) -> bool {
    !kid.is_empty() && kid.len() <= 32 && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
