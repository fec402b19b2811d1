//! Vends access tokens to an organization's programs, and API clients to Evergrant itself. A valid token is served with
//! a warning while Xero is down (rule 8).

use super::error::{MAX_TTL, TokenError};
use super::outcome::{RefreshFailure, RefreshOutcome, RefreshRequest};
use super::policy::is_still_valid;
use super::service::{TokenService, disconnected_reason};
use crate::model::{BindingId, OrgId, OrganizationDetails, Trigger};
use crate::server::domain::{AccessToken, AppIdentity, Grant};
use crate::server::store::BindingWithGrant;
use crate::server::xero::{Priority, XeroApiClient, XeroError};

/// A token that was refreshed at most this many seconds ago counts as new. Otherwise a program that requests nearly the
/// whole lifetime would cause an exchange with every call.
const JUST_REFRESHED: i64 = 60;

/// A token that Xero rejects within so many seconds of its issue says that Xero's clocks disagree. Each call would cause
/// an exchange, and its token would be rejected again.
const REJECTED_AT_ONCE: i64 = 5;

/// A client of Xero's API for one tenant, with a valid access token.
pub struct TenantClient {
    /// Client of Xero's API, limited to the tenant.
    pub api: XeroApiClient,
    /// Unix seconds at which its access token expires.
    pub expires_at: i64,
    /// Set if an early refresh failed and the still valid token is served.
    pub warning: Option<String>,
}

impl TenantClient {
    /// Fetches the tenant's details from Xero's API.
    pub async fn organization_details(&self) -> Result<OrganizationDetails, XeroError> {
        let organization = self.api.organization().await?;
        Ok(OrganizationDetails {
            name: organization.name,
            legal_name: organization.legal_name,
            country_code: organization.country_code,
            base_currency: organization.base_currency,
            warning: self.warning.clone(),
        })
    }
}

/// An access token for one tenant, for a program.
pub struct VendedToken {
    /// Access token, valid for every tenant of its grant.
    pub access: AccessToken,
    /// Xero's id of the tenant that the token was requested for.
    pub tenant_id: String,
    /// Unix seconds at which it expires.
    pub expires_at: i64,
    /// Set if the token is due for a refresh and Xero does not provide one.
    pub warning: Option<String>,
}

impl TokenService {
    /// Returns a client for one tenant. Checks that the binding belongs to the organization, and refreshes the grant if
    /// it is due. If that fails but the access token is still valid, the client has a warning.
    pub async fn get_client_for_tenant_binding(
        &self,
        binding: &BindingId,
        org: &OrgId,
    ) -> Result<TenantClient, TokenError> {
        let store = &self.shared.store;
        let bound = store.binding(org, binding).await?.ok_or(TokenError::NotFound)?;
        let (bound, mut grant) = require_grant(bound, store.app())?;
        let mut warning = None;
        if self.shared.policy.needs_refresh(&grant, store.clock().now()) {
            let outcome;
            (outcome, grant) = self.refresh_and_reload(&grant, RefreshRequest::automatic(Trigger::Client)).await?;
            if let RefreshOutcome::Failed(failed) = outcome {
                if failed.is_final() || !is_still_valid(&grant, store.clock().now()) {
                    return Err(TokenError::RefreshFailed(failed));
                }
                warning = Some(failed.message);
            }
        }
        self.shared.notes.record_grant_use(&grant).await;
        let access = store.open_access(&grant)?;
        Ok(TenantClient {
            api: self.shared.xero.api(access, bound.binding.tenant.id),
            expires_at: grant.expires_at,
            warning,
        })
    }

