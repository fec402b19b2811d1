//! The actions on connections: calls to the server, and what the page says about their results.

use crate::api;
use crate::model::{ApiError, BindingId, OrgId, Tone};
use crate::ui::islands::dom::{attribute, element_by_id};
use crate::ui::islands::{ids, times};

/// Tone and text of an action's result.
pub type ActionMessage = (Tone, String);

/// Refreshes every connection that is due.
pub async fn refresh_all() -> Result<ActionMessage, ApiError> {
    let active =
        element_by_id(ids::BODY).and_then(|body| attribute(&body, "data-active").parse().ok()).unwrap_or_default();
    let summary = api::refresh_integrations(true, page_organization()).await?.summary();
    let tone = match (summary.needs_action, summary.retrying) {
        (0, 0) => Tone::Good,
        (0, _) => Tone::Warn,
        _ => Tone::Bad,
    };
    let retry = summary.retry_at().map(times::retry_sentence);
    Ok((tone, join_sentences(summary.text(Some(active)), retry)))
}

/// Refreshes one connection.
pub async fn refresh(id: String) -> Result<ActionMessage, ApiError> {
    let report = api::refresh_connection(BindingId(id), page_organization()).await?;
    Ok(match report.errors.into_iter().next() {
        Some(failed) if failed.needs_action => (Tone::Bad, failed.error),
        Some(failed) => (Tone::Warn, join_sentences(failed.error, failed.next_attempt_at.map(times::retry_sentence))),
        None => (Tone::Good, "Token refreshed.".to_owned()),
    })
}

/// Disconnects one connection.
pub async fn disconnect(id: String) -> Result<(), ApiError> {
    api::disconnect(BindingId(id), page_organization()).await
}

/// Fetches the organization's details to show that the connection works.
pub async fn test(id: String) -> Result<ActionMessage, ApiError> {
    let details = api::test_connection(BindingId(id), page_organization()).await?;
    let known = [Some(details.legal_name.unwrap_or(details.name)), details.country_code, details.base_currency];
    let known: Vec<String> = known.into_iter().flatten().collect();
    Ok((Tone::Good, join_sentences(format!("Xero answered: {}.", known.join(", ")), details.warning)))
}

/// Returns the organization that the page was rendered for, which another tab may have left since.
fn page_organization() -> Option<OrgId> {
    let org = element_by_id(ids::BODY).map(|body| attribute(&body, "data-org"))?;
    (!org.is_empty()).then_some(OrgId(org))
}

fn join_sentences(first: String, second: Option<String>) -> String {
    match second {
        Some(second) => format!("{first} {second}"),
        None => first,
    }
}
