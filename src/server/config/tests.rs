//! Tests of the settings together.

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
    assert!(config.xero.app.is_none());
    assert_eq!(config.database_url.expose(), "sqlite://data/evergrant.db");
    assert_eq!(config.public_url.origin(), "http://localhost:3000");
    assert_eq!(config.refresh.buffer, Duration::from_secs(600));
    assert_eq!(config.refresh.roll_after, Duration::from_secs(45 * 86_400));
    assert_eq!(check(&["--data-dir", "/srv/e"]).unwrap().database_url.expose(), "sqlite:///srv/e/evergrant.db");
}

#[test]
fn invalid_settings_are_refused_naming_the_variable() {
    let cases: [(&[&str], &str); 20] = [
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
        (&["--lease-ttl", "1s"], "EVERGRANT_LEASE_TTL must be from 2s to 10m"),
        (&["--lease-ttl", "59m"], "EVERGRANT_LEASE_TTL must be from 2s to 10m"),
        (&["--xero-timeout", "999ms"], "EVERGRANT_XERO_TIMEOUT must be from 1s to 5m"),
        (&["--xero-timeout", "301s"], "EVERGRANT_XERO_TIMEOUT must be from 1s to 5m"),
        (&["--xero-timeout", "soon"], "90s, 10m or 45d"),
        (&["--keep-activity", "23h"], "EVERGRANT_KEEP_ACTIVITY"),
        (&["--sweep-interval", "0s"], "EVERGRANT_SWEEP_INTERVAL must be from 1s to 5m"),
        (&["--sweep-interval", "23h"], "EVERGRANT_SWEEP_INTERVAL must be from 1s to 5m"),
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
    let app = check(&["--xero-client-id", "id", "--xero-client-secret", "secret"]).unwrap().xero.app.unwrap();
    assert_eq!((app.client_id.as_str(), app.client_secret.expose()), ("id", "secret"));
}
