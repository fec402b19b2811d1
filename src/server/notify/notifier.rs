//! What the loops of notifications do: prepare (warn of expiring grants, create the deliveries of new events), and
//! deliver what is due on one channel.
//!
//! A delivery is claimed for a limited time. The claim is renewed right before the message is sent, which finds out if
//! another instance has taken it over, and while it is being sent. So no message is sent twice while its sender lives.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use parking_lot::Mutex;

use super::credentials::{CredentialsErrorFn, CredentialsMonitor};
use super::mail::Mailer;
use super::webhook::WebhookClient;
use crate::model::{Channel, Channels, DeliveryId, DisabledBy, OrgId};
use crate::server::store::{
    CLAIM_DURATION, ClaimedDelivery, CredentialsAlarm, DeliveryAttempt, DeliveryOutcome, RecordedAttempt, ResendError,
    Store, StoreError, WebhookEndpoint, bounded, new_id,
};

/// The status of a receiver that wants no more events.
pub(super) const HTTP_GONE: u16 = 410;
/// After how many seconds a claim is renewed.
const CLAIM_RENEWAL_AGE: i64 = 40;
/// How often the age of a claim is checked while its message is being sent.
const CLAIM_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How many deliveries are claimed at a time.
const BATCH_SIZE: i64 = 32;
/// How many webhooks are called at a time, and how many connections to the mail server there are.
const WEBHOOK_CONCURRENCY: usize = 8;
const EMAIL_CONCURRENCY: usize = 4;
/// How late a grant's renewal must be, in seconds, for a warning even if no refresh has failed.
const RENEWAL_OVERDUE_AFTER: i64 = 24 * 60 * 60;

/// How often grants are checked for expiry, in seconds. The check scans every grant.
const EXPIRY_CHECK_INTERVAL: i64 = 10 * 60;
/// How often, in seconds, it is recorded that this server can send email.
const MAILER_HEARTBEAT_INTERVAL: i64 = 60;

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
    /// When it was last recorded that this server can send email, in monotonic seconds.
    last_mailer_heartbeat_at: AtomicI64,
    /// Whether another server could send email, and when that was looked up, in monotonic seconds.
    other_mailer: Mutex<Option<(i64, bool)>>,
    credentials: CredentialsMonitor,
}

/// What [`Notifier::prepare`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrepareReport {
    /// Grants for which people were warned.
    pub warned: usize,
    /// Events whose deliveries were created.
    pub fanned_out: usize,
    /// Whether more work may be due right now.
    pub has_more: bool,
}

