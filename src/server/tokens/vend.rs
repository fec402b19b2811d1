//! Tokens for whoever speaks to Xero: a program of the organisation's, or our own calls through a client. What is
//! still valid is served though Xero is down, with a warning beside it (rule 8).

use super::outcome::{Ask, Failed, Landed, Why};
use super::policy::is_still_valid;
use super::service::{TokenError, TokenService, not_connected};
use crate::model::{BindingId, OrgId, Trigger};
use crate::server::domain::{AccessToken, Grant};
use crate::server::store::Bound;
use crate::server::traces;
use crate::server::xero::{Asker, XeroApiClient};

/// How long an access token of Xero's lives, in seconds: nobody can have one that lasts longer.
pub const LONGEST_TTL: i64 = 30 * 60;
/// A token that was exchanged within so many seconds is as fresh as Xero gives them: a newer one would hardly last
/// longer, and whoever asks for nearly all of its life would set off an exchange with every call.
const JUST_NOW: i64 = 60;

/// A client of Xero's API for one tenant, with a token that works.
pub struct Client {
    pub api: XeroApiClient,
    /// Unix seconds at which its access token ends.
    pub expires_at: i64,
    /// Said when an early refresh failed and the still valid token is served.
    pub warning: Option<String>,
}

/// An access token for one tenant, to be handed to a program.
pub struct Token {
    pub access: AccessToken,
    pub tenant_id: String,
    /// Unix seconds at which it ends.
    pub expires_at: i64,
    /// Said when it is due for a refresh and Xero doesn't give one.
    pub warning: Option<String>,
}

impl TokenService {
    /// A client for one tenant: checks that the binding is the organisation's, refreshes if due, and serves a
    /// still valid token with a warning where that failed.
    pub async fn get_client_for_tenant_binding(&self, binding: &BindingId, org: &OrgId) -> Result<Client, TokenError> {
        let store = &self.shared.store;
        let (bound, mut grant) = connected(self.bound(binding, org).await?)?;
        let mut warning = None;
        if self.shared.policy.needs_refresh(&grant, store.clock().now()) {
            let landed;
            (landed, grant) = self.refreshed(&grant, Ask::automatic(Trigger::Client)).await?;
            if let Landed::Failed(failed) = landed {
                if failed.is_final() || !is_still_valid(&grant, store.clock().now()) {
                    return Err(TokenError::NotFresh(failed));
                }
                warning = Some(failed.message);
            }
        }
        self.note_use(&grant).await;
        let access = store.open_access(&grant)?;
        Ok(Client { api: self.shared.xero.api(access, bound.binding.tenant_id), expires_at: grant.expires_at, warning })
    }

    /// An access token that lasts at least `min_ttl` seconds more. One that does is served without an exchange; else
    /// it is refreshed first, and where that fails and too little is left, the error says how much, and when the next
    /// try is.
    pub async fn get_token_for_tenant_binding(
        &self,
        binding: &BindingId,
        org: &OrgId,
        min_ttl: i64,
    ) -> Result<Token, TokenError> {
        self.get_token_of(self.bound(binding, org).await?, min_ttl).await
    }

    /// The same for a binding that was read together with who asks: a token that lasts costs no statement more.
    pub async fn get_token_of(&self, bound: Bound, min_ttl: i64) -> Result<Token, TokenError> {
        if !(0..=LONGEST_TTL).contains(&min_ttl) {
            return Err(TokenError::NoSuchTtl(min_ttl));
        }
        let store = &self.shared.store;
        let (bound, mut grant) = connected(bound)?;
        let mut failed = None;
        // Twice, because a flight that we join may have been started by somebody who asked for less.
        for _ in 0..2 {
            let now = store.clock().now();
            if lasts(&grant, min_ttl, now) || is_just_exchanged(&grant, now) {
                break;
            }
            let landed;
            (landed, grant) = self.refreshed(&grant, Ask::vend(min_ttl)).await?;
            if let Landed::Failed(why) = landed {
                failed = Some(why);
                break;
            }
        }
        if let Some(failed) = failed.take_if(|failed| failed.is_final()) {
            return Err(TokenError::NotFresh(failed));
        }
        let now = store.clock().now();
        if !lasts(&grant, min_ttl, now) {
            return Err(match failed {
                Some(failed) if !is_still_valid(&grant, now) => TokenError::NotFresh(failed),
                failed => TokenError::TooShort { left: (grant.expires_at - now).max(0), min_ttl, failed },
            });
        }
        // The answer doesn't wait for it.
        self.shared.tasks.spawn(traces::carried(self.note_use(&grant)));
        Ok(Token {
            access: store.open_access(&grant)?,
            tenant_id: bound.binding.tenant_id,
            expires_at: grant.expires_at,
            warning: failed.or_else(|| self.trouble(&grant, now)).map(|failed| failed.message),
        })
    }

    /// Once a minute. That it can't be noted, as where the database may only be read just now, is no reason to refuse a
    /// valid token.
    fn note_use(&self, grant: &Grant) -> impl Future<Output = ()> + Send + 'static {
        let (store, id, last_used_at) = (self.shared.store.clone(), grant.id.clone(), grant.last_used_at);
        async move {
            if let Err(error) = store.mark_read_used(&id, last_used_at).await {
                tracing::warn!(grant = %id, %error, "a grant's use couldn't be noted");
            }
        }
    }

    async fn bound(&self, binding: &BindingId, org: &OrgId) -> Result<Bound, TokenError> {
        self.shared.store.binding(org, binding).await?.ok_or(TokenError::NotFound)
    }

    async fn refreshed(&self, grant: &Grant, ask: Ask) -> Result<(Landed, Grant), TokenError> {
        let landed = self.refresh_grant_single_flight(&grant.id, ask).await;
        let grant = self.shared.store.grant(&grant.id).await?.ok_or(TokenError::NotFound)?;
        Ok((landed, grant))
    }

    /// What stands in the way of a refresh that is due, where something is known to.
    fn trouble(&self, grant: &Grant, now: i64) -> Option<Failed> {
        if !self.shared.policy.needs_refresh(grant, now) {
            return None;
        }
        let own = grant.next_attempt_at.filter(|next| *next > now);
        let own = own.map(|next| Failed::waiting(grant.last_error.as_deref(), next));
        let resting = || self.shared.xero.breaker().look(Asker::Automatic).err();
        own.or_else(|| resting().map(|resting| Failed::resting(&resting, resting.until)))
    }
}

impl Failed {
    /// Nothing that waiting could mend.
    pub fn is_final(&self) -> bool {
        matches!(self.why, Why::Reconnect | Why::Gone)
    }
}

/// A binding and the grant that it stands on.
fn connected(bound: Bound) -> Result<(Bound, Grant), TokenError> {
    if let Some(why) = not_connected(&bound) {
        return Err(TokenError::NotConnected(why));
    }
    let Some(grant) = bound.grant.clone() else { return Err(TokenError::NotConnected(Failed::gone().message)) };
    Ok((bound, grant))
}

/// What a consent brought wasn't exchanged yet.
fn is_just_exchanged(grant: &Grant, now: i64) -> bool {
    grant.generation > 0 && grant.last_refreshed_at.is_some_and(|last| now - last < JUST_NOW)
}

/// Whether the access token lasts so long, or is as fresh as they come and was given for so long.
fn lasts(grant: &Grant, min_ttl: i64, now: i64) -> bool {
    let left = grant.expires_at - now;
    is_still_valid(grant, now) && (left >= min_ttl || (is_just_exchanged(grant, now) && left + JUST_NOW >= min_ttl))
}
