//! The settings: flags with environment variables, validated once into [`Config`].

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::domain::Secret;
use super::telemetry::logging::LogFormat;
use super::xero::{EndpointError, Endpoints};

mod activity;
mod api;
mod metrics;
mod network;
mod notify;
mod public_url;
mod serving;
mod sign_in;
mod sweep;

pub use metrics::{MetricsConfig, MetricsSettings};
pub use network::Networks;
pub use notify::{MailConfig, NotifyConfig, NotifySettings};
pub use public_url::PublicUrl;
pub use serving::ServingConfig;
use sign_in::SignInSettings;
pub use sign_in::{ClerkApp, ClerkError, SignIn};
pub use sweep::SweepConfig;

/// The settings as given. Their help texts are the reference.
#[derive(Args, Clone)]
pub struct Settings {
    /// The database: sqlite://PATH (created if missing) or postgres://…
    /// [default: evergrant.db in the data directory, data/evergrant.db]
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true, value_parser = parse_secret)]
    database_url: Option<Arc<Secret>>,

    /// The address and port to listen on; port 0 picks a free one.
    #[arg(long, env = "EVERGRANT_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,

    /// The origin that browsers see, without a path. Must be https, except on this machine.
    #[arg(long, env = "EVERGRANT_PUBLIC_URL", value_name = "ORIGIN", default_value = "http://localhost:3000")]
    public_url: PublicUrl,

    #[command(flatten)]
    serving: serving::ServingSettings,

    /// Proxies whose X-Forwarded-For is trusted: addresses or networks such as 10.0.0.0/8, separated by commas.
    #[arg(
        long,
        env = "EVERGRANT_TRUSTED_PROXIES",
        value_name = "NETWORKS",
        default_value = "",
        hide_default_value = true
    )]
    trusted_proxies: Networks,

    /// The directory for the key file and the spool; created with mode 0700.
    #[arg(long, env = "EVERGRANT_DATA_DIR", value_name = "DIRECTORY", default_value = "data")]
    data_dir: PathBuf,

    /// The key ring, kid:base64key[,kid:base64key…] with keys of 32 bytes: the first seals, all of them open.
    /// Set it as a variable or in a file, because other users of this machine can see a program's flags.
    #[arg(long, env = "EVERGRANT_KEYS", value_name = "RING", hide_env_values = true, value_parser = parse_secret)]
    keys: Option<Arc<Secret>>,

    /// A file that holds the key ring, used if --keys isn't set.
    /// [default: keys in the data directory, created at the first start]
    #[arg(long, env = "EVERGRANT_KEYS_FILE", value_name = "FILE")]
    keys_file: Option<PathBuf>,

    /// The Xero app's client id. Without id and secret Evergrant runs in sandbox mode, with its own Xero.
    #[arg(long, env = "XERO_CLIENT_ID", value_name = "ID")]
    xero_client_id: Option<String>,

    /// The Xero app's client secret. Set it as a variable, because other users of this machine can see a program's
    /// flags.
    #[arg(long, env = "XERO_CLIENT_SECRET", value_name = "SECRET", hide_env_values = true, value_parser = parse_secret)]
    xero_client_secret: Option<Arc<Secret>>,

    /// The base URL for consent. Plain http is allowed for this machine only, here and below.
    #[arg(long, env = "XERO_LOGIN_URL", value_name = "URL", default_value = "https://login.xero.com")]
    xero_login_url: String,

    /// The base URL for token exchange.
    #[arg(long, env = "XERO_IDENTITY_URL", value_name = "URL", default_value = "https://identity.xero.com")]
    xero_identity_url: String,

    /// The base URL for connections and accounting data.
    #[arg(long, env = "XERO_API_URL", value_name = "URL", default_value = "https://api.xero.com")]
    xero_api_url: String,

    /// The scopes that a consent requests, separated by spaces. offline_access is required to keep a connection alive.
    #[arg(
        long,
        env = "XERO_SCOPES",
        value_name = "SCOPES",
        default_value = "openid profile email offline_access accounting.settings.read"
    )]
    xero_scopes: String,

    /// Refresh an access token that has less than this left. Access tokens are valid for 30 minutes.
    #[arg(long, env = "EVERGRANT_REFRESH_BUFFER", value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    refresh_buffer: Duration,

    /// Exchange a refresh token that is older than this. Unused refresh tokens are valid for 60 days.
    #[arg(long, env = "EVERGRANT_ROLL_AFTER", value_name = "TIME", default_value = "45d", value_parser = parse_duration)]
    roll_after: Duration,

    /// How long a lease, the right to exchange a grant's token, lasts before it must be renewed.
    #[arg(long, env = "EVERGRANT_LEASE_TTL", value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    lease_ttl: Duration,

    /// How long to wait for one response from Xero.
    #[arg(long, env = "EVERGRANT_XERO_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = parse_duration)]
    xero_timeout: Duration,

    #[command(flatten)]
    sweep: sweep::SweepSettings,

    #[command(flatten)]
    activity: activity::ActivitySettings,
    #[command(flatten)]
    api: api::ApiSettings,

    /// The format of log lines; RUST_LOG selects which are written.
    #[arg(long, env = "EVERGRANT_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    #[command(flatten)]
    notify: NotifySettings,

    #[command(flatten)]
    sign_in: SignInSettings,

    #[command(flatten)]
    metrics: MetricsSettings,
}

