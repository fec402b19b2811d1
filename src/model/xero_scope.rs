//! What each of Xero's scopes allows, in words for the person who consents. The only mapping of scopes to sentences.

/// The sentences, by the scope's name without `.read`: what is read, and what is changed.
const SUBJECTS: &[(&str, &str)] = &[
    ("accounting.settings", "your organisation's settings, such as its name, accounts and tax rates"),
    ("accounting.transactions", "invoices, bills, payments and other transactions"),
    ("accounting.invoices", "invoices and bills"),
    ("accounting.payments", "payments"),
    ("accounting.banktransactions", "bank transactions"),
    ("accounting.manualjournals", "manual journals"),
    ("accounting.contacts", "contacts"),
    ("accounting.attachments", "attachments"),
    ("accounting.journals", "journals"),
    ("accounting.reports", "reports"),
    ("accounting.budgets", "budgets"),
    ("assets", "fixed assets"),
    ("bankfeeds", "bank feeds"),
    ("files", "files"),
    ("finance", "financial statements"),
    ("payroll", "payroll"),
    ("projects", "projects"),
];

/// Returns what the scope allows, such as "Read contacts".
pub fn scope_sentence(scope: &str) -> String {
    match scope {
        "openid" => return "Know which Xero user you are".to_owned(),
        "profile" => return "See your name".to_owned(),
        "email" => return "See your email address".to_owned(),
        "offline_access" => return "Stay connected until you disconnect it".to_owned(),
        _ => {}
    }
    let (name, verb) = match scope.strip_suffix(".read") {
        Some(name) => (name, "Read"),
        None => (scope, "Read and change"),
    };
    // A narrower scope, such as accounting.reports.balancesheet, belongs to the longest name that it begins with.
    let is_of = |subject: &str| name.strip_prefix(subject).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    match SUBJECTS.iter().find(|(subject, _)| is_of(subject)) {
        Some((_, what)) => format!("{verb} {what}"),
        None => format!("{verb} what Xero calls {name}"),
    }
}

/// Returns the sentences of the scopes, each once, in their order.
pub fn scope_sentences<'a>(scopes: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    for sentence in scopes.map(scope_sentence) {
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_told_in_plain_words() {
        let sentences = scope_sentences(
            "openid offline_access accounting.contacts accounting.reports.balancesheet.read payroll.payruns.read new.thing"
                .split(' '),
        );
        assert_eq!(
            sentences,
            [
                "Know which Xero user you are",
                "Stay connected until you disconnect it",
                "Read and change contacts",
                "Read reports",
                "Read payroll",
                "Read and change what Xero calls new.thing",
            ]
        );
        assert_eq!(scope_sentences("files files".split(' ')), ["Read and change files"]);
        assert_eq!(scope_sentences("profile email".split(' ')), ["See your name", "See your email address"]);
        assert_eq!(scope_sentence("filesharing.read"), "Read what Xero calls filesharing");
    }
}
