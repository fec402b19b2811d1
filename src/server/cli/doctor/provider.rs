//! Checks that Xero can be reached, and compares its clock with this machine's.

use super::check::{Check, to_sentence};
use crate::server::clock::Clock;
use crate::server::config::Config;
use crate::server::startup;
use crate::server::xero::{ErrorKind, Transient, XeroError};

/// The difference between the clocks, in seconds, above which the check warns.
const CLOCK_SKEW_WARN_SECONDS: u64 = 30;
/// The difference between the clocks, in seconds, above which the check fails.
const CLOCK_SKEW_FAIL_SECONDS: u64 = 5 * 60;

pub async fn all(config: &Config, clock: &Clock) -> Vec<Check> {
    if config.xero.app.is_none() {
        let found = "Sandbox mode: the provider is part of the server and shares its clock. No request was sent.";
        return vec![Check::ok("Xero", found)];
    }
    let host = config.xero.endpoints.identity.as_str();
    let xero = match startup::xero_client(config, clock, config.listen) {
        Ok(xero) => xero,
        Err(error) => {
            let to_do = "Check this machine's TLS certificates and proxy settings.";
            return vec![Check::fail("Xero", to_sentence(&error), to_do)];
        }
    };
    match xero.probe().await {
        Ok(ahead) => vec![Check::ok("Xero", format!("{host} answers.")), clock_skew(ahead)],
        Err(error) => vec![failed_probe(host, &error)],
    }
}

fn failed_probe(host: &str, error: &XeroError) -> Check {
    let code = error.evidence_code();
    match error.kind {
        ErrorKind::Transient(Transient::RateLimited | Transient::ServerError) => Check::warn(
            "Xero",
            format!("{host} answers with an error ({code})."),
            "Nothing: Evergrant retries by itself. status.xero.com shows if Xero knows.",
        ),
        ErrorKind::Transient(Transient::Timeout | Transient::Unreachable) => Check::fail(
            "Xero",
            format!("{host} can't be reached ({code})."),
            "Check XERO_IDENTITY_URL, and this machine's DNS, firewall and HTTPS_PROXY. Tokens that are still valid \
             are served meanwhile.",
        ),
        _ => Check::fail(
            "Xero",
            format!("What answers at {host} isn't Xero ({code})."),
            "Check XERO_IDENTITY_URL, and whether a proxy answers in Xero's place.",
        ),
    }
}

fn clock_skew(ahead: Option<i64>) -> Check {
    let name = "clock";
    let Some(ahead) = ahead else {
        return Check::ok(name, "Xero's response had no date.");
    };
    let apart = ahead.unsigned_abs();
    let found = match ahead {
        0 => "This machine's clock and Xero's agree.".to_owned(),
        1.. => format!("This machine's clock is {apart} seconds behind Xero's."),
        _ => format!("This machine's clock is {apart} seconds ahead of Xero's."),
    };
    let to_do = "Synchronize this machine's clock by NTP: token expiry is computed with it.";
    if apart <= CLOCK_SKEW_WARN_SECONDS {
        Check::ok(name, found)
    } else if apart <= CLOCK_SKEW_FAIL_SECONDS {
        Check::warn(name, found, to_do)
    } else {
        Check::fail(name, found, to_do)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn small_clock_skew_is_tolerated() {
        let cases = [
            (0, Verdict::Ok),
            (30, Verdict::Ok),
            (-30, Verdict::Ok),
            (31, Verdict::Warn),
            (-31, Verdict::Warn),
            (300, Verdict::Warn),
            (301, Verdict::Fail),
            (-301, Verdict::Fail),
        ];
        for (ahead, verdict) in cases {
            assert_eq!(clock_skew(Some(ahead)).verdict, verdict, "{ahead}");
        }
        assert!(clock_skew(Some(40)).found.contains("40 seconds behind"));
        assert!(clock_skew(Some(-40)).found.contains("40 seconds ahead"));
        assert_eq!(clock_skew(None).verdict, Verdict::Ok);
    }
}
