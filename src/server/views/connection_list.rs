//! The order of connections, and the part of an organization's connections that a page of the list shows.

use url::form_urlencoded;

use crate::model::{
    BindingId, BrokenConnections, CONNECTIONS_PER_PAGE, ConnectionName, ConnectionView, Health, ListPart, ListQuery,
    ListState, NAMED_BROKEN_CONNECTIONS, paths,
};
use crate::server::domain::name_order::{SortKey, fold, sort_key};

/// A connection with what it is sorted and found by. The page shows some of them only, so the rest of it is not made yet.
pub struct SearchableConnection<'a, T> {
    /// Its id, its name and its state.
    pub key: ConnectionKey<'a>,
    /// Its external id and its tags.
    pub labels: Vec<&'a str>,
    /// What its row is made of.
    pub row: T,
}

/// What connections are sorted by.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionKey<'a> {
    /// The connection's id.
    pub id: &'a str,
    /// The tenant's name.
    pub name: &'a str,
    /// The connection's state.
    pub health: Health,
}

impl<'a> From<&'a ConnectionView> for ConnectionKey<'a> {
    fn from(view: &'a ConnectionView) -> Self {
        Self { id: view.id.as_str(), name: &view.tenant_name, health: view.health }
    }
}

impl<'a> ConnectionKey<'a> {
    /// Sorts those in trouble first, then by name, and those of one name by their ids.
    pub fn sort_key(&self) -> (usize, SortKey, &'a str) {
        (rank(self.health), sort_key(self.name), self.id)
    }

    /// Returns what names the connection.
    pub fn to_name(self) -> ConnectionName {
        ConnectionName { id: self.id.into(), name: self.name.to_owned() }
    }
}

impl<T> SearchableConnection<'_, T> {
    /// Returns whether the name or a label contains the text, which is folded.
    fn matches(&self, folded: &str) -> bool {
        let mut texts = [self.key.name].into_iter().chain(self.labels.iter().copied());
        folded.is_empty() || texts.any(|text| fold(text).contains(folded))
    }
}

/// Returns the connections that need reconnecting. Expects them sorted.
pub fn broken_connections<'a>(sorted: impl Iterator<Item = ConnectionKey<'a>>) -> BrokenConnections {
    let mut broken = BrokenConnections::default();
    for one in sorted.filter(|one| one.health == Health::NeedsReauth) {
        broken.count += 1;
        if broken.named.len() < NAMED_BROKEN_CONNECTIONS {
            broken.named.push(one.to_name());
        }
    }
    broken
}

/// Returns the rows that the query asks for, and what surrounds them. Expects the connections sorted.
pub fn part_of<T>(mut connections: Vec<SearchableConnection<'_, T>>, query: &ListQuery) -> (Vec<T>, ListPart) {
    let first = query.first.as_ref().map(BindingId::as_str);
    if let Some(index) = connections.iter().position(|one| Some(one.key.id) == first) {
        connections[..=index].rotate_right(1);
    }
    let total = connections.len();
    // Between two words a person may have typed two spaces.
    let search = fold(&query.search.split_whitespace().collect::<Vec<_>>().join(" "));
    let found = connections.into_iter().filter(|one| one.matches(&search));
    let found: Vec<_> = found.map(|one| (ListState::of(one.key.health), one.row)).collect();
    let count = |state| found.iter().filter(|(of, _)| *of == state).count();
    let counts = ListState::ALL.iter().map(|&state| (state, count(state))).filter(|(_, count)| *count > 0).collect();
    let is_selected = |of: ListState| query.state.is_none_or(|state| of == state);
    let selected: Vec<T> = found.into_iter().filter(|(of, _)| is_selected(*of)).map(|(_, row)| row).collect();
    let mut part = ListPart {
        search: query.search.trim().to_owned(),
        state: query.state,
        counts,
        total,
        selected: selected.len(),
        ..ListPart::default()
    };
    part.page = query.page.clamp(1, part.last_page());
    part.previous = (part.page > 1).then(|| path_of(query, part.page - 1));
    part.next = (part.page < part.last_page()).then(|| path_of(query, part.page + 1));
    let rows = selected.into_iter().skip((part.page - 1) * CONNECTIONS_PER_PAGE).take(CONNECTIONS_PER_PAGE);
    (rows.collect(), part)
}

