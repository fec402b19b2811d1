//! The TLS settings that the clients of this process share, so that the machine's root certificates are read once.

use std::sync::{Arc, LazyLock};

use reqwest::ClientBuilder;
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;

/// Gives a client the shared settings. Without them it reads the certificates itself, and says what is wrong.
pub fn with_shared_roots(client: ClientBuilder) -> ClientBuilder {
    static SHARED: LazyLock<Option<ClientConfig>> = LazyLock::new(|| client_config().ok());
    match &*SHARED {
        Some(shared) => client.tls_backend_preconfigured(shared.clone()),
        None => client,
    }
}

fn client_config() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let settings = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(settings.with_platform_verifier()?.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_has_root_certificates_and_a_client_takes_them() {
        assert!(client_config().is_ok());
        assert!(with_shared_roots(reqwest::Client::builder()).build().is_ok());
    }
}
