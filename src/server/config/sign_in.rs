//! How people sign in: with a password stored here, or with Clerk.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use clap::{Args, ValueEnum};
use jsonwebtoken::DecodingKey;
use url::{Host, Url};

use super::parse::{non_blank, parse_secret};
use super::public_url::PublicUrl;
use crate::server::crypto::webhook_key::WebhookKey;
use crate::server::domain::Secret;

/// The settings as given.
#[derive(Args, Clone)]
pub struct SignInSettings {
    /// What manages people and organizations: Evergrant itself, or Clerk.
    #[arg(long, env = "EVERGRANT_AUTH", value_name = "WAY", default_value = "local")]
    auth: AuthMode,

    /// Clerk's publishable key, pk_test_… or pk_live_…; it contains the address of your Clerk application.
    #[arg(long, env = "CLERK_PUBLISHABLE_KEY", value_name = "KEY")]
    clerk_publishable_key: Option<String>,

    /// Clerk's JWT public key, as PEM: session tokens are then verified without fetching Clerk's keys.
    #[arg(long, env = "CLERK_JWT_KEY", value_name = "PEM", allow_hyphen_values = true)]
    clerk_jwt_key: Option<String>,

    /// The origins whose pages may use their session tokens here, separated by commas.
    /// [default: the public URL]
    #[arg(long, env = "CLERK_AUTHORIZED_PARTIES", value_name = "ORIGINS")]
    clerk_authorized_parties: Option<String>,

    /// The signing secret of Clerk's webhook endpoint, whsec_…; without it no webhook is accepted, and no API key that a
    /// person created.
    #[arg(long, env = "CLERK_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true, value_parser = parse_secret)]
    clerk_webhook_secret: Option<Arc<Secret>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AuthMode {
    Local,
    Clerk,
}

/// The validated settings.
pub enum SignIn {
    /// Sign-in with an email address and a password that are stored here.
    Local,
    /// Sign-in with Clerk, which also manages people and organizations.
    Clerk(Box<ClerkApp>),
}

/// The Clerk application.
#[derive(Clone)]
pub struct ClerkApp {
    /// Clerk's publishable key, without surrounding whitespace.
    pub publishable_key: String,
    /// The origin of its script and its keys, and the `iss` of its tokens.
    pub frontend_api: String,
    /// Verifies session tokens. If `None`, the keys are fetched from the frontend API.
    pub jwt_key: Option<DecodingKey>,
    /// The accepted values of a token's `azp`.
    pub authorized_parties: Vec<String>,
    /// The key that webhooks are signed with; `None` if none are accepted.
    pub webhook_key: Option<WebhookKey>,
}

/// Clerk settings that can't be used. Each text names the variable and what to fix.
#[derive(Debug, thiserror::Error)]
pub enum ClerkError {
    /// `CLERK_PUBLISHABLE_KEY` is missing or blank.
    #[error("EVERGRANT_AUTH=clerk needs CLERK_PUBLISHABLE_KEY: Clerk's dashboard shows it with the API keys")]
    MissingPublishableKey,
    /// `CLERK_PUBLISHABLE_KEY` holds a secret key.
    #[error("CLERK_PUBLISHABLE_KEY holds a secret key, which Evergrant never needs: set the one that begins with pk_")]
    SecretKey,
    /// `CLERK_PUBLISHABLE_KEY` is not a publishable key, or names no valid host.
    #[error("CLERK_PUBLISHABLE_KEY isn't a publishable key: copy all of pk_test_… or pk_live_… from Clerk's dashboard")]
    MalformedPublishableKey,
    /// `CLERK_JWT_KEY` is not a PEM public key.
    #[error("CLERK_JWT_KEY isn't a PEM public key: copy all of it, from -----BEGIN PUBLIC KEY----- to the end")]
    MalformedJwtKey,
    /// An entry of `CLERK_AUTHORIZED_PARTIES` is not a valid origin.
    #[error("CLERK_AUTHORIZED_PARTIES: {party:?} {source}")]
    MalformedParty {
        /// The entry, as given.
        party: String,
        /// Why it is not a valid origin.
        source: super::public_url::PublicUrlError,
    },
    /// `CLERK_WEBHOOK_SECRET` is not a signing secret.
    #[error(
        "CLERK_WEBHOOK_SECRET isn't a signing secret: copy all of whsec_… from the endpoint's page in Clerk's dashboard"
    )]
    MalformedWebhookSecret,
}

