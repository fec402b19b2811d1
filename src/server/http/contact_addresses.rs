//! The addresses of a connection's contacts, as people and programs enter them.

use crate::model::MAX_CONTACTS;
use crate::server::auth::normalize_email;

/// What `contact_addresses` requires.
pub const CONTACTS_RULE: &str = "contacts are at most 5 email addresses.";

/// Returns the addresses, each once and in lower case. `None` if one is none, or if there are too many.
pub fn contact_addresses<'a>(entered: impl Iterator<Item = &'a str>) -> Option<Vec<String>> {
    let mut addresses = entered.map(normalize_email).collect::<Option<Vec<String>>>()?;
    addresses.sort();
    addresses.dedup();
    (addresses.len() <= MAX_CONTACTS).then_some(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_each_counts_once() {
        let checked = |entered: &[&str]| contact_addresses(entered.iter().copied());
        let once = vec!["a@example.com".to_owned(), "b@example.com".to_owned()];
        assert_eq!(checked(&["b@example.com", " A@example.com", "a@example.com"]), Some(once));
        assert_eq!(checked(&[]), Some(Vec::new()));
        assert_eq!(checked(&["a@example.com", "nobody"]), None);
        assert_eq!(checked(&["a@x", "b@x", "c@x", "d@x", "e@x", "f@x"]), None);
    }
}
