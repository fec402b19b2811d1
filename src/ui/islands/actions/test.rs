//! Tests a connection.

use super::{Message, join_sentences, page_organization};
use crate::api;
use crate::model::{ApiError, BindingId, Tone};

/// Fetches the organization's details to show that the connection works.
pub async fn test(id: BindingId) -> Result<Message, ApiError> {
    let details = api::test_connection(id, page_organization()).await?;
    let known = [Some(details.legal_name.unwrap_or(details.name)), details.country_code, details.base_currency];
    let known: Vec<String> = known.into_iter().flatten().collect();
    Ok((Tone::Good, join_sentences(format!("Xero answered: {}.", known.join(", ")), details.warning)))
}
