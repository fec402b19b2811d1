//! One attempt at a delivery: prepares the message, sends it, and decides what follows from the answer.

use std::time::Duration;

use super::backoff::next_attempt_at;
use super::mail::Digest;
use super::mail_times::MailZone;
use super::notifier::{HTTP_GONE, Notifier};
use super::payload::EventBody;
use super::smtp::Finality;
use super::webhook::{PostOutcome, WebhookMessage};
use crate::model::{Channel, EventKind, OrgId};
use crate::server::store::{ClaimedDelivery, DeliveryAttempt, DeliveryOutcome, Event, StoreError, WebhookEndpoint};

impl Notifier {
    /// Attempts claimed deliveries to one receiver.
    pub(super) async fn attempt(&self, group: Vec<ClaimedDelivery>) -> Vec<(ClaimedDelivery, DeliveryAttempt)> {
        let (mut tried, mut emails) = (Vec::new(), Vec::new());
        for claimed in group {
            let outcome = match self.store().event(&claimed.event).await {
                Ok(Some(event)) if claimed.channel == Channel::Email => {
                    emails.push((claimed, event));
                    continue;
                }
                Ok(Some(event)) => {
                    let started = self.store().clock().monotonic();
                    let outcome = self.attempt_by_webhook(&claimed, &event).await;
                    let outcome =
                        outcome.unwrap_or_else(|error| self.preparation_failed(&claimed, Some(&event), &error));
                    let took = self.store().clock().monotonic().saturating_sub(started);
                    outcome.that_took(took)
                }
                Ok(None) => canceled_attempt(),
                Err(error) => self.preparation_failed(&claimed, None, &error),
            };
            tried.push((claimed, outcome));
        }
        tried.extend(self.attempt_by_email(emails).await);
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
            duration_ms: None,
        }
    }

    async fn attempt_by_webhook(
        &self,
        claimed: &ClaimedDelivery,
        event: &Event,
    ) -> Result<DeliveryAttempt, StoreError> {
        let endpoint = self.store().endpoint(&claimed.org, &claimed.target.as_str().into()).await?;
        // A test is also sent to a disabled endpoint, to check whether it works again.
        let endpoint = endpoint.filter(|one| one.disabled_at.is_none() || event.kind == EventKind::Test);
        let Some(endpoint) = endpoint else { return Ok(canceled_attempt()) };
        Ok(self.attempt_from_outcome(claimed, event, self.post(event, &endpoint).await?))
    }

    /// Sends one digest with all events of one organization to one person.
    async fn attempt_by_email(&self, emails: Vec<(ClaimedDelivery, Event)>) -> Vec<(ClaimedDelivery, DeliveryAttempt)> {
        let Some((first, _)) = emails.first() else { return Vec::new() };
        let mailbox = match self.store().notification_email(&first.org, &first.target).await {
            Ok(mailbox) => mailbox,
            Err(error) => {
                let failed =
                    |(one, event): (ClaimedDelivery, Event)| (self.preparation_failed(&one, Some(&event), &error), one);
                return emails.into_iter().map(failed).map(|(tried, one)| (one, tried)).collect();
            }
        };
        let (claimed, mut events): (Vec<ClaimedDelivery>, Vec<Event>) = emails.into_iter().unzip();
        let (Some(mailbox), Some(mailer), Some(first)) = (mailbox, self.mailer(), claimed.first()) else {
            return claimed.into_iter().map(|one| (one, canceled_attempt())).collect();
        };
        events.sort_by(|a, b| (a.occurred_at, &a.id).cmp(&(b.occurred_at, &b.id)));
        let now = self.store().clock().now();
        let digest = Digest {
            to: &mailbox.email,
            org: &first.org,
            org_name: &mailbox.org_name,
            events: &events,
            public_url: self.public_url(),
            zone: MailZone::of(mailbox.time_zone.as_deref()),
            now,
        };
        let taken = mailer.send(&digest).await;
        let outcome = |one: &ClaimedDelivery| match &taken {
            Ok(()) => DeliveryAttempt {
                outcome: DeliveryOutcome::Delivered,
                http_status: None,
                error: None,
                duration_ms: None,
            },
            Err(returned) => {
                let next = match returned.finality {
                    Finality::RecipientRefused => None,
                    Finality::Retry => self.next_attempt_at(one, None),
                };
                let end = next.map_or(DeliveryOutcome::GivenUp, DeliveryOutcome::RetryAt);
                DeliveryAttempt {
                    outcome: end,
                    http_status: None,
                    error: Some(returned.message.clone()),
                    duration_ms: None,
                }
            }
        };
        claimed.into_iter().map(|one| (outcome(&one), one)).map(|(tried, one)| (one, tried)).collect()
    }

    async fn post(&self, event: &Event, endpoint: &WebhookEndpoint) -> Result<PostOutcome, StoreError> {
        let store = self.store();
        let secrets = store.signing_secrets(endpoint).await?;
        let body = EventBody::new(event, &endpoint.org, &self.org_name(&endpoint.org).await?, self.public_url());
        let body = serde_json::json!(body).to_string();
        let message = WebhookMessage {
            url: &endpoint.url,
            id: event.id.as_str(),
            timestamp: store.clock().now(),
            body: &body,
            secrets: &secrets,
        };
        Ok(self.webhooks().post(message).await)
    }

    fn attempt_from_outcome(&self, claimed: &ClaimedDelivery, event: &Event, answer: PostOutcome) -> DeliveryAttempt {
        let (http_status, error, retry_after) = match answer {
            PostOutcome::Accepted(status) => {
                return DeliveryAttempt {
                    outcome: DeliveryOutcome::Delivered,
                    http_status: Some(status),
                    error: None,
                    duration_ms: None,
                };
            }
            PostOutcome::Gone => {
                let error = Some("answered 410: no more events wanted".to_owned());
                return DeliveryAttempt {
                    outcome: DeliveryOutcome::GivenUp,
                    http_status: Some(HTTP_GONE),
                    error,
                    duration_ms: None,
                };
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
            duration_ms: None,
        }
    }

    fn next_attempt_at(&self, claimed: &ClaimedDelivery, retry_after: Option<Duration>) -> Option<i64> {
        let now = self.store().clock().now();
        next_attempt_at(claimed.created_at, now, claimed.attempts + 1, retry_after, rand::random())
    }

    async fn org_name(&self, org: &OrgId) -> Result<String, StoreError> {
        Ok(self.store().org_name(org).await?.unwrap_or_default())
    }
}

/// The attempt of a delivery whose receiver no longer exists.
fn canceled_attempt() -> DeliveryAttempt {
    DeliveryAttempt { outcome: DeliveryOutcome::Canceled, http_status: None, error: None, duration_ms: None }
}
