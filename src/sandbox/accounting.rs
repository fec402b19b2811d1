//! `/api.xro/2.0/Organisation`: the one accounting call that Evergrant makes, with Xero's refusals and limits.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Sandbox;
use super::faults::{self, Endpoint};
use super::limits::Slot;
use super::people::Tenant;
use super::reply::problem;

pub(super) async fn organisation(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    let (tenant, name, slot) = match admitted(&sandbox, &headers) {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal,
    };
    let work = async { Json(body(tenant, &name, sandbox.now())).into_response() };
    slot.mark(faults::around(&sandbox, Endpoint::Organisation, work).await)
}

/// Checks in Xero's order: the token, its scope, the tenant, the limits. The error is the answer to send.
#[expect(clippy::result_large_err, reason = "the refusal is the whole answer, made once per request")]
fn admitted(sandbox: &Sandbox, headers: &HeaderMap) -> Result<(&'static Tenant, String, Slot), Response> {
    let caller = sandbox.caller(headers)?;
    let settings = ["accounting.settings", "accounting.settings.read"];
    if !caller.scopes.iter().any(|scope| settings.contains(&scope.as_str())) {
        return Err(problem(StatusCode::UNAUTHORIZED, "AuthorizationUnsuccessful"));
    }
    let wanted = headers.get("xero-tenant-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let connected = {
        let live = sandbox.live();
        let mut mine = live.state.connections_of(&caller.xero_user_id);
        mine.any(|connection| connection.tenant_id == wanted).then(|| live.state.tenant(wanted)).flatten()
    };
    let Some((tenant, name)) = connected else {
        return Err(problem(StatusCode::FORBIDDEN, "AuthenticationUnsuccessful"));
    };
    let slot = Slot::take(sandbox, tenant.tenant_id)?;
    Ok((tenant, name, slot))
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
            "OrganisationType": tenant.organisation_type,
            "FinancialYearEndDay": day,
            "FinancialYearEndMonth": month,
        }],
    })
}
