//! One round: warn of what time has brought, make deliveries of new events, and try those that are due.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};

use super::credentials::{Credentials, Refused};
use super::mail::{Letter, Mailer};
use super::pace::again;
use super::payload::body;
use super::webhook::{Answer, Message, WebhookClient};
use crate::model::{Channel, DisabledBy, EventKind, OrgId, Ways};
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
    /// Absent where no mail server is named.
    mailer: Option<Mailer>,
    /// Without a slash at its end.
    public_url: String,
    /// The age at which refresh tokens are renewed, in seconds.
    roll_after: i64,
    /// When ageing grants were last looked for.
    looked_at: AtomicI64,
    credentials: Credentials,
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

impl Notifier {
    pub fn new(
        store: Store,
        webhooks: WebhookClient,
        mailer: Option<Mailer>,
        public_url: String,
        roll_after: i64,
        refused: Refused,
    ) -> Self {
        let looked_at = AtomicI64::new(i64::MIN);
        Self(Arc::new(Parts {
            store,
            webhooks,
            mailer,
            public_url,
            roll_after,
            looked_at,
            credentials: Credentials::new(refused),
        }))
    }

    pub fn ways(&self) -> Ways {
        let only_this_machine = self.0.webhooks.reach().is_only_this_machine();
        Ways { mail: self.0.mailer.is_some(), only_this_machine }
    }

