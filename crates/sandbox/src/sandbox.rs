//! The running provider: options, signing key, and the state behind its lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::{Mutex, MutexGuard};

use crate::error::SandboxError;
use crate::faults::hold::ResponseHold;
use crate::faults::{self, Endpoint, Fault};
use crate::invoices::Invoices;
use crate::issued_secrets::IssuedSecrets;
use crate::ledger::Ledger;
use crate::oddities::Oddity;
use crate::options::{Client, Options, Settings};
use crate::rate_limits::RateLimits;
use crate::signer::Signer;
use crate::state::State;
use crate::state_file::StateFile;

/// A running provider. Cheap to clone; clones share one state.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    options: Options,
    signer: Signer,
    hold: ResponseHold,
    state_file: Option<StateFile>,
    live: Mutex<LiveState>,
}

/// Everything that changes while the sandbox runs. Its lock is never held across an await.
pub(crate) struct LiveState {
    /// Number of changes to `state`. The file is written only if this has moved.
    version: u64,
    pub state: State,
    pub settings: Settings,
    pub faults: VecDeque<Fault>,
    pub oddities: VecDeque<Oddity>,
    /// The registered apps.
    pub clients: Vec<Client>,
    pub ledger: Ledger,
    pub rate_limits: RateLimits,
    pub issued: IssuedSecrets,
    pub invoices: Invoices,
}

impl Sandbox {
    /// Reads the state file if there is one, or starts with an empty state.
    ///
    /// # Errors
    /// If the state file or the signing key can't be read, or the state file can't be written.
    pub async fn open(options: Options) -> Result<Self, SandboxError> {
        // Generating an RSA key takes up to a second, and file access blocks.
        tokio::task::spawn_blocking(move || Self::open_blocking(options)).await?
    }

    fn open_blocking(options: Options) -> Result<Self, SandboxError> {
        let state_file = options.state_file.clone().map(StateFile::new);
        let mut state: State = match &state_file {
            Some(file) => file.read()?.unwrap_or_default(),
            None => State::default(),
        };
        let has_new_key = state.signing_key.is_empty();
        let signer = load_signer(&mut state, options.signing_key.as_deref())?;
        let live = LiveState {
            version: u64::from(has_new_key),
            state,
            settings: Settings::from(&options),
            faults: options.faults.iter().cloned().collect(),
            oddities: options.oddities.iter().cloned().collect(),
            clients: options.clients(),
            ledger: Ledger::default(),
            rate_limits: RateLimits::default(),
            issued: IssuedSecrets::default(),
            invoices: Invoices::default(),
        };
        let inner = Inner { options, signer, hold: ResponseHold::default(), state_file, live: Mutex::new(live) };
        let sandbox = Self(Arc::new(inner));
        sandbox.persist_blocking()?;
        Ok(sandbox)
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.0.signer
    }

    pub(crate) fn hold(&self) -> &ResponseHold {
        &self.0.hold
    }

    /// Returns the sandbox's time in unix seconds: the given clock plus the offset set by the control route.
    pub(crate) fn now(&self) -> i64 {
        self.base_time() + self.live().state.clock_offset
    }

    fn base_time(&self) -> i64 {
        (self.0.options.now)() + self.0.options.clock_ahead
    }

    pub(crate) fn live(&self) -> MutexGuard<'_, LiveState> {
        self.0.live.lock()
    }

    /// Changes the state. Call `persist` or `persist_blocking` before a response that depends on the change is sent.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State, &Settings, i64) -> T) -> T {
        let base_time = self.base_time();
        let mut live = self.live();
        live.version += 1;
        let LiveState { state, settings, .. } = &mut *live;
        let now = base_time + state.clock_offset;
        change(state, settings, now)
    }

    /// Writes the state file if there is one and the state has changed.
    pub(crate) async fn persist(&self) -> Result<(), SandboxError> {
        if self.0.state_file.is_none() {
            return Ok(());
        }
        let sandbox = self.clone();
        tokio::task::spawn_blocking(move || sandbox.persist_blocking()).await?
    }

    /// Does what `persist` does on the calling thread.
    pub(crate) fn persist_blocking(&self) -> Result<(), SandboxError> {
        let Some(file) = &self.0.state_file else { return Ok(()) };
        let min_version = self.live().version;
        file.write(min_version, || {
            let live = self.live();
            (live.version, serde_json::to_vec(&live.state))
        })
    }

    /// Waits for the configured latency, and takes the next queued fault that applies to this request.
    pub(crate) async fn next_fault(&self, endpoint: Endpoint, grant_type: Option<&str>) -> Option<Fault> {
        let (fault, latency_ms) = {
            let mut live = self.live();
            (faults::take_next(&mut live.faults, endpoint, grant_type), live.settings.latency_ms)
        };
        if latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(latency_ms)).await;
        }
        fault
    }

    /// Runs an endpoint's work, unless a fault prevents it, and returns its response, unless a fault replaces it.
    pub(crate) async fn with_faults(&self, endpoint: Endpoint, work: impl Future<Output = Response>) -> Response {
        let Some(fault) = self.next_fault(endpoint, None).await else { return work.await };
        let response = if fault.kind.prevents_processing() { None } else { Some(work.await) };
        faults::inject::inject(self.hold(), &fault, response).await
    }
}

/// Returns the stored signing key, else the given one, else a new one. Stores the key in `state`.
fn load_signer(state: &mut State, given: Option<&[u8]>) -> Result<Signer, SandboxError> {
    if !state.signing_key.is_empty() {
        let stored = STANDARD.decode(&state.signing_key).map_err(|_| SandboxError::SigningKey)?;
        return Signer::from_pkcs8(&stored);
    }
    let (signer, pkcs8) = match given {
        Some(pkcs8) => (Signer::from_pkcs8(pkcs8)?, pkcs8.to_vec()),
        None => Signer::generate()?,
    };
    state.signing_key = STANDARD.encode(pkcs8);
    Ok(signer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::TEST_SIGNING_KEY;

    #[test]
    fn given_key_is_stored_and_a_stored_key_takes_precedence() {
        let mut state = State::default();
        let signer = load_signer(&mut state, Some(TEST_SIGNING_KEY)).unwrap();
        assert_eq!(state.signing_key, STANDARD.encode(TEST_SIGNING_KEY));
        let reloaded = load_signer(&mut state, Some(b"not a key")).unwrap();
        assert_eq!(reloaded.jwks(), signer.jwks());
        assert!(matches!(load_signer(&mut State::default(), Some(b"not a key")), Err(SandboxError::SigningKey)));
    }
}
