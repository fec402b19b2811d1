//! Sign-in with an OpenID Connect provider, beside passwords.

use std::sync::Arc;

use clap::Args;
use url::{Host, Url};

use super::error::ConfigError;
use super::parse::{non_blank, parse_secret};
use crate::model::OrgId;
use crate::server::domain::Secret;

/// Xero's issuer, whose button says so.
const XERO_ISSUER: &str = "https://identity.xero.com";

/// The settings as given.
#[derive(Args, Clone)]
pub struct OidcSettings {
    /// The issuer of an OpenID Connect provider that people may sign in with, such as https://identity.xero.com.
    #[arg(long, env = "EVERGRANT_OIDC_ISSUER", value_name = "URL")]
    oidc_issuer: Option<String>,

    /// Evergrant's client ID at the OpenID Connect provider.
    #[arg(long, env = "EVERGRANT_OIDC_CLIENT_ID", value_name = "ID")]
    oidc_client_id: Option<String>,

    /// Evergrant's client secret at the OpenID Connect provider.
    #[arg(long, env = "EVERGRANT_OIDC_CLIENT_SECRET", value_name = "SECRET", hide_env_values = true, value_parser = parse_secret)]
    oidc_client_secret: Option<Arc<Secret>>,

    /// What the button on the sign-in page calls the provider.
    /// [default: Xero for Xero's issuer, else the issuer's host]
    #[arg(long, env = "EVERGRANT_OIDC_NAME", value_name = "NAME")]
    oidc_name: Option<String>,

    /// Email domains whose people get an account when they first sign in, separated by commas. Only addresses that the
    /// provider has verified count. Everybody else needs an invitation.
    #[arg(long, env = "EVERGRANT_OIDC_DOMAINS", value_name = "DOMAINS")]
    oidc_domains: Option<String>,

    /// The ID of the organization that people of these domains join as members.
    #[arg(long, env = "EVERGRANT_OIDC_ORG_ID", value_name = "ID")]
    oidc_org_id: Option<OrgId>,
}

/// The validated settings.
pub struct OidcConfig {
    /// The issuer, exactly as its tokens name it.
    pub issuer: String,
    /// Our client ID there.
    pub client_id: String,
    /// Our client secret there.
    pub client_secret: Secret,
    /// What the button calls the provider.
    pub name: String,
    /// Email domains, in lower case, whose people get an account when they first sign in.
    pub domains: Vec<String>,
    /// The organization that they join as members.
    pub org: Option<OrgId>,
}

/// OpenID Connect settings that can't be used. Each text names the variable and what to fix.
#[derive(Debug, thiserror::Error)]
pub enum OidcSettingsError {
    /// Some of the three required settings are missing.
    #[error(
        "{missing} isn't set: signing in with OpenID Connect needs EVERGRANT_OIDC_ISSUER, EVERGRANT_OIDC_CLIENT_ID and \
         EVERGRANT_OIDC_CLIENT_SECRET, or none of them"
    )]
    Incomplete {
        /// The environment variable that isn't set.
        missing: &'static str,
    },
    /// The issuer is not an https URL without a query.
    #[error("EVERGRANT_OIDC_ISSUER must be an https URL without user name, query and fragment, as its tokens name it")]
    MalformedIssuer,
    /// An entry of `EVERGRANT_OIDC_DOMAINS` is not a domain.
    #[error("EVERGRANT_OIDC_DOMAINS: {0:?} isn't a domain: write it like example.com")]
    MalformedDomain(String),
    /// Clerk manages people.
    #[error("EVERGRANT_OIDC_ISSUER can't be used with EVERGRANT_AUTH=clerk: add the provider in Clerk's dashboard")]
    WithClerk,
}

impl OidcSettings {
    /// Validates the settings. `None` if none of them is set.
    pub fn check(self, with_clerk: bool) -> Result<Option<OidcConfig>, ConfigError> {
        let text = |setting: Option<String>| setting.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
        let (issuer, client_id) = (text(self.oidc_issuer), text(self.oidc_client_id));
        let client_secret = non_blank(self.oidc_client_secret);
        if issuer.is_none() && client_id.is_none() && client_secret.is_none() {
            return Ok(None);
        }
        let incomplete = |missing| OidcSettingsError::Incomplete { missing };
        let issuer = issuer.ok_or(incomplete("EVERGRANT_OIDC_ISSUER"))?;
        let client_id = client_id.ok_or(incomplete("EVERGRANT_OIDC_CLIENT_ID"))?;
        let client_secret = client_secret.ok_or(incomplete("EVERGRANT_OIDC_CLIENT_SECRET"))?;
        if with_clerk {
            return Err(OidcSettingsError::WithClerk.into());
        }
        let host = issuer_host(&issuer).ok_or(OidcSettingsError::MalformedIssuer)?;
        let default_name = if issuer == XERO_ISSUER { "Xero".to_owned() } else { host };
        Ok(Some(OidcConfig {
            name: text(self.oidc_name).unwrap_or(default_name),
            domains: parse_domains(&self.oidc_domains.unwrap_or_default())?,
            org: self.oidc_org_id.filter(|org| !org.as_str().is_empty()),
            issuer,
            client_id,
            client_secret,
        }))
    }
}