    /// Returns an access token that lasts at least `min_ttl` seconds, for a binding that the caller has read. Refreshes
    /// the grant if its token does not last, and needs no SQL statement if it does.
    ///
    /// If the refresh fails and too little is left, the error has the seconds left and the time of the next attempt.
    pub async fn get_token_for(&self, bound: BindingWithGrant, min_ttl: i64) -> Result<VendedToken, TokenError> {
        if !(0..=MAX_TTL).contains(&min_ttl) {
            return Err(TokenError::InvalidTtl(min_ttl));
        }
        let store = &self.shared.store;
        let (bound, mut grant) = require_grant(bound, store.app())?;
        let mut failed = None;
        // Twice, because an exchange that this call joins may have been started with a lower `min_ttl`.
        for _ in 0..2 {
            let now = store.clock().now();
            // A token that is no longer valid is refreshed again, however new it is.
            if satisfies_ttl(&grant, min_ttl, now) || (is_just_refreshed(&grant, now) && is_still_valid(&grant, now)) {
                break;
            }
            let outcome;
            (outcome, grant) = self.refresh_and_reload(&grant, RefreshRequest::vend(min_ttl)).await?;
            if let RefreshOutcome::Failed(why) = outcome {
                failed = Some(why);
                break;
            }
        }
        if let Some(failed) = failed.take_if(|failed| failed.is_final()) {
            return Err(TokenError::RefreshFailed(failed));
        }
        let now = store.clock().now();
        if !satisfies_ttl(&grant, min_ttl, now) {
            return Err(match failed {
                Some(failed) if !is_still_valid(&grant, now) => TokenError::RefreshFailed(failed),
                failed => TokenError::TtlTooShort { left: (grant.expires_at - now).max(0), min_ttl, failed },
            });
        }
        // The response does not wait for this write.
        drop(self.shared.notes.record_grant_use(&grant));
        Ok(VendedToken {
            access: store.open_access(&grant)?,
            tenant_id: bound.binding.tenant.id,
            expires_at: grant.expires_at,
            warning: failed.or_else(|| self.refresh_obstacle(&grant, now)).map(|failed| failed.message),
        })
    }

    /// Refreshes a binding's grant although it may not be due, unless that was done just before. Returns when the access
    /// token expires, in unix seconds.
    pub async fn refresh_for_program(&self, bound: BindingWithGrant) -> Result<i64, TokenError> {
        let store = &self.shared.store;
        let (_, grant) = require_grant(bound, store.app())?;
        let now = store.clock().now();
        if is_just_refreshed(&grant, now) && is_still_valid(&grant, now) {
            return Ok(grant.expires_at);
        }
        match self.refresh_and_reload(&grant, RefreshRequest::vend(0).forced()).await? {
            (RefreshOutcome::Failed(failed), _) => Err(TokenError::RefreshFailed(failed)),
            (_, grant) => Ok(grant.expires_at),
        }
    }

    /// Returns an access token after Xero has said that `rejected` has expired. Refreshes the grant, unless that was done
    /// meanwhile. Returns `None` if `rejected` was issued seconds ago, because another one would be rejected, too.
    pub async fn get_token_instead_of(
        &self,
        bound: &BindingWithGrant,
        rejected: &AccessToken,
    ) -> Result<Option<AccessToken>, TokenError> {
        let store = &self.shared.store;
        let bound = store.binding(&bound.binding.org_id, &bound.binding.id).await?.ok_or(TokenError::NotFound)?;
        let (_, grant) = require_grant(bound, store.app())?;
        let current = store.open_access(&grant)?;
        if current.expose() != rejected.expose() {
            return Ok(Some(current));
        }
        let now = store.clock().now();
        if is_still_valid(&grant, now) && grant.last_refreshed_at.is_some_and(|last| now - last < REJECTED_AT_ONCE) {
            return Ok(None);
        }
        match self.refresh_and_reload(&grant, RefreshRequest::vend(0).forced()).await? {
            (RefreshOutcome::Failed(failed), _) => Err(TokenError::RefreshFailed(failed)),
            (_, grant) => Ok(Some(store.open_access(&grant)?)),
        }
    }

