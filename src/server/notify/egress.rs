//! Restricts webhooks to public addresses and to the private networks that the operator allows.
//!
//! Host names are resolved here, once per connection, and the checked address is the one that is connected to. So a DNS
//! answer that changes between check and connection (DNS rebinding) has no effect.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::model::AddressProblem;
use crate::server::config::Networks;

/// Networks without public receivers, from IANA's special-purpose registries for IPv4 and IPv6 (RFC 6890 and its
/// successors). In IPv6 only `2000::/3` is allocated; within it, Teredo and related blocks, documentation, and 6to4
/// (which maps to IPv4 addresses) are excluded. 168.63.129.16 is the platform service of Azure's virtual machines, which
/// answers nobody else.
const SPECIAL_PURPOSE_CIDRS: &str = "0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,168.63.129.16,169.254.0.0/16,172.16.0.0/12,192.0.0.0/24,\
     192.0.2.0/24,192.31.196.0/24,192.52.193.0/24,192.88.99.0/24,192.168.0.0/16,192.175.48.0/24,198.18.0.0/15,\
     198.51.100.0/24,203.0.113.0/24,224.0.0.0/4,240.0.0.0/4,\
     ::/3,2001::/23,2001:db8::/32,2002::/16,2620:4f:8000::/48,3fff::/20,4000::/2,8000::/1";

static SPECIAL_PURPOSE_NETWORKS: LazyLock<Networks> = LazyLock::new(|| {
    // A constant that a test parses.
    SPECIAL_PURPOSE_CIDRS.parse().expect("networks")
});

/// How a webhook is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// With TLS.
    Https,
    /// Without TLS, which is allowed only to networks that the operator names.
    Http,
}

/// The addresses that webhooks may reach.
#[derive(Clone, Debug)]
pub struct EgressPolicy {
    /// Private networks that the operator allows, with or without https.
    allowed: Networks,
    /// Whether public addresses may be reached. False in sandbox mode, where nothing leaves this machine.
    allows_public: bool,
}

/// Resolves a host name to its addresses. Tests supply their own.
pub type DnsLookup =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> + Send + Sync>;

impl EgressPolicy {
    /// Allows public addresses and the given private networks.
    pub fn new(allowed: Networks) -> Self {
        Self { allowed, allows_public: true }
    }

    /// Allows only loopback addresses and the given private networks.
    pub fn loopback_only(allowed: Networks) -> Self {
        // A constant that a test parses.
        let own: Networks = "127.0.0.0/8,::1".parse().expect("networks");
        Self { allowed: allowed.merged_with(own), allows_public: false }
    }

    /// Returns whether public addresses are excluded.
    pub fn is_loopback_only(&self) -> bool {
        !self.allows_public
    }

    /// Parses a URL and checks it as far as is possible before its host name is resolved.
    pub fn check_url(&self, text: &str) -> Result<Url, AddressProblem> {
        let url = Url::parse(text.trim()).map_err(|_| AddressProblem::Malformed)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressProblem::Credentials);
        }
        let transport = match url.scheme() {
            "https" => Transport::Https,
            "http" => Transport::Http,
            _ => return Err(AddressProblem::Malformed),
        };
        if transport == Transport::Http && self.allowed.is_empty() {
            return Err(AddressProblem::NotHttps);
        }
        match url.host() {
            None => return Err(AddressProblem::Malformed),
            Some(Host::Ipv4(address)) => self.check_address(address.into(), transport)?,
            Some(Host::Ipv6(address)) => self.check_address(address.into(), transport)?,
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                // Localhost names always mean loopback, whatever a resolver returns (RFC 6761, 6.3).
                let own = name == "localhost" || name.ends_with(".localhost");
                if own {
                    self.check_address(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), transport)?;
                } else if !self.allows_public && self.allowed.is_only_loopback() {
                    return Err(AddressProblem::OnlyThisMachine);
                }
            }
        }
        Ok(url)
    }

    /// Checks whether an IP address may be connected to.
    pub fn check_address(&self, address: IpAddr, transport: Transport) -> Result<(), AddressProblem> {
        let public = !SPECIAL_PURPOSE_NETWORKS.contains(address);
        if self.allowed.contains(address) {
            return Ok(());
        }
        match (public, self.allows_public) {
            (true, true) if transport == Transport::Http => Err(AddressProblem::NotHttps),
            (true, true) => Ok(()),
            (true, false) => Err(AddressProblem::OnlyThisMachine),
            (false, _) => Err(AddressProblem::Private),
        }
    }
}

