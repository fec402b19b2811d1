//! Sealed values: text encrypted with AES-256-GCM and bound to its row by additional data.
//!
//! The format is `v1.<kid>.<nonce>.<ciphertext>`, the last two in base64url without padding. The additional data names
//! organization, grant, field and generation, so that a value moved to another row, another column or an older
//! generation doesn't open. `key_ring` holds the keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::random::RandomError;
use crate::model::{EndpointId, GrantId, OrgId, UserId};

pub(super) const NONCE_BYTES: usize = 12;

/// What a sealed value belongs to: its additional authenticated data.
pub enum SealContext<'a> {
    /// One of a grant's tokens.
    Token {
        /// Organization that the grant belongs to.
        org: &'a OrgId,
        /// Grant that the token belongs to.
        grant: &'a GrantId,
        /// Which of the two tokens it is.
        field: TokenField,
        /// Generation of the grant's tokens.
        generation: i64,
    },
    /// A PKCE verifier, by the hash of its `state`.
    PkceVerifier {
        /// Hash of the authorization's `state`.
        state_hash: &'a str,
    },
    /// A webhook endpoint's signing secret.
    WebhookSecret {
        /// Organization that the endpoint belongs to.
        org: &'a OrgId,
        /// Endpoint whose webhooks the secret signs.
        endpoint: &'a EndpointId,
    },
    /// The secret of a person's second factor.
    SecondFactor {
        /// Person whose authenticator app has the secret.
        user: &'a UserId,
    },
    /// The answer of a call with an `Idempotency-Key`.
    IdempotentAnswer {
        /// Id of the call's row.
        call: &'a str,
    },
}

/// One of a grant's two tokens.
#[derive(Clone, Copy, Debug)]
pub enum TokenField {
    /// The access token.
    Access,
    /// The refresh token.
    Refresh,
}

/// Why a key ring can't be parsed, or a value can't be sealed or opened.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum CipherError {
    /// The key ring holds no key.
    #[error("the key ring is empty: expected kid:base64key, several separated by commas")]
    EmptyRing,
    /// A key of the ring can't be parsed.
    #[error(
        "key {position} of the ring isn't kid:base64key with 32 bytes of key and a kid of letters, digits and dashes"
    )]
    MalformedKey {
        /// Position of the key in the ring, counted from 1.
        position: usize,
    },
    /// Two keys of the ring have the same id.
    #[error("the key ring contains {kid} twice; kids are case-insensitive")]
    DuplicateKey {
        /// Id of the key.
        kid: String,
    },
    /// The text doesn't have the format of a sealed value.
    #[error("not a sealed value (v1.kid.nonce.ciphertext): it was truncated or overwritten")]
    Malformed,
    /// The ring doesn't hold the key that sealed the value.
    #[error("sealed with key {kid}, which the ring doesn't hold: add that key to EVERGRANT_KEYS or the key file")]
    UnknownKey {
        /// Id of the key.
        kid: String,
    },
    /// The value failed authentication with its key.
    #[error("sealed with key {kid}, it doesn't open: it was changed or moved, or another key has this id now")]
    OpenFailed {
        /// Id of the key.
        kid: String,
    },
    /// The system's random generator failed.
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
            Self::SecondFactor { user } => ["second_factor", user.as_str(), "", "", ""],
            Self::IdempotentAnswer { call } => ["idempotent_answer", call, "", "", ""],
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
