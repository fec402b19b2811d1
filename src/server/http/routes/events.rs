//! `GET /api/events`: streams the changes of the caller's organization as server-sent events, while the session lasts.
//!
//! A stream has no task, database connection or buffer of its own, so that thousands can be idle.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::model::OrgId;
use crate::server::http::internal_error::InternalError;
use crate::server::http::state::AppState;
use crate::server::store::{Change, ChangeSignal, Subscription, Topic, next_of_any};

/// The keep-alive interval. Most proxies close a connection that is idle for a minute.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(25);

/// The maximum age of a stream. The client then reconnects, which checks its session again.
const MAX_STREAM_AGE: Duration = Duration::from_secs(30 * 60);

/// The client's reconnect delay, to which a random part of the jitter is added, so that clients don't reconnect at the
/// same time.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);
const RECONNECT_JITTER: Duration = Duration::from_secs(2);

/// The maximum number of open streams per user.
const MAX_STREAMS_PER_PERSON: usize = 64;

/// How many seconds old a page is at most if it opens its first stream. An older one was hidden, or lost its stream.
const NEW_PAGE_SECONDS: i64 = 10;

/// The event that asks the page to reload its data, if the single changes are not known.
const REREAD_EVENT: &str = "reread";

/// The event of a change that is none of a connection: the page may show it.
const ORGANIZATION_EVENT: &str = "organization";

/// The query parameters.
#[derive(Deserialize)]
pub struct EventsQuery {
    /// When the page was rendered, in unix seconds.
    as_of: Option<i64>,
    /// The organization that the page shows; missing or empty if it shows none.
    org_id: Option<OrgId>,
}

struct ChangeStream {
    state: AppState,
    /// The request's cookie and authorization headers, to check the session again.
    credentials: HeaderMap,
    org: OrgId,
    org_changes: Subscription,
    /// Changes of the summaries of the person's other organizations, which the switcher shows.
    summary_changes: Vec<Subscription>,
    person_changes: Subscription,
    first_event: Option<Event>,
    expires_at: Instant,
    is_over: bool,
}

/// Opens a stream. If anything changed since `as_of` or `Last-Event-ID`, or the page shows another organization than the
/// session's, the first event is a `reread`.
pub async fn events(
    State(state): State<AppState>,
    headers: HeaderMap,
    Query(EventsQuery { as_of, org_id }): Query<EventsQuery>,
) -> Result<Response, InternalError> {
    let Some(caller) = state.auth.caller(&headers).await? else {
        return Ok(error_response(StatusCode::UNAUTHORIZED, "You aren't signed in. Sign in, then try again."));
    };
    // No event will ever arrive: 204 stops the browser from reconnecting.
    let Some(org) = caller.org.map(|org| org.id) else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let person = Topic::Person(caller.user_id);
    let changes = state.store.changes();
    if changes.listener_count(&person) >= MAX_STREAMS_PER_PERSON {
        return Ok(error_response(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many pages with live updates. Close some of them.",
        ));
    }
    if changes.org_listener_count() >= state.listener.max_streams() {
        return Ok(error_response(StatusCode::SERVICE_UNAVAILABLE, "Too many live updates. Pages work without them."));
    }
    // Subscribe before checking for missed changes, so that none is lost in between.
    let (of_org, of_person) = (changes.subscribe(Topic::Org(org.clone())), changes.subscribe(person));
    let other_orgs = caller.orgs.into_iter().map(|one| one.id).filter(|id| *id != org);
    let summary_changes: Vec<_> = other_orgs.map(|id| changes.subscribe(Topic::OrgSummary(id))).collect();
    let now = state.store.clock().now();
    let last_event = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let known = last_event.or(as_of);
    let is_of_another_org = org_id.is_some_and(|shown| !shown.as_str().is_empty() && shown != org);
    let changes_missed = match known {
        _ if is_of_another_org => true,
        Some(known) => state.store.changed_since(&org, known).await?,
        None => false,
    };
    let first = if changes_missed {
        event(now, REREAD_EVENT, &json!({}))
    } else if !summary_changes.is_empty()
        && (last_event.is_some() || as_of.is_some_and(|at| at < now - NEW_PAGE_SECONDS))
    {
        // Nobody listened to the other organizations for a while. Their rows are not searched for changes.
        event(now, ORGANIZATION_EVENT, &json!({}))
    } else {
        Event::default().id(now.to_string())
    };
    let listener = ChangeStream {
        credentials: credentials(&headers),
        first_event: Some(first.retry(RECONNECT_DELAY + RECONNECT_JITTER.mul_f64(rand::random()))),
        expires_at: Instant::now() + MAX_STREAM_AGE,
        is_over: false,
        state,
        org,
        org_changes: of_org,
        summary_changes,
        person_changes: of_person,
    };
    let events = Sse::new(stream::unfold(listener, ChangeStream::next))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL));
    // `X-Accel-Buffering: no` stops nginx from buffering the stream.
    let headers = [(CACHE_CONTROL, "no-store"), (HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, events).into_response())
}

