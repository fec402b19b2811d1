//! That webhooks reach nothing but what they may, whatever names resolve to.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use evergrant::server::config::Networks;
use evergrant::server::notify::{Lookup, Notifier, Reach, WebhookClient};

use super::receiver::Receiver;
use super::{DAY, PUBLIC_URL, endpoint, this_machine};
use crate::support::keeper::Keeper;

/// Answers each question with the next of these, the last one from then on, and counts them.
fn lookup(answers: &'static [&'static str]) -> (Lookup, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lookup: Lookup = Arc::new(move |_| {
        let turn = count.fetch_add(1, Ordering::SeqCst);
        let answer: IpAddr = answers[turn.min(answers.len() - 1)].parse().unwrap();
        Box::pin(async move { Ok(vec![answer]) })
    });
    (lookup, asked)
}

/// What a test of this address came to: nothing, or why it wasn't delivered.
async fn tested(keeper: &Keeper, org: &str, url: &str, reach: Reach, lookup: Lookup) -> Option<String> {
    let org = keeper.store.add_org(org).await.unwrap().unwrap();
    let (id, secret) = endpoint(&keeper.store, &org, url).await;
    drop(secret);
    let webhooks = WebhookClient::with_lookup(reach, lookup).unwrap();
    let notifier =
        Notifier::new(keeper.store.clone(), webhooks, None, PUBLIC_URL.to_owned(), 45 * DAY, Arc::new(|| None));
    let delivered = notifier.test(&org, &id).await.unwrap();
    let last = keeper.store.last_delivery(&org, id.as_str()).await.unwrap().unwrap();
    assert_eq!(delivered, last.error.is_none());
    last.error
}

#[tokio::test]
async fn a_name_that_turns_to_a_private_address_is_not_followed() {
    let keeper = Keeper::each().await.remove(0);
    let receiver = Receiver::start().await;
    receiver.trust(evergrant::server::notify::new_secret().unwrap());
    let private = Some("the address is in a private network".to_owned());
    // The operator allows one network, which our receiver isn't in: names are resolved and connected to without TLS.
    let reach = || Reach::new("10.0.0.0/8".parse::<Networks>().unwrap());
    for (name, answers) in [
        ("loopback", &["127.0.0.1"][..]),
        ("IPv6's loopback", &["::1"]),
        ("mapped", &["::ffff:127.0.0.1"]),
        ("metadata", &["169.254.169.254"]),
        ("link-local", &["fe80::1"]),
        ("unspecified", &["0.0.0.0"]),
    ] {
        let (lookup, asked) = lookup(answers);
        let url = format!("http://rebind.example:{}/", receiver.port());
        assert_eq!(tested(&keeper, name, &url, reach(), lookup).await, private, "{name}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{name}: what was checked is what is connected to");
    }
    assert!(receiver.got().is_empty());
}

#[tokio::test]
async fn the_checked_address_is_the_one_that_is_connected_to() {
    let keeper = Keeper::each().await.remove(0);
    let receiver = Receiver::start().await;
    receiver.trust(evergrant::server::notify::new_secret().unwrap());
    // Whoever looked twice, once to check and once to connect, would be led elsewhere.
    let (first_ours, asked) = lookup(&["127.0.0.1", "169.254.169.254"]);
    let url = format!("http://rebind.example:{}/", receiver.port());
    assert_eq!(tested(&keeper, "One", &url, this_machine(), first_ours).await, None);
    assert_eq!((receiver.got().len(), asked.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn an_address_that_was_allowed_once_is_checked_again_at_each_delivery() {
    let keeper = Keeper::each().await.remove(0);
    let receiver = Receiver::start().await;
    let (nobody, asked) = lookup(&["127.0.0.1"]);
    let reach = Reach::new(Networks::default());
    let result = tested(&keeper, "One", &receiver.url(), reach, nobody).await;
    assert_eq!(result, Some("the address isn't https".to_owned()));
    assert_eq!((receiver.got().len(), asked.load(Ordering::SeqCst)), (0, 0));
}
