//! Where Xero lives: three base addresses, checked once, and how paths are hung under them.

use url::{Host, Url};

/// Xero's three hosts. A base may have a path of its own, as the sandbox's has; everything hangs under it.
#[derive(Clone, Debug)]
pub struct Endpoints {
    pub login: Url,
    pub identity: Url,
    pub api: Url,
}

/// An address that tokens must not be sent to. `setting` names the variable to mend.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EndpointError {
    #[error("{setting} isn't an address: {reason}. Write it like https://api.xero.com")]
    NotAnAddress { setting: &'static str, reason: url::ParseError },
    #[error("{setting} must begin with https. Plain http is for this machine alone (localhost, 127.0.0.1 or [::1])")]
    NotEncrypted { setting: &'static str },
    #[error("{setting} must be a plain base address, without a user name, a password, a ? or a #")]
    NotABase { setting: &'static str },
}

impl Endpoints {
    pub fn parse(login: &str, identity: &str, api: &str) -> Result<Self, EndpointError> {
        Ok(Self {
            login: base("XERO_LOGIN_URL", login)?,
            identity: base("XERO_IDENTITY_URL", identity)?,
            api: base("XERO_API_URL", api)?,
        })
    }
}

fn base(setting: &'static str, text: &str) -> Result<Url, EndpointError> {
    let url = Url::parse(text.trim()).map_err(|reason| EndpointError::NotAnAddress { setting, reason })?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        _ => return Err(EndpointError::NotEncrypted { setting }),
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.query().is_some() || url.fragment().is_some() {
        return Err(EndpointError::NotABase { setting });
    }
    Ok(url)
}

/// This machine, by an address or a name that no name server is asked for.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Hangs a path under a base and keeps the base's own; each segment is percent-encoded.
pub(super) fn under(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    // Only addresses like `mailto:` have no path to extend, and `parse` lets none in.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::{EndpointError, Endpoints, is_loopback, under};
    use url::Url;

    fn parse_api(address: &str) -> Result<Endpoints, EndpointError> {
        Endpoints::parse("https://login.xero.com", "https://identity.xero.com", address)
    }

    #[test]
    fn paths_hang_under_the_base_with_its_own_path() {
        let cases = [
            ("https://api.xero.com", "https://api.xero.com/api.xro/2.0/Organisation"),
            ("https://api.xero.com/", "https://api.xero.com/api.xro/2.0/Organisation"),
            ("http://localhost:3000/sandbox/xero", "http://localhost:3000/sandbox/xero/api.xro/2.0/Organisation"),
            ("http://localhost:3000/sandbox/xero/", "http://localhost:3000/sandbox/xero/api.xro/2.0/Organisation"),
        ];
        for (address, whole) in cases {
            let endpoints = parse_api(address).unwrap();
            assert_eq!(under(&endpoints.api, &["api.xro", "2.0", "Organisation"]).as_str(), whole);
        }
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        let base = Url::parse("https://api.xero.com/").unwrap();
        assert_eq!(
            under(&base, &["connections", "a/b?c#d"]).as_str(),
            "https://api.xero.com/connections/a%2Fb%3Fc%23d"
        );
    }

    #[test]
    fn plain_http_reaches_this_machine_alone() {
        for good in
            ["http://localhost:1", "http://LOCALHOST", "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:1"]
        {
            assert!(parse_api(good).is_ok(), "{good}");
            assert!(is_loopback(&Url::parse(good).unwrap()), "{good}");
        }
        for bad in [
            "http://api.xero.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://[2001:db8::1]",
            "ftp://localhost",
        ] {
            assert_eq!(parse_api(bad).unwrap_err(), EndpointError::NotEncrypted { setting: "XERO_API_URL" }, "{bad}");
        }
    }

    #[test]
    fn what_is_no_base_address_is_refused_by_name() {
        for bad in ["https://me:secret@api.xero.com", "https://api.xero.com/?a=b", "https://api.xero.com/#a"] {
            let error = parse_api(bad).unwrap_err();
            assert_eq!(error, EndpointError::NotABase { setting: "XERO_API_URL" }, "{bad}");
            assert!(!error.to_string().contains("secret"));
        }
        assert!(matches!(parse_api("api.xero.com"), Err(EndpointError::NotAnAddress { setting: "XERO_API_URL", .. })));
        assert!(parse_api("https://").is_err());
    }
}
