//! `GET /api/v1/events`: the feed of events, for programs that can't receive webhooks.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};

use super::call_origin::CallOrigin;
use super::paging::{DEFAULT_LIMIT, decode_cursor, encode_cursor, parse_limit};
use super::problem::Problem;
use super::problem_responses::ListProblems;
use super::rate_limit::rate_limited;
use crate::model::{BindingId, EventKind, OrgId, Scope, paths};
use crate::server::auth::api_keys;
use crate::server::http::state::AppState;
use crate::server::notify::EventBody;
use crate::server::store::{Event, EventFilter, EventSubject, NumberedEvent};

/// A page of the feed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventList {
    /// The oldest first. Empty if there are no new ones.
    events: Vec<EventBody>,
    /// The value for cursor of the next call, also if there are no more events yet.
    next_cursor: String,
    /// Whether there are more events already.
    has_more: bool,
}

impl EventList {
    /// Returns the example for the API description.
    fn example() -> Self {
        let (id, tenant) = ("7f1c9b0e-54aa-4c55-9f0f-2f0c3a8e1d77", "45e4708e-d862-4111-ab3a-dd8cd03913e1");
        let org = OrgId("0b8f8a52-0a33-4c39-8f6e-0d4bd1a3b1d6".to_owned());
        let event = Event {
            id: "1a3185c5000-00000007-5b2f".into(),
            org: Some(org.clone()),
            kind: EventKind::NeedsReconnecting,
            about: EventSubject {
                binding: Some(id.into()),
                grant: Some("d1b0f6a4-6f44-4f83-9a0e-2c7f5d0a9c11".into()),
                tenant_id: Some(tenant.to_owned()),
                tenant_name: Some("Harbour Coffee".to_owned()),
            },
            external_id: Some("customer-4711".to_owned()),
            tags: vec!["gold".to_owned()],
            reason: Some("refused_by_xero".to_owned()),
            ends_at: None,
            occurred_at: 1_800_000_000,
        };
        let body = EventBody::new(&event, &org, "Harbour Group", "https://evergrant.example.com");
        Self { events: vec![body], next_cursor: cursor_after(7), has_more: false }
    }
}

/// Lists events after a cursor.
#[utoipa::path(
    get,
    path = paths::V1_EVENTS,
    tag = "events",
    operation_id = "listEvents",
    summary = "Read events",
    description = "Returns the events of the key's organisation in a fixed order, the oldest first, each as webhooks get \
        it. Pass nextCursor as cursor to read on: no event is skipped and none comes twice. An event is in the feed a \
        few seconds after it happened, and for as long as the operator keeps activity (365 days by default).",
    params(EventQuery),
    security(("apiKey" = [Scope::EventsRead.as_str()])),
    responses(
        (status = 200, description = "The events. They must not be cached (no-store).", body = EventList,
            example = json!(EventList::example())),
        ListProblems,
    ),
)]
pub async fn list(
    State(state): State<AppState>,
    origin: CallOrigin,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = api_keys::authenticate(&state.store, &headers).await?;
    let work = async {
        let EventQuery { mut filter, after, limit, .. } = EventQuery::parse(query.as_deref().unwrap_or_default())?;
        filter.limited_by = key.limited_by();
        let store = &state.store;
        if after > store.last_event_number().await? {
            return Err(Problem::invalid_argument(
                "cursor is of another database, perhaps from before it was restored. Start again without it.",
            ));
        }
        // One more than asked for tells whether there are more.
        let mut found = store.events_after(&key.org, &filter, after, limit + 1).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = cursor_after(found.last().map_or(after, |last| last.number));
        let name = store.org_name(&key.org).await?.unwrap_or_default();
        let origin = state.config.public_url.url_for("");
        let body = |NumberedEvent { event, .. }: &NumberedEvent| EventBody::new(event, &key.org, &name, &origin);
        let list = EventList { events: found.iter().map(body).collect(), next_cursor, has_more };
        Ok(([(CACHE_CONTROL, "no-store")], Json(list)).into_response())
    };
    Ok(rate_limited(&state, &key, &origin, Scope::EventsRead, work).await)
}

/// The parsed query.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventQuery {
    #[param(value_type = Option<String>, rename = "type", required = false, nullable = false)]
    /// Only events of this type, such as connection.needs_reconnecting.
    filter: EventFilter,
    #[param(value_type = Option<String>, rename = "bindingId", required = false, nullable = false)]
    /// Only events about the connection with this id.
    _binding_id: (),
    #[param(required = false, minimum = 1, maximum = 500, default = json!(DEFAULT_LIMIT))]
    /// The most events to return.
    limit: i64,
    #[param(value_type = Option<String>, rename = "cursor", required = false, nullable = false)]
    /// The nextCursor of the call before. Without it, the list starts with the oldest event.
    after: i64,
}

impl EventQuery {
    /// Parses the query. An unknown parameter is refused, because a filter that is misspelled would match everything.
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut parsed = Self { filter: EventFilter::default(), _binding_id: (), limit: DEFAULT_LIMIT, after: 0 };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "type" => parsed.filter.kind = Some(parse_kind(&value)?),
                "bindingId" => {
                    parsed.filter.binding = Some(BindingId(value.into_owned())).filter(|id| !id.0.is_empty())
                }
                "limit" => parsed.limit = parse_limit(&value)?,
                "cursor" => {
                    let after = parse_cursor(&value);
                    parsed.after = after.ok_or_else(|| Problem::invalid_argument("cursor is not a nextCursor."))?;
                }
                _ => return Err(Problem::invalid_argument(&format!("There is no parameter {name:?}."))),
            }
        }
        Ok(parsed)
    }
}

fn parse_kind(value: &str) -> Result<EventKind, Problem> {
    EventKind::parse(value).ok_or_else(|| {
        let kinds: Vec<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        Problem::invalid_argument(&format!("type is one of {}.", kinds.join(", ")))
    })
}

/// Returns the cursor that continues after an event's number.
fn cursor_after(number: i64) -> String {
    encode_cursor(&format!("e:{number}"))
}

fn parse_cursor(text: &str) -> Option<i64> {
    decode_cursor(text)?.strip_prefix("e:")?.parse().ok().filter(|number| *number >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_has_kind_binding_limit_and_cursor() {
        let query = format!("type=connection.created&bindingId=b1&limit=7&cursor={}", cursor_after(9));
        let parsed = EventQuery::parse(&query).unwrap();
        let filter = EventFilter { kind: Some(EventKind::Created), binding: Some("b1".into()), limited_by: None };
        assert_eq!((parsed.filter, parsed.limit, parsed.after), (filter, 7, 9));
        for wrong in ["type=x", "type=", "limit=0", "cursor=x", "cursor=ZTotMQ", "kind=connection.created"] {
            assert!(EventQuery::parse(wrong).is_err(), "{wrong}");
        }
    }
}