/// A resolver for an HTTP client that returns only addresses that the policy permits.
pub struct GuardedResolver {
    pub policy: EgressPolicy,
    pub lookup: DnsLookup,
    /// How the client sends.
    pub transport: Transport,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, transport) = (self.policy.clone(), self.transport);
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let found = found.await?;
            // One forbidden address rejects the whole name: a legitimate name does not mix them.
            for address in &found {
                reach.check_address(*address, transport)?;
            }
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// Returns the system's resolver.
pub fn system_lookup() -> DnsLookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Networks {
        text.parse().unwrap()
    }

    #[test]
    fn only_public_addresses_are_allowed() {
        let reach = EgressPolicy::new(Networks::default());
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.170",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            // IPv6: unspecified, loopback, mapped, compatible, NAT64, discard, Teredo, documentation, 6to4, unique
            // local, the metadata service, link-local, site-local, multicast.
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:a00:1",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address = private.parse().unwrap();
            assert_eq!(reach.check_address(address, Transport::Https), Err(AddressProblem::Private), "{private}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.169.0.1",
            "::ffff:8.8.8.8",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            let address = public.parse().unwrap();
            assert_eq!(reach.check_address(address, Transport::Https), Ok(()), "{public}");
            assert_eq!(reach.check_address(address, Transport::Http), Err(AddressProblem::NotHttps), "{public}");
        }
    }

    #[test]
    fn urls_are_checked_in_every_notation() {
        let reach = EgressPolicy::new(Networks::default());
        let cases = [
            ("https://example.com/hooks?key=1", Ok(())),
            ("https://93.184.216.34/", Ok(())),
            ("http://example.com/", Err(AddressProblem::NotHttps)),
            ("ftp://example.com/", Err(AddressProblem::Malformed)),
            ("example.com/hooks", Err(AddressProblem::Malformed)),
            ("https://", Err(AddressProblem::Malformed)),
            ("javascript:alert(1)", Err(AddressProblem::Malformed)),
            ("https://ann:secret@example.com/", Err(AddressProblem::Credentials)),
            ("https://ann@example.com/", Err(AddressProblem::Credentials)),
            ("https://:secret@example.com/", Err(AddressProblem::Credentials)),
            ("https://localhost/", Err(AddressProblem::Private)),
            ("https://hooks.localhost./", Err(AddressProblem::Private)),
            ("https://127.0.0.1/", Err(AddressProblem::Private)),
            ("https://127.1/", Err(AddressProblem::Private)),
            ("https://2130706433/", Err(AddressProblem::Private)),
            ("https://0x7f000001/", Err(AddressProblem::Private)),
            ("https://0177.0.0.1/", Err(AddressProblem::Private)),
            ("https://[::1]/", Err(AddressProblem::Private)),
            ("https://[::ffff:10.0.0.1]/", Err(AddressProblem::Private)),
            ("https://169.254.169.254/latest/meta-data/", Err(AddressProblem::Private)),
        ];
        for (text, expected) in cases {
            assert_eq!(reach.check_url(text).map(drop), expected, "{text}");
        }
    }

    #[test]
    fn configured_private_networks_are_allowed() {
        let reach = EgressPolicy::new(networks("10.0.0.0/8,127.0.0.1"));
        for good in ["http://10.1.2.3:8080/", "https://10.1.2.3/", "http://localhost:9000/", "https://example.com/"] {
            assert_eq!(reach.check_url(good).map(drop), Ok(()), "{good}");
        }
        assert_eq!(reach.check_url("https://192.168.0.1/").map(drop), Err(AddressProblem::Private));
        assert_eq!(reach.check_url("http://93.184.216.34/").map(drop), Err(AddressProblem::NotHttps));
    }

    #[test]
    fn sandbox_policy_allows_only_loopback() {
        let reach = EgressPolicy::loopback_only(Networks::default());
        assert!(reach.is_loopback_only() && !EgressPolicy::new(Networks::default()).is_loopback_only());
        assert_eq!(reach.check_url("http://localhost:9000/hooks").map(drop), Ok(()));
        assert_eq!(reach.check_url("http://[::1]:9000/").map(drop), Ok(()));
        for far in ["https://example.com/", "https://93.184.216.34/"] {
            assert_eq!(reach.check_url(far).map(drop), Err(AddressProblem::OnlyThisMachine), "{far}");
        }
        assert_eq!(reach.check_url("https://10.0.0.1/").map(drop), Err(AddressProblem::Private));
    }

    #[tokio::test]
    async fn host_name_with_any_forbidden_address_is_rejected() {
        let resolved = async |found: &[&str]| {
            let found: Vec<IpAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
            let lookup: DnsLookup = Arc::new(move |_| {
                let found = found.clone();
                Box::pin(async { Ok(found) })
            });
            let checked =
                GuardedResolver { policy: EgressPolicy::new(Networks::default()), lookup, transport: Transport::Https };
            checked.resolve("example.com".parse().unwrap()).await.map(Iterator::count).ok()
        };
        assert_eq!(resolved(&["93.184.216.34", "2606:4700::1111"]).await, Some(2));
        assert_eq!(resolved(&["93.184.216.34", "127.0.0.1"]).await, None);
        assert_eq!(resolved(&["fd00::1"]).await, None);
        assert_eq!(resolved(&["::ffff:169.254.169.254"]).await, None);
    }
}
