//! The parameters of the callback, and which requests only look at it.

use axum::http::{HeaderMap, Method};

use super::scopes::RefusedScopes;
use crate::model::ConnectionFlash;
use crate::server::domain::Secret;

/// What Xero sends back.
#[derive(Default)]
pub struct CallbackParams {
    /// The `state` that the consent began with.
    pub state: Option<Secret>,
    result: Option<String>,
    error: Option<String>,
    description: String,
}

/// How the consent page was left.
pub enum ConsentAnswer {
    /// Xero issued this code.
    Code(Secret),
    /// The person declined.
    Declined,
    /// The app may not ask for these scopes. Xero reports it as the same error, with a description.
    ScopesRefused(RefusedScopes),
    /// Another error, or nothing.
    Failed,
}

impl CallbackParams {
    /// Reads a query.
    pub fn parse(query: &str) -> Self {
        let mut params = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "state" => params.state = Some(Secret::new(value)),
                "code" => params.result = Some(value.into_owned()),
                "error" => params.error = Some(value.into_owned()),
                "error_description" => params.description = value.into_owned(),
                _ => {}
            }
        }
        params
    }

    /// Returns whether Xero reported an error.
    pub fn names_error(&self) -> bool {
        self.error.is_some()
    }

    /// Returns how the consent page was left.
    pub fn answer(self) -> ConsentAnswer {
        let refused = self.error.as_deref().and_then(|error| RefusedScopes::parse(error, &self.description));
        if let Some(refused) = refused {
            return ConsentAnswer::ScopesRefused(refused);
        }
        match (self.result, self.error.as_deref()) {
            (_, Some("access_denied")) => ConsentAnswer::Declined,
            (Some(code), None) if !code.is_empty() => ConsentAnswer::Code(Secret::new(code)),
            _ => ConsentAnswer::Failed,
        }
    }
}

/// Says why Xero gave no code.
pub fn explain(answer: &ConsentAnswer) -> ConnectionFlash {
    match answer {
        ConsentAnswer::Declined => ConnectionFlash::ConsentRefused,
        ConsentAnswer::ScopesRefused(_) => ConnectionFlash::ScopesRefused,
        ConsentAnswer::Code(_) | ConsentAnswer::Failed => ConnectionFlash::ConsentFailed,
    }
}

/// Returns whether nobody waits for the page: a browser or a scanner looks ahead. Such a request must not use the code up.
pub fn is_lookahead(method: &Method, headers: &HeaderMap) -> bool {
    let is_prefetch = |name: &str| {
        let values = headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).any(|value| value.to_ascii_lowercase().contains("prefetch"))
    };
    method == Method::HEAD || is_prefetch("sec-purpose") || is_prefetch("purpose") || is_prefetch("x-purpose")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_mistake_is_no_refusal_of_the_person() {
        let answer = |query: &str| match CallbackParams::parse(query).answer() {
            ConsentAnswer::Code(_) => "code",
            ConsentAnswer::Declined => "declined",
            ConsentAnswer::ScopesRefused(_) => "scopes",
            ConsentAnswer::Failed => "failed",
        };
        for (query, expected) in [
            ("state=s&code=c", "code"),
            ("state=s&code=", "failed"),
            ("error=access_denied", "declined"),
            ("error=access_denied&error_description=The+user+said+no", "declined"),
            ("error=access_denied&error_description=Requested+wrong+apps+scopes", "scopes"),
            ("error=invalid_scope", "scopes"),
            ("error=access_denied&code=c", "declined"),
            ("error=server_error", "failed"),
            ("", "failed"),
        ] {
            assert_eq!(answer(query), expected, "{query}");
        }
    }

    #[test]
    fn requests_that_look_ahead_are_recognized() {
        let mut headers = HeaderMap::new();
        assert!(is_lookahead(&Method::HEAD, &headers) && !is_lookahead(&Method::GET, &headers));
        headers.insert("sec-purpose", "prefetch;prerender".parse().unwrap());
        assert!(is_lookahead(&Method::GET, &headers));
    }
}