/// What [`Notifier::deliver`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryReport {
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
        Self(Arc::new(NotifierInner {
            store,
            webhooks,
            mailer,
            public_url,
            roll_after,
            last_expiry_check_at: AtomicI64::new(i64::MIN),
            last_mailer_heartbeat_at: AtomicI64::new(i64::MIN),
            other_mailer: Mutex::new(None),
            credentials: CredentialsMonitor::new(refused),
        }))
    }

    /// Returns the notification channels that the operators' settings allow.
    pub async fn channels(&self) -> Result<Channels, StoreError> {
        let only_this_machine = self.webhooks().egress_policy().is_loopback_only();
        let mail = self.mailer().is_some() || self.another_server_can_mail().await?;
        Ok(Channels { mail, only_this_machine })
    }

    /// Returns the alarm that Xero refuses the app's credentials, as far as this instance knows it.
    pub fn credentials_alarm(&self) -> Option<CredentialsAlarm> {
        self.0.credentials.alarm(self.store().clock().now())
    }

    /// Returns whether another server can send email. It is looked up at most once within `MAILER_HEARTBEAT_INTERVAL`.
    async fn another_server_can_mail(&self) -> Result<bool, StoreError> {
        let now = self.store().clock().monotonic_seconds();
        let known = *self.0.other_mailer.lock();
        if let Some((_, can_mail)) = known.filter(|(at, _)| (0..MAILER_HEARTBEAT_INTERVAL).contains(&(now - at))) {
            return Ok(can_mail);
        }
        let can_mail = self.store().can_send_email().await?;
        *self.0.other_mailer.lock() = Some((now, can_mail));
        Ok(can_mail)
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn webhooks(&self) -> &WebhookClient {
        &self.0.webhooks
    }

    pub(super) fn mailer(&self) -> Option<&Mailer> {
        self.0.mailer.as_ref()
    }

    pub(super) fn public_url(&self) -> &str {
        &self.0.public_url
    }

    /// Updates the credentials alarm, warns of expiring grants, and puts new events into the feed and creates their
    /// deliveries.
    pub async fn prepare(&self) -> Result<PrepareReport, StoreError> {
        // Before events are fanned out: email is only created if somebody can send it.
        self.record_mailer_heartbeat().await?;
        self.0.credentials.update_alarm(self.store()).await?;
        let warned = self.warn_of_expiring_grants().await?;
        let numbered = self.store().number_events(BATCH_SIZE).await?;
        let fanned_out = self.store().fan_out(BATCH_SIZE).await?;
        let has_more = [warned, numbered, fanned_out].into_iter().any(is_full_batch);
        Ok(PrepareReport { warned, fanned_out, has_more })
    }

    async fn record_mailer_heartbeat(&self) -> Result<(), StoreError> {
        let (now, last) = (self.store().clock().monotonic_seconds(), &self.0.last_mailer_heartbeat_at);
        if self.mailer().is_some() && now >= last.load(Ordering::Relaxed).saturating_add(MAILER_HEARTBEAT_INTERVAL) {
            self.store().record_mailer_heartbeat().await?;
            last.store(now, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Warns of grants that will expire, and gives up email that nobody can send, at most once per check interval.
    async fn warn_of_expiring_grants(&self) -> Result<usize, StoreError> {
        let (store, now) = (self.store(), self.store().clock().monotonic_seconds());
        if now < self.0.last_expiry_check_at.load(Ordering::Relaxed).saturating_add(EXPIRY_CHECK_INTERVAL) {
            return Ok(0);
        }
        let given_up = store.give_up_waiting_email().await?;
        if given_up > 0 {
            tracing::warn!(
                deliveries = given_up,
                "email given up, because no server with a mail server has run for days"
            );
        }
        let warned = store.warn_of_expiring_grants(self.0.roll_after + RENEWAL_OVERDUE_AFTER, BATCH_SIZE).await?;
        if warned == 0 {
            self.0.last_expiry_check_at.store(now, Ordering::Relaxed);
        }
        Ok(warned)
    }

    /// Attempts one batch of the channel's deliveries that are due. Without a mail server, leaves email to servers that
    /// have one.
    pub async fn deliver(&self, channel: Channel) -> Result<DeliveryReport, StoreError> {
        let concurrency = match channel {
            Channel::Webhook => WEBHOOK_CONCURRENCY,
            Channel::Email if self.mailer().is_none() => return Ok(DeliveryReport::default()),
            Channel::Email => EMAIL_CONCURRENCY,
        };
        let owner: String = new_id();
        let claimed = self.store().claim_deliveries(channel, &owner, self.claim_until(), BATCH_SIZE).await?;
        let mut report = DeliveryReport { has_more: is_full_batch(claimed.len()), ..DeliveryReport::default() };
        let mut ends = stream::iter(group_deliveries(claimed))
            .map(|group| self.deliver_group(group, &owner))
            .buffer_unordered(concurrency);
        // If one result cannot be recorded, the others still are: their events may have been delivered already.
        let mut failed = None;
        while let Some(ended) = ends.next().await {
            let ended = ended.unwrap_or_else(|error| {
                failed = Some(error);
                Vec::new()
            });
            for end in ended {
                match end {
                    DeliveryOutcome::Delivered => report.delivered += 1,
                    DeliveryOutcome::RetryAt(_) => report.retrying += 1,
                    DeliveryOutcome::GivenUp => report.given_up += 1,
                    DeliveryOutcome::Canceled => {}
                }
            }
        }
        failed.map_or(Ok(report), Err)
    }

    /// Sends a test event to an endpoint now, without retries. Returns whether it was delivered.
    pub(super) async fn send_test(&self, endpoint: &WebhookEndpoint) -> Result<bool, StoreError> {
        let owner: String = new_id();
        let claimed = self.store().add_test_delivery(endpoint, &owner, self.claim_until()).await?;
        let ended = self.deliver_group(vec![claimed], &owner).await?;
        Ok(ended == [DeliveryOutcome::Delivered])
    }

    /// Sends a delivery again now. Returns whether it was delivered; if not, it is retried while it is not too old.
    pub(super) async fn resend(&self, store: &Store, org: &OrgId, id: &DeliveryId) -> Result<bool, ResendError> {
        let owner: String = new_id();
        let claimed = store.claim_resend(org, id, &owner, self.claim_until()).await?;
        let ended = self.deliver_group(vec![claimed], &owner).await?;
        Ok(ended == [DeliveryOutcome::Delivered])
    }

    /// Attempts deliveries to one receiver, and records the results. Returns the outcomes of those whose claim `owner`
    /// still holds.
    async fn deliver_group(
        &self,
        mut group: Vec<ClaimedDelivery>,
        owner: &str,
    ) -> Result<Vec<DeliveryOutcome>, StoreError> {
        let ids: Vec<DeliveryId> = group.iter().map(|claimed| claimed.id.clone()).collect();
        // The group may have waited for its turn for longer than the claim lasts.
        let held = self.store().renew_claims(owner, &ids, self.claim_until()).await?;
        group.retain(|claimed| held.contains(&claimed.id));
        // A renewal that waits for the database does not keep the attempt waiting.
        let tried = tokio::select! {
            biased;
            tried = self.attempt(group) => tried,
            never = self.keep_claims(owner, &held) => match never {},
        };
        let mut ended = Vec::new();
        for (claimed, tried) in tried {
            if self.record_attempt(&claimed, owner, &tried).await? == RecordedAttempt::Recorded {
                ended.push(tried.outcome);
            }
        }
        Ok(ended)
    }

    /// Renews the claims on these deliveries, again and again.
    async fn keep_claims(&self, owner: &str, deliveries: &[DeliveryId]) -> Infallible {
        let clock = self.store().clock();
        let mut renewed_at = clock.monotonic_seconds();
        loop {
            tokio::time::sleep(CLAIM_CHECK_INTERVAL).await;
            let now = clock.monotonic_seconds();
            if now < renewed_at + CLAIM_RENEWAL_AGE {
                continue;
            }
            match bounded(self.store().renew_claims(owner, deliveries, self.claim_until())).await {
                Ok(_) => renewed_at = now,
                Err(error) => tracing::warn!(%error, "failed to renew the claim on a delivery"),
            }
        }
    }

    fn claim_until(&self) -> i64 {
        self.store().clock().now() + CLAIM_DURATION
    }

    /// Records an attempt if the claim was not lost, and disables an endpoint that answered 410.
    async fn record_attempt(
        &self,
        claimed: &ClaimedDelivery,
        owner: &str,
        tried: &DeliveryAttempt,
    ) -> Result<RecordedAttempt, StoreError> {
        let store = self.store();
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
}

fn is_full_batch(count: usize) -> bool {
    i64::try_from(count).is_ok_and(|count| count >= BATCH_SIZE)
}

/// Groups deliveries: each webhook delivery alone, all email to one person about one organization together.
fn group_deliveries(claimed: Vec<ClaimedDelivery>) -> Vec<Vec<ClaimedDelivery>> {
    let (mail, webhooks): (Vec<_>, Vec<_>) = claimed.into_iter().partition(|one| one.channel == Channel::Email);
    let mut emails: HashMap<(OrgId, String), Vec<ClaimedDelivery>> = HashMap::new();
    for one in mail {
        emails.entry((one.org.clone(), one.target.clone())).or_default().push(one);
    }
    webhooks.into_iter().map(|one| vec![one]).chain(emails.into_values()).collect()
}
