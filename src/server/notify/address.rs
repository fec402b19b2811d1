//! Where webhooks may go: to public addresses, and to those private ones that the operator named.
//!
//! The address that is checked is the one that is connected to: names are resolved here, once for each connection,
//! and whoever changes their answer between a check and a connection changes nothing.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::model::AddressProblem;
use crate::server::config::Networks;

/// What no public receiver has: IANA's special-purpose registries for IPv4 and IPv6 (RFC 6890 and its successors).
/// Of IPv6 only `2000::/3` is handed out at all; inside it stand Teredo and its like, documentation, and 6to4, which
/// leads to an IPv4 address of its own.
const NOT_PUBLIC: &str = "0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,172.16.0.0/12,192.0.0.0/24,\
     192.0.2.0/24,192.31.196.0/24,192.52.193.0/24,192.88.99.0/24,192.168.0.0/16,192.175.48.0/24,198.18.0.0/15,\
     198.51.100.0/24,203.0.113.0/24,224.0.0.0/4,240.0.0.0/4,\
     ::/3,2001::/23,2001:db8::/32,2002::/16,2620:4f:8000::/48,3fff::/20,4000::/2,8000::/1";

static SPECIAL: LazyLock<Networks> = LazyLock::new(|| {
    // A constant that a test parses.
    NOT_PUBLIC.parse().expect("networks")
});

/// Which addresses webhooks may reach.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Private networks that the operator allows, also without https.
    allowed: Networks,
    /// Whether the public may be reached at all. Not in sandbox mode: nothing leaves this machine.
    public: bool,
}

/// Finds a name's addresses. The system's; a test's own.
pub type Lookup =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> + Send + Sync>;

impl Reach {
    /// Public addresses, and these private networks.
    pub fn new(allowed: Networks) -> Self {
        Self { allowed, public: true }
    }

    /// This machine alone, and these private networks.
    pub fn only_this_machine(allowed: Networks) -> Self {
        // A constant that a test parses.
        let own: Networks = "127.0.0.0/8,::1".parse().expect("networks");
        Self { allowed: allowed.and(own), public: false }
    }

    pub fn is_only_this_machine(&self) -> bool {
        !self.public
    }

    /// Whether events may be posted there, as far as can be said before the name is resolved.
    pub fn check(&self, text: &str) -> Result<Url, AddressProblem> {
        let url = Url::parse(text.trim()).map_err(|_| AddressProblem::Malformed)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressProblem::Credentials);
        }
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(AddressProblem::Malformed),
        };
        if plain && self.allowed.is_empty() {
            return Err(AddressProblem::NotHttps);
        }
        match url.host() {
            None => return Err(AddressProblem::Malformed),
            Some(Host::Ipv4(address)) => self.check_address(address.into(), plain)?,
            Some(Host::Ipv6(address)) => self.check_address(address.into(), plain)?,
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                // This machine's own names mean no other, whoever resolves them (RFC 6761, 6.3).
                let own = name == "localhost" || name.ends_with(".localhost");
                if own {
                    self.check_address(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), plain)?;
                } else if !self.public && self.allowed.is_only_loopback() {
                    return Err(AddressProblem::OnlyThisMachine);
                }
            }
        }
        Ok(url)
    }

    /// Whether this very address may be connected to. Without TLS only what the operator allows: nobody reads along
    /// there but who may.
    pub fn check_address(&self, address: IpAddr, plain: bool) -> Result<(), AddressProblem> {
        let public = !SPECIAL.hold(address);
        if self.allowed.hold(address) {
            return Ok(());
        }
        match (public, self.public) {
            (true, true) if plain => Err(AddressProblem::NotHttps),
            (true, true) => Ok(()),
            (true, false) => Err(AddressProblem::OnlyThisMachine),
            (false, _) => Err(AddressProblem::Private),
        }
    }
}

/// Resolves names for one client, and hands on nothing that it hasn't checked.
pub struct Checked {
    pub reach: Reach,
    pub lookup: Lookup,
    /// Whether the client sends without TLS.
    pub plain: bool,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, plain) = (self.reach.clone(), self.plain);
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let found = found.await?;
            // One address that may not be reached spoils the name: nobody with good intentions mixes them.
            for address in &found {
                reach.check_address(*address, plain)?;
            }
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// The system's resolver.
pub fn system() -> Lookup {
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
    fn only_public_addresses_are_reached() {
        let reach = Reach::new(Networks::default());
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
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
            assert_eq!(reach.check_address(address, false), Err(AddressProblem::Private), "{private}");
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
            assert_eq!(reach.check_address(address, false), Ok(()), "{public}");
            assert_eq!(reach.check_address(address, true), Err(AddressProblem::NotHttps), "{public}");
        }
    }

    #[test]
    fn an_address_is_judged_however_it_is_written() {
        let reach = Reach::new(Networks::default());
        let cases = [
            ("https://example.com/hooks?key=1", Ok(())),
            ("https://93.184.216.34/", Ok(())),
            ("http://example.com/", Err(AddressProblem::NotHttps)),
            ("ftp://example.com/", Err(AddressProblem::Malformed)),
            ("example.com/hooks", Err(AddressProblem::Malformed)),
            ("https://", Err(AddressProblem::Malformed)),
            ("javascript:alert(1)", Err(AddressProblem::Malformed)),
            ("https://ann:secret@example.com/", Err(AddressProblem::Credentials)),
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
            assert_eq!(reach.check(text).map(drop), expected, "{text}");
        }
    }

    #[test]
    fn the_operator_opens_private_networks_by_name() {
        let reach = Reach::new(networks("10.0.0.0/8,127.0.0.1"));
        for good in ["http://10.1.2.3:8080/", "https://10.1.2.3/", "http://localhost:9000/", "https://example.com/"] {
            assert_eq!(reach.check(good).map(drop), Ok(()), "{good}");
        }
        assert_eq!(reach.check("https://192.168.0.1/").map(drop), Err(AddressProblem::Private));
        assert_eq!(reach.check("http://93.184.216.34/").map(drop), Err(AddressProblem::NotHttps));
    }

    #[test]
    fn in_the_sandbox_nothing_leaves_this_machine() {
        let reach = Reach::only_this_machine(Networks::default());
        assert_eq!(reach.check("http://localhost:9000/hooks").map(drop), Ok(()));
        assert_eq!(reach.check("http://[::1]:9000/").map(drop), Ok(()));
        for far in ["https://example.com/", "https://93.184.216.34/"] {
            assert_eq!(reach.check(far).map(drop), Err(AddressProblem::OnlyThisMachine), "{far}");
        }
        assert_eq!(reach.check("https://10.0.0.1/").map(drop), Err(AddressProblem::Private));
    }

    #[tokio::test]
    async fn a_name_is_refused_for_any_address_that_may_not_be_reached() {
        let resolved = async |found: &[&str]| {
            let found: Vec<IpAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
            let lookup: Lookup = Arc::new(move |_| {
                let found = found.clone();
                Box::pin(async { Ok(found) })
            });
            let checked = Checked { reach: Reach::new(Networks::default()), lookup, plain: false };
            checked.resolve("example.com".parse().unwrap()).await.map(Iterator::count).ok()
        };
        assert_eq!(resolved(&["93.184.216.34", "2606:4700::1111"]).await, Some(2));
        assert_eq!(resolved(&["93.184.216.34", "127.0.0.1"]).await, None);
        assert_eq!(resolved(&["fd00::1"]).await, None);
        assert_eq!(resolved(&["::ffff:169.254.169.254"]).await, None);
    }
}
