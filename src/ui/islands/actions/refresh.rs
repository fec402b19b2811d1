//! Refreshes connections.

use super::{Message, join_sentences, page_organization};
use crate::api;
use crate::model::{ApiError, BindingId, Tone};
use crate::ui::islands::times::retry_sentence;

/// Refreshes every connection that is due, of so many active ones.
pub async fn refresh_all(active: u32) -> Result<Message, ApiError> {
    let summary = api::refresh_integrations(true, page_organization()).await?.summary();
    let tone = match (summary.needs_action(), summary.retrying) {
        (0, 0) => Tone::Good,
        (0, _) => Tone::Warn,
        _ => Tone::Bad,
    };
    Ok((tone, join_sentences(summary.text(Some(active)), summary.retry_at().map(retry_sentence))))
}

/// Refreshes one connection.
pub async fn refresh(id: BindingId) -> Result<Message, ApiError> {
    let report = api::refresh_connection(id, page_organization()).await?;
    Ok(match report.errors.into_iter().next() {
        Some(failed) if failed.needs_action => (Tone::Bad, failed.error),
        Some(failed) => (Tone::Warn, join_sentences(failed.error, failed.next_attempt_at.map(retry_sentence))),
        None => (Tone::Good, "Token refreshed.".to_owned()),
    })
}