/// The validated settings.
pub struct Config {
    /// The URL of the database, `sqlite://…` or `postgres://…`.
    pub database_url: Secret,
    /// The address and port to listen on. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// The origin that browsers see.
    pub public_url: PublicUrl,
    /// The limits and the drain time of the HTTP server.
    pub serving: ServingConfig,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Networks,
    /// The directory of the key file and the spool.
    pub data_dir: PathBuf,
    /// The key ring as given. `None` if it is read from a file.
    pub keys: Option<Secret>,
    /// The file that holds the key ring. `None` selects `keys` in the data directory.
    pub keys_file: Option<PathBuf>,
    /// `None` in sandbox mode.
    pub xero_app: Option<XeroApp>,
    /// Xero's endpoints. In sandbox mode the sandbox's are used instead.
    pub xero_endpoints: Endpoints,
    /// The scopes that a consent requests, separated by spaces.
    pub xero_scopes: String,
    /// The remaining lifetime below which an access token is refreshed.
    pub refresh_buffer: Duration,
    /// The age from which a refresh token is exchanged.
    pub roll_after: Duration,
    /// How long a lease lasts before it must be renewed.
    pub lease_ttl: Duration,
    /// The timeout for one response from Xero.
    pub xero_timeout: Duration,
    /// The settings of the background sweep.
    pub sweep: SweepConfig,
    /// How long the journal of refresh attempts is kept.
    pub activity_retention: Duration,
    /// API calls per minute that one key may make at each instance.
    pub api_calls_per_minute: NonZeroU32,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The settings of email and webhooks.
    pub notify: NotifyConfig,
    /// How people sign in.
    pub sign_in: SignIn,
    /// Where metrics are served.
    pub metrics: MetricsConfig,
}

impl Config {
    /// Returns the folder for token sets that the database has not accepted.
    pub fn spool_dir(&self) -> PathBuf {
        self.data_dir.join("spool")
    }
}

/// The credentials of the Xero app.
pub struct XeroApp {
    /// The client id that Xero issued to the app.
    pub client_id: String,
    /// The client secret that authenticates the app at Xero.
    pub client_secret: Secret,
}

