//! `evergrant sandbox`: runs the Xero sandbox alone, on its own address.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use serde_json::json;
use tokio::net::TcpListener;

use super::CliError;
use super::output::Output;
use super::serve::stop_signal;
use crate::server::clock::Clock;
use crate::server::config::parse_duration;
use crate::server::telemetry::logging;
use crate::server::telemetry::logging::LogFormat;
use evergrant_sandbox::{
    CallLimits, Client, Fault, Oddity, OddityKind, Options, ReplayMode, SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET,
    Sandbox, ScopeRefusal,
};

#[derive(Args)]
pub struct Flags {
    /// The address and port to listen on; port 0 picks a free one.
    #[arg(long, env = "EVERGRANT_SANDBOX_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:3100")]
    listen: SocketAddr,
    /// The URL at which people and programs reach it: the value for XERO_LOGIN_URL, XERO_IDENTITY_URL and XERO_API_URL.
    /// [default: http://localhost and the port]
    #[arg(long, env = "EVERGRANT_SANDBOX_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Keep the state in this file across restarts. Without it the state is lost.
    #[arg(long, env = "EVERGRANT_SANDBOX_STATE", value_name = "FILE")]
    state_file: Option<PathBuf>,
    /// The client id that it accepts.
    #[arg(long, env = "EVERGRANT_SANDBOX_CLIENT_ID", value_name = "ID", default_value = SANDBOX_CLIENT_ID)]
    client_id: String,
    /// The client secret that it accepts; protects nothing.
    #[arg(long, env = "EVERGRANT_SANDBOX_CLIENT_SECRET", value_name = "SECRET", default_value = SANDBOX_CLIENT_SECRET)]
    client_secret: String,
    /// Another app that it accepts; repeat the flag for several. Tokens of one app are refused to another.
    #[arg(long, env = "EVERGRANT_SANDBOX_CLIENT", value_name = "ID:SECRET", hide_env_values = true)]
    client: Vec<Client>,
    /// An allowed redirect URI, compared exactly; repeat the flag, or separate several with commas.
    /// Without one: every https URI, and http on this machine.
    #[arg(long, env = "EVERGRANT_SANDBOX_REDIRECT_URIS", value_name = "URL", value_delimiter = ',')]
    redirect_uri: Vec<String>,
    /// How long an access token is valid.
    #[arg(long, env = "EVERGRANT_SANDBOX_ACCESS_TTL", value_name = "TIME", default_value = "30m", value_parser = parse_duration)]
    access_ttl: Duration,
    /// How long an unused refresh token is valid.
    #[arg(long, env = "EVERGRANT_SANDBOX_REFRESH_TTL", value_name = "TIME", default_value = "60d", value_parser = parse_duration)]
    refresh_ttl: Duration,
    /// How long an authorization code is valid.
    #[arg(long, env = "EVERGRANT_SANDBOX_CODE_TTL", value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    code_ttl: Duration,
    /// How long a rotated refresh token is still accepted.
    #[arg(long, env = "EVERGRANT_SANDBOX_GRACE", value_name = "TIME", default_value = "30m", value_parser = parse_duration)]
    grace: Duration,
    /// What a rotated refresh token returns within that time: the same successor again, a sibling of it, or the newest
    /// successor, which ends its siblings.
    #[arg(long, env = "EVERGRANT_SANDBOX_REPLAY", value_name = "MODE", default_value = "same")]
    replay: Replay,
    /// Leave a connection's authEventId as it is when a person connects the tenant again.
    #[arg(long, env = "EVERGRANT_SANDBOX_KEEP_AUTH_EVENT_ID")]
    keep_auth_event_id: bool,
    /// How many connections of generated tenants each person has besides their own.
    #[arg(long, env = "EVERGRANT_SANDBOX_EXTRA_TENANTS", value_name = "COUNT", default_value_t = 0)]
    extra_tenants: usize,
    /// Let one consent connect several tenants, or none.
    #[arg(long, env = "EVERGRANT_SANDBOX_BULK_CONNECTIONS")]
    bulk_connections: bool,
    /// A scope that the app may not ask for; repeat the flag, or separate several with commas.
    #[arg(long, env = "EVERGRANT_SANDBOX_REFUSED_SCOPES", value_name = "SCOPE", value_delimiter = ',')]
    refused_scopes: Vec<String>,
    /// What the callback says about such a scope.
    #[arg(long, env = "EVERGRANT_SANDBOX_SCOPE_REFUSAL", value_name = "KIND", default_value = "wrong-app")]
    scope_refusal: RefusalKind,
    /// How long each response is delayed.
    #[arg(long, env = "EVERGRANT_SANDBOX_LATENCY", value_name = "TIME", default_value = "0ms", value_parser = parse_duration)]
    latency: Duration,
    /// A fault to inject from the start, in the control route's format; repeat the flag for several, in order:
    /// {"endpoint":"token","kind":"status","status":503,"times":2}
    #[arg(long, env = "EVERGRANT_SANDBOX_FAULT", value_name = "JSON")]
    fault: Vec<Fault>,
    /// An unusual form of every successful response; repeat the flag, or separate several with commas.
    /// Tokens: content_type_text, content_type_html, content_type_missing, bom, status_201, expires_in_text,
    /// expires_in_float, expires_in_null, expires_in_zero, expires_in_missing, expires_in_negative, expires_in_absurd,
    /// scope_list, scope_missing, token_type_other, token_type_missing. Refreshes: id_token, refresh_token_kept,
    /// refresh_token_removed. Connections: nulls, missing_fields, unreadable_entry, empty, first_missing.
    #[arg(long, env = "EVERGRANT_SANDBOX_ODDITY", value_name = "NAME", value_delimiter = ',')]
    oddity: Vec<OddityKind>,
    /// How far its clock runs ahead of this machine's.
    #[arg(long, env = "EVERGRANT_SANDBOX_CLOCK_AHEAD", value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    clock_ahead: Duration,
    /// How far its clock runs behind this machine's.
    #[arg(long, env = "EVERGRANT_SANDBOX_CLOCK_BEHIND", value_name = "TIME", default_value = "0s", value_parser = parse_duration, conflicts_with = "clock_ahead")]
    clock_behind: Duration,
    /// Print the URL and the address as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Replay {
    Same,
    Sibling,
    Newest,
}

