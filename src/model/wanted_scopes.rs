//! The scopes that the app asks for, compared with those that a consent granted.

/// The scopes that Xero lets every app ask for. A connection with them stays alive, and opens no data.
pub const SMALLEST_SCOPES: &str = "openid profile email offline_access";

/// The day on which Xero ends its broad scopes.
pub const BROAD_SCOPES_END: &str = "13 September 2027";

/// Returns the wanted scopes that a consent lacks, in their order. Both lists are separated by spaces.
///
/// A scope includes its own `.read`. A broad scope doesn't count for the narrower ones that replace it, because it ends.
/// If Xero sent no list of granted scopes, nothing is known to be missing.
pub fn missing_scopes(granted: &str, wanted: &str) -> Vec<String> {
    let has = |scope: &str| granted.split_whitespace().any(|one| one == scope);
    let is_missing = |scope: &&str| !has(scope) && !scope.strip_suffix(".read").is_some_and(has);
    match granted.trim().is_empty() {
        true => Vec::new(),
        false => wanted.split_whitespace().filter(is_missing).map(str::to_owned).collect(),
    }
}

/// Returns the scopes beyond the smallest set, in their order. Only these can be refused to an app.
pub fn scopes_beyond_smallest(scopes: &str) -> Vec<String> {
    missing_scopes(SMALLEST_SCOPES, scopes)
}

/// Returns whether Xero ends the scope, and refuses it to apps made since 2 March 2026.
pub fn is_broad_scope(scope: &str) -> bool {
    matches!(scope, "accounting.transactions" | "accounting.transactions.read" | "accounting.reports.read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_missing_unless_granted_or_included_in_a_granted_one() {
        let missing = |granted, wanted| missing_scopes(granted, wanted).join(" ");
        assert_eq!(missing("openid accounting.contacts", "openid accounting.contacts.read files"), "files");
        assert_eq!(missing("openid accounting.contacts.read", "accounting.contacts"), "accounting.contacts");
        assert_eq!(missing("accounting.transactions", "accounting.invoices"), "accounting.invoices");
        assert_eq!(missing("files openid", "openid  files"), "");
        assert_eq!(missing("", "openid files"), "", "Xero sent no scopes");
    }

    #[test]
    fn smallest_set_is_never_refused() {
        assert_eq!(scopes_beyond_smallest("openid offline_access files"), ["files"]);
        assert!(scopes_beyond_smallest(SMALLEST_SCOPES).is_empty());
        assert!(is_broad_scope("accounting.reports.read") && !is_broad_scope("accounting.reports.aged.read"));
    }
}
