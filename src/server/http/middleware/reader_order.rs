//! The order in which a page lists names: that of the reader's language.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use axum::middleware::Next;
use axum::response::Response;

use crate::server::domain::name_order::NameOrder;

/// Has the page sort names as the language does that the browser asks for.
pub async fn sort_for_reader(request: Request, next: Next) -> Response {
    let order = NameOrder::of_language(preferred_language(request.headers()));
    order.during(next.run(request)).await
}

/// Returns the language with the highest weight, the first of several (RFC 9110, section 12.5.4). Empty without one.
fn preferred_language(headers: &HeaderMap) -> &str {
    let ranges = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (mut preferred, mut highest) = ("", 0.0);
    for range in ranges.split(',') {
        let (language, parameter) = range.split_once(';').unwrap_or((range, "q=1"));
        let weight = parameter.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok()).unwrap_or(0.0);
        if weight > highest && language.trim() != "*" {
            (preferred, highest) = (language.trim(), weight);
        }
    }
    preferred
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn language_of_the_highest_weight_is_preferred() {
        for (header, language) in [
            ("sv-SE,sv;q=0.9,en;q=0.8", "sv-SE"),
            ("en;q=0.7, da ; q=0.9, nb;q=0.9", "da"),
            ("*, fr;q=0.5", "fr"),
            ("en;q=0", ""),
            ("en;q=often, et;q=0.1", "et"),
            (",;,", ""),
            ("*", ""),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_str(header).unwrap())]);
            assert_eq!(preferred_language(&headers), language, "{header}");
        }
        assert_eq!(preferred_language(&HeaderMap::new()), "");
    }
}