#[derive(Clone, Copy, ValueEnum)]
enum RefusalKind {
    WrongApp,
    NamesScope,
    NotAllowed,
    InvalidScope,
}

pub async fn run(flags: Flags) -> Result<(), CliError> {
    logging::start(LogFormat::Text);
    let listener = TcpListener::bind(flags.listen).await.map_err(|error| format!("{}: {error}", flags.listen))?;
    let address = listener.local_addr()?;
    let url = match flags.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://localhost:{}", address.port()),
    };
    let clock = Clock::system();
    let sandbox = Sandbox::open(Options {
        client_id: flags.client_id,
        client_secret: flags.client_secret,
        other_clients: flags.client,
        redirect_uris: flags.redirect_uri,
        state_file: flags.state_file,
        access_ttl: seconds(flags.access_ttl),
        refresh_ttl: seconds(flags.refresh_ttl),
        code_ttl: seconds(flags.code_ttl),
        replay_window: seconds(flags.grace),
        replay_mode: match flags.replay {
            Replay::Same => ReplayMode::Same,
            Replay::Sibling => ReplayMode::Sibling,
            Replay::Newest => ReplayMode::Newest,
        },
        keep_auth_event_id: flags.keep_auth_event_id,
        extra_tenants: flags.extra_tenants,
        bulk_connections: flags.bulk_connections,
        refused_scopes: flags.refused_scopes,
        scope_refusal: match flags.scope_refusal {
            RefusalKind::WrongApp => ScopeRefusal::WrongApp,
            RefusalKind::NamesScope => ScopeRefusal::NamesScope,
            RefusalKind::NotAllowed => ScopeRefusal::NotAllowed,
            RefusalKind::InvalidScope => ScopeRefusal::InvalidScope,
        },
        call_limits: CallLimits::default(),
        latency_ms: u64::try_from(flags.latency.as_millis()).unwrap_or(u64::MAX),
        faults: flags.fault,
        oddities: flags.oddity.into_iter().map(Oddity::standing).collect(),
        clock_ahead: seconds(flags.clock_ahead) - seconds(flags.clock_behind),
        ..Options::new(url.clone(), Arc::new(move || clock.now()))
    })
    .await?;
    let text =
        format!("The sandbox listens on {address}. Set XERO_LOGIN_URL, XERO_IDENTITY_URL and XERO_API_URL to {url}");
    flags.output.print(&json!({ "url": url, "address": address }), &text);
    axum::serve(listener, sandbox.router()).with_graceful_shutdown(stop_signal()).await?;
    Ok(())
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
