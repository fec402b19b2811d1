//! Determines the client's IP address behind trusted proxies.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use parking_lot::Mutex;

use crate::server::auth::Caller;
use crate::server::config::Networks;
use crate::server::domain::Actor;
use crate::server::http::state::AppState;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How many peers are named in the log. Anybody can send the header, so the number is bounded.
const MAX_NOTICED_PEERS: usize = 16;

/// The peers that sent `X-Forwarded-For` although they are no trusted proxy. Each is named in the log once, because it
/// may be a proxy that the operator forgot: everybody behind it then counts as one client.
#[derive(Clone, Default)]
pub struct UntrustedForwarders(Arc<Mutex<HashSet<IpAddr>>>);

impl UntrustedForwarders {
    /// Returns whether the peer is to be named in the log now.
    fn notice(&self, peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> bool {
        if !headers.contains_key(X_FORWARDED_FOR) || trusted.contains(peer) {
            return false;
        }
        let mut noticed = self.0.lock();
        noticed.len() < MAX_NOTICED_PEERS && noticed.insert(peer.to_canonical())
    }
}

/// The client's IP address, as an extractor.
#[derive(Clone, Copy)]
pub struct ClientIp(pub IpAddr);

impl ClientIp {
    /// Returns the client's address of a request.
    pub fn of(parts: &Parts, state: &AppState) -> Self {
        // Set by the listener for every accepted connection.
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        if state.untrusted_forwarders.notice(peer, &parts.headers, &state.config.trusted_proxies) {
            tracing::warn!(
                %peer,
                "X-Forwarded-For from an untrusted peer was ignored; if it is your proxy, add it to EVERGRANT_TRUSTED_PROXIES"
            );
            let store = state.store.clone();
            tokio::spawn(async move {
                if let Err(error) = store.note_untrusted_forwarder(&peer.to_canonical().to_string()).await {
                    tracing::error!(%peer, %error, "failed to note an untrusted proxy");
                }
            });
        }
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
/// client and are not trusted. An entry that is no address ends the walk, so the proxy that sent it counts.
pub fn resolve_client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    // Bytes, because an entry that the client wrote need not be text. It hides none of those that proxies added.
    let hops: Vec<&[u8]> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|hop| !hop.is_empty())
        .collect();
    let mut address = peer.to_canonical();
    for hop in hops.iter().rev() {
        if !trusted.contains(address) {
            break;
        }
        let Some(next) = parse_hop(hop) else { break };
        address = next.to_canonical();
    }
    address
}

/// Reads an entry: an address, with a port, brackets, quotes or an IPv6 zone if the proxy writes them.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim_matches('"');
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port_number);
            is_port.then_some(address)?
        }
        // One colon separates a port. More are part of an IPv6 address.
        None => match text.split_once(':') {
            Some((address, port)) if is_port_number(port) && address.contains('.') => address,
            _ => text,
        },
    };
    // The zone names an interface of the proxy, so it says nothing here.
    bare.split('%').next()?.parse().ok()
}

fn is_port_number(text: &str) -> bool {
    !text.is_empty() && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

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

    #[test]
    fn hops_are_read_with_ports_brackets_and_zones() {
        for (hop, client) in [
            ("192.0.2.1:51234", "192.0.2.1"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("\"[2001:db8::7]:443\"", "2001:db8::7"),
            ("2001:db8::7", "2001:db8::7"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:80", "fe80::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            (" 192.0.2.1 , ", "192.0.2.1"),
        ] {
            assert_eq!(resolve("::ffff:10.0.0.1", &[hop], "10.0.0.0/8"), client, "{hop}");
        }
        for malformed in ["[2001:db8::7", "192.0.2.1:port", "192.0.2.1:", "[::1]x", "%", "[]", ":80", "192.0.2.1:99999"]
        {
            assert_eq!(resolve("10.0.0.1", &[malformed], "10.0.0.0/8"), "10.0.0.1", "{malformed}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_hide_no_hop_to_their_right() {
        let mut headers = HeaderMap::new();
        headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(b"\xff\xfe, 192.0.2.1").unwrap());
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("10.0.0.2:80"));
        let trusted = "10.0.0.0/8".parse().unwrap();
        let client = resolve_client_ip("10.0.0.1".parse().unwrap(), &headers, &trusted);
        assert_eq!(client.to_string(), "192.0.2.1");
    }

    #[test]
    fn peer_that_forwards_without_being_trusted_is_noticed_once() {
        let untrusted = UntrustedForwarders::default();
        let peer: IpAddr = "203.0.113.9".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert!(!untrusted.notice(peer, &headers, &Networks::default()), "it sent nothing");
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"));
        assert!(!untrusted.notice(peer, &headers, &"203.0.113.0/24".parse().unwrap()), "it is trusted");
        assert!(untrusted.notice(peer, &headers, &Networks::default()));
        assert!(!untrusted.notice(peer, &headers, &Networks::default()), "it was noticed already");
        for n in 0..MAX_NOTICED_PEERS {
            let other = IpAddr::V4(Ipv4Addr::from(u32::try_from(n).unwrap()));
            let _ = untrusted.notice(other, &headers, &Networks::default());
        }
        assert_eq!(untrusted.0.lock().len(), MAX_NOTICED_PEERS, "strangers can't fill the memory or the log");
    }
}
