//! A refresh token that an operator got elsewhere, put in a grant's place: exchanged at once, under the grant's lease,
//! journalled, and committed under the same fence as any rotation.
//!
//! Until Xero has taken the token nothing of the grant changes. Once it has, the successor is the only one that counts,
//! and is kept as every other: in the row, or in the spool until that takes it.

use std::sync::Arc;

use super::{Flight, LOOK_AGAIN};
use crate::model::{AttemptId, GrantId, GrantStatus, Trigger};
use crate::server::domain::{AccessToken, Consent, Grant, RefreshToken};
use crate::server::store::{AttemptEnd, NewAttempt, StoreError};
use crate::server::tokens::outcome::{Ask, Landed};
use crate::server::tokens::service::Shared;
use crate::server::tokens::spool::Kept;
use crate::server::xero::{Asker, ErrorKind, Exchanged, XeroError, claims};

/// What became of an operator's token.
#[derive(Debug, PartialEq)]
pub struct Rescued {
    pub generation: i64,
    /// The names of the grant's tenants that the token's user isn't connected to; `None` where Xero didn't say.
    pub not_connected: Option<Vec<String>>,
}

/// Why an operator's token isn't in the grant's place. Each says what has changed, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RescueError {
    #[error("there is no grant {0}: evergrant grants list has them")]
    NotFound(GrantId),
    #[error("grant {0} was given up, and nothing stands on it any more: connect to Xero again")]
    GivenUp(GrantId),
    #[error("a server is exchanging this grant's token just now, and nothing was changed: try again in a moment")]
    Busy,
    #[error(
        "Xero refused this token (invalid_grant), and nothing was changed: it was used before, revoked, given to another \
         app, or isn't a refresh token"
    )]
    Refused,
    #[error("Xero couldn't be asked ({}), and nothing was changed. {}", .0.evidence_code(), if .0.kind == ErrorKind::Operator {
        "Mend XERO_CLIENT_ID and XERO_CLIENT_SECRET first"
    } else {
        "It may have taken the token all the same: try again with the same one within 30 minutes"
    })]
    Xero(XeroError),
    #[error(
        "this token is another Xero user's ({}) than the grant's, and nothing was changed. If that is meant, try again with \
         the same token and --another-user within 30 minutes", .0.as_deref().unwrap_or("it doesn't say whose")
    )]
    AnotherUser(Option<String>),
    #[error(
        "the grant was refreshed by another process meanwhile, and has that one's token; this one's wasn't put in place"
    )]
    Overtaken,
    /// It is kept, and tried again for as long as this process lives.
    #[error("the database didn't take the new token set")]
    Kept,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Puts an operator's token in a grant's place.
pub(in crate::server::tokens) async fn rescue(
    shared: Arc<Shared>,
    id: GrantId,
    token: RefreshToken,
    another_user: bool,
) -> Result<Rescued, RescueError> {
    let ask = Ask::by_operator(true);
    let owner = uuid::Uuid::new_v4().to_string();
    Flight { shared, id, ask, owner }.rescue(&token, another_user).await
}

impl Flight {
    async fn rescue(&self, token: &RefreshToken, another_user: bool) -> Result<Rescued, RescueError> {
        // What is kept for the row is newer than it, and must not meet the rescued one's generation.
        self.shared.spool.replay(&self.id, &self.shared.store).await?;
        let held = self.lease_to_rescue().await?;
        let new = NewAttempt {
            grant_id: &held.id,
            generation: held.generation,
            trigger: Trigger::Cli,
            actor: None,
            trace_id: None,
        };
        let attempt = match self.shared.store.begin_attempt(&new).await {
            Ok(attempt) => attempt,
            Err(error) => {
                self.shared.store.release_lease(&held, &self.owner).await?;
                return Err(error.into());
            }
        };
        // An operator's own process asks once; whether Xero is well, its answer tells.
        let pass = match self.shared.xero.breaker().admit(Asker::CannotWait) {
            Ok(pass) => pass,
            Err(_) => {
                self.shared.store.leave_as_it_is(&held, &self.owner, &attempt, &refusal("resting", None, None)).await?;
                return Err(RescueError::Busy);
            }
        };
        let exchanged = match self.ask_xero(&held, token, pass).await {
            Ok(exchanged) => exchanged,
            Err(error) => return Err(self.refused(&held, &attempt, error).await?),
        };
        let consent = consent_of(&exchanged.tokens.access_token);
        let user = consent.as_ref().map(|consent| consent.xero_user_id.clone());
        let is_theirs = held.xero_user_id.is_empty() || user.as_ref() == Some(&held.xero_user_id);
        if !is_theirs && !another_user {
            let end = refusal("another_user", Some(exchanged.status), exchanged.correlation_id);
            self.shared.store.leave_as_it_is(&held, &self.owner, &attempt, &end).await?;
            return Err(RescueError::AnotherUser(user));
        }
        if self.is_in_place(&held, &exchanged) {
            let end = AttemptEnd { outcome: "superseded", ..refusal("in_place", Some(exchanged.status), None) };
            self.shared.store.leave_as_it_is(&held, &self.owner, &attempt, &end).await?;
            return self.rescued(held.generation, &exchanged.tokens.access_token).await;
        }
        self.put_in_place(&held, &attempt, exchanged, consent).await
    }

