//! Evergrant's own Xero: the provider that tests trust and that sandbox mode serves in-process.
//!
//! `authorize` and `page` are what a person sees; `token_route`, `connections` and `accounting` what a program
//! calls; `tokens` holds the rules of rotation over `state`; `sign` makes the JWTs; `limits`, `faults`, `gate` and
//! `control` make it as awkward as the real one. Paths stand relative to the mount: XERO_LOGIN_URL,
//! XERO_IDENTITY_URL and XERO_API_URL all point at `Options::public_url`.
//!
//! The clock's offset is part of the kept state; settings, faults, limits, holds and the ledger begin anew.

mod accounting;
mod authorize;
mod bearer;
mod connections;
mod control;
mod disk;
mod faults;
mod gate;
mod issued;
mod ledger;
mod limits;
mod mint;
mod options;
mod page;
pub mod people;
mod reply;
mod sign;
mod state;
mod token_route;
mod tokens;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::middleware;
use axum::routing::{any, delete, get, post};

pub use faults::Fault;
pub use mint::{Minted, MintedConnection};
pub use options::{DEFAULT_SCOPES, Now, Options, ReplayMode, SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};

use disk::StateFile;
use gate::Gate;
use issued::Issued;
use ledger::Ledger;
use limits::Limits;
use options::Settings;
use sign::Signer;
use state::State;

/// What can go wrong with the sandbox itself, apart from what it answers.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the sandbox's state file {path} could not be {what}: {source}")]
    File { path: String, what: &'static str, source: std::io::Error },
    #[error("the sandbox's state file {path} is not readable as its state: {source}. Remove it to start afresh")]
    Format { path: String, source: serde_json::Error },
    #[error("the sandbox's signing key could not be made or read")]
    Key,
    #[error("the sandbox has no person called {0:?}")]
    UnknownPerson(String),
    #[error("the sandbox has no tenant called {0:?}")]
    UnknownTenant(String),
}

/// A running provider. Cheap to clone; clones share one state.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    options: Options,
    signer: Signer,
    gate: Gate,
    file: Option<StateFile>,
    live: Mutex<Live>,
}

/// Everything that moves, behind one lock that is never held across an await.
struct Live {
    /// Counts the changes of `state`, so that the file is written only when there is something new.
    version: u64,
    state: State,
    settings: Settings,
    faults: VecDeque<Fault>,
    ledger: Ledger,
    limits: Limits,
    issued: Issued,
}

impl Sandbox {
    /// Reads the state file, or begins with a new key and nobody connected.
    pub async fn open(options: Options) -> Result<Self, SandboxError> {
        // An RSA key takes up to a second to make, and files block.
        tokio::task::spawn_blocking(move || Self::open_blocking(options)).await.map_err(|_| SandboxError::Key)?
    }

    fn open_blocking(options: Options) -> Result<Self, SandboxError> {
        let file = options.state_file.clone().map(StateFile::new);
        let mut state: State = match &file {
            Some(file) => file.read()?.unwrap_or_default(),
            None => State::default(),
        };
        let fresh = state.signing_key.is_empty();
        let signer = if fresh {
            let (signer, pkcs8) = Signer::generate()?;
            state.signing_key = pkcs8;
            signer
        } else {
            Signer::load(&state.signing_key)?
        };
        let settings = Settings::of(&options);
        let live = Live {
            version: u64::from(fresh),
            state,
            settings,
            faults: options.faults.iter().cloned().collect(),
            ledger: Ledger::default(),
            limits: Limits::default(),
            issued: Issued::default(),
        };
        let sandbox = Self(Arc::new(Inner { options, signer, gate: Gate::default(), file, live: Mutex::new(live) }));
        sandbox.keep_blocking()?;
        Ok(sandbox)
    }

    /// Everything the sandbox serves, with paths relative to where it is mounted.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/identity/connect/authorize", get(authorize::show).post(authorize::decide))
            .route("/identity/connect/page.css", get(authorize::stylesheet))
            .route("/connect/token", post(token_route::token))
            .route("/connect/revocation", post(token_route::revocation))
            .route("/connect/userinfo", get(connections::userinfo))
            .route("/.well-known/openid-configuration", get(connections::discovery))
            .route("/.well-known/openid-configuration/jwks", get(connections::keys))
            .route("/connections", get(connections::list))
            .route("/connections/{id}", delete(connections::remove))
            .route("/api.xro/2.0/Organisation", get(accounting::organisation))
            .nest("/_control", control::router(self))
            .fallback(any(reply::not_found))
            .layer(middleware::from_fn_with_state(self.clone(), reply::common_headers))
            .with_state(self.clone())
    }

    /// Unix seconds as the sandbox sees them: the given clock plus what the control route advanced.
    fn now(&self) -> i64 {
        self.clock() + self.live().state.clock_offset
    }

    fn clock(&self) -> i64 {
        (self.0.options.now)() + self.0.options.clock_ahead
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        // A panic while it was held can't leave half a change that matters more than going on.
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and counts the change. `keep` or `keep_blocking` must follow before an answer leaves.
    fn change<T>(&self, act: impl FnOnce(&mut State, &Settings, i64) -> T) -> T {
        let clock = self.clock();
        let mut live = self.live();
        live.version += 1;
        let Live { state, settings, .. } = &mut *live;
        let now = clock + state.clock_offset;
        act(state, settings, now)
    }

    /// Writes the state file if there is one and something changed.
    async fn keep(&self) -> Result<(), SandboxError> {
        if self.0.file.is_none() {
            return Ok(());
        }
        let sandbox = self.clone();
        tokio::task::spawn_blocking(move || sandbox.keep_blocking()).await.map_err(|_| SandboxError::Key)?
    }

    fn keep_blocking(&self) -> Result<(), SandboxError> {
        let Some(file) = &self.0.file else { return Ok(()) };
        let wanted = self.live().version;
        file.write(wanted, || {
            let live = self.live();
            (live.version, serde_json::to_vec(&live.state))
        })
    }
}

/// The provider alone, at the root of its own server.
pub fn standalone(sandbox: Sandbox) -> Router {
    sandbox.router()
}
