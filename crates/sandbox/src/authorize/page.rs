//! The HTML of the consent and error pages. Needs no scripts, and escapes everything that comes from outside.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::request::{AuthorizeRequest, InvalidRequest};
use crate::people::{PEOPLE, TENANTS, Tenant};

/// What the consent page shows.
pub(super) struct ConsentPage<'a> {
    pub request: &'a AuthorizeRequest,
    /// Any number of tenants may be chosen instead of exactly one.
    pub allows_many: bool,
    /// What was wrong with the form that was sent before.
    pub error: Option<&'a str>,
    /// Names of renamed tenants, by tenant id.
    pub tenant_names: &'a BTreeMap<String, String>,
}

pub(super) fn consent(page: &ConsentPage<'_>) -> String {
    let request = page.request;
    let mut main = String::from(
        "<h1>Evergrant asks for access</h1>\n<p>If you allow it, Evergrant can do the following on behalf of the \
         person you choose.</p>\n<ul class=\"scopes\">\n",
    );
    for scope in request.scope.split(' ') {
        _ = writeln!(main, "<li>{} <code>{}</code></li>", escape(&describe_scope(scope)), escape(scope));
    }
    main.push_str("</ul>\n");
    if let Some(error) = page.error {
        _ = writeln!(main, "<p class=\"error\" role=\"alert\">{}</p>", escape(error));
    }
    main.push_str("<form method=\"post\" action=\"authorize\">\n");
    let hidden = [
        ("response_type", Some("code")),
        ("client_id", Some(request.client_id.as_str())),
        ("redirect_uri", Some(request.redirect_text.as_str())),
        ("scope", Some(request.scope.as_str())),
        ("state", request.state.as_deref()),
        ("code_challenge", request.code_challenge.as_deref()),
        ("nonce", request.nonce.as_deref()),
        ("code_challenge_method", request.code_challenge.as_ref().map(|_| "S256")),
    ];
    for (name, value) in hidden {
        if let Some(value) = value {
            _ = writeln!(main, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));
        }
    }
    main.push_str("<fieldset>\n<legend>Who are you?</legend>\n");
    for (index, person) in PEOPLE.iter().enumerate() {
        let checked = if index == 0 { "checked" } else { "" };
        let detail = format!("{}, {}", person.role, person.email);
        choice(&mut main, ("radio", "person", person.key, checked), &person.full_name(), &detail);
    }
    main.push_str("</fieldset>\n");
    if !request.is_sign_in() {
        tenant_choice(&mut main, page);
    }
    main.push_str(
        "<div class=\"buttons\">\n\
         <button class=\"allow\" name=\"decision\" value=\"allow\">Allow access</button>\n\
         <button name=\"decision\" value=\"cancel\" formnovalidate>Cancel</button>\n</div>\n</form>\n",
    );
    _ = writeln!(
        main,
        "<p class=\"quiet\">Both buttons take you back to {}.</p>",
        escape(&request.redirect_uri.origin().ascii_serialization())
    );
    document("Allow access", &main)
}

fn tenant_choice(main: &mut String, page: &ConsentPage<'_>) {
    let (legend, kind, required) = if page.allows_many {
        ("Which organisations may it see?", "checkbox", "")
    } else {
        ("Which organisation may it see?", "radio", "required")
    };
    _ = writeln!(main, "<fieldset>\n<legend>{legend}</legend>");
    for tenant in TENANTS {
        let name = page.tenant_names.get(tenant.tenant_id).map_or(tenant.name, String::as_str);
        choice(main, (kind, "tenant", tenant.key, required), name, &tenant_detail(tenant));
    }
    main.push_str("</fieldset>\n");
}

/// Returns the page that ends an invalid request, as Xero does, without a redirect to the app.
pub(super) fn error(invalid: &InvalidRequest) -> String {
    let main = format!(
        "<h1>{}</h1>\n<p>{}</p>\n<p>Nothing was connected. Go back with your browser's Back button, or close this \
         page.</p>\n",
        escape(invalid.title),
        escape(&invalid.advice)
    );
    document(invalid.title, &main)
}

/// Appends a radio button or checkbox with its label. `attribute` is a boolean attribute, or empty.
fn choice(html: &mut String, (kind, field, value, attribute): (&str, &str, &str, &str), name: &str, detail: &str) {
    _ = writeln!(
        html,
        "<label class=\"choice\"><input type=\"{kind}\" name=\"{field}\" value=\"{value}\" {attribute}>\
         <span><span class=\"name\">{}</span> <span class=\"detail\">{}</span></span></label>",
        escape(name),
        escape(detail)
    );
}

fn tenant_detail(tenant: &Tenant) -> String {
    let kind = if tenant.tenant_type == "PRACTICE" { "Practice" } else { "Organisation" };
    format!("{kind}, {}, {}", tenant.country, tenant.currency)
}

/// Returns what a scope allows, in plain language.
fn describe_scope(scope: &str) -> String {
    match scope {
        "openid" => "Know who you are".to_owned(),
        "profile" => "See your name".to_owned(),
        "email" => "See your email address".to_owned(),
        "offline_access" => "Keep its access while you are away, until you disconnect it".to_owned(),
        _ => {
            let (verb, rest) = match scope.strip_suffix(".read") {
                Some(rest) => ("Read", rest),
                None => ("Read and change", scope),
            };
            format!("{verb} {}", rest.replace('.', " "))
        }
    }
}

fn document(title: &str, main: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} - Evergrant sandbox</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"page.css\">\n</head>\n<body>\n\
         <header><strong>Sandbox</strong> This page stands in for Xero. The people and organisations are made up, and \
         nothing leaves this machine.</header>\n<main>\n{main}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// Escapes HTML text and quoted attribute values.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_described_in_plain_language() {
        assert_eq!(describe_scope("accounting.settings.read"), "Read accounting settings");
        assert_eq!(describe_scope("accounting.contacts"), "Read and change accounting contacts");
        assert_eq!(describe_scope("openid"), "Know who you are");
    }

    #[test]
    fn attribute_values_are_escaped() {
        assert_eq!(escape("\"'><b>&"), "&quot;&#39;&gt;&lt;b&gt;&amp;");
    }
}
