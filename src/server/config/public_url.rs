//! The origin that browsers see.

use std::str::FromStr;

use url::{Host, Url};

/// Scheme, host and port only. Links, cookies and the OAuth redirect URI are built from it.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicUrl {
    origin: String,
    https: bool,
    distinct_loopback_port: Option<u16>,
}

/// The port of a server on this machine that has nothing set, whose cookies have no port in their names.
const DEFAULT_PORT: u16 = 3000;

/// Why a text can't be the public URL.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PublicUrlError {
    #[error("not a URL: write it like https://evergrant.example.com")]
    Malformed,
    #[error(
        "must be an origin, without user name, path, query and fragment: write it like https://evergrant.example.com"
    )]
    NotAnOrigin,
    #[error("must begin with https: plain http is for this machine only (localhost, 127.0.0.1 or [::1])")]
    PlainHttp,
}

impl PublicUrl {
    /// Returns the origin as browsers send it in `Origin`, without a trailing slash.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns whether the scheme is https.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Returns the port if the host is this machine and the port isn't the default one. Programs on other ports of this
    /// machine share the browser's cookies with this one.
    pub fn distinct_loopback_port(&self) -> Option<u16> {
        self.distinct_loopback_port
    }

    /// Returns whether a `Host` header names this machine otherwise than the public URL does, such as `127.0.0.1:3000`
    /// for `localhost:3000`. Browsers keep the cookies of the two apart, so a consent that began at one ends without its
    /// session at the other.
    pub fn is_other_loopback_name(&self, host: &str) -> bool {
        let (Ok(public), Ok(other)) = (Url::parse(&self.origin), Url::parse(&format!("http://{host}"))) else {
            return false;
        };
        !self.https
            && is_loopback(&public)
            && is_loopback(&other)
            && public.port_or_known_default() == other.port_or_known_default()
            && public.host() != other.host()
    }

    /// Returns whether a page of `origin` is ours: its scheme, host and port are those of the public URL. If that is plain
    /// http on this machine, so is a page of any name and port of this machine that sends a request to where it came from
    /// itself, which `host` says: ports of containers are mapped, and instances share a public URL.
    pub fn is_own_origin(&self, origin: &str, host: &str) -> bool {
        let is_same_loopback = || {
            origin.strip_prefix("http://") == Some(host) && Url::parse(origin).is_ok_and(|origin| is_loopback(&origin))
        };
        origin == self.origin || (!self.https && is_same_loopback())
    }

    /// Returns the URL of a path, which must begin with a slash.
    pub fn url_for(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

impl Default for PublicUrl {
    /// Returns the URL of a server that has nothing set.
    fn default() -> Self {
        Self { origin: format!("http://localhost:{DEFAULT_PORT}"), https: false, distinct_loopback_port: None }
    }
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text.trim()).map_err(|_| PublicUrlError::Malformed)?;
        let https = match url.scheme() {
            "https" => true,
            "http" if is_loopback(&url) => false,
            "http" => return Err(PublicUrlError::PlainHttp),
            _ => return Err(PublicUrlError::Malformed),
        };
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(PublicUrlError::NotAnOrigin);
        }
        let port = url.port_or_known_default().filter(|port| is_loopback(&url) && *port != DEFAULT_PORT);
        Ok(Self { origin: url.origin().ascii_serialization(), https, distinct_loopback_port: port })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_normalized_as_browsers_send_it() {
        for (text, origin, https) in [
            ("https://Evergrant.Example.com/", "https://evergrant.example.com", true),
            ("https://evergrant.example.com:443", "https://evergrant.example.com", true),
            ("https://bücher.example", "https://xn--bcher-kva.example", true),
            ("http://localhost:3000", "http://localhost:3000", false),
            ("http://[::1]:3000", "http://[::1]:3000", false),
        ] {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!((url.origin(), url.is_https()), (origin, https));
            assert_eq!(url.url_for("/login"), format!("{origin}/login"));
        }
    }

    #[test]
    fn other_names_of_this_machine_are_recognized() {
        let public: PublicUrl = "http://localhost:3000".parse().unwrap();
        for (host, expected) in [
            ("127.0.0.1:3000", true),
            ("[::1]:3000", true),
            ("localhost:3000", false),
            ("127.0.0.1:8080", false),
            ("evergrant.example.com:3000", false),
            ("", false),
        ] {
            assert_eq!(public.is_other_loopback_name(host), expected, "{host}");
        }
        let deployed: PublicUrl = "https://evergrant.example.com".parse().unwrap();
        assert!(!deployed.is_other_loopback_name("127.0.0.1"));
    }

    #[test]
    fn own_origin_has_the_scheme_host_and_port_of_the_public_url() {
        let deployed: PublicUrl = "https://evergrant.example.com".parse().unwrap();
        let host = "evergrant.example.com";
        assert!(deployed.is_own_origin("https://evergrant.example.com", host));
        assert!(deployed.is_own_origin("https://evergrant.example.com", "10.0.0.7:3000"), "a proxy changes the host");
        for other in [
            "http://evergrant.example.com",
            "https://evergrant.example.com:8443",
            "https://evergrant.example.com.",
            "https://www.evergrant.example.com",
            "http://127.0.0.1:3000",
            "null",
            "",
        ] {
            let host = other.rsplit('/').next().unwrap();
            assert!(!deployed.is_own_origin(other, host), "{other}");
        }
    }

    #[test]
    fn every_name_and_port_of_this_machine_is_an_own_origin_for_itself_alone() {
        let local: PublicUrl = "http://localhost:3000".parse().unwrap();
        for (origin, host, expected) in [
            ("http://localhost:3000", "localhost:3000", true),
            ("http://127.0.0.1:3000", "127.0.0.1:3000", true),
            ("http://[::1]:3000", "[::1]:3000", true),
            ("http://localhost:8080", "localhost:8080", true),
            ("http://localhost:8080", "localhost:3000", false),
            ("http://127.0.0.1:3000", "[::1]:3000", false),
            ("https://localhost:3000", "localhost:3000", false),
            // Another site's name that resolves to this machine (DNS rebinding).
            ("http://rebound.example:3000", "rebound.example:3000", false),
            ("http://192.168.1.5:3000", "192.168.1.5:3000", false),
        ] {
            assert_eq!(local.is_own_origin(origin, host), expected, "{origin} to {host}");
        }
    }

    #[test]
    fn non_origins_and_remote_plain_http_are_refused() {
        for (text, error) in [
            ("evergrant.example.com", PublicUrlError::Malformed),
            ("ftp://evergrant.example.com", PublicUrlError::Malformed),
            ("http://evergrant.example.com", PublicUrlError::PlainHttp),
            ("https://evergrant.example.com/app", PublicUrlError::NotAnOrigin),
            ("https://a:b@evergrant.example.com", PublicUrlError::NotAnOrigin),
            ("https://evergrant.example.com/?a", PublicUrlError::NotAnOrigin),
        ] {
            assert_eq!(text.parse::<PublicUrl>(), Err(error), "{text}");
        }
    }
}
