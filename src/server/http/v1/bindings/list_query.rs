//! The query of the list: filters, and where the last page ended.

use url::form_urlencoded;
use utoipa::IntoParams;

use crate::model::BindingStatus;
use crate::server::http::v1::paging::{DEFAULT_LIMIT, decode_cursor, encode_cursor, parse_limit};
use crate::server::http::v1::problem::Problem;
use crate::server::store::BindingFilter;

/// The parsed query.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    #[param(value_type = Option<String>, rename = "status", required = false, nullable = false)]
    /// Only connections with this status: active, needs_reauth or disconnected.
    pub filter: BindingFilter,
    #[param(value_type = Option<String>, rename = "externalId", required = false, nullable = false)]
    /// Only the connection with this externalId.
    _external_id: (),
    #[param(value_type = Option<String>, rename = "tag", required = false, nullable = false)]
    /// Only connections with this tag.
    _tag: (),
    #[param(rename = "missingScopes", required = false)]
    /// With true, only connections that lack a scope which the app asks for now.
    pub missing_scopes: bool,
    #[param(required = false, minimum = 1, maximum = 500, default = json!(DEFAULT_LIMIT))]
    /// The most connections to return.
    pub limit: i64,
    #[param(value_type = Option<String>, rename = "cursor", required = false, nullable = false)]
    /// The nextCursor of the page before.
    pub after: (i64, String),
}

impl ListQuery {
    /// Parses the query. An unknown parameter is refused, because a filter that is misspelled would match everything.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        let (filter, after) = (BindingFilter::default(), (0, String::new()));
        let (limit, missing_scopes) = (DEFAULT_LIMIT, false);
        let mut parsed = Self { filter, _external_id: (), _tag: (), missing_scopes, limit, after };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let invalid = |what: &str| Problem::invalid_argument(&format!("{name} {what}."));
            match name.as_ref() {
                "status" => {
                    let status = BindingStatus::parse(&value);
                    parsed.filter.status =
                        Some(status.ok_or_else(|| invalid("is one of active, needs_reauth and disconnected"))?);
                }
                "externalId" => parsed.filter.external_id = Some(value.into_owned()).filter(|id| !id.is_empty()),
                "tag" => parsed.filter.tag = Some(value.into_owned()).filter(|tag| !tag.is_empty()),
                "missingScopes" => {
                    parsed.missing_scopes = value.parse().map_err(|_| invalid("is true or false"))?;
                }
                "limit" => parsed.limit = parse_limit(&value)?,
                "cursor" => parsed.after = parse_cursor(&value).ok_or_else(|| invalid("is not a nextCursor"))?,
                _ => return Err(Problem::invalid_argument(&format!("There is no parameter {name:?}."))),
            }
        }
        Ok(parsed)
    }
}

/// Returns the cursor that continues after a connection.
pub fn cursor_after(created_at: i64, id: &str) -> String {
    encode_cursor(&format!("{created_at}:{id}"))
}

fn parse_cursor(text: &str) -> Option<(i64, String)> {
    let decoded = decode_cursor(text)?;
    let (created_at, id) = decoded.split_once(':')?;
    let is_plain = !id.is_empty() && !id.chars().any(char::is_control);
    is_plain.then_some((created_at.parse().ok()?, id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_has_filters_limit_and_cursor() {
        let parsed = ListQuery::parse(&format!("status=active&externalId=a%20b&tag=&cursor={}", cursor_after(7, "id")));
        let parsed = parsed.unwrap();
        assert_eq!(parsed.filter.status, Some(BindingStatus::Active));
        assert_eq!((parsed.filter.external_id.as_deref(), parsed.filter.tag), (Some("a b"), None));
        assert_eq!((parsed.limit, parsed.after), (DEFAULT_LIMIT, (7, "id".to_owned())));
        for wrong in [
            "status=gone",
            "limit=0",
            "limit=501",
            "limit=x",
            "missingScopes=1",
            "cursor=x",
            "cursor=OjE",
            "state=active",
        ] {
            assert!(ListQuery::parse(wrong).is_err(), "{wrong}");
        }
    }
}
