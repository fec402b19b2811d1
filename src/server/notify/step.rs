//! One round: warn of what time has brought, make deliveries of new events, and try those that are due.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures::{StreamExt, stream};

use super::pace::again;
use super::payload::body;
use super::webhook::{Answer, Message, WebhookClient};
use crate::model::{Channel, DisabledBy, EventKind, OrgId};
use crate::server::store::{Claimed, End, Endpoint, Event, Store, StoreError, Tried, new_id};

/// How long nobody else tries what we have claimed: longer than a whole batch takes, in seconds.
const CLAIM: i64 = 120;
/// How many deliveries are claimed at a time, and how many of them are under way at once.
const BATCH: i64 = 32;
const AT_ONCE: usize = 8;
/// A grant whose renewal is so late is warned of even if no try failed, in seconds.
const GRACE: i64 = 24 * 60 * 60;

/// How often ageing grants are looked for, which takes a look at every grant: in seconds.
const LOOK_EVERY: i64 = 10 * 60;
/// The answer of a receiver that wants nothing more.
const GONE: u16 = 410;

/// Takes events to their receivers. Cheap to clone.
#[derive(Clone)]
pub struct Notifier(Arc<Parts>);

struct Parts {
    store: Store,
    webhooks: WebhookClient,
    /// Without a slash at its end.
    public_url: String,
    /// The age at which refresh tokens are renewed, in seconds.
    roll_after: i64,
    /// When ageing grants were last looked for.
    looked_at: AtomicI64,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stepped {
    /// Grants that people were warned of.
    pub warned: usize,
    /// Events whose receivers were looked for.
    pub fanned_out: usize,
    pub delivered: usize,
    /// Deliveries that failed and are tried again.
    pub again: usize,
    pub given_up: usize,
    /// Whether there may be more to do at once.
    pub more: bool,
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestResult {
    Delivered,
    /// In a few words.
    Failed(String),
}

impl Notifier {
    pub fn new(store: Store, webhooks: WebhookClient, public_url: String, roll_after: i64) -> Self {
        Self(Arc::new(Parts { store, webhooks, public_url, roll_after, looked_at: AtomicI64::new(i64::MIN) }))
    }

    pub fn webhooks(&self) -> &WebhookClient {
        &self.0.webhooks
    }

    /// Does what is due.
    pub async fn step(&self) -> Result<Stepped, StoreError> {
        let store = &self.0.store;
        let warned = self.warn().await?;
        let fanned_out = store.fan_out(false, BATCH).await?;
        let owner: String = new_id();
        let claimed = store.claim_deliveries(&owner, store.clock().now() + CLAIM, BATCH).await?;
        let full = |count: usize| i64::try_from(count).is_ok_and(|count| count >= BATCH);
        let more = full(warned) || full(fanned_out) || full(claimed.len());
        let mut stepped = Stepped { warned, fanned_out, more, ..Stepped::default() };
        let mut ends = stream::iter(claimed).map(|claimed| self.deliver(claimed, &owner)).buffer_unordered(AT_ONCE);
        while let Some(end) = ends.next().await {
            match end? {
                Some(End::Delivered) => stepped.delivered += 1,
                Some(End::Again(_)) => stepped.again += 1,
                Some(End::GivenUp) => stepped.given_up += 1,
                Some(End::Cancelled) | None => {}
            }
        }
        Ok(stepped)
    }

    /// Warns of what time has brought, unless that was looked at a moment ago.
    async fn warn(&self) -> Result<usize, StoreError> {
        let (store, now) = (&self.0.store, self.0.store.clock().now());
        if now < self.0.looked_at.load(Ordering::Relaxed).saturating_add(LOOK_EVERY) {
            return Ok(0);
        }
        let warned = store.warn_of_ageing(self.0.roll_after + GRACE, BATCH).await?;
        if warned == 0 {
            self.0.looked_at.store(now, Ordering::Relaxed);
        }
        Ok(warned)
    }

    /// Sends a test to an endpoint now, once.
    pub async fn test(&self, endpoint: &Endpoint) -> Result<TestResult, StoreError> {
        let store = &self.0.store;
        let id = store.add_test(endpoint).await?;
        let owner: String = new_id();
        let Some(claimed) = store.claim_delivery(&id, &owner, store.clock().now() + CLAIM).await? else {
            return Ok(TestResult::Failed("another instance sends it".to_owned()));
        };
        let tried = self.attempt(&claimed).await?;
        self.settle(&claimed, &owner, &tried).await?;
        Ok(match (tried.end, tried.error) {
            (End::Delivered, _) => TestResult::Delivered,
            (_, error) => TestResult::Failed(error.unwrap_or_else(|| "the endpoint is gone".to_owned())),
        })
    }

    /// Tries one delivery and notes how it went. `None` where our claim ran out meanwhile.
    async fn deliver(&self, claimed: Claimed, owner: &str) -> Result<Option<End>, StoreError> {
        let tried = self.attempt(&claimed).await?;
        let ours = self.settle(&claimed, owner, &tried).await?;
        Ok(ours.then_some(tried.end))
    }

    async fn attempt(&self, claimed: &Claimed) -> Result<Tried, StoreError> {
        let store = &self.0.store;
        let gone = Tried { end: End::Cancelled, http_status: None, error: None };
        let Some(event) = store.event(&claimed.event).await? else { return Ok(gone) };
        match claimed.channel {
            Channel::Webhook => {
                let endpoint = store.endpoint(&claimed.org, &claimed.target.as_str().into()).await?;
                // A test may be sent to a disabled endpoint: to see whether it works again.
                let endpoint = endpoint.filter(|one| one.disabled_at.is_none() || event.kind == EventKind::Test);
                let Some(endpoint) = endpoint else { return Ok(gone) };
                Ok(self.judge(claimed, &event, self.post(&event, &endpoint).await?))
            }
            Channel::Email => Ok(gone),
        }
    }

    async fn post(&self, event: &Event, endpoint: &Endpoint) -> Result<Answer, StoreError> {
        let store = &self.0.store;
        let secrets = store.signing_secrets(endpoint).await?;
        let body = body(event, &endpoint.org, &self.org_name(&endpoint.org).await?, &self.0.public_url);
        let message = Message {
            url: &endpoint.url,
            id: event.id.as_str(),
            timestamp: store.clock().now(),
            body: &body,
            secrets: &secrets,
        };
        Ok(self.0.webhooks.post(message).await)
    }

    fn judge(&self, claimed: &Claimed, event: &Event, answer: Answer) -> Tried {
        let (http_status, error, retry_after) = match answer {
            Answer::Taken(status) => return Tried { end: End::Delivered, http_status: Some(status), error: None },
            Answer::Gone => {
                let error = Some("wants no more events".to_owned());
                return Tried { end: End::GivenUp, http_status: Some(GONE), error };
            }
            Answer::Refused { status, retry_after } => (Some(status), format!("answered {status}"), retry_after),
            Answer::None(words) => (None, words.to_owned(), None),
        };
        // A person waits for a test; nobody waits for its repetition.
        let next = if event.kind == EventKind::Test { None } else { self.again(claimed, retry_after) };
        Tried { end: next.map_or(End::GivenUp, End::Again), http_status, error: Some(error) }
    }

    /// Notes how a try went. An endpoint that is gone gets nothing more.
    async fn settle(&self, claimed: &Claimed, owner: &str, tried: &Tried) -> Result<bool, StoreError> {
        let store = &self.0.store;
        let ours = store.settle_delivery(&claimed.id, owner, tried).await?;
        if tried.http_status == Some(GONE) {
            store.disable_endpoint(&claimed.org, &claimed.target.as_str().into(), DisabledBy::Gone).await?;
            tracing::info!(endpoint = %claimed.target, "a webhook endpoint wants no more events; it is disabled");
        } else if tried.end == End::GivenUp {
            tracing::warn!(
                delivery = %claimed.id, tries = claimed.attempts + 1, status = tried.http_status,
                "an event could not be delivered and is given up"
            );
        }
        Ok(ours)
    }

    fn again(&self, claimed: &Claimed, retry_after: Option<std::time::Duration>) -> Option<i64> {
        let now = self.0.store.clock().now();
        again(claimed.created_at, now, claimed.attempts + 1, retry_after, rand::random())
    }

    async fn org_name(&self, org: &OrgId) -> Result<String, StoreError> {
        Ok(self.0.store.org_name(org).await?.unwrap_or_default())
    }
}
