//! Determines the client's IP address behind trusted proxies.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::server::auth::Caller;
use crate::server::config::Networks;
use crate::server::domain::Actor;
use crate::server::http::state::AppState;

/// The client's IP address, as an extractor.
#[derive(Clone, Copy)]
pub struct ClientIp(pub IpAddr);

impl ClientIp {
    /// Returns the client's address of a request.
    pub fn of(parts: &Parts, state: &AppState) -> Self {
        // Set by the listener for every accepted connection.
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Self(resolve_client_ip(peer, &parts.headers, &state.config.trusted_proxies))
    }

    /// Returns the caller at this address as the actor of audit events.
    pub fn actor(self, caller: &Caller) -> Actor {
        Actor::person(&caller.user_id, &caller.email, Some(self.0.to_string()))
    }
}

impl FromRequestParts<AppState> for ClientIp {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self::of(parts, state))
    }
}

/// Returns the last address that is not a trusted proxy. Entries of `X-Forwarded-For` further to the left come from the
/// client and are not trusted.
pub fn resolve_client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let forwarded_for: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut address = peer;
    for hop in forwarded_for.iter().rev() {
        if !trusted.contains(address) {
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

    fn resolve(peer: &str, forwarded: &[&str], trusted: &str) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        resolve_client_ip(peer.parse().unwrap(), &headers, &trusted.parse().unwrap()).to_string()
    }

    #[test]
    fn only_trusted_proxies_set_the_client_ip() {
        assert_eq!(resolve("203.0.113.9", &["192.0.2.1"], ""), "203.0.113.9");
        assert_eq!(resolve("203.0.113.9", &["192.0.2.1"], "10.0.0.0/8"), "203.0.113.9");
        assert_eq!(resolve("10.0.0.1", &["192.0.2.1"], "10.0.0.0/8"), "192.0.2.1");
        assert_eq!(resolve("10.0.0.1", &["198.51.100.7, 192.0.2.1", "10.0.0.2"], "10.0.0.0/8"), "192.0.2.1");
        assert_eq!(resolve("10.0.0.1", &[], "10.0.0.0/8"), "10.0.0.1");
        assert_eq!(resolve("10.0.0.1", &["unknown"], "10.0.0.0/8"), "10.0.0.1");
    }
}