impl ChangeStream {
    /// Returns the next event, or `None` at the end of the stream.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if let Some(first) = self.first_event.take() {
            return Some((Ok(first), self));
        }
        if self.is_over {
            return None;
        }
        let stopping = self.state.lifecycle.stopping().clone();
        loop {
            let event = tokio::select! {
                () = stopping.cancelled() => return None,
                () = tokio::time::sleep_until(self.expires_at) => return None,
                heard = self.person_changes.next() => {
                    if is_about_reading(&heard) {
                        let event = self.event(ORGANIZATION_EVENT, &json!({}));
                        return Some((Ok(event), self));
                    }
                    if self.is_session_valid().await {
                        continue;
                    }
                    // The page reloads with its new session or organization, and the client reconnects.
                    self.is_over = true;
                    self.event(REREAD_EVENT, &json!({}))
                }
                _ = next_of_any(&mut self.summary_changes) => self.event(ORGANIZATION_EVENT, &json!({})),
                heard = self.org_changes.next() => match heard {
                    ChangeSignal::Change(change) => self.change_event(&change),
                    ChangeSignal::Lagged => {
                        // All streams get this at the same time. The delay spreads their page loads.
                        let spread = RECONNECT_JITTER.mul_f64(rand::random());
                        stopping.run_until_cancelled(tokio::time::sleep(spread)).await?;
                        self.event(REREAD_EVENT, &json!({}))
                    }
                }
            };
            return Some((Ok(event), self));
        }
    }

    /// Returns whether the session is still valid and still in this organization.
    async fn is_session_valid(&self) -> bool {
        match self.state.auth.caller(&self.credentials).await {
            Ok(caller) => caller.and_then(|caller| caller.org).is_some_and(|org| org.id == self.org),
            Err(error) => {
                // Fail closed: a needless reconnect is better than a stream without a valid session.
                tracing::warn!(%error, "session check failed, closing the event stream");
                false
            }
        }
    }

    fn change_event(&self, change: &Change) -> Event {
        match change {
            Change::Binding { binding, status, .. } => {
                self.event("binding", &json!({ "bindingId": binding, "status": status }))
            }
            Change::Refresh { grant, outcome, .. } => {
                self.event("refresh", &json!({ "grantId": grant, "outcome": outcome }))
            }
            Change::Org { .. } | Change::Read { .. } => self.event(ORGANIZATION_EVENT, &json!({})),
            Change::Person { .. } => self.event(REREAD_EVENT, &json!({})),
        }
    }

    fn event(&self, name: &str, data: &Value) -> Event {
        event(self.state.store.clock().now(), name, data)
    }
}

/// Returns whether the person marked events as read, which leaves the session as it is.
fn is_about_reading(heard: &ChangeSignal) -> bool {
    matches!(heard, ChangeSignal::Change(change) if matches!(**change, Change::Read { .. }))
}

/// Builds an event. Its id is the current time, which the client sends back as `Last-Event-ID`.
fn event(now: i64, name: &str, data: &Value) -> Event {
    Event::default().event(name).id(now.to_string()).data(data.to_string())
}

fn credentials(headers: &HeaderMap) -> HeaderMap {
    let ours = headers.iter().filter(|(name, _)| [COOKIE, AUTHORIZATION].contains(name));
    ours.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn error_response(status: StatusCode, words: &str) -> Response {
    (status, axum::Json(json!({ "error": words }))).into_response()
}
