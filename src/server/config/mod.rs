//! The settings: flags with environment variables, validated once into [`Config`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::domain::Secret;
use super::telemetry::logging::LogFormat;

mod activity;
mod api;
mod checks;
mod env_file;
pub mod environment;
mod error;
mod metrics;
mod network;
mod notify;
mod oidc;
mod parse;
mod public_url;
mod refresh;
mod serving;
mod sessions;
mod sign_in;
mod sweep;
mod xero;

pub use api::{ApiConfig, SharedUsers};
pub use error::ConfigError;
pub use metrics::{MetricsConfig, MetricsSettings};
pub use network::Networks;
pub use notify::{MailConfig, NotifyConfig, NotifySettings};
use oidc::OidcSettings;
pub use oidc::{OidcConfig, OidcSettingsError, is_https_or_loopback};
use parse::non_blank;
pub use parse::{parse_duration, parse_secret};
pub use public_url::PublicUrl;
pub use refresh::RefreshConfig;
use refresh::RefreshSettings;
pub use serving::ServingConfig;
use sign_in::SignInSettings;
pub use sign_in::{ClerkApp, ClerkError, SignIn};
pub use sweep::SweepConfig;
use xero::XeroSettings;
pub use xero::{ScopesFallback, XeroApp, XeroConfig};

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

    #[command(flatten)]
    xero: XeroSettings,

    #[command(flatten)]
    refresh: RefreshSettings,

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
    sessions: sessions::SessionSettings,
    #[command(flatten)]
    oidc: OidcSettings,

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
    /// The app at Xero, and how it is reached.
    pub xero: XeroConfig,
    /// When access and refresh tokens are exchanged.
    pub refresh: RefreshConfig,
    /// The settings of the background sweep.
    pub sweep: SweepConfig,
    /// How long the journal of refresh attempts is kept.
    pub activity_retention: Duration,
    /// The limits on calls of programs.
    pub api: ApiConfig,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The settings of email and webhooks.
    pub notify: NotifyConfig,
    /// How people sign in.
    pub sign_in: SignIn,
    /// How long a session may stay unused.
    pub session_idle_timeout: Duration,
    /// The OpenID Connect provider that people may sign in with, if there is one.
    pub oidc: Option<OidcConfig>,
    /// Where metrics are served.
    pub metrics: MetricsConfig,
}

impl Config {
    /// Returns the folder for token sets that the database has not accepted.
    pub fn spool_dir(&self) -> PathBuf {
        self.data_dir.join("spool")
    }
}

impl Settings {
    /// Validates the settings, each and against each other.
    pub fn check(self) -> Result<Config, ConfigError> {
        let database_url = non_blank(self.database_url);
        let database_url = database_url.unwrap_or_else(|| Secret::new(default_database_url(&self.data_dir)));
        let sign_in = self.sign_in.check(&self.public_url)?;
        Ok(Config {
            database_url,
            session_idle_timeout: self.sessions.check(),
            oidc: self.oidc.check(matches!(sign_in, SignIn::Clerk(_)))?,
            sign_in,
            listen: self.listen,
            public_url: self.public_url,
            serving: self.serving.check(),
            trusted_proxies: self.trusted_proxies,
            data_dir: self.data_dir,
            keys: non_blank(self.keys),
            keys_file: self.keys_file.filter(|path| !path.as_os_str().is_empty()),
            xero: self.xero.check()?,
            refresh: self.refresh.check()?,
            sweep: self.sweep.check()?,
            activity_retention: self.activity.check()?,
            api: self.api.check()?,
            log_format: self.log_format,
            notify: self.notify.check()?,
            metrics: self.metrics.check(),
        })
    }
}

/// Returns the URL of the database that is used if `DATABASE_URL` isn't set.
pub fn default_database_url(data_dir: &Path) -> String {
    format!("sqlite://{}", data_dir.join("evergrant.db").display())
}

#[cfg(test)]
mod tests;
