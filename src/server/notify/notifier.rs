//! One notification tick: warns of expiring grants, fans out new events, and attempts the deliveries that are due.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};

use super::backoff::next_attempt_at;
use super::credentials::{CredentialsErrorFn, CredentialsMonitor};
use super::mail::{Digest, Mailer};
use super::payload::body;
use super::webhook::{PostOutcome, WebhookClient, WebhookMessage};
use crate::model::{Channel, Channels, DisabledBy, EventKind, OrgId};
use crate::server::store::{
    CLAIM_DURATION, ClaimedDelivery, DeliveryAttempt, DeliveryOutcome, Event, FanOutTo, RecordedAttempt, Store,
    StoreError, WebhookEndpoint, new_id,
};

/// How many deliveries are claimed at a time, and how many of them run concurrently.
const BATCH_SIZE: i64 = 32;
const DELIVERY_CONCURRENCY: usize = 8;
/// How late a grant's renewal must be, in seconds, for a warning even if no refresh has failed.
const RENEWAL_OVERDUE_AFTER: i64 = 24 * 60 * 60;

/// How often grants are checked for expiry, in seconds. The check scans every grant.
const EXPIRY_CHECK_INTERVAL: i64 = 10 * 60;
/// The status of a receiver that wants no more events.
const HTTP_GONE: u16 = 410;

/// Delivers events to webhooks and by email. Cheap to clone.
#[derive(Clone)]
pub struct Notifier(Arc<NotifierInner>);

struct NotifierInner {
    store: Store,
    webhooks: WebhookClient,
    /// `None` if no mail server is configured.
    mailer: Option<Mailer>,
    /// Without a trailing slash.
    public_url: String,
    /// The age at which refresh tokens are renewed, in seconds.
    roll_after: i64,
    /// When grants were last checked for expiry, in monotonic seconds.
    last_expiry_check_at: AtomicI64,
    credentials: CredentialsMonitor,
}

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TickReport {
    /// Grants for which people were warned.
    pub warned: usize,
    /// Events whose deliveries were created.
    pub fanned_out: usize,
    /// Deliveries that succeeded.
    pub delivered: usize,
    /// Deliveries that failed and will be retried.
    pub retrying: usize,
    /// Deliveries that failed and will not be retried.
    pub given_up: usize,
    /// Whether more work may be due right now.
    pub has_more: bool,
}

impl Notifier {
    /// Creates a notifier. `roll_after` is in seconds, `public_url` has no trailing slash.
    pub fn new(
        store: Store,
        webhooks: WebhookClient,
        mailer: Option<Mailer>,
        public_url: String,
        roll_after: i64,
        refused: CredentialsErrorFn,
    ) -> Self {
        let looked_at = AtomicI64::new(i64::MIN);
        Self(Arc::new(NotifierInner {
            store,
            webhooks,
            mailer,
            public_url,
            roll_after,
            last_expiry_check_at: looked_at,
            credentials: CredentialsMonitor::new(refused),
        }))
    }

    /// Returns the notification channels that the operator's settings allow.
    pub fn channels(&self) -> Channels {
        let only_this_machine = self.0.webhooks.egress_policy().is_loopback_only();
        Channels { mail: self.0.mailer.is_some(), only_this_machine }
    }

