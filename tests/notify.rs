//! Telling people: from a change of state to a receiver that checks what it gets, on both databases.

mod mail;
mod processes;
mod reach;
mod receiver;
mod retries;
mod telling;

use std::sync::Arc;

use evergrant::model::{EndpointId, EventKind, OrgId, Trigger};
use evergrant::server::config::Networks;
use evergrant::server::domain::Secret;
use evergrant::server::notify::{Notifier, Reach, Refused, WebhookClient, new_secret};
use evergrant::server::store::{Added, NewEndpoint, NewUser, Store};
use evergrant::server::tokens::Ask;

use crate::support::keeper::{Connected, Keeper};
use receiver::Receiver;

const PUBLIC_URL: &str = "https://evergrant.example";
const SESSION: &str = "session";
const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * 60;

fn this_machine() -> Reach {
    Reach::new("127.0.0.0/8".parse::<Networks>().unwrap())
}

fn notifier(store: &Store) -> Notifier {
    notifier_that_knows(store, Arc::new(|| None))
}

/// One whose process knows of Xero's refusal of our credentials.
fn notifier_that_knows(store: &Store, refused: Refused) -> Notifier {
    let webhooks = WebhookClient::new(this_machine()).unwrap();
    Notifier::new(store.clone(), webhooks, None, PUBLIC_URL.to_owned(), 45 * DAY, refused)
}

/// Adds an endpoint to an organisation, and returns its secret as the page shows it.
async fn endpoint(store: &Store, org: &OrgId, url: &str) -> (EndpointId, Secret) {
    let hash = Secret::new("hash");
    let email = format!("{}@example.com", uuid::Uuid::new_v4());
    let Added { user, .. } =
        store.add_user(NewUser { email: &email, password_hash: &hash, org: None }).await.unwrap().unwrap();
    let secret = new_secret().unwrap();
    let new = NewEndpoint { url, secret: &secret, by: &user, session_hash: SESSION };
    (store.add_endpoint(org, new).await.unwrap().unwrap(), secret)
}

/// An organisation whose events go to a receiver.
async fn watched(keeper: &Keeper) -> (Connected, Receiver, EndpointId) {
    let receiver = Receiver::start().await;
    let connected = keeper.connect("Harbour", &["harbour"], 60).await;
    let (id, secret) = endpoint(&keeper.store, &connected.org, &receiver.url()).await;
    receiver.trust(secret);
    (connected, receiver, id)
}

/// Ends a grant at Xero, and lets an exchange find out.
async fn end(keeper: &Keeper, connected: &Connected) {
    assert!(keeper.provider.sandbox.forget_grant(&connected.minted.refresh_token).unwrap());
    keeper.service.refresh_grant_single_flight(&connected.grant, Ask::automatic(Trigger::Client)).await;
}

async fn kinds(store: &Store, org: &OrgId) -> Vec<EventKind> {
    let mut kinds: Vec<EventKind> =
        store.events_of_org(org, 50).await.unwrap().into_iter().map(|event| event.kind).collect();
    kinds.reverse();
    kinds
}