    pub(super) fn webhooks(&self) -> &WebhookClient {
        &self.0.webhooks
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Does what is due.
    pub async fn step(&self) -> Result<Stepped, StoreError> {
        let store = &self.0.store;
        self.0.credentials.watch(store).await?;
        let warned = self.warn().await?;
        let fanned_out = store.fan_out(self.0.mailer.is_some(), BATCH).await?;
        let owner: String = new_id();
        let claimed = store.claim_deliveries(&owner, store.clock().now() + CLAIM, BATCH).await?;
        let full = |count: usize| i64::try_from(count).is_ok_and(|count| count >= BATCH);
        let more = full(warned) || full(fanned_out) || full(claimed.len());
        let mut stepped = Stepped { warned, fanned_out, more, ..Stepped::default() };
        let mut ends = stream::iter(loads(claimed)).map(|load| self.deliver(load, &owner)).buffer_unordered(AT_ONCE);
        // One that can't be settled keeps none of the others from it: some have been taken by now.
        let mut failed = None;
        while let Some(ended) = ends.next().await {
            let ended = ended.unwrap_or_else(|error| {
                failed = Some(error);
                Vec::new()
            });
            for end in ended {
                match end {
                    End::Delivered => stepped.delivered += 1,
                    End::Again(_) => stepped.again += 1,
                    End::GivenUp => stepped.given_up += 1,
                    End::Cancelled => {}
                }
            }
        }
        failed.map_or(Ok(stepped), Err)
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

    /// Sends a test to an endpoint now, once. Says whether it was delivered.
    pub(super) async fn send_test(&self, endpoint: &Endpoint) -> Result<bool, StoreError> {
        let store = &self.0.store;
        let owner: String = new_id();
        let claimed = store.add_test(endpoint, &owner, store.clock().now() + CLAIM).await?;
        let ended = self.deliver(vec![claimed], &owner).await?;
        Ok(ended == [End::Delivered])
    }

    /// Tries one load and notes how it went: what came of each delivery whose claim was still ours.
    async fn deliver(&self, load: Vec<Claimed>, owner: &str) -> Result<Vec<End>, StoreError> {
        let mut ended = Vec::new();
        for (claimed, tried) in self.attempt(load).await {
            if self.settle(&claimed, owner, &tried).await? {
                ended.push(tried.end);
            }
        }
        Ok(ended)
    }

    async fn attempt(&self, load: Vec<Claimed>) -> Vec<(Claimed, Tried)> {
        let store = &self.0.store;
        let (mut tried, mut letters) = (Vec::new(), Vec::new());
        for claimed in load {
            let outcome = match store.event(&claimed.event).await {
                Ok(Some(event)) if claimed.channel == Channel::Email => {
                    letters.push((claimed, event));
                    continue;
                }
                Ok(Some(event)) => {
                    let outcome = self.by_webhook(&claimed, &event).await;
                    outcome.unwrap_or_else(|error| self.unprepared(&claimed, Some(&event), &error))
                }
                Ok(None) => gone(),
                Err(error) => self.unprepared(&claimed, None, &error),
            };
            tried.push((claimed, outcome));
        }
        tried.extend(self.by_mail(letters).await);
        tried
    }

    /// What couldn't be read or opened counts as a try, so that it keeps nothing else waiting and ends in its time: a
    /// secret whose key is gone, an event of a later version.
    fn unprepared(&self, claimed: &Claimed, event: Option<&Event>, error: &StoreError) -> Tried {
        tracing::error!(delivery = %claimed.id, %error, "a delivery couldn't be prepared");
        let is_test = event.is_some_and(|event| event.kind == EventKind::Test);
        let next = if is_test { None } else { self.again(claimed, None) };
        let error = Some("could not be prepared".to_owned());
        Tried { end: next.map_or(End::GivenUp, End::Again), http_status: None, error }
    }

    async fn by_webhook(&self, claimed: &Claimed, event: &Event) -> Result<Tried, StoreError> {
        let endpoint = self.0.store.endpoint(&claimed.org, &claimed.target.as_str().into()).await?;
        // A test may go to a disabled endpoint: to see whether it works again.
        let endpoint = endpoint.filter(|one| one.disabled_at.is_none() || event.kind == EventKind::Test);
        let Some(endpoint) = endpoint else { return Ok(gone()) };
        Ok(self.judge(claimed, event, self.post(event, &endpoint).await?))
    }

    /// One letter for all that happened to one person's organisation.
    async fn by_mail(&self, letters: Vec<(Claimed, Event)>) -> Vec<(Claimed, Tried)> {
        let Some((first, _)) = letters.first() else { return Vec::new() };
        let mailbox = match self.0.store.mailbox(&first.org, &first.target).await {
            Ok(mailbox) => mailbox,
            Err(error) => {
                let failed = |(one, event): (Claimed, Event)| (self.unprepared(&one, Some(&event), &error), one);
                return letters.into_iter().map(failed).map(|(tried, one)| (one, tried)).collect();
            }
        };
        let (claimed, mut events): (Vec<Claimed>, Vec<Event>) = letters.into_iter().unzip();
        let (Some((to, org_name)), Some(mailer)) = (mailbox, &self.0.mailer) else {
            return claimed.into_iter().map(|one| (one, gone())).collect();
        };
        events.sort_by(|a, b| (a.occurred_at, &a.id).cmp(&(b.occurred_at, &b.id)));
        let now = self.0.store.clock().now();
        let letter = Letter { to: &to, org_name: &org_name, events: &events, public_url: &self.0.public_url, now };
        let taken = mailer.send(&letter).await;
        let outcome = |one: &Claimed| match &taken {
            Ok(()) => Tried { end: End::Delivered, http_status: None, error: None },
            Err(returned) => {
                let next = if returned.for_good { None } else { self.again(one, None) };
                let end = next.map_or(End::GivenUp, End::Again);
                Tried { end, http_status: None, error: Some(returned.words.clone()) }
            }
        };
        claimed.into_iter().map(|one| (outcome(&one), one)).map(|(tried, one)| (one, tried)).collect()
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

    fn again(&self, claimed: &Claimed, retry_after: Option<Duration>) -> Option<i64> {
        let now = self.0.store.clock().now();
        again(claimed.created_at, now, claimed.attempts + 1, retry_after, rand::random())
    }

    async fn org_name(&self, org: &OrgId) -> Result<String, StoreError> {
        Ok(self.0.store.org_name(org).await?.unwrap_or_default())
    }
}

/// What is delivered together: an event to an endpoint by itself, a person's mail in one letter.
fn loads(claimed: Vec<Claimed>) -> Vec<Vec<Claimed>> {
    let (mail, webhooks): (Vec<_>, Vec<_>) = claimed.into_iter().partition(|one| one.channel == Channel::Email);
    let mut letters: HashMap<(OrgId, String), Vec<Claimed>> = HashMap::new();
    for one in mail {
        letters.entry((one.org.clone(), one.target.clone())).or_default().push(one);
    }
    webhooks.into_iter().map(|one| vec![one]).chain(letters.into_values()).collect()
}

/// The receiver isn't there any more.
fn gone() -> Tried {
    Tried { end: End::Cancelled, http_status: None, error: None }
}
