//! The origin that browsers see.

use std::str::FromStr;

use url::{Host, Url};

/// Scheme, host and port, and nothing else: links, cookies and the consent's way back are made from it.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicUrl {
    origin: String,
    https: bool,
}

/// Why an address can't be the public one.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PublicUrlError {
    #[error("not an address: write it like https://evergrant.example.com")]
    Unreadable,
    #[error("must be an origin, without user name, path, ? and #: write it like https://evergrant.example.com")]
    TooMuch,
    #[error("must begin with https: plain http is for this machine alone (localhost, 127.0.0.1 or [::1])")]
    PlainHttp,
}

impl PublicUrl {
    /// As browsers send it in `Origin`, without a slash at the end.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The address of one of our paths, which begins with a slash.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text.trim()).map_err(|_| PublicUrlError::Unreadable)?;
        let https = match url.scheme() {
            "https" => true,
            "http" if is_loopback(&url) => false,
            "http" => return Err(PublicUrlError::PlainHttp),
            _ => return Err(PublicUrlError::Unreadable),
        };
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(PublicUrlError::TooMuch);
        }
        Ok(Self { origin: url.origin().ascii_serialization(), https })
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
    fn an_origin_is_written_as_browsers_send_it() {
        for (text, origin, https) in [
            ("https://Evergrant.Example.com/", "https://evergrant.example.com", true),
            ("https://evergrant.example.com:443", "https://evergrant.example.com", true),
            ("https://bücher.example", "https://xn--bcher-kva.example", true),
            ("http://localhost:3000", "http://localhost:3000", false),
            ("http://[::1]:3000", "http://[::1]:3000", false),
        ] {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!((url.origin(), url.is_https()), (origin, https));
            assert_eq!(url.at("/login"), format!("{origin}/login"));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (text, error) in [
            ("evergrant.example.com", PublicUrlError::Unreadable),
            ("ftp://evergrant.example.com", PublicUrlError::Unreadable),
            ("http://evergrant.example.com", PublicUrlError::PlainHttp),
            ("https://evergrant.example.com/app", PublicUrlError::TooMuch),
            ("https://a:b@evergrant.example.com", PublicUrlError::TooMuch),
            ("https://evergrant.example.com/?a", PublicUrlError::TooMuch),
        ] {
            assert_eq!(text.parse::<PublicUrl>(), Err(error), "{text}");
        }
    }
}