/// Returns the issuer's host, or `None` if the text is no issuer.
fn issuer_host(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(is_https_or_loopback)?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    url.host_str().filter(|_| plain).map(str::to_owned)
}

/// Returns whether requests to the URL can't be read on their way: it is https, or plain http on this machine.
pub fn is_https_or_loopback(url: &Url) -> bool {
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(Host::Ipv6(address))) => address.is_loopback(),
        ("http", Some(Host::Domain(name))) => name == "localhost",
        _ => false,
    }
}

fn parse_domains(text: &str) -> Result<Vec<String>, OidcSettingsError> {
    let named = text.split(',').map(|domain| domain.trim().to_lowercase()).filter(|domain| !domain.is_empty());
    // The parser admits more than a domain's letters, such as the star of a wildcard, which no address would match.
    let is_plain = |domain: &str| domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    named
        .map(|domain| match Host::parse(&domain) {
            Ok(Host::Domain(parsed)) if parsed == domain && domain.contains('.') && is_plain(&domain) => Ok(domain),
            _ => Err(OidcSettingsError::MalformedDomain(domain)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        settings: OidcSettings,
    }

    fn check(flags: &[(&str, &str)], with_clerk: bool) -> Result<Option<OidcConfig>, String> {
        let flags = flags.iter().flat_map(|(name, value)| [*name, *value]);
        let command = Command::parse_from(std::iter::once("evergrant").chain(flags));
        command.settings.check(with_clerk).map_err(|error| error.to_string())
    }

    fn check_with(issuer: &str, more: (&str, &str)) -> Result<OidcConfig, String> {
        let all = [("--oidc-issuer", issuer), ("--oidc-client-id", "id"), ("--oidc-client-secret", "secret"), more];
        check(&all, false).map(Option::unwrap)
    }

    #[test]
    fn provider_is_named_by_its_host_unless_it_is_xero_or_has_a_name() {
        assert!(check(&[("--oidc-issuer", " ")], false).unwrap().is_none());
        let none = ("--oidc-name", "");
        assert_eq!(check_with("https://login.example.com/tenant", none).unwrap().name, "login.example.com");
        assert_eq!(check_with("https://identity.xero.com", none).unwrap().name, "Xero");
        assert_eq!(check_with("https://login.example.com", ("--oidc-name", "Harbour")).unwrap().name, "Harbour");
    }

    #[test]
    fn unusable_settings_are_refused_naming_the_variable() {
        let error = check(&[("--oidc-issuer", "https://a.example"), ("--oidc-client-id", "id")], false).err().unwrap();
        assert!(error.starts_with("EVERGRANT_OIDC_CLIENT_SECRET isn't set"), "{error}");
        for issuer in ["http://a.example", "a.example", "https://a.example?x=1", "https://me@a.example"] {
            let error = check_with(issuer, ("--oidc-name", "")).err().unwrap();
            assert!(error.starts_with("EVERGRANT_OIDC_ISSUER"), "{issuer}: {error}");
        }
        for domain in ["@a.example", "*.a.example", "localhost", "10.0.0.1", "a.example/x"] {
            let error = check_with("https://a.example", ("--oidc-domains", domain)).err().unwrap();
            assert!(error.starts_with("EVERGRANT_OIDC_DOMAINS"), "{domain}: {error}");
        }
        let all = [("--oidc-issuer", "https://a.example"), ("--oidc-client-id", "id"), ("--oidc-client-secret", "s")];
        assert!(check(&all, true).err().unwrap().contains("EVERGRANT_AUTH=clerk"));
    }

    #[test]
    fn domains_are_read_in_lower_case() {
        let config = check_with("https://a.example", ("--oidc-domains", " Example.com, b.example,")).unwrap();
        assert_eq!(config.domains, ["example.com", "b.example"]);
    }
}
