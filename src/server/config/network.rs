//! IP networks in CIDR notation, and matching addresses against them.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A list of addresses and networks, parsed from `10.0.0.0/8, fd00::/8, 127.0.0.1`. An empty list contains no address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Networks(Vec<IpNet>);

/// The part of a list that isn't an address or a network.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{0:?} isn't an address or a network: write it like 10.0.0.7 or 10.0.0.0/8")]
pub struct NetworkError(String);

impl Networks {
    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether every network is within the loopback range.
    pub fn is_only_loopback(&self) -> bool {
        self.0.iter().all(|network| network.addr().is_loopback() && network.prefix_len() >= 8)
    }

    /// Returns the networks of both lists.
    pub fn merged_with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Returns whether a network contains the address. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(parse).collect::<Result<_, _>>().map(Self)
    }
}

fn parse(text: &str) -> Result<IpNet, NetworkError> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| NetworkError(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses_only() {
        let networks: Networks = "10.0.0.0/8, 192.0.2.7,fd00::/8".parse().unwrap();
        for inside in ["10.255.0.1", "192.0.2.7", "fd12::1", "::ffff:10.1.2.3"] {
            assert!(networks.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "fe80::1", "::1"] {
            assert!(!networks.contains(outside.parse().unwrap()), "{outside}");
        }
        let all: Networks = "0.0.0.0/0,::/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()) && all.contains("2001:db8::1".parse().unwrap()));
        assert!(!Networks::default().contains("127.0.0.1".parse().unwrap()));
        assert_eq!("".parse(), Ok(Networks::default()));
    }

    #[test]
    fn malformed_networks_are_refused() {
        for text in ["10.0.0.0/33", "::/129", "proxy", "10.0.0.1/", "10.0.0.1/8/8"] {
            assert_eq!(text.parse::<Networks>(), Err(NetworkError(text.into())), "{text}");
        }
    }
}