/// Settings that are invalid or contradict each other. Each text names the variable and what to fix.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Only one of two settings that belong together is set.
    #[error("{missing} isn't set, but its counterpart is: set both, or neither to {neither}")]
    IncompletePair {
        /// The environment variable that isn't set.
        missing: &'static str,
        /// What setting neither does.
        neither: &'static str,
    },
    /// One of Xero's base URLs is invalid.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Clerk's settings can't be used.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// The requested scopes do not include `offline_access`.
    #[error("XERO_SCOPES must include offline_access: without it Xero issues no refresh token")]
    NoOfflineAccess,
    /// A duration is zero, or not shorter than its limit.
    #[error("{setting} must be longer than zero and shorter than {limit}")]
    DurationOutOfRange {
        /// The environment variable to fix.
        setting: &'static str,
        /// The limit, exclusive, in words.
        limit: &'static str,
    },
    /// A duration is shorter than its minimum.
    #[error("{setting} must be at least {limit}")]
    DurationTooShort {
        /// The environment variable to fix.
        setting: &'static str,
        /// The minimum, in words.
        limit: &'static str,
    },
}

impl Settings {
    /// Validates the settings, each and against each other.
    pub fn check(self) -> Result<Config, ConfigError> {
        let client_id = self.xero_client_id.filter(|id| !id.trim().is_empty());
        let client_id = ("XERO_CLIENT_ID", client_id);
        let client_secret = ("XERO_CLIENT_SECRET", non_blank(self.xero_client_secret));
        let xero_app = both_or_neither(client_id, client_secret, "run in sandbox mode")?
            .map(|(client_id, client_secret)| XeroApp { client_id, client_secret });
        if !self.xero_scopes.split_whitespace().any(|scope| scope == "offline_access") {
            return Err(ConfigError::NoOfflineAccess);
        }
        // Bounded by token lifetimes: Xero's access tokens are valid for 30 minutes, its refresh tokens for 60 days.
        check_duration(
            "EVERGRANT_REFRESH_BUFFER",
            self.refresh_buffer,
            30 * 60,
            "30 minutes, an access token's lifetime",
        )?;
        check_duration(
            "EVERGRANT_ROLL_AFTER",
            self.roll_after,
            60 * 24 * 60 * 60,
            "60 days, a refresh token's lifetime",
        )?;
        check_duration("EVERGRANT_LEASE_TTL", self.lease_ttl, 60 * 60, "an hour")?;
        check_duration("EVERGRANT_XERO_TIMEOUT", self.xero_timeout, 10 * 60, "10 minutes")?;
        let database_url = non_blank(self.database_url)
            .unwrap_or_else(|| Secret::new(format!("sqlite://{}", self.data_dir.join("evergrant.db").display())));
        Ok(Config {
            database_url,
            sign_in: self.sign_in.check(&self.public_url)?,
            listen: self.listen,
            public_url: self.public_url,
            serving: self.serving.check(),
            trusted_proxies: self.trusted_proxies,
            data_dir: self.data_dir,
            keys: non_blank(self.keys),
            keys_file: self.keys_file.filter(|path| !path.as_os_str().is_empty()),
            xero_app,
            xero_endpoints: Endpoints::parse(&self.xero_login_url, &self.xero_identity_url, &self.xero_api_url)?,
            xero_scopes: self.xero_scopes,
            refresh_buffer: self.refresh_buffer,
            roll_after: self.roll_after,
            lease_ttl: self.lease_ttl,
            xero_timeout: self.xero_timeout,
            sweep: self.sweep.check()?,
            activity_retention: self.activity.check()?,
            api_calls_per_minute: self.api.rate,
            log_format: self.log_format,
            notify: self.notify.check()?,
            metrics: self.metrics.check(),
        })
    }
}

fn check_duration(setting: &'static str, time: Duration, seconds: u64, limit: &'static str) -> Result<(), ConfigError> {
    let good = !time.is_zero() && time < Duration::from_secs(seconds);
    if good { Ok(()) } else { Err(ConfigError::DurationOutOfRange { setting, limit }) }
}

