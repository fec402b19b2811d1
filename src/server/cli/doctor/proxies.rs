//! Checks that every proxy in front of the servers is trusted.

use super::check::{Check, unreadable};
use crate::server::clock::Clock;
use crate::server::config::{Config, Networks};
use crate::server::store::Database;

const NAME: &str = "proxies";

pub async fn check_proxies(config: &Config, database: &Database, clock: &Clock) -> Check {
    match database.untrusted_forwarders(clock.now()).await {
        Ok(peers) => judge(&peers, &config.trusted_proxies),
        Err(error) => unreadable(NAME, &error),
    }
}

fn judge(peers: &[String], trusted: &Networks) -> Check {
    // A peer that was added to the setting since then is no news.
    let untrusted: Vec<&str> = peers
        .iter()
        .filter(|peer| !peer.parse().is_ok_and(|address| trusted.contains(address)))
        .map(String::as_str)
        .collect();
    if untrusted.is_empty() {
        return Check::ok(NAME, "Nobody untrusted sent X-Forwarded-For within a week.");
    }
    Check::warn(
        NAME,
        format!("X-Forwarded-For was ignored from {}.", untrusted.join(", ")),
        "If one is your proxy, add it to EVERGRANT_TRUSTED_PROXIES: until then everybody behind it shares one limit on \
         sign-ins. Otherwise it is a stranger, and there is nothing to do.",
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn proxy_that_is_not_trusted_is_named() {
        let peers = ["10.0.0.1".to_owned(), "192.0.2.7".to_owned()];
        let check = judge(&peers, &"10.0.0.0/8".parse().unwrap());
        assert_eq!(check.verdict, Verdict::Warn);
        assert!(check.found.contains("192.0.2.7") && !check.found.contains("10.0.0.1"));
        assert_eq!(judge(&peers, &"0.0.0.0/0".parse().unwrap()).verdict, Verdict::Ok);
    }
}
