//! Xero's three base URLs, validated once, and how paths are joined to them.

use url::{Host, Url};

use crate::server::domain::SANDBOX_ISSUER;

/// Xero's three base URLs. A base may have a path, as the sandbox's do.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// Base URL of Xero's consent page.
    pub login: Url,
    /// Base URL of the identity server, which issues and revokes tokens.
    pub identity: Url,
    /// Base URL of the API.
    pub api: Url,
}

/// A base URL that is not valid. `setting` is the environment variable to fix.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EndpointError {
    /// The text could not be parsed as a URL.
    #[error("{setting} isn't a URL: {reason}. Use a URL such as https://api.xero.com")]
    InvalidUrl {
        /// Environment variable that holds the URL.
        setting: &'static str,
        /// Why it could not be parsed.
        reason: url::ParseError,
    },
    /// The URL uses neither https nor plain http to a loopback host.
    #[error("{setting} must begin with https. Plain http is allowed only for localhost, 127.0.0.1 and [::1]")]
    NotEncrypted {
        /// Environment variable that holds the URL.
        setting: &'static str,
    },
    /// The URL has a user name, password, query or fragment.
    #[error("{setting} must be a base URL without a user name, password, query or fragment")]
    NotABaseUrl {
        /// Environment variable that holds the URL.
        setting: &'static str,
    },
}

impl Endpoints {
    /// Parses and validates the three base URLs.
    pub fn parse(login: &str, identity: &str, api: &str) -> Result<Self, EndpointError> {
        Ok(Self {
            login: parse_base("XERO_LOGIN_URL", login)?,
            identity: parse_base("XERO_IDENTITY_URL", identity)?,
            api: parse_base("XERO_API_URL", api)?,
        })
    }

    /// Returns the issuer of the tokens that these endpoints issue: the identity server's base URL without a trailing
    /// slash. A loopback address is a sandbox, and every sandbox is the same issuer, whatever its address.
    pub fn issuer(&self) -> String {
        if is_loopback(&self.identity) {
            return SANDBOX_ISSUER.to_owned();
        }
        self.identity.as_str().trim_end_matches('/').to_owned()
    }
}

fn parse_base(setting: &'static str, text: &str) -> Result<Url, EndpointError> {
    let url = Url::parse(text.trim()).map_err(|reason| EndpointError::InvalidUrl { setting, reason })?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        _ => return Err(EndpointError::NotEncrypted { setting }),
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.query().is_some() || url.fragment().is_some() {
        return Err(EndpointError::NotABaseUrl { setting });
    }
    Ok(url)
}

/// Returns whether the URL's host is a loopback address or `localhost`, which needs no DNS.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Appends segments to the base's path. Percent-encodes each segment.
pub(super) fn join_path(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    // Only URLs such as `mailto:` have no path segments, and `parse` rejects them.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::{EndpointError, Endpoints, is_loopback, join_path};
    use url::Url;

    fn parse_api(address: &str) -> Result<Endpoints, EndpointError> {
        Endpoints::parse("https://login.xero.com", "https://identity.xero.com", address)
    }

    #[test]
    fn paths_are_appended_to_the_base_path() {
        let cases = [
            ("https://api.xero.com", "https://api.xero.com/api.xro/2.0/Organisation"),
            ("https://api.xero.com/", "https://api.xero.com/api.xro/2.0/Organisation"),
            ("http://localhost:3000/sandbox/xero", "http://localhost:3000/sandbox/xero/api.xro/2.0/Organisation"),
            ("http://localhost:3000/sandbox/xero/", "http://localhost:3000/sandbox/xero/api.xro/2.0/Organisation"),
        ];
        for (address, whole) in cases {
            let endpoints = parse_api(address).unwrap();
            assert_eq!(join_path(&endpoints.api, &["api.xro", "2.0", "Organisation"]).as_str(), whole);
        }
    }

    #[test]
    fn every_loopback_address_is_the_sandbox_issuer() {
        let issuer =
            |identity| Endpoints::parse("https://login.xero.com", identity, "https://api.xero.com").unwrap().issuer();
        assert_eq!(issuer("https://identity.xero.com/"), "https://identity.xero.com");
        for sandbox in ["http://localhost:3000/sandbox/xero", "http://127.0.0.1:4000/", "https://[::1]:1"] {
            assert_eq!(issuer(sandbox), "sandbox", "{sandbox}");
        }
    }

    #[test]
    fn segments_are_percent_encoded() {
        let base = Url::parse("https://api.xero.com/").unwrap();
        assert_eq!(
            join_path(&base, &["connections", "a/b?c#d"]).as_str(),
            "https://api.xero.com/connections/a%2Fb%3Fc%23d"
        );
    }

    #[test]
    fn plain_http_is_allowed_for_loopback_only() {
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
    fn invalid_base_url_error_names_the_setting() {
        for bad in [
            "https://me:secret@api.xero.com",
            "https://me@api.xero.com",
            "https://:secret@api.xero.com",
            "https://api.xero.com/?a=b",
            "https://api.xero.com/#a",
        ] {
            let error = parse_api(bad).unwrap_err();
            assert_eq!(error, EndpointError::NotABaseUrl { setting: "XERO_API_URL" }, "{bad}");
            assert!(!error.to_string().contains("secret"));
        }
        assert!(matches!(parse_api("api.xero.com"), Err(EndpointError::InvalidUrl { setting: "XERO_API_URL", .. })));
        assert!(parse_api("https://").is_err());
    }
}
