//! Reads one page of the list, with the filter that depends on the scopes that the app asks for.

use super::Connection;
use super::list_query::ListQuery;
use crate::model::OrgId;
use crate::server::http::state::AppState;
use crate::server::store::StoreError;

/// How many connections are read at a time if they are filtered afterwards.
const READ_AT_LEAST: i64 = 501;

/// Returns the connections of the page, and one more if there are further ones.
pub async fn read_page(state: &AppState, org: &OrgId, query: &ListQuery) -> Result<Vec<Connection>, StoreError> {
    let (mut after, mut page) = (query.after.clone(), Vec::new());
    let wanted = usize::try_from(query.limit).unwrap_or(usize::MAX).saturating_add(1);
    // A filter may leave few of many: then as much is read at a time as a page can hold.
    let limit = if query.missing_scopes { query.limit.max(READ_AT_LEAST) } else { query.limit + 1 };
    loop {
        let found = state.store.labeled_bindings(org, &query.filter, (after.0, &after.1), limit).await?;
        let is_last = i64::try_from(found.len()).is_ok_and(|found| found < limit);
        let found: Vec<Connection> =
            found.into_iter().map(|one| Connection::new(one, &state.config.xero.scopes)).collect();
        if let Some(last) = found.last() {
            after = (last.connected_at, last.id.0.clone());
        }
        page.extend(found.into_iter().filter(|one| !query.missing_scopes || !one.missing_scopes.is_empty()));
        if is_last || page.len() >= wanted {
            page.truncate(wanted);
            return Ok(page);
        }
    }
}
