//! What the API can answer besides what was asked for: one list.

use serde::{Deserialize, Serialize};

use super::status::spelt;

spelt!(
    /// A kind of problem (RFC 9457). The word stands in its `code`, and at the end of its `type`.
    ProblemCode {
        MissingKey = "missing-key",
        InvalidKey = "invalid-key",
        ExpiredKey = "expired-key",
        MissingScope = "missing-scope",
        NoSuchConnection = "no-such-connection",
        NotConnected = "not-connected",
        InvalidMinTtl = "invalid-min-ttl",
        TooManyRequests = "too-many-requests",
        NotFresh = "not-fresh",
        TooShort = "too-short",
        NoSuchRoute = "no-such-route",
        MethodNotAllowed = "method-not-allowed",
        Internal = "internal",
    }
);

impl ProblemCode {
    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::MissingKey | Self::InvalidKey | Self::ExpiredKey => 401,
            Self::MissingScope => 403,
            Self::NoSuchConnection | Self::NoSuchRoute => 404,
            Self::MethodNotAllowed => 405,
            Self::NotConnected => 409,
            Self::InvalidMinTtl => 422,
            Self::TooManyRequests => 429,
            Self::Internal => 500,
            Self::NotFresh | Self::TooShort => 503,
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::MissingKey => "An API key is needed",
            Self::InvalidKey => "The API key is not valid",
            Self::ExpiredKey => "The API key has expired",
            Self::MissingScope => "The API key may not do this",
            Self::NoSuchConnection => "There is no such connection",
            Self::NotConnected => "The connection needs a person",
            Self::InvalidMinTtl => "No token lasts so long",
            Self::TooManyRequests => "Too many requests",
            Self::NotFresh => "No fresh token just now",
            Self::TooShort => "The token ends too soon",
            Self::NoSuchRoute => "There is nothing at this address",
            Self::MethodNotAllowed => "This address is only read",
            Self::Internal => "Something went wrong on our side",
        }
    }

    /// When it is answered, and what helps.
    pub fn advice(self) -> &'static str {
        match self {
            Self::MissingKey => {
                "The request has no Authorization header with a bearer. Send Authorization: Bearer and the key."
            }
            Self::InvalidKey => {
                "The key is misspelt, unknown or revoked. Ask an owner or admin of the organisation for another."
            }
            Self::ExpiredKey => "The key's time is over. Ask an owner or admin of the organisation for another.",
            Self::MissingScope => {
                "The key was made for other things; detail names the scope that it lacks. Make one with that scope."
            }
            Self::NoSuchConnection => {
                "The key's organisation has no connection of this id. GET /api/v1/bindings lists those that it has."
            }
            Self::NotConnected => {
                "The connection was disconnected, or Xero ended it. Trying again doesn't help: a person has to connect it again."
            }
            Self::InvalidMinTtl => {
                "min_ttl isn't a whole number of seconds from 0 to 1800: Xero's access tokens live thirty minutes."
            }
            Self::TooManyRequests => "The key has used up its calls. Wait as many seconds as Retry-After says.",
            Self::NotFresh => {
                "The token has ended and Xero doesn't give another one just now. The connection is safe. Wait as many seconds as Retry-After says."
            }
            Self::TooShort => {
                "The token is valid, but not for as long as min_ttl asks, and Xero doesn't give a longer one just now. Ask for less, or wait as many seconds as Retry-After says, where it is there."
            }
            Self::NoSuchRoute => {
                "GET /api/v1/bindings lists the connections, GET /api/v1/bindings/ID/token has a token of one."
            }
            Self::MethodNotAllowed => "Use GET.",
            Self::Internal => {
                "Try again in a moment. If it goes on, tell whoever runs Evergrant the answer's id: the cause stands beside it in the log."
            }
        }
    }
}