    pub(super) fn webhooks(&self) -> &WebhookClient {
        &self.0.webhooks
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Processes one batch of what is due.
    pub async fn tick(&self) -> Result<TickReport, StoreError> {
        let store = &self.0.store;
        self.0.credentials.update_alarm(store).await?;
        let warned = self.warn_of_expiring_grants().await?;
        let to = if self.0.mailer.is_some() { FanOutTo::WebhooksAndEmail } else { FanOutTo::Webhooks };
        let fanned_out = store.fan_out(to, BATCH_SIZE).await?;
        let owner: String = new_id();
        let claimed = store.claim_deliveries(&owner, store.clock().now() + CLAIM_DURATION, BATCH_SIZE).await?;
        let full = |count: usize| i64::try_from(count).is_ok_and(|count| count >= BATCH_SIZE);
        let more = full(warned) || full(fanned_out) || full(claimed.len());
        let mut stepped = TickReport { warned, fanned_out, has_more: more, ..TickReport::default() };
        let mut ends = stream::iter(group_deliveries(claimed))
            .map(|load| self.deliver(load, &owner))
            .buffer_unordered(DELIVERY_CONCURRENCY);
        // If one result cannot be recorded, the others still are: their events may have been delivered already.
        let mut failed = None;
        while let Some(ended) = ends.next().await {
            let ended = ended.unwrap_or_else(|error| {
                failed = Some(error);
                Vec::new()
            });
            for end in ended {
                match end {
                    DeliveryOutcome::Delivered => stepped.delivered += 1,
                    DeliveryOutcome::RetryAt(_) => stepped.retrying += 1,
                    DeliveryOutcome::GivenUp => stepped.given_up += 1,
                    DeliveryOutcome::Canceled => {}
                }
            }
        }
        failed.map_or(Ok(stepped), Err)
    }

    /// Warns of grants that will expire, at most once per check interval.
    async fn warn_of_expiring_grants(&self) -> Result<usize, StoreError> {
        let (store, now) = (&self.0.store, self.0.store.clock().monotonic_seconds());
        if now < self.0.last_expiry_check_at.load(Ordering::Relaxed).saturating_add(EXPIRY_CHECK_INTERVAL) {
            return Ok(0);
        }
        let warned = store.warn_of_expiring_grants(self.0.roll_after + RENEWAL_OVERDUE_AFTER, BATCH_SIZE).await?;
        if warned == 0 {
            self.0.last_expiry_check_at.store(now, Ordering::Relaxed);
        }
        Ok(warned)
    }

    /// Sends a test event to an endpoint now, without retries. Returns whether it was delivered.
    pub(super) async fn send_test(&self, endpoint: &WebhookEndpoint) -> Result<bool, StoreError> {
        let store = &self.0.store;
        let owner: String = new_id();
        let claimed = store.add_test_delivery(endpoint, &owner, store.clock().now() + CLAIM_DURATION).await?;
        let ended = self.deliver(vec![claimed], &owner).await?;
        Ok(ended == [DeliveryOutcome::Delivered])
    }

    /// Attempts one group of deliveries and records the results. Returns the outcomes of those whose claim had not
    /// expired.
    async fn deliver(&self, load: Vec<ClaimedDelivery>, owner: &str) -> Result<Vec<DeliveryOutcome>, StoreError> {
        let mut ended = Vec::new();
        for (claimed, tried) in self.attempt(load).await {
            if self.record_attempt(&claimed, owner, &tried).await? == RecordedAttempt::Recorded {
                ended.push(tried.outcome);
            }
        }
        Ok(ended)
    }

    async fn attempt(&self, load: Vec<ClaimedDelivery>) -> Vec<(ClaimedDelivery, DeliveryAttempt)> {
        let store = &self.0.store;
        let (mut tried, mut letters) = (Vec::new(), Vec::new());
        for claimed in load {
            let outcome = match store.event(&claimed.event).await {
                Ok(Some(event)) if claimed.channel == Channel::Email => {
                    letters.push((claimed, event));
                    continue;
                }
                Ok(Some(event)) => {
                    let outcome = self.attempt_by_webhook(&claimed, &event).await;
                    outcome.unwrap_or_else(|error| self.preparation_failed(&claimed, Some(&event), &error))
                }
                Ok(None) => canceled_attempt(),
                Err(error) => self.preparation_failed(&claimed, None, &error),
            };
            tried.push((claimed, outcome));
        }
        tried.extend(self.attempt_by_email(letters).await);
        tried
    }

    /// Counts a delivery that could not be prepared as a failed attempt, so that it is given up in time and blocks no
    /// other. Causes are a secret whose encryption key is lost, or an event of a newer version.
    fn preparation_failed(
        &self,
        claimed: &ClaimedDelivery,
        event: Option<&Event>,
        error: &StoreError,
    ) -> DeliveryAttempt {
        tracing::error!(delivery = %claimed.id, %error, "failed to prepare delivery");
        let is_test = event.is_some_and(|event| event.kind == EventKind::Test);
        let next = if is_test { None } else { self.next_attempt_at(claimed, None) };
        let error = Some("could not be prepared".to_owned());
        DeliveryAttempt {
            outcome: next.map_or(DeliveryOutcome::GivenUp, DeliveryOutcome::RetryAt),
            http_status: None,
            error,
        }
    }

    async fn attempt_by_webhook(
        &self,
        claimed: &ClaimedDelivery,
        event: &Event,
    ) -> Result<DeliveryAttempt, StoreError> {
        let endpoint = self.0.store.endpoint(&claimed.org, &claimed.target.as_str().into()).await?;
        // A test is also sent to a disabled endpoint, to check whether it works again.
        let endpoint = endpoint.filter(|one| one.disabled_at.is_none() || event.kind == EventKind::Test);
        let Some(endpoint) = endpoint else { return Ok(canceled_attempt()) };
        Ok(self.attempt_from_outcome(claimed, event, self.post(event, &endpoint).await?))
    }

    /// Sends one digest with all events of one organization to one person.
    async fn attempt_by_email(
        &self,
        letters: Vec<(ClaimedDelivery, Event)>,
    ) -> Vec<(ClaimedDelivery, DeliveryAttempt)> {
        let Some((first, _)) = letters.first() else { return Vec::new() };
        let mailbox = match self.0.store.notification_email(&first.org, &first.target).await {
            Ok(mailbox) => mailbox,
            Err(error) => {
                let failed =
                    |(one, event): (ClaimedDelivery, Event)| (self.preparation_failed(&one, Some(&event), &error), one);
                return letters.into_iter().map(failed).map(|(tried, one)| (one, tried)).collect();
            }
        };
        let (claimed, mut events): (Vec<ClaimedDelivery>, Vec<Event>) = letters.into_iter().unzip();
        let (Some((to, org_name)), Some(mailer)) = (mailbox, &self.0.mailer) else {
            return claimed.into_iter().map(|one| (one, canceled_attempt())).collect();
        };
        events.sort_by(|a, b| (a.occurred_at, &a.id).cmp(&(b.occurred_at, &b.id)));
        let now = self.0.store.clock().now();
        let letter = Digest { to: &to, org_name: &org_name, events: &events, public_url: &self.0.public_url, now };
        let taken = mailer.send(&letter).await;
        let outcome = |one: &ClaimedDelivery| match &taken {
            Ok(()) => DeliveryAttempt { outcome: DeliveryOutcome::Delivered, http_status: None, error: None },
            Err(returned) => {
                let next = if returned.is_permanent { None } else { self.next_attempt_at(one, None) };
                let end = next.map_or(DeliveryOutcome::GivenUp, DeliveryOutcome::RetryAt);
                DeliveryAttempt { outcome: end, http_status: None, error: Some(returned.message.clone()) }
            }
        };
        claimed.into_iter().map(|one| (outcome(&one), one)).map(|(tried, one)| (one, tried)).collect()
    }

    async fn post(&self, event: &Event, endpoint: &WebhookEndpoint) -> Result<PostOutcome, StoreError> {
        let store = &self.0.store;
        let secrets = store.signing_secrets(endpoint).await?;
        let body = body(event, &endpoint.org, &self.org_name(&endpoint.org).await?, &self.0.public_url);
        let message = WebhookMessage {
            url: &endpoint.url,
            id: event.id.as_str(),
            timestamp: store.clock().now(),
            body: &body,
            secrets: &secrets,
        };
        Ok(self.0.webhooks.post(message).await)
    }

    fn attempt_from_outcome(&self, claimed: &ClaimedDelivery, event: &Event, answer: PostOutcome) -> DeliveryAttempt {
        let (http_status, error, retry_after) = match answer {
            PostOutcome::Accepted(status) => {
                return DeliveryAttempt { outcome: DeliveryOutcome::Delivered, http_status: Some(status), error: None };
            }
            PostOutcome::Gone => {
                let error = Some("answered 410: no more events wanted".to_owned());
                return DeliveryAttempt { outcome: DeliveryOutcome::GivenUp, http_status: Some(HTTP_GONE), error };
            }
            PostOutcome::Rejected { status, retry_after } => (Some(status), format!("answered {status}"), retry_after),
            PostOutcome::NoResponse(words) => (None, words.to_owned(), None),
        };
        // A test is not retried: its result is shown to the person who sent it.
        let next = if event.kind == EventKind::Test { None } else { self.next_attempt_at(claimed, retry_after) };
        DeliveryAttempt {
            outcome: next.map_or(DeliveryOutcome::GivenUp, DeliveryOutcome::RetryAt),
            http_status,
            error: Some(error),
        }
    }

    /// Records an attempt if the claim was not lost, and disables an endpoint that answered 410.
    async fn record_attempt(
        &self,
        claimed: &ClaimedDelivery,
        owner: &str,
        tried: &DeliveryAttempt,
    ) -> Result<RecordedAttempt, StoreError> {
        let store = &self.0.store;
        let recorded = store.record_delivery_attempt(&claimed.id, owner, tried).await?;
        if tried.http_status == Some(HTTP_GONE) {
            // If it is disabled or removed already, nothing is left to do.
            _ = store.disable_endpoint(&claimed.org, &claimed.target.as_str().into(), DisabledBy::Gone).await?;
            tracing::info!(endpoint = %claimed.target, "webhook endpoint answered 410 and was disabled");
        } else if tried.outcome == DeliveryOutcome::GivenUp {
            tracing::warn!(
                delivery = %claimed.id, tries = claimed.attempts + 1, status = tried.http_status,
                "delivery given up"
            );
        }
        Ok(recorded)
    }

    fn next_attempt_at(&self, claimed: &ClaimedDelivery, retry_after: Option<Duration>) -> Option<i64> {
        let now = self.0.store.clock().now();
        next_attempt_at(claimed.created_at, now, claimed.attempts + 1, retry_after, rand::random())
    }

    async fn org_name(&self, org: &OrgId) -> Result<String, StoreError> {
        Ok(self.0.store.org_name(org).await?.unwrap_or_default())
    }
}

/// Groups deliveries: each webhook delivery alone, all email to one person about one organization together.
fn group_deliveries(claimed: Vec<ClaimedDelivery>) -> Vec<Vec<ClaimedDelivery>> {
    let (mail, webhooks): (Vec<_>, Vec<_>) = claimed.into_iter().partition(|one| one.channel == Channel::Email);
    let mut letters: HashMap<(OrgId, String), Vec<ClaimedDelivery>> = HashMap::new();
    for one in mail {
        letters.entry((one.org.clone(), one.target.clone())).or_default().push(one);
    }
    webhooks.into_iter().map(|one| vec![one]).chain(letters.into_values()).collect()
}

/// The attempt of a delivery whose receiver no longer exists.
fn canceled_attempt() -> DeliveryAttempt {
    DeliveryAttempt { outcome: DeliveryOutcome::Canceled, http_status: None, error: None }
}