impl SignIn {
    /// Returns whether this server learns that a person left an organization, although they never come back.
    pub fn tells_who_leaves(&self) -> bool {
        match self {
            Self::Local => true,
            Self::Clerk(app) => app.webhook_key.is_some(),
        }
    }

    /// Says what to do instead of adding people here, if Clerk manages them.
    pub fn delegated_advice(&self) -> Option<&'static str> {
        match self {
            Self::Local => None,
            Self::Clerk(_) => Some(
                "people and organizations are managed in Clerk (EVERGRANT_AUTH=clerk): invite them there, and they are \
                 added here when they first sign in",
            ),
        }
    }
}

impl SignInSettings {
    /// Validates the settings. Clerk's are ignored for local sign-in.
    pub fn check(self, public_url: &PublicUrl) -> Result<SignIn, ClerkError> {
        if self.auth == AuthMode::Local {
            return Ok(SignIn::Local);
        }
        let text = |setting: Option<String>| setting.filter(|text| !text.trim().is_empty());
        let publishable_key =
            text(self.clerk_publishable_key).ok_or(ClerkError::MissingPublishableKey)?.trim().to_owned();
        Ok(SignIn::Clerk(Box::new(ClerkApp {
            frontend_api: parse_frontend_api(&publishable_key)?,
            publishable_key,
            jwt_key: text(self.clerk_jwt_key).map(|pem| parse_jwt_key(&pem)).transpose()?,
            authorized_parties: parse_parties(text(self.clerk_authorized_parties).as_deref(), public_url)?,
            webhook_key: non_blank(self.clerk_webhook_secret)
                .map(|secret| WebhookKey::parse(&secret).ok_or(ClerkError::MalformedWebhookSecret))
                .transpose()?,
        })))
    }
}

/// Returns the origin that a publishable key names: base64 of its host and a `$`. Loopback hosts get plain http.
fn parse_frontend_api(key: &str) -> Result<String, ClerkError> {
    if key.starts_with("sk_") {
        return Err(ClerkError::SecretKey);
    }
    let host = key
        .strip_prefix("pk_test_")
        .or(key.strip_prefix("pk_live_"))
        .and_then(decode_host)
        .ok_or(ClerkError::MalformedPublishableKey)?;
    let url = Url::parse(&format!("https://{host}")).map_err(|_| ClerkError::MalformedPublishableKey)?;
    let origin = url.origin().ascii_serialization();
    // More than a host, or a host that isn't in browsers' canonical form, isn't from Clerk.
    if origin != format!("https://{host}") {
        return Err(ClerkError::MalformedPublishableKey);
    }
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err(ClerkError::MalformedPublishableKey),
    };
    Ok(if here { format!("http://{host}") } else { origin })
}

fn decode_host(encoded: &str) -> Option<String> {
    let bytes = STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
    String::from_utf8(bytes).ok()?.strip_suffix('$').filter(|host| !host.is_empty()).map(str::to_owned)
}

/// Parses the PEM. Accepts a single line with escaped `\n`.
fn parse_jwt_key(pem: &str) -> Result<DecodingKey, ClerkError> {
    let pem = pem.replace("\\n", "\n");
    if pem.contains("PRIVATE") {
        return Err(ClerkError::MalformedJwtKey);
    }
    DecodingKey::from_rsa_pem(pem.trim().as_bytes()).map_err(|_| ClerkError::MalformedJwtKey)
}