    /// Whether the row has this successor already: the same token was rescued before, and Xero replays its answer. A
    /// new generation with the same token would have the commit refused of whoever is exchanging it just now.
    fn is_in_place(&self, held: &Grant, exchanged: &Exchanged) -> bool {
        let stored = self.shared.store.open_refresh(held);
        let same = |stored: RefreshToken| stored.expose() == exchanged.tokens.refresh_token.expose();
        held.status == GrantStatus::Active && stored.is_ok_and(same)
    }

    /// Waits for whoever exchanges the grant's own token.
    async fn lease_to_rescue(&self) -> Result<Grant, RescueError> {
        let (store, policy) = (&self.shared.store, &self.shared.policy);
        let patience = tokio::time::Instant::now() + policy.wait_limit;
        loop {
            match store.grant(&self.id).await?.map(|grant| grant.status) {
                None => return Err(RescueError::NotFound(self.id.clone())),
                Some(GrantStatus::Revoked) => return Err(RescueError::GivenUp(self.id.clone())),
                Some(GrantStatus::Active | GrantStatus::RefreshFailed) => {}
            }
            let until = policy.lease_until(store.clock().now());
            if let Some(held) = store.take_lease_to_rescue(&self.id, &self.owner, until).await? {
                return Ok(held);
            }
            if tokio::time::Instant::now() >= patience {
                return Err(RescueError::Busy);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What Xero said to a token that isn't the grant's own says nothing about the grant.
    async fn refused(&self, held: &Grant, attempt: &AttemptId, error: XeroError) -> Result<RescueError, StoreError> {
        let end = refusal(error.evidence_code(), error.status, error.correlation_id.clone());
        self.shared.store.leave_as_it_is(held, &self.owner, attempt, &end).await?;
        Ok(if error.kind == ErrorKind::Reconnect { RescueError::Refused } else { RescueError::Xero(error) })
    }

    async fn put_in_place(
        &self,
        held: &Grant,
        attempt: &AttemptId,
        exchanged: Exchanged,
        consent: Option<Consent>,
    ) -> Result<Rescued, RescueError> {
        let Exchanged { tokens, correlation_id, status } = exchanged;
        let end = AttemptEnd { outcome: "refreshed", error_code: None, http_status: Some(status), correlation_id };
        let mut rotation = self.seal(held, &tokens).await;
        rotation.consent = consent;
        let kept = Kept { rotation, attempt: attempt.clone(), end };
        let landed = match self.shared.store.commit_rescue(&kept.rotation, &self.owner, attempt, &kept.end).await {
            Ok(true) => Landed::Exchanged,
            Ok(false) => self.outlast(held, &kept).await?,
            Err(error) => self.keep(&kept, &error),
        };
        match landed {
            Landed::Exchanged => {
                tracing::info!(grant = %held.id, generation = held.generation + 1, "rescued");
                self.rescued(held.generation + 1, &tokens.access_token).await
            }
            Landed::Adopted | Landed::Fresh => Err(RescueError::Overtaken),
            Landed::Failed(_) => Err(RescueError::Kept),
        }
    }

    async fn rescued(&self, generation: i64, access: &AccessToken) -> Result<Rescued, RescueError> {
        Ok(Rescued { generation, not_connected: self.adopt_connections(access).await? })
    }

    /// The bindings keep the ids of their user's connections, which a disconnect names.
    async fn adopt_connections(&self, access: &AccessToken) -> Result<Option<Vec<String>>, StoreError> {
        let connections = match self.shared.xero.connections(access, None).await {
            Ok(connections) => connections,
            Err(error) => {
                tracing::warn!(grant = %self.id, code = error.evidence_code(), "the rescued grant's connections can't be read");
                return Ok(None);
            }
        };
        let pairs: Vec<(String, String)> = connections.into_iter().map(|one| (one.tenant_id, one.id)).collect();
        self.shared.store.adopt_connections(&self.id, &pairs).await.map(Some)
    }
}

fn consent_of(access: &AccessToken) -> Option<Consent> {
    let claims = claims(access)?;
    Some(Consent { xero_user_id: claims.xero_user_id, auth_event_id: claims.authentication_event_id })
}

fn refusal(code: &str, http_status: Option<u16>, correlation_id: Option<String>) -> AttemptEnd {
    AttemptEnd { outcome: "refused", error_code: Some(code.to_owned()), http_status, correlation_id }
}
