//! Whether Xero can be reached from here, and how far its clock and ours are apart.

use super::check::{Check, sentence};
use crate::server::app;
use crate::server::clock::Clock;
use crate::server::config::Config;
use crate::server::xero::{ErrorKind, Transient, XeroError};

/// Seconds between the clocks from which on somebody should look, and from which on times can't be trusted.
const APART: u64 = 30;
const FAR_APART: u64 = 5 * 60;

pub async fn all(config: &Config, clock: &Clock) -> Vec<Check> {
    if config.xero_app.is_none() {
        let found = "Sandbox mode: the provider is a part of the server and shares its clock. Nothing was asked.";
        return vec![Check::ok("Xero", found)];
    }
    let host = config.xero_endpoints.identity.as_str();
    let xero = match app::client(config, clock, config.listen) {
        Ok(xero) => xero,
        Err(error) => {
            let to_do = "Check this machine's TLS certificates and proxy settings.";
            return vec![Check::fail("Xero", sentence(&error), to_do)];
        }
    };
    match xero.probe().await {
        Ok(ahead) => vec![Check::ok("Xero", format!("{host} answers.")), clocks(ahead)],
        Err(error) => vec![unanswered(host, &error)],
    }
}

fn unanswered(host: &str, error: &XeroError) -> Check {
    let code = error.evidence_code();
    match error.kind {
        ErrorKind::Transient(Transient::RateLimited | Transient::ServerError) => Check::warn(
            "Xero",
            format!("{host} answers, but not as it should ({code})."),
            "Nothing here: it is tried again by itself. status.xero.com says whether Xero knows.",
        ),
        ErrorKind::Transient(Transient::Timeout | Transient::Unreachable) => Check::fail(
            "Xero",
            format!("{host} can't be reached ({code})."),
            "Check XERO_IDENTITY_URL, and from this machine the name server, the firewall and HTTPS_PROXY. Tokens that \
             are still valid are served meanwhile.",
        ),
        _ => Check::fail(
            "Xero",
            format!("What answers at {host} isn't Xero ({code})."),
            "Check XERO_IDENTITY_URL, and whether a proxy answers in Xero's place.",
        ),
    }
}

fn clocks(ahead: Option<i64>) -> Check {
    let name = "clock";
    let Some(ahead) = ahead else {
        return Check::ok(name, "Xero didn't say what time it is.");
    };
    let apart = ahead.unsigned_abs();
    let found = match ahead {
        0 => "This machine's clock and Xero's agree.".to_owned(),
        1.. => format!("This machine's clock is {apart} seconds behind Xero's."),
        _ => format!("This machine's clock is {apart} seconds ahead of Xero's."),
    };
    let to_do = "Set this machine's clock by NTP: a token's end is counted on it.";
    if apart <= APART {
        Check::ok(name, found)
    } else if apart <= FAR_APART {
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
    fn clocks_may_be_a_little_apart_and_no_more() {
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
            assert_eq!(clocks(Some(ahead)).verdict, verdict, "{ahead}");
        }
        assert!(clocks(Some(40)).found.contains("40 seconds behind"));
        assert!(clocks(Some(-40)).found.contains("40 seconds ahead"));
        assert_eq!(clocks(None).verdict, Verdict::Ok);
    }
}
