//! The egress policy: webhooks reach only allowed addresses, whatever their host names resolve to.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use evergrant::server::config::Networks;
use evergrant::server::crypto::webhook_key::WebhookKey;
use evergrant::server::notify::{DnsLookup, EgressPolicy, Notifier, WebhookClient};

use super::receiver::Receiver;
use super::{DAY, PUBLIC_URL, add_endpoint, loopback_policy};
use crate::support::databases::TestDatabase;
use crate::support::test_service::TestService;

/// Creates a resolver that returns these addresses in order, repeats the last one, and counts the lookups.
fn scripted_lookup(addresses: &'static [&'static str]) -> (DnsLookup, Arc<AtomicUsize>) {
    let lookups = Arc::new(AtomicUsize::new(0));
    let count = lookups.clone();
    let lookup: DnsLookup = Arc::new(move |_| {
        let turn = count.fetch_add(1, Ordering::SeqCst);
        let answer: IpAddr = addresses[turn.min(addresses.len() - 1)].parse().unwrap();
        Box::pin(async move { Ok(vec![answer]) })
    });
    (lookup, lookups)
}

/// Sends a test delivery to the URL. Returns its error, if it was not delivered.
async fn test_delivery_error(
    harness: &TestService,
    org: &str,
    url: &str,
    reach: EgressPolicy,
    lookup: DnsLookup,
) -> Option<String> {
    let org = harness.store.add_org(org).await.unwrap();
    let (id, secret) = add_endpoint(&harness.store, &org, url).await;
    drop(secret);
    let webhooks = WebhookClient::with_lookup(reach, lookup).unwrap();
    let notifier =
        Notifier::new(harness.store.clone(), webhooks, None, PUBLIC_URL.to_owned(), 45 * DAY, Arc::new(|| None));
    let delivered = notifier.test_endpoint(&org, &id).await.unwrap();
    let last = harness.store.listed_endpoints(&org).await.unwrap().remove(0).last.unwrap();
    assert_eq!(delivered, last.error.is_none());
    last.error
}

#[tokio::test]
async fn host_name_that_resolves_to_a_forbidden_address_is_rejected() {
    let harness = TestService::start(TestDatabase::sqlite()).await;
    let receiver = Receiver::start().await;
    receiver.set_secret(WebhookKey::new_secret().unwrap());
    let private = Some("the address is in a private network".to_owned());
    // The operator allows a network that does not contain the receiver, so host names are resolved without TLS.
    let reach = || EgressPolicy::new("10.0.0.0/8".parse::<Networks>().unwrap());
    for (name, answers) in [
        ("loopback", &["127.0.0.1"][..]),
        ("IPv6's loopback", &["::1"]),
        ("mapped", &["::ffff:127.0.0.1"]),
        ("metadata", &["169.254.169.254"]),
        ("link-local", &["fe80::1"]),
        ("unspecified", &["0.0.0.0"]),
    ] {
        let (lookup, lookups) = scripted_lookup(answers);
        let url = format!("http://rebind.example:{}/", receiver.port());
        assert_eq!(test_delivery_error(&harness, name, &url, reach(), lookup).await, private, "{name}");
        assert_eq!(lookups.load(Ordering::SeqCst), 1, "{name}: the name is resolved once");
    }
    assert!(receiver.deliveries().is_empty());
}

#[tokio::test]
async fn checked_address_is_the_connected_address() {
    let harness = TestService::start(TestDatabase::sqlite()).await;
    let receiver = Receiver::start().await;
    receiver.set_secret(WebhookKey::new_secret().unwrap());
    // A client that resolved once to check and again to connect would connect to another address.
    let (first_ours, lookups) = scripted_lookup(&["127.0.0.1", "169.254.169.254"]);
    let url = format!("http://rebind.example:{}/", receiver.port());
    assert_eq!(test_delivery_error(&harness, "One", &url, loopback_policy(), first_ours).await, None);
    assert_eq!((receiver.deliveries().len(), lookups.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn webhook_url_is_checked_at_delivery() {
    let harness = TestService::start(TestDatabase::sqlite()).await;
    let receiver = Receiver::start().await;
    let (nobody, lookups) = scripted_lookup(&["127.0.0.1"]);
    let reach = EgressPolicy::new(Networks::default());
    let result = test_delivery_error(&harness, "One", &receiver.url(), reach, nobody).await;
    assert_eq!(result, Some("the address isn't https".to_owned()));
    assert_eq!((receiver.deliveries().len(), lookups.load(Ordering::SeqCst)), (0, 0));
}
