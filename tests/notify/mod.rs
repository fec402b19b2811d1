//! Tests of notifications: from a state change to a receiver that verifies deliveries, on both databases.

mod claims;
mod egress;
mod events;
mod letters;
mod mail;
pub mod mail_server;
mod processes;
mod receiver;
mod retries;

use std::sync::Arc;

use evergrant::model::{Channel, EmailChoice, EndpointId, EventKind, EventListFilter, OrgId, Role, Trigger};
use evergrant::server::config::Networks;
use evergrant::server::crypto::webhook_key::WebhookKey;
use evergrant::server::domain::Secret;
use evergrant::server::notify::{CredentialsErrorFn, EgressPolicy, Notifier, WebhookClient};
use evergrant::server::store::{CreatedUser, NewUser, NewWebhookEndpoint, RowChange, Store};
use evergrant::server::tokens::RefreshRequest;

use crate::support::consents::ConnectedOrg;
use crate::support::test_service::TestService;
use receiver::Receiver;

const PUBLIC_URL: &str = "https://evergrant.example";
const SESSION_HASH: &str = "session";
const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * 60;

fn loopback_policy() -> EgressPolicy {
    EgressPolicy::new("127.0.0.0/8".parse::<Networks>().unwrap())
}

fn notifier(store: &Store) -> Notifier {
    notifier_with_credentials_error(store, Arc::new(|| None))
}

/// Creates a notifier whose process reports `credentials_error` as the current error.
fn notifier_with_credentials_error(store: &Store, credentials_error: CredentialsErrorFn) -> Notifier {
    let webhooks = WebhookClient::new(loopback_policy()).unwrap();
    Notifier::new(store.clone(), webhooks, None, PUBLIC_URL.to_owned(), 45 * DAY, credentials_error)
}

/// What one round of the notifier's loops did.
#[derive(Debug, Default, PartialEq, Eq)]
struct TickReport {
    warned: usize,
    fanned_out: usize,
    delivered: usize,
    retrying: usize,
    given_up: usize,
}

/// Runs one step of each of the notifier's loops.
async fn tick(notifier: &Notifier) -> TickReport {
    let prepared = notifier.prepare().await.unwrap();
    let webhooks = notifier.deliver(Channel::Webhook).await.unwrap();
    let email = notifier.deliver(Channel::Email).await.unwrap();
    TickReport {
        warned: prepared.warned,
        fanned_out: prepared.fanned_out,
        delivered: webhooks.delivered + email.delivered,
        retrying: webhooks.retrying + email.retrying,
        given_up: webhooks.given_up + email.given_up,
    }
}

/// Adds an endpoint to an organization. Returns its id and its signing secret.
async fn add_endpoint(store: &Store, org: &OrgId, url: &str) -> (EndpointId, Secret) {
    let hash = Secret::new("hash");
    let email = format!("{}@example.com", uuid::Uuid::new_v4());
    let CreatedUser { user, .. } =
        store.add_user(NewUser { email: &email, password_hash: &hash, org: None }).await.unwrap();
    // Without email, which the tests count.
    store.add_member(org, &user, Role::Admin).await.unwrap();
    let silent = store.set_email_notifications(org, &user, EmailChoice::Off).await.unwrap();
    assert_eq!(silent, RowChange::Applied);
    let secret = WebhookKey::new_secret().unwrap();
    let new = NewWebhookEndpoint { url, secret: &secret, created_by: &user, session_hash: SESSION_HASH };
    (store.add_endpoint(org, new).await.unwrap(), secret)
}

/// Connects an organization whose events are delivered to a receiver.
async fn connect_with_receiver(harness: &TestService) -> (ConnectedOrg, Receiver, EndpointId) {
    let receiver = Receiver::start().await;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    // The endpoint gets what happens after it was added.
    harness.store.fan_out(10).await.unwrap();
    harness.store.number_events(10).await.unwrap();
    let (id, secret) = add_endpoint(&harness.store, &connected.org, &receiver.url()).await;
    receiver.set_secret(secret);
    (connected, receiver, id)
}

/// Ends a grant at Xero, and runs an exchange that discovers it.
async fn end_at_xero(harness: &TestService, connected: &ConnectedOrg) {
    harness.provider.sandbox.revoke_grant(&connected.minted.refresh_token).unwrap();
    harness.service.refresh_grant_single_flight(&connected.grant, RefreshRequest::automatic(Trigger::Client)).await;
}

async fn event_kinds(store: &Store, org: &OrgId) -> Vec<EventKind> {
    let mut kinds: Vec<EventKind> = store
        .org_events(org, &EventListFilter::default(), None, 50)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.kind)
        .collect();
    kinds.reverse();
    kinds
}