/// Returns both of two settings, each with its variable's name, or `None` if neither is set. `neither` says what that
/// does.
fn both_or_neither<A, B>(
    (first_name, first): (&'static str, Option<A>),
    (second_name, second): (&'static str, Option<B>),
    neither: &'static str,
) -> Result<Option<(A, B)>, ConfigError> {
    match (first, second) {
        (Some(first), Some(second)) => Ok(Some((first, second))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::IncompletePair { missing: second_name, neither }),
        (None, Some(_)) => Err(ConfigError::IncompletePair { missing: first_name, neither }),
    }
}

/// Returns a secret from clap, which shares its values. A blank one counts as not set, because compose files set those.
fn non_blank(secret: Option<Arc<Secret>>) -> Option<Secret> {
    secret.filter(|secret| !secret.expose().trim().is_empty()).map(|secret| Secret::new(secret.expose()))
}

/// Parses a flag that holds a secret.
pub fn parse_secret(text: &str) -> Result<Arc<Secret>, std::convert::Infallible> {
    Ok(Arc::new(Secret::new(text)))
}

/// Parses a flag that holds a duration, such as `10m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}: write it like 90s, 10m or 45d"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        settings: Settings,
    }

    fn check(flags: &[&str]) -> Result<Config, String> {
        let all = std::iter::once("evergrant").chain(flags.iter().copied());
        let command = Command::try_parse_from(all).map_err(|error| error.to_string())?;
        command.settings.check().map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_sandbox_mode_on_this_machine() {
        let config = check(&[]).unwrap();
        assert!(config.xero_app.is_none());
        assert_eq!(config.database_url.expose(), "sqlite://data/evergrant.db");
        assert_eq!(config.public_url.origin(), "http://localhost:3000");
        assert_eq!(config.refresh_buffer, Duration::from_secs(600));
        assert_eq!(config.roll_after, Duration::from_secs(45 * 86_400));
        assert_eq!(check(&["--data-dir", "/srv/e"]).unwrap().database_url.expose(), "sqlite:///srv/e/evergrant.db");
    }

    #[test]
    fn invalid_settings_are_refused_naming_the_variable() {
        let cases: [(&[&str], &str); 16] = [
            (&["--xero-client-id", "a"], "XERO_CLIENT_SECRET isn't set"),
            (&["--xero-client-secret", "a"], "XERO_CLIENT_ID isn't set"),
            (&["--xero-client-id", "a", "--xero-client-secret", " "], "XERO_CLIENT_SECRET isn't set"),
            (&["--smtp-url", "smtp://localhost"], "EVERGRANT_SMTP_FROM isn't set"),
            (&["--smtp-from", "a@example.com"], "EVERGRANT_SMTP_URL isn't set"),
            (&["--private-webhooks", "intranet"], "isn't an address or a network"),
            (&["--xero-scopes", "openid"], "offline_access"),
            (&["--xero-api-url", "http://api.xero.com"], "XERO_API_URL must begin with https"),
            (&["--refresh-buffer", "30m"], "EVERGRANT_REFRESH_BUFFER"),
            (&["--roll-after", "60d"], "EVERGRANT_ROLL_AFTER"),
            (&["--lease-ttl", "0s"], "EVERGRANT_LEASE_TTL"),
            (&["--xero-timeout", "soon"], "90s, 10m or 45d"),
            (&["--keep-activity", "23h"], "EVERGRANT_KEEP_ACTIVITY"),
            (&["--sweep-interval", "0s"], "EVERGRANT_SWEEP_INTERVAL"),
            (&["--keep-hot", "some"], "used, all, none"),
            (&["--public-url", "http://evergrant.example.com"], "https"),
        ];
        for (flags, words) in cases {
            let error = check(flags).err().unwrap();
            assert!(error.contains(words), "{flags:?}: {error}");
        }
    }

    #[test]
    fn client_id_and_secret_configure_the_app() {
        let app = check(&["--xero-client-id", "id", "--xero-client-secret", "secret"]).unwrap().xero_app.unwrap();
        assert_eq!((app.client_id.as_str(), app.client_secret.expose()), ("id", "secret"));
    }
}