    /// Refreshes the grant and reads its row again.
    async fn refresh_and_reload(
        &self,
        grant: &Grant,
        request: RefreshRequest,
    ) -> Result<(RefreshOutcome, Grant), TokenError> {
        let outcome = self.refresh_grant_single_flight(&grant.id, request).await;
        let grant = self.shared.store.grant(&grant.id).await?.ok_or(TokenError::NotFound)?;
        Ok((outcome, grant))
    }

    /// Returns why a due refresh is not possible now, if a reason is known.
    fn refresh_obstacle(&self, grant: &Grant, now: i64) -> Option<RefreshFailure> {
        if !self.shared.policy.needs_refresh(grant, now) {
            return None;
        }
        let own = grant.next_attempt_at.filter(|next| *next > now);
        let own = own.map(|next| RefreshFailure::backing_off(grant, next));
        let open_circuit = || self.shared.xero.breaker().check(Priority::Automatic).err();
        own.or_else(|| {
            open_circuit().map(|open_circuit| RefreshFailure::circuit_open(&open_circuit, open_circuit.until))
        })
    }
}

/// Returns the binding and its grant, or an error if the binding is not active or another provider than that of `app`
/// issued its tokens.
fn require_grant(bound: BindingWithGrant, app: &AppIdentity) -> Result<(BindingWithGrant, Grant), TokenError> {
    if let Some(why) = disconnected_reason(&bound) {
        return Err(TokenError::NotConnected(why));
    }
    let Some(grant) = bound.grant.clone() else {
        return Err(TokenError::NotConnected(RefreshFailure::disconnected().message));
    };
    if grant.app.issuer != app.issuer {
        return Err(TokenError::NotConnected(RefreshFailure::another_app(&grant.app).message));
    }
    Ok((bound, grant))
}

/// Returns whether the tokens were just refreshed. Those from a consent do not count.
fn is_just_refreshed(grant: &Grant, now: i64) -> bool {
    grant.generation > 0 && grant.last_refreshed_at.is_some_and(|last| now - last < JUST_REFRESHED)
}

/// Returns whether the access token lasts at least `min_ttl` seconds, or was just refreshed and lasts nearly that long.
fn satisfies_ttl(grant: &Grant, min_ttl: i64, now: i64) -> bool {
    let left = grant.expires_at - now;
    is_still_valid(grant, now)
        && (left >= min_ttl || (is_just_refreshed(grant, now) && left + JUST_REFRESHED >= min_ttl))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn refreshed(ago: i64, left: i64, generation: i64) -> Grant {
        Grant { generation, last_refreshed_at: Some(NOW - ago), ..Grant::for_test(NOW + left, NOW) }
    }

    #[test]
    fn token_is_new_for_a_minute_after_a_refresh_and_never_after_a_consent() {
        for (ago, generation, expected) in [(0, 1, true), (59, 1, true), (60, 1, false), (0, 0, false), (59, 9, true)] {
            assert_eq!(is_just_refreshed(&refreshed(ago, 1800, generation), NOW), expected, "{ago} {generation}");
        }
        assert!(!is_just_refreshed(&Grant { generation: 1, ..Grant::for_test(NOW, NOW) }, NOW));
    }

    #[test]
    fn token_lasts_as_long_as_was_asked_for_or_nearly_if_it_is_new() {
        let (old, new) = (JUST_REFRESHED, 0);
        for (ago, left, min_ttl, expected) in [
            (old, 300, 300, true),
            (old, 299, 300, false),
            (old, 359, 300, true),
            (new, 240, 300, true),
            (new, 239, 300, false),
            // It could expire in transit, whatever was asked for.
            (old, 16, 0, true),
            (old, 15, 0, false),
            (new, 15, 0, false),
        ] {
            assert_eq!(satisfies_ttl(&refreshed(ago, left, 1), min_ttl, NOW), expected, "{ago} {left} {min_ttl}");
        }
    }
}