/// Returns the path of a page of the list.
fn path_of(query: &ListQuery, page: usize) -> String {
    let (search, state) = (query.search.trim(), query.state.map_or("", ListState::as_str));
    let (page, first) = (page.to_string(), query.first.as_ref().map_or("", BindingId::as_str));
    let pairs = [("q", search), ("state", state), ("connection", first), ("page", page.as_str())];
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    format!("{}?{}", paths::INTEGRATIONS, form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

/// Returns the place of a state in the list. A running refresh moves no row.
fn rank(health: Health) -> usize {
    let state = ListState::of(health);
    ListState::ALL.iter().position(|one| *one == state).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Searchable<'a> = SearchableConnection<'a, &'a str>;

    /// Returns a connection. Its id and its row are its name, too.
    fn connection(name: &str, health: Health) -> Searchable<'_> {
        let key = ConnectionKey { id: name, name, health };
        SearchableConnection { key, labels: Vec::new(), row: name }
    }

    fn sorted(mut connections: Vec<Searchable<'_>>) -> Vec<Searchable<'_>> {
        connections.sort_by_cached_key(|one| one.key.sort_key());
        connections
    }

    #[test]
    fn trouble_comes_first_and_names_are_sorted_as_people_sort_them() {
        let list = sorted(vec![
            connection("Tui", Health::Connected),
            connection("Ōtautahi", Health::Refreshing),
            connection("Zebra", Health::NeedsReauth),
            connection("Gone", Health::Disconnected),
            connection("Slow", Health::Retrying),
            connection("apple", Health::NeedsReauth),
        ]);
        let broken = broken_connections(list.iter().map(|one| one.key));
        assert_eq!((broken.count, broken.named[0].name.as_str(), broken.unnamed()), (2, "apple", 0));
        let (rows, part) = part_of(list, &ListQuery::default());
        assert_eq!(rows, ["apple", "Zebra", "Slow", "Ōtautahi", "Tui", "Gone"]);
        assert_eq!((part.total, part.selected, part.is_filtered()), (6, 6, false));
    }

    #[test]
    fn search_finds_names_ids_and_tags_and_the_counts_are_of_what_it_finds() {
        let list = || {
            let with_id = SearchableConnection { labels: vec!["CRM-77"], ..connection("Tui", Health::Connected) };
            let tagged = SearchableConnection { labels: vec!["payroll"], ..connection("Kauri", Health::NeedsReauth) };
            sorted(vec![with_id, tagged, connection("Ōtautahi Tours", Health::Connected)])
        };
        let search = |search: &str, state| ListQuery { search: search.to_owned(), state, page: 1, first: None };
        for (text, found) in
            [("OTAU", "Ōtautahi Tours"), ("crm-7", "Tui"), (" pay ", "Kauri"), ("otautahi  t", "Ōtautahi Tours")]
        {
            assert_eq!(part_of(list(), &search(text, None)).0, [found], "{text}");
        }
        let (rows, part) = part_of(list(), &search("u", Some(ListState::Connected)));
        assert_eq!(rows, ["Ōtautahi Tours", "Tui"]);
        assert_eq!(part.counts, [(ListState::NeedsReauth, 1), (ListState::Connected, 2)]);
        let (rows, part) = part_of(list(), &search("nowhere", None));
        assert_eq!((rows.len(), part.selected, part.total, part.is_filtered()), (0, 0, 3, true));
    }

    #[test]
    fn pages_keep_the_search_and_a_page_after_the_last_is_the_last() {
        let all: Vec<String> = (0..120).map(|n| format!("Ω & {n}")).collect();
        let list = || sorted(all.iter().map(|name| connection(name, Health::Connected)).collect());
        let query = |page| ListQuery { search: "ω &".into(), state: Some(ListState::Connected), page, first: None };
        let (rows, part) = part_of(list(), &query(2));
        assert_eq!((rows.len(), rows[0]), (50, "Ω & 50"));
        let encoded = "/settings/integrations?q=%CF%89+%26&state=connected&page=";
        assert_eq!(part.previous.as_deref(), Some(format!("{encoded}1").as_str()));
        assert_eq!(part.next.as_deref(), Some(format!("{encoded}3").as_str()));
        let (rows, part) = part_of(list(), &query(99));
        assert_eq!((rows.len(), part.page, part.next), (20, 3, None));
        assert_eq!(part_of(list(), &query(0)).1.page, 1);
    }

    #[test]
    fn named_connection_comes_first_and_no_row_is_shown_twice_or_lost() {
        let all: Vec<String> = (0..120).map(|n| format!("Client {n:03}")).collect();
        let list = || sorted(all.iter().map(|name| connection(name, Health::Connected)).collect());
        let page = |page, search: &str| {
            let first = Some("Client 110".into());
            part_of(list(), &ListQuery { search: search.to_owned(), state: None, page, first })
        };
        let (rows, part) = page(1, "");
        assert_eq!((rows.len(), rows[0], rows[1]), (50, "Client 110", "Client 000"));
        assert!(part.next.unwrap().contains("connection=Client+110"));
        let all: Vec<_> = (1..=3).flat_map(|number| page(number, "").0).collect();
        assert_eq!((all.len(), all.iter().collect::<std::collections::HashSet<_>>().len()), (120, 120));
        assert_eq!(page(1, "client 01").0[0], "Client 010", "the search excludes it");
    }
}
