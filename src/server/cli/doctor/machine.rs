//! Checks this machine: the settings, the data directory and the key file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::check::{Check, to_sentence, try_to_write};
use crate::server::config::{Config, ConfigError};

/// A failed check, because the settings are invalid.
pub fn unusable_settings(error: &ConfigError) -> Check {
    let to_do =
        "Fix that setting (evergrant serve --help lists them all), then run this again. Nothing else was checked.";
    Check::fail("settings", to_sentence(error), to_do)
}

/// Shows the mode, the public URL and the scopes.
pub fn settings(config: &Config) -> Check {
    let mode = match &config.xero.app {
        Some(_) => "Your Xero app",
        None => "Sandbox mode, because no Xero app is set: the provider is part of the server",
    };
    let (public, scopes) = (config.public_url.origin(), &config.xero.scopes);
    Check::ok("settings", format!("{mode}. Public address: {public}. Scopes: {scopes}."))
}

/// Checks that the data directory can be written to, and that only its owner can access it.
pub fn data_dir(config: &Config) -> Check {
    let (name, path) = ("data directory", &config.data_dir);
    let shown = path.display();
    if let Err(error) = try_to_write(path) {
        let to_do = "Let the user that Evergrant runs as write to it, or name another folder in EVERGRANT_DATA_DIR.";
        return Check::fail(name, format!("No file can be made in {shown}: {error}."), to_do);
    }
    match permission_bits(path) {
        Ok(Some(mode)) if mode & 0o077 != 0 => Check::warn(
            name,
            format!("Other users of this machine can access {shown} (mode {mode:04o})."),
            format!("chmod 700 {shown}"),
        ),
        Ok(Some(mode)) => Check::ok(name, format!("{shown}, accessible to its owner only (mode {mode:04o}).")),
        Ok(None) => Check::ok(name, format!("{shown} doesn't exist yet; the first start creates it.")),
        Err(error) => unreadable_path(name, path, &error),
    }
}

/// Checks that the key file exists and that only its owner can read it.
pub fn key_file(config: &Config) -> Check {
    let name = "key file";
    if config.keys.is_some() {
        return Check::ok(name, "None is used: the keys are in EVERGRANT_KEYS.");
    }
    let own = config.data_dir.join("keys");
    let path = config.keys_file.as_deref().unwrap_or(&own);
    let shown = path.display();
    match permission_bits(path) {
        Ok(Some(mode)) if mode & 0o077 != 0 => Check::warn(
            name,
            format!("Other users of this machine can read {shown} (mode {mode:04o})."),
            format!("chmod 600 {shown}"),
        ),
        Ok(Some(mode)) => Check::ok(name, format!("{shown}, accessible to its owner only (mode {mode:04o}).")),
        Ok(None) if config.keys_file.is_some() => Check::fail(
            name,
            format!("EVERGRANT_KEYS_FILE names {shown}, which doesn't exist."),
            "Create the file, or name another one.",
        ),
        // The key ring check knows if that is a problem: it depends on what is sealed.
        Ok(None) => Check::ok(name, format!("{shown} doesn't exist.")),
        Err(error) => unreadable_path(name, path, &error),
    }
}

fn unreadable_path(name: &'static str, path: &Path, error: &std::io::Error) -> Check {
    let to_do = "Run this as the user that Evergrant runs as, and let that user read it.";
    Check::fail(name, format!("{} can't be read: {error}.", path.display()), to_do)
}

/// Returns the permission bits; `None` if the path doesn't exist.
fn permission_bits(path: &Path) -> std::io::Result<Option<u32>> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some(found.permissions().mode() & 0o777)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
