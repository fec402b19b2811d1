//! Builds the services' settings and clients from the configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use evergrant_sandbox::{Options, SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET, Sandbox, SandboxError};

use super::StartupError;
use crate::model::paths;
use crate::server::clock::Clock;
use crate::server::config::{ApiConfig, Config};
use crate::server::domain::{AppIdentity, Plan, Secret};
use crate::server::jobs::sweeper::SweeperOptions;
use crate::server::notify::{CredentialsErrorFn, EgressPolicy, Mailer, Notifier, WebhookClient};
use crate::server::proxy::CallLimits;
use crate::server::store::Store;
use crate::server::tokens::Policy;
use crate::server::xero::{Endpoints, XeroClient};

/// Concurrent refreshes per organization: Xero allows five concurrent calls per tenant.
const REFRESH_CONCURRENCY_PER_ORG: usize = 4;
/// Concurrent exchanges of the sweeper: enough for a hundred per second if Xero takes half a second.
const SWEEP_CONCURRENCY: usize = 64;

/// Returns when and how tokens are refreshed.
pub fn policy(config: &Config) -> Policy {
    Policy {
        buffer: seconds(config.refresh.buffer),
        roll_after: seconds(config.refresh.roll_after),
        lease_ttl: config.refresh.lease_ttl,
        // The lease holder needs up to Xero's timeout, and some time to commit.
        wait_limit: config.xero.timeout + Duration::from_secs(5),
        concurrency: REFRESH_CONCURRENCY_PER_ORG,
    }
}

/// Returns when a grant is due for the sweeper.
pub fn plan(config: &Config) -> Plan {
    let policy = policy(config);
    Plan {
        buffer: policy.buffer,
        roll_after: policy.roll_after,
        keep_hot: config.sweep.keep_hot,
        reconcile_interval: seconds(config.sweep.connections_interval),
    }
}

/// Returns Xero's limits on calls of programs.
pub(super) fn call_limits(config: &Config) -> CallLimits {
    let ApiConfig { concurrent_calls, calls_per_minute, calls_per_day, app_calls_per_minute, proxy_wait, .. } =
        config.api;
    CallLimits {
        concurrent: concurrent_calls.get(),
        per_minute: calls_per_minute.get(),
        per_day: calls_per_day.get(),
        app_per_minute: app_calls_per_minute.get(),
        wait: proxy_wait,
    }
}

/// Gives a store the settings that its statements depend on. Only without Xero credentials is there a demo login. Keys
/// that people created are accepted if Evergrant manages members, or if Clerk's webhooks tell it who leaves.
pub fn configured_store(config: &Config, store: Store) -> Store {
    let store = store.with_plan(plan(config)).with_demo_login(config.xero.app.is_none());
    let store = store.with_personal_keys(config.sign_in.tells_who_leaves());
    store.with_session_idle_timeout(seconds(config.session_idle_timeout))
}

/// Returns how often and how fast the sweeper works.
pub(super) fn sweeper_options(config: &Config) -> SweeperOptions {
    SweeperOptions {
        interval: config.sweep.interval,
        concurrency: SWEEP_CONCURRENCY,
        per_minute: config.sweep.exchanges_per_minute,
    }
}

/// Builds the Xero client; in sandbox mode it calls the sandbox of the server that listens on `address`.
pub fn xero_client(config: &Config, clock: &Clock, address: SocketAddr) -> Result<XeroClient, StartupError> {
    let (endpoints, client_id, secret) = match &config.xero.app {
        Some(app) => (config.xero.endpoints.clone(), app.client_id.clone(), Secret::new(app.client_secret.expose())),
        None => {
            // Browsers use the public URL; our own calls go directly to this socket.
            let own = format!("http://{}{}", connectable_address(address), paths::SANDBOX);
            let endpoints = Endpoints::parse(&config.public_url.url_for(paths::SANDBOX), &own, &own)?;
            (endpoints, SANDBOX_CLIENT_ID.to_owned(), Secret::new(SANDBOX_CLIENT_SECRET))
        }
    };
    let app = AppIdentity { client_id, issuer: endpoints.issuer() };
    Ok(XeroClient::new(endpoints, app, secret, config.xero.timeout, clock.clone())?)
}

/// Opens the sandbox if no Xero app is configured.
pub(super) async fn sandbox(config: &Config, clock: &Clock) -> Result<Option<Sandbox>, SandboxError> {
    if config.xero.app.is_some() {
        return Ok(None);
    }
    let clock = clock.clone();
    let mut options = Options::new(config.public_url.url_for(paths::SANDBOX), Arc::new(move || clock.now()));
    options.state_file = Some(config.data_dir.join("sandbox.json"));
    Sandbox::open(options).await.map(Some)
}

/// Builds the notifier. In sandbox mode webhooks may only reach this machine.
pub(super) fn notifier(config: &Config, store: &Store, refused: CredentialsErrorFn) -> Result<Notifier, StartupError> {
    let allowed = config.notify.private_webhooks.clone();
    let egress_policy =
        if config.xero.app.is_some() { EgressPolicy::new(allowed) } else { EgressPolicy::loopback_only(allowed) };
    let webhooks = WebhookClient::new(egress_policy).map_err(StartupError::WebhookClient)?;
    let mailer = config.notify.mail.as_ref().map(Mailer::new).transpose()?;
    let public_url = config.public_url.origin().to_owned();
    Ok(Notifier::new(store.clone(), webhooks, mailer, public_url, policy(config).roll_after, refused))
}

/// Replaces an unspecified address, which listens on every interface, by the loopback address.
pub fn connectable_address(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::server::config::Settings;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn plan_uses_the_configured_intervals() {
        let flags = ["evergrant", "--refresh-buffer", "5m", "--roll-after", "30d", "--connections-interval", "6h"];
        let config = Command::try_parse_from(flags).unwrap().settings.check().unwrap();
        let plan = plan(&config);
        assert_eq!((plan.buffer, plan.roll_after, plan.reconcile_interval), (300, 30 * 86_400, 6 * 3_600));
    }
}