/// Parses the origins into the form that browsers send, which is the one in tokens.
fn parse_parties(text: Option<&str>, public_url: &PublicUrl) -> Result<Vec<String>, ClerkError> {
    let Some(text) = text else { return Ok(vec![public_url.origin().to_owned()]) };
    let named = text.split(',').map(str::trim).filter(|party| !party.is_empty());
    named
        .map(|party| match party.parse::<PublicUrl>() {
            Ok(url) => Ok(url.origin().to_owned()),
            Err(source) => Err(ClerkError::MalformedParty { party: party.to_owned(), source }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        settings: SignInSettings,
    }

    fn check(flags: &[&str]) -> Result<SignIn, String> {
        let all = std::iter::once("evergrant").chain(flags.iter().copied());
        let command = Command::try_parse_from(all).map_err(|error| error.to_string())?;
        let public_url = "https://evergrant.example.com".parse().unwrap();
        command.settings.check(&public_url).map_err(|error| error.to_string())
    }

    fn clerk(flags: &[&str]) -> Result<ClerkApp, String> {
        match check(&[&["--auth", "clerk"], flags].concat())? {
            SignIn::Clerk(app) => Ok(*app),
            SignIn::Local => Err("local".to_owned()),
        }
    }

    fn key(host: &str) -> String {
        format!("pk_test_{}", STANDARD.encode(format!("{host}$")))
    }

    #[test]
    fn local_sign_in_is_the_default() {
        assert!(matches!(check(&[]), Ok(SignIn::Local)));
        assert!(matches!(check(&["--clerk-publishable-key", "pk_test_x"]), Ok(SignIn::Local)));
    }

    #[test]
    fn publishable_key_contains_the_frontend_api() {
        for (host, origin) in [
            ("calm-fox-12.clerk.accounts.dev", "https://calm-fox-12.clerk.accounts.dev"),
            ("clerk.example.com", "https://clerk.example.com"),
            ("localhost:4100", "http://localhost:4100"),
            ("127.0.0.1:4100", "http://127.0.0.1:4100"),
        ] {
            let app = clerk(&["--clerk-publishable-key", &key(host)]).unwrap();
            assert_eq!(app.frontend_api, origin);
            assert_eq!(app.authorized_parties, ["https://evergrant.example.com"]);
            assert!(app.jwt_key.is_none() && app.webhook_key.is_none());
        }
    }

    #[test]
    fn malformed_clerk_settings_are_refused_naming_the_variable() {
        for bad in ["a.example/path", "user@a.example", "a.example; script-src *", "A.example", "a b", ""] {
            assert!(clerk(&["--clerk-publishable-key", &key(bad)]).err().unwrap().contains("pk_test_…"), "{bad}");
        }
        for (flags, words) in [
            (&[][..], "needs CLERK_PUBLISHABLE_KEY"),
            (&["--clerk-publishable-key", " "], "needs CLERK_PUBLISHABLE_KEY"),
            (&["--clerk-publishable-key", "sk_test_abc"], "a secret key"),
            (&["--clerk-publishable-key", "pk_test_!"], "isn't a publishable key"),
            (&["--clerk-publishable-key", "pk_test_YS5leGFtcGxl"], "isn't a publishable key"),
        ] {
            let error = clerk(flags).err().unwrap();
            assert!(error.contains(words), "{flags:?}: {error}");
        }
        let named = key("clerk.example.com");
        for (flags, words) in [
            (["--clerk-jwt-key", "-----BEGIN PUBLIC KEY-----"], "CLERK_JWT_KEY"),
            (["--clerk-jwt-key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"], "CLERK_JWT_KEY"),
            (["--clerk-authorized-parties", "https://a.example, b.example"], "\"b.example\""),
            (["--clerk-webhook-secret", "AAAA"], "CLERK_WEBHOOK_SECRET"),
            (["--clerk-webhook-secret", "whsec_AAAA"], "CLERK_WEBHOOK_SECRET"),
        ] {
            let error = clerk(&[&["--clerk-publishable-key", &named], &flags[..]].concat()).err().unwrap();
            assert!(error.contains(words), "{flags:?}: {error}");
        }
    }

    #[test]
    fn parties_are_normalized_as_browsers_send_them() {
        let named = key("clerk.example.com");
        let parties = ["--clerk-authorized-parties", "https://A.example/, http://localhost:3000"];
        let app = clerk(&[&["--clerk-publishable-key", &named], &parties[..]].concat()).unwrap();
        assert_eq!(app.authorized_parties, ["https://a.example", "http://localhost:3000"]);
    }
}
