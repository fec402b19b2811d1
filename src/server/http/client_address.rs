//! Where a request comes from, past the proxies that the operator trusts.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::server::auth::Caller;
use crate::server::config::Networks;
use crate::server::domain::Actor;
use crate::server::state::AppState;

/// Where a request comes from, for a handler that asks for it.
#[derive(Clone, Copy)]
pub struct Whence(pub IpAddr);

impl Whence {
    pub fn of(parts: &Parts, state: &AppState) -> Self {
        // There for whatever a listener of ours accepted.
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Self(client_address(peer, &parts.headers, &state.config.trusted_proxies))
    }

    /// Somebody who is signed in, as what they do from there is remembered of them.
    pub fn actor(self, caller: &Caller) -> Actor {
        Actor::person(&caller.user_id, &caller.email, Some(self.0.to_string()))
    }
}

impl FromRequestParts<AppState> for Whence {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self::of(parts, state))
    }
}

/// The nearest address that isn't a trusted proxy's. Whatever stands further left in `X-Forwarded-For` is the
/// client's own word, and not believed.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let said: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut address = peer;
    for hop in said.iter().rev() {
        if !trusted.hold(address) {
            break;
        }
        let Ok(next) = hop.trim().parse() else { break };
        address = next;
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(peer: &str, forwarded: &[&str], trusted: &str) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &trusted.parse().unwrap()).to_string()
    }

    #[test]
    fn only_a_trusted_proxys_word_counts() {
        assert_eq!(asked("203.0.113.9", &["192.0.2.1"], ""), "203.0.113.9");
        assert_eq!(asked("203.0.113.9", &["192.0.2.1"], "10.0.0.0/8"), "203.0.113.9");
        assert_eq!(asked("10.0.0.1", &["192.0.2.1"], "10.0.0.0/8"), "192.0.2.1");
        assert_eq!(asked("10.0.0.1", &["198.51.100.7, 192.0.2.1", "10.0.0.2"], "10.0.0.0/8"), "192.0.2.1");
        assert_eq!(asked("10.0.0.1", &[], "10.0.0.0/8"), "10.0.0.1");
        assert_eq!(asked("10.0.0.1", &["unknown"], "10.0.0.0/8"), "10.0.0.1");
    }
}
