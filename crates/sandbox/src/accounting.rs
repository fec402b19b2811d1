//! `/api.xro/2.0/Organisation`, and what every call for a tenant passes: the token, its scopes, the tenant, the rate
//! limits, with Xero's errors.

use axum::Json;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::faults::Endpoint;
use crate::people::Tenant;
use crate::rate_limits::{LimitExceeded, Remaining};
use crate::responses::problem;
use crate::sandbox::Sandbox;

pub(crate) async fn organization(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    let sufficient_scopes = ["accounting.settings", "accounting.settings.read"];
    let (tenant, name, permit) = match authorize_call(&sandbox, &headers, &sufficient_scopes) {
        Ok(authorized) => authorized,
        Err(refusal) => return refusal,
    };
    let work = async { Json(body(tenant, &name, sandbox.now())).into_response() };
    permit.with_headers(sandbox.with_faults(Endpoint::Organization, work).await)
}

/// Checks in Xero's order: the token, one of its scopes, the tenant, the rate limits. The error is the response to send.
#[expect(clippy::result_large_err, reason = "the refusal is the whole response, built once per request")]
pub(crate) fn authorize_call(
    sandbox: &Sandbox,
    headers: &HeaderMap,
    sufficient_scopes: &[&str],
) -> Result<(&'static Tenant, String, CallPermit), Response> {
    let caller = sandbox.caller(headers)?;
    if !caller.scopes.iter().any(|scope| sufficient_scopes.contains(&scope.as_str())) {
        return Err(problem(StatusCode::UNAUTHORIZED, "AuthorizationUnsuccessful"));
    }
    let tenant_id = headers.get("xero-tenant-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let connected = {
        let live = sandbox.live();
        let mut connections = live.state.connections_seen_by(&caller.auth_event_id);
        let is_connected = connections.any(|connection| connection.tenant_id == tenant_id);
        is_connected.then(|| live.state.tenant(tenant_id)).flatten()
    };
    let Some((tenant, name)) = connected else {
        return Err(problem(StatusCode::FORBIDDEN, "AuthenticationUnsuccessful"));
    };
    let permit = CallPermit::acquire(sandbox, tenant.tenant_id)?;
    Ok((tenant, name, permit))
}

fn body(tenant: &Tenant, name: &str, now: i64) -> Value {
    let (day, month) = tenant.financial_year_end;
    json!({
        "Id": Uuid::new_v4().to_string(),
        "Status": "OK",
        "ProviderName": "Evergrant sandbox",
        "DateTimeUTC": format!("/Date({})/", now * 1000),
        "Organisations": [{
            "Name": name,
            "LegalName": tenant.legal_name,
            "OrganisationID": tenant.tenant_id,
            "CountryCode": tenant.country,
            "BaseCurrency": tenant.currency,
            "OrganisationStatus": "ACTIVE",
            "IsDemoCompany": tenant.is_demo,
            "Timezone": tenant.timezone,
            "ShortCode": tenant.short_code,
            "OrganisationType": tenant.organization_type,
            "FinancialYearEndDay": day,
            "FinancialYearEndMonth": month,
        }],
    })
}

/// A call within the rate limits. Dropping it, also because the client disconnected, ends the call.
pub(crate) struct CallPermit {
    sandbox: Sandbox,
    tenant_id: String,
    remaining: Remaining,
}

impl CallPermit {
    /// Counts the call, or returns the 429 to send.
    #[expect(clippy::result_large_err, reason = "the refusal is the whole response, built once per request")]
    fn acquire(sandbox: &Sandbox, tenant_id: &str) -> Result<Self, Response> {
        let now = sandbox.now();
        let (remaining, acquired) = {
            let mut live = sandbox.live();
            let limits = live.settings.call_limits;
            live.rate_limits.acquire(&limits, tenant_id, now)
        };
        match acquired {
            Ok(()) => Ok(Self { sandbox: sandbox.clone(), tenant_id: tenant_id.to_owned(), remaining }),
            Err(exceeded) => Err(too_many_requests(&exceeded, &remaining)),
        }
    }

    /// Adds the headers that state the remaining calls.
    pub(crate) fn with_headers(&self, mut response: Response) -> Response {
        insert_remaining(response.headers_mut(), &self.remaining);
        response
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        self.sandbox.live().rate_limits.release(&self.tenant_id);
    }
}

fn too_many_requests(exceeded: &LimitExceeded, remaining: &Remaining) -> Response {
    let (limit, retry_after) = match exceeded {
        LimitExceeded::Concurrent => ("concurrent", None),
        LimitExceeded::Minute(seconds) => ("minute", Some(*seconds)),
        LimitExceeded::Day(seconds) => ("day", Some(*seconds)),
    };
    let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "RateLimitExceeded");
    let headers = response.headers_mut();
    insert_remaining(headers, remaining);
    headers.insert(HeaderName::from_static("x-rate-limit-problem"), HeaderValue::from_static(limit));
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn insert_remaining(headers: &mut HeaderMap, remaining: &Remaining) {
    headers.insert(HeaderName::from_static("x-minlimit-remaining"), HeaderValue::from(remaining.minute));
    headers.insert(HeaderName::from_static("x-daylimit-remaining"), HeaderValue::from(remaining.day));
    headers.insert(HeaderName::from_static("x-appminlimit-remaining"), HeaderValue::from(remaining.app_minute));
}
