//! IP networks in CIDR notation, and matching addresses against them.

use std::net::IpAddr;
use std::str::FromStr;

/// A list of addresses and networks, parsed from `10.0.0.0/8, fd00::/8, 127.0.0.1`. An empty list contains no address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Networks(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

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
        self.0.iter().all(|network| network.address.is_loopback() && network.prefix >= 8)
    }

    /// Returns the networks of both lists.
    pub fn merged_with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Returns whether a network contains the address. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same_prefix(a.to_bits().into(), b.to_bits().into(), 32, self.prefix),
            (IpAddr::V6(a), IpAddr::V6(b)) => same_prefix(a.to_bits(), b.to_bits(), 128, self.prefix),
            _ => false,
        }
    }
}

fn same_prefix(a: u128, b: u128, bits: u32, prefix: u8) -> bool {
    // A shift by all 128 bits returns `None`: a network with prefix 0 contains every address.
    (a ^ b).checked_shr(bits - u32::from(prefix)).unwrap_or(0) == 0
}

impl FromStr for Networks {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(parse).collect::<Result<_, _>>().map(Self)
    }
}

fn parse(text: &str) -> Result<Network, NetworkError> {
    let wrong = || NetworkError(text.to_owned());
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= bits).ok_or_else(wrong)?,
        None => bits,
    };
    Ok(Network { address, prefix })
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
