//! Finds connections and pages by a few letters of their names.

use crate::model::{ConnectionName, FINDABLE_PAGES, FindablePage, FoundView, OrgView};
use crate::server::domain::name_order::{fold, sort_key};
use crate::server::store::{ConnectionGrants, Store, StoreError};

/// The most connections that are listed.
const MAX_CONNECTIONS: usize = 20;

/// Loads the view of `/find`.
pub async fn find(store: &Store, org: &OrgView, query: &str) -> Result<FoundView, StoreError> {
    let name = |one: ConnectionGrants| ConnectionName { id: one.binding_id, name: one.tenant_name };
    let all = store.connections_with_grants(&org.id).await?.into_iter().map(name).collect();
    let mut connections = matching(all, query, |one: &ConnectionName| &one.name);
    let more = connections.len().saturating_sub(MAX_CONNECTIONS);
    connections.truncate(MAX_CONNECTIONS);
    let allowed = FINDABLE_PAGES.iter().filter(|(_, _, needed)| needed.is_none_or(|needed| org.role.may(needed)));
    let page = |(name, path, _): &(&str, &str, _)| FindablePage { name: (*name).to_owned(), path: (*path).to_owned() };
    let pages = matching(allowed.map(page).collect(), query, |one: &FindablePage| &one.name);
    Ok(FoundView { query: query.to_owned(), connections, more, pages, as_of: store.clock().now() })
}

/// Returns the items whose names contain every word of the query, those that begin with it first, then by name. An empty
/// query matches all.
fn matching<T>(items: Vec<T>, query: &str, name: fn(&T) -> &str) -> Vec<T> {
    let query = fold(query);
    let mut found: Vec<(String, T)> = items.into_iter().map(|item| (fold(name(&item)), item)).collect();
    found.retain(|(name, _)| query.split_whitespace().all(|word| name.contains(word)));
    found.sort_by_cached_key(|(folded, item)| (!folded.starts_with(query.trim()), sort_key(name(item))));
    found.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_without_case_and_diacritics() {
        let names = vec!["Tui Books", "Ōtautahi Bakery", "Bakery of Tūī", "Zoë & Søn"];
        let found = |query| matching(names.clone(), query, |name| name);
        assert_eq!(found("otautahi"), ["Ōtautahi Bakery"]);
        assert_eq!(found("ÖTAUT"), ["Ōtautahi Bakery"]);
        assert_eq!(found("bak"), ["Bakery of Tūī", "Ōtautahi Bakery"]);
        assert_eq!(found(" tui "), ["Tui Books", "Bakery of Tūī"]);
        assert_eq!(found("tui bakery"), ["Bakery of Tūī"]);
        assert_eq!(found("zoe"), ["Zoë & Søn"]);
        assert_eq!(found("son"), ["Zoë & Søn"], "a letter that Unicode doesn't decompose");
        assert_eq!(found("quay"), <[&str; 0]>::default());
        assert_eq!(found("").len(), names.len());
    }
}
