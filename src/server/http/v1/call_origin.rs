//! Where a call with a key comes from: the client's address and program.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;

use crate::server::domain::Actor;
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::state::AppState;
use crate::server::store::{ApiKeyRow, KeyUse};

/// The longest name of a program that is kept, in characters.
const MAX_AGENT_LENGTH: usize = 60;

/// The client's address and program, as an extractor.
pub struct CallOrigin {
    /// The client's address behind trusted proxies.
    pub ip: IpAddr,
    /// The first word of the user agent.
    agent: Option<String>,
}

impl CallOrigin {
    /// Returns the key at this address as the actor of audit events.
    pub fn actor(&self, key: &ApiKeyRow) -> Actor {
        Actor::api_key(key.id.as_str(), &key.name, Some(self.ip.to_string()))
    }

    /// Returns what is noted of a use of the key.
    pub fn key_use(&self) -> KeyUse {
        KeyUse { address: self.ip.to_string(), agent: self.agent.clone() }
    }
}

impl FromRequestParts<AppState> for CallOrigin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self { ip: ClientIp::of(parts, state).0, agent: first_word(&parts.headers) })
    }
}

/// Returns the first word of the user agent, such as `curl/8.5.0`. The rest describes the machine.
fn first_word(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    let word: String = text.split_whitespace().next()?.chars().take(MAX_AGENT_LENGTH).collect();
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_is_the_first_word_of_its_user_agent() {
        let word = |text: &str| first_word(&HeaderMap::from_iter([(USER_AGENT, text.parse().unwrap())]));
        assert_eq!(word("curl/8.5.0 (x86_64)").as_deref(), Some("curl/8.5.0"));
        assert_eq!(word(" \t"), None);
        assert_eq!(word(&"x".repeat(900)).map(|word| word.len()), Some(MAX_AGENT_LENGTH));
        assert_eq!(first_word(&HeaderMap::new()), None);
    }
}
