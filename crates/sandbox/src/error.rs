//! Errors of the sandbox itself, as opposed to the error responses that it serves.

/// What can go wrong in the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The state file could not be read or written.
    #[error("failed to {action} sandbox state file {path}: {source}")]
    StateFile {
        /// The file's path.
        path: String,
        /// `read` or `write`.
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The state file holds something else than a state.
    #[error("sandbox state file {path} is not valid: {source}. Remove it to start with an empty state")]
    StateFormat {
        /// The file's path.
        path: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// The signing key could not be generated, parsed or used.
    #[error("failed to generate, parse or use the sandbox signing key")]
    SigningKey,
    /// A blocking task panicked or was canceled.
    #[error("sandbox task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// No person has this key.
    #[error("unknown sandbox person {0:?}")]
    UnknownPerson(String),
    /// No tenant has this key.
    #[error("unknown sandbox tenant {0:?}")]
    UnknownTenant(String),
    /// The refresh token was never issued, or is no longer valid.
    #[error("unknown refresh token")]
    UnknownRefreshToken,
}
