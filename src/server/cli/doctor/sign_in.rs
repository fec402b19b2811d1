//! Whether people can sign in, where that isn't for us alone to say.

use super::check::{Check, count, sentence};
use crate::server::auth::probe_keys;
use crate::server::clock::Clock;
use crate::server::config::{ClerkApp, Config, SignIn};

pub async fn all(config: &Config, clock: &Clock) -> Vec<Check> {
    match &config.sign_in {
        SignIn::Local => Vec::new(),
        SignIn::Clerk(app) => vec![keys(app, clock).await, parties(app, config), webhooks(app)],
    }
}

async fn keys(app: &ClerkApp, clock: &Clock) -> Check {
    let (name, host) = ("Clerk", &app.frontend_api);
    match probe_keys(app, clock).await {
        Ok(None) => Check::ok(name, "Session tokens are checked with CLERK_JWT_KEY. Nothing was asked."),
        Ok(Some(number)) => Check::ok(name, format!("{host} answers with {}.", count(number, "key", "keys"))),
        Err(error) => Check::fail(
            name,
            sentence(&error),
            "Check CLERK_PUBLISHABLE_KEY, and from this machine the name server, the firewall and HTTPS_PROXY; or set \
             CLERK_JWT_KEY. Until then nobody can sign in.",
        ),
    }
}

fn parties(app: &ClerkApp, config: &Config) -> Check {
    let (name, public) = ("Clerk's parties", config.public_url.origin());
    let listed = app.authorized_parties.join(", ");
    if app.authorized_parties.iter().any(|party| party == public) {
        return Check::ok(name, format!("Tokens of {listed} count."));
    }
    Check::fail(
        name,
        format!("Tokens of {listed} count, and those of our own pages at {public} don't."),
        "Add the public address to CLERK_AUTHORIZED_PARTIES, or leave that away.",
    )
}

fn webhooks(app: &ClerkApp) -> Check {
    let name = "Clerk's webhooks";
    match app.webhook_key {
        Some(_) => Check::ok(name, "Taken at /api/webhooks/clerk."),
        None => Check::warn(
            name,
            "None are taken: names, and that somebody was removed, are only learned when people come by.",
            "Make an endpoint for organization and organizationMembership events in Clerk's dashboard, and set \
             CLERK_WEBHOOK_SECRET.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    fn app(webhooks: bool) -> ClerkApp {
        ClerkApp {
            publishable_key: "pk_test_x".into(),
            frontend_api: "https://clerk.example.com".into(),
            jwt_key: None,
            authorized_parties: vec!["https://evergrant.example.com".into()],
            webhook_key: webhooks.then(|| std::sync::Arc::new(crate::server::domain::Secret::new("AAAA"))),
        }
    }

    #[test]
    fn webhooks_are_missed_and_never_shown() {
        assert_eq!(webhooks(&app(false)).verdict, Verdict::Warn);
        let check = webhooks(&app(true));
        assert!(check.verdict == Verdict::Ok && !check.found.contains("AAAA"));
    }
}
