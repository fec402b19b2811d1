//! `GET /api/events`: what changes in the caller's organisation, as server-sent events, for as long as the caller
//! works in it.
//!
//! A stream holds no task, no connection to the database and no buffer of its own: thousands may stand idle.

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

use super::failure::Failure;
use crate::model::OrgId;
use crate::server::state::AppState;
use crate::server::store::{Change, Heard, Subscription, Topic};

/// Proxies cut what is silent for longer; most wait for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// How long a stream lives before its client has to come back, so that nobody goes on listening for long with a session
/// that has ended.
const LIFE: Duration = Duration::from_secs(30 * 60);

/// How long a client waits before it comes back: from the first, by chance up to the second more, so that not all of
/// them come at once.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(2));

/// How many streams one person may have open.
const AT_MOST: usize = 64;

/// The event that says: something changed that couldn't be told one by one.
const REREAD: &str = "reread";

/// Where the client's knowledge ends.
#[derive(Deserialize)]
pub struct Since {
    /// When the page that listens was rendered, in unix seconds.
    as_of: Option<i64>,
}

struct Listener {
    state: AppState,
    /// What tells who is asking.
    credentials: HeaderMap,
    org: OrgId,
    of_org: Subscription,
    of_person: Subscription,
    first: Option<Event>,
    until: Instant,
    over: bool,
}

/// Opens a stream. What changed between the client's last knowledge and now is told as one `reread`.
pub async fn events(
    State(state): State<AppState>,
    headers: HeaderMap,
    Query(Since { as_of }): Query<Since>,
) -> Result<Response, Failure> {
    let Some(caller) = state.auth.caller(&headers).await? else {
        return Ok(refused(StatusCode::UNAUTHORIZED, "You aren't signed in. Sign in, then try again."));
    };
    // Nothing will ever be told: 204 ends a browser's listening.
    let Some(org) = caller.org.map(|org| org.id) else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let person = Topic::Person(caller.user_id);
    let changes = state.store.changes();
    if changes.listeners(&person) >= AT_MOST {
        return Ok(refused(StatusCode::TOO_MANY_REQUESTS, "Too many pages listen. Close some of them."));
    }
    if changes.streams() >= state.doors.streams() {
        return Ok(refused(StatusCode::SERVICE_UNAVAILABLE, "Too many pages listen just now. Pages work without."));
    }
    // Listening begins before the look back, so that nothing falls in between.
    let (of_org, of_person) = (changes.subscribe(Topic::Org(org.clone())), changes.subscribe(person));
    let now = state.store.clock().now();
    let known = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).or(as_of);
    let missed = match known {
        Some(known) => state.store.changed_since(&org, known).await?,
        None => false,
    };
    let first = if missed { event(now, REREAD, &json!({})) } else { Event::default().id(now.to_string()) };
    let listener = Listener {
        credentials: credentials(&headers),
        first: Some(first.retry(RETRY.0 + RETRY.1.mul_f64(rand::random()))),
        until: Instant::now() + LIFE,
        over: false,
        state,
        org,
        of_org,
        of_person,
    };
    let events = Sse::new(stream::unfold(listener, Listener::next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // The last is for nginx, which would collect an answer before it hands it on.
    let headers = [(CACHE_CONTROL, "no-store"), (HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, events).into_response())
}

impl Listener {
    /// The next event; none once the stream is over.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if let Some(first) = self.first.take() {
            return Some((Ok(first), self));
        }
        if self.over {
            return None;
        }
        let stopping = self.state.stopping.clone();
        loop {
            let event = tokio::select! {
                () = stopping.cancelled() => return None,
                () = tokio::time::sleep_until(self.until) => return None,
                _ = self.of_person.next() => {
                    if self.is_still_theirs().await {
                        continue;
                    }
                    // The page finds out where it is now, and the client comes back as whoever it is by then.
                    self.over = true;
                    self.event(REREAD, &json!({}))
                }
                heard = self.of_org.next() => match heard {
                    Heard::Change(change) => self.told(&change),
                    Heard::Missed => {
                        // Every listener is told this at the same moment, and each reads its page again.
                        let spread = RETRY.1.mul_f64(rand::random());
                        stopping.run_until_cancelled(tokio::time::sleep(spread)).await?;
                        self.event(REREAD, &json!({}))
                    }
                }
            };
            return Some((Ok(event), self));
        }
    }

    /// Whether the caller still works in this organisation: neither signed out, nor switched, nor removed.
    async fn is_still_theirs(&self) -> bool {
        match self.state.auth.caller(&self.credentials).await {
            Ok(caller) => caller.and_then(|caller| caller.org).is_some_and(|org| org.id == self.org),
            Err(error) => {
                // Better one reconnection too many than a stream for somebody who may be nobody.
                tracing::warn!(%error, "a listener's session couldn't be checked; its stream ends");
                false
            }
        }
    }

    fn told(&self, change: &Change) -> Event {
        match change {
            Change::Binding { binding, status, .. } => {
                self.event("binding", &json!({ "bindingId": binding, "status": status }))
            }
            Change::Refresh { grant, outcome, .. } => {
                self.event("refresh", &json!({ "grantId": grant, "outcome": outcome }))
            }
            Change::Person { .. } => self.event(REREAD, &json!({})),
        }
    }

    fn event(&self, name: &str, data: &Value) -> Event {
        event(self.state.store.clock().now(), name, data)
    }
}

/// An event, with the moment up to which its client knows everything as its id.
fn event(now: i64, name: &str, data: &Value) -> Event {
    Event::default().event(name).id(now.to_string()).data(data.to_string())
}

fn credentials(headers: &HeaderMap) -> HeaderMap {
    let ours = headers.iter().filter(|(name, _)| [COOKIE, AUTHORIZATION].contains(name));
    ours.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn refused(status: StatusCode, words: &str) -> Response {
    (status, axum::Json(json!({ "error": words }))).into_response()
}
