//! Checks that people can sign in with Clerk or an OpenID Connect provider, if they do.

use super::check::{Check, pluralize, to_sentence};
use crate::server::auth::{OidcProvider, probe_keys};
use crate::server::clock::Clock;
use crate::server::config::{ClerkApp, Config, OidcConfig, SignIn};

pub async fn all(config: &Config, clock: &Clock) -> Vec<Check> {
    match &config.sign_in {
        SignIn::Local => match &config.oidc {
            Some(oidc) => vec![provider(oidc, clock).await],
            None => Vec::new(),
        },
        SignIn::Clerk(app) => vec![keys(app, clock).await, parties(app, config), webhooks(app)],
    }
}

async fn provider(oidc: &OidcConfig, clock: &Clock) -> Check {
    let (name, issuer) = ("OpenID Connect", &oidc.issuer);
    let probed = match OidcProvider::new(oidc, clock.clone()) {
        Ok(provider) => provider.probe().await,
        Err(error) => Err(error.into()),
    };
    match probed {
        Ok(number) => Check::ok(name, format!("{issuer} answers with {}.", pluralize(number, "key", "keys"))),
        Err(error) => Check::fail(
            name,
            to_sentence(&error),
            "Check EVERGRANT_OIDC_ISSUER, and this machine's DNS, firewall and HTTPS_PROXY. Until then nobody can sign in \
             with it. Passwords still work.",
        ),
    }
}

async fn keys(app: &ClerkApp, clock: &Clock) -> Check {
    let (name, host) = ("Clerk", &app.frontend_api);
    match probe_keys(app, clock).await {
        Ok(None) => Check::ok(name, "Session tokens are verified with CLERK_JWT_KEY. No request was sent."),
        Ok(Some(number)) => Check::ok(name, format!("{host} answers with {}.", pluralize(number, "key", "keys"))),
        Err(error) => Check::fail(
            name,
            to_sentence(&error),
            "Check CLERK_PUBLISHABLE_KEY, and this machine's DNS, firewall and HTTPS_PROXY; or set CLERK_JWT_KEY. \
             Until then nobody can sign in.",
        ),
    }
}

fn parties(app: &ClerkApp, config: &Config) -> Check {
    let (name, public) = ("Clerk's parties", config.public_url.origin());
    let listed = app.authorized_parties.join(", ");
    if app.authorized_parties.iter().any(|party| party == public) {
        return Check::ok(name, format!("Tokens for {listed} are accepted."));
    }
    Check::fail(
        name,
        format!("Tokens for {listed} are accepted, but not those for our own pages at {public}."),
        "Add the public URL to CLERK_AUTHORIZED_PARTIES, or unset it.",
    )
}

fn webhooks(app: &ClerkApp) -> Check {
    let name = "Clerk's webhooks";
    match app.webhook_key {
        Some(_) => Check::ok(name, "Accepted at /api/webhooks/clerk."),
        None => Check::warn(
            name,
            "None are accepted: new names and removals are only noticed at a person's next request, and API keys that \
             people create are refused.",
            "Create an endpoint for organization and organizationMembership events in Clerk's dashboard, and set \
             CLERK_WEBHOOK_SECRET.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;
    use crate::server::crypto::webhook_key::WebhookKey;
    use crate::server::domain::Secret;

    const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn app(webhook_key: Option<WebhookKey>) -> ClerkApp {
        ClerkApp {
            publishable_key: "pk_test_x".into(),
            frontend_api: "https://clerk.example.com".into(),
            jwt_key: None,
            authorized_parties: vec!["https://evergrant.example.com".into()],
            webhook_key,
        }
    }

    #[test]
    fn missing_webhook_secret_warns_and_a_set_one_is_not_shown() {
        assert_eq!(webhooks(&app(None)).verdict, Verdict::Warn);
        let check = webhooks(&app(WebhookKey::parse(&Secret::new(WEBHOOK_SECRET))));
        assert!(check.verdict == Verdict::Ok && !check.found.contains(&WEBHOOK_SECRET[6..]));
    }
}
