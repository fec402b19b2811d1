//! What becomes of a delivery that isn't taken.

use chrono::DateTime;
use evergrant::model::{DeliveryStatus, DeliveryView, DisabledBy, EndpointId};
use evergrant::server::notify::new_secret;
use evergrant::server::store::Store;

use super::receiver::Receiver;
use super::{DAY, SESSION, end, endpoint, notifier, watched};
use crate::support::keeper::{Connected, Keeper};

async fn only_delivery(store: &Store, connected: &Connected) -> DeliveryView {
    let mut all = store.deliveries_of(&connected.org, 0).await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0).1
}

async fn disabled_by(store: &Store, connected: &Connected, id: &EndpointId) -> Option<DisabledBy> {
    store.endpoint(&connected.org, id).await.unwrap().unwrap().disabled_by
}

#[tokio::test]
async fn a_delivery_is_tried_again_with_the_same_id_and_body_until_it_is_taken() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, _) = watched(&keeper).await;
        let notifier = notifier(&keeper.store);
        receiver.answer(&[(500, "", ""), (302, "location", "/elsewhere"), (429, "retry-after", "3600")]);
        end(&keeper, &connected).await;
        for (tries, error) in [(1, "answered 500"), (2, "answered 302"), (3, "answered 429")] {
            assert_eq!(notifier.step().await.unwrap().again, 1, "{db}");
            let one = only_delivery(&keeper.store, &connected).await;
            assert_eq!(
                (one.status, one.attempts, one.error.as_deref()),
                (DeliveryStatus::Pending, tries, Some(error)),
                "{db}"
            );
            assert_eq!(notifier.step().await.unwrap(), Default::default(), "{db}: its time hasn't come");
            keeper.advance(one.next_attempt_at.unwrap() - keeper.clock.now());
        }
        assert_eq!(notifier.step().await.unwrap().delivered, 1, "{db}");
        let got = receiver.got();
        assert_eq!(got.len(), 4, "{db}: a redirect isn't followed");
        assert!(got[3].timestamp - got[2].timestamp >= 3600, "{db}: Retry-After was passed over");
        for one in &got {
            assert!(one.verified && one.id == got[0].id && one.text == got[0].text, "{db}: {one:?}");
        }
        let one = only_delivery(&keeper.store, &connected).await;
        assert_eq!((one.status, one.http_status, one.error), (DeliveryStatus::Delivered, Some(204), None), "{db}");
    }
}

#[tokio::test]
async fn a_receiver_may_say_as_a_date_when_it_wants_to_be_asked_again() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, _) = watched(&keeper).await;
        let until = keeper.clock.now() + 7200;
        let date = DateTime::from_timestamp(until, 0).unwrap().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        receiver.answer(&[(503, "retry-after", &date)]);
        end(&keeper, &connected).await;
        assert_eq!(notifier(&keeper.store).step().await.unwrap().again, 1, "{db}");
        assert_eq!(only_delivery(&keeper.store, &connected).await.next_attempt_at, Some(until), "{db}: {date}");
    }
}

#[tokio::test]
async fn after_three_days_a_delivery_is_given_up_and_seen_to_be() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, id) = watched(&keeper).await;
        let notifier = notifier(&keeper.store);
        receiver.answer(&[(503, "", ""); 99]);
        end(&keeper, &connected).await;
        let began = keeper.clock.now();
        loop {
            let stepped = notifier.step().await.unwrap();
            let one = only_delivery(&keeper.store, &connected).await;
            let Some(next) = one.next_attempt_at else {
                assert_eq!((stepped.given_up, one.status), (1, DeliveryStatus::GivenUp), "{db}");
                break;
            };
            keeper.advance(next - keeper.clock.now());
        }
        assert_eq!(keeper.clock.now() - began, 3 * DAY, "{db}");
        assert!((10..=16).contains(&receiver.got().len()), "{db}: {}", receiver.got().len());
        assert_eq!(disabled_by(&keeper.store, &connected, &id).await, None, "{db}: the endpoint stays");
    }
}

#[tokio::test]
async fn a_receiver_that_is_gone_gets_nothing_more() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, id) = watched(&keeper).await;
        let notifier = notifier(&keeper.store);
        receiver.answer(&[(410, "", "")]);
        end(&keeper, &connected).await;
        assert_eq!(notifier.step().await.unwrap().given_up, 1, "{db}");
        assert_eq!(disabled_by(&keeper.store, &connected, &id).await, Some(DisabledBy::Gone), "{db}");
        end(&keeper, &keeper.connect_again(&connected, &["harbour"]).await).await;
        notifier.step().await.unwrap();
        assert_eq!(receiver.got().len(), 1, "{db}");

        assert!(keeper.store.enable_endpoint(&connected.org, &id).await.unwrap());
        end(&keeper, &keeper.connect_again(&connected, &["harbour"]).await).await;
        notifier.step().await.unwrap();
        assert_eq!(receiver.got().len(), 3, "{db}: a recovery and an end since then, and nothing from before");
    }
}

#[tokio::test]
async fn what_waits_for_a_disabled_or_removed_endpoint_is_cancelled() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, id) = watched(&keeper).await;
        receiver.answer(&[(500, "", "")]);
        end(&keeper, &connected).await;
        notifier(&keeper.store).step().await.unwrap();
        let other = keeper.store.add_org("Other").await.unwrap().unwrap();
        assert!(!keeper.store.disable_endpoint(&other, &id, DisabledBy::Person).await.unwrap(), "{db}: not theirs");
        assert!(!keeper.store.remove_endpoint(&other, &id).await.unwrap(), "{db}: not theirs");
        assert!(!keeper.store.enable_endpoint(&other, &id).await.unwrap(), "{db}: not theirs");
        let secret = new_secret().unwrap();
        assert!(!keeper.store.rotate_secret(&other, &id, &secret, SESSION).await.unwrap(), "{db}: not theirs");
        assert!(keeper.store.remove_endpoint(&connected.org, &id).await.unwrap(), "{db}");
        keeper.advance(DAY);
        assert_eq!(notifier(&keeper.store).step().await.unwrap().delivered, 0, "{db}");
        let one = only_delivery(&keeper.store, &connected).await;
        assert_eq!((one.status, one.receiver), (DeliveryStatus::Cancelled, None), "{db}");
    }
}

#[tokio::test]
async fn for_a_day_after_a_rotation_both_secrets_sign() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, id) = watched(&keeper).await;
        let notifier = notifier(&keeper.store);
        let shown = keeper.store.reveal_secret(&connected.org, SESSION).await.unwrap();
        assert!(shown.is_some_and(|(url, secret)| url == receiver.url() && secret.expose().starts_with("whsec_")));
        assert!(keeper.store.reveal_secret(&connected.org, SESSION).await.unwrap().is_none(), "{db}: shown once");

        let new = new_secret().unwrap();
        assert!(keeper.store.rotate_secret(&connected.org, &id, &new, SESSION).await.unwrap());
        assert!(keeper.store.reveal_secret(&connected.org, "another").await.unwrap().is_none(), "{db}");
        assert!(notifier.test(&connected.org, &id).await.unwrap(), "{db}");
        let old_still = receiver.got().pop().unwrap();
        receiver.trust(new);
        assert!(notifier.test(&connected.org, &id).await.unwrap(), "{db}");
        let new_too = receiver.got().pop().unwrap();
        assert!(old_still.verified && old_still.signatures == 2, "{db}: {old_still:?}");
        assert!(new_too.verified && new_too.signatures == 2, "{db}: {new_too:?}");
        assert_eq!(new_too.body["type"], "notifications.test", "{db}");
        keeper.advance(DAY);
        assert!(notifier.test(&connected.org, &id).await.unwrap(), "{db}");
        let alone = receiver.got().pop().unwrap();
        assert!(alone.verified && alone.signatures == 1, "{db}: {alone:?}");
    }
}

#[tokio::test]
async fn a_test_is_sent_once_and_says_what_came_of_it() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, id) = watched(&keeper).await;
        let notifier = notifier(&keeper.store);
        receiver.answer(&[(500, "", "")]);
        assert!(!notifier.test(&connected.org, &id).await.unwrap(), "{db}");
        let one = only_delivery(&keeper.store, &connected).await;
        assert_eq!((one.status, one.error.as_deref()), (DeliveryStatus::GivenUp, Some("answered 500")), "{db}");
        keeper.advance(DAY);
        assert_eq!(notifier.step().await.unwrap(), Default::default(), "{db}: nobody waits for it any more");
    }
}

#[tokio::test]
async fn a_delivery_that_cannot_be_prepared_counts_as_tried_and_holds_up_no_other() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, spoilt) = watched(&keeper).await;
        let good = Receiver::start().await;
        let (_, secret) = endpoint(&keeper.store, &connected.org, &good.url()).await;
        good.trust(secret);
        sqlx::query("UPDATE webhook_endpoints SET secret_enc = 'v1.gone.AAAAAAAAAAAAAAAA.AAAA' WHERE id = $1")
            .bind(spoilt.as_str())
            .execute(keeper.store.database().pool())
            .await
            .unwrap();
        end(&keeper, &connected).await;
        let stepped = notifier(&keeper.store).step().await.unwrap();
        assert_eq!((stepped.delivered, stepped.again), (1, 1), "{db}");
        assert_eq!((good.got().len(), receiver.got().len()), (1, 0), "{db}");
        let all = keeper.store.deliveries_of(&connected.org, 0).await.unwrap();
        let waits = all.iter().map(|(_, one)| one).find(|one| one.status == DeliveryStatus::Pending).unwrap();
        assert_eq!((waits.attempts, waits.error.as_deref()), (1, Some("could not be prepared")), "{db}");
        assert!(waits.next_attempt_at.is_some_and(|next| next > keeper.clock.now()), "{db}: and not at once again");
    }
}

#[tokio::test]
async fn a_receiver_with_many_waiting_keeps_nobody_else_waiting() {
    for keeper in Keeper::each().await {
        let (db, store) = (keeper.database.name, &keeper.store);
        let (crowded, _receiver, crowded_endpoint) = watched(&keeper).await;
        for _ in 0..3 {
            end(&keeper, &keeper.connect_again(&crowded, &["harbour"]).await).await;
        }
        while store.fan_out(false, 32).await.unwrap() > 0 {}
        keeper.advance(1);
        let other = keeper.connect("Other", &["kauri"], 60).await;
        let (others_endpoint, _) = endpoint(store, &other.org, "http://127.0.0.1:9/").await;
        end(&keeper, &other).await;
        assert_eq!(store.fan_out(false, 32).await.unwrap(), 1, "{db}");

        let claimed = store.claim_deliveries("one", keeper.clock.now() + 60, 2).await.unwrap();
        let mut targets: Vec<String> = claimed.into_iter().map(|one| one.target).collect();
        targets.sort();
        let mut both = [crowded_endpoint.as_str().to_owned(), others_endpoint.as_str().to_owned()];
        both.sort();
        assert_eq!(targets, both, "{db}: each receiver's oldest before anybody's second");
    }
}

#[tokio::test]
async fn what_was_told_long_ago_is_forgotten_and_what_is_still_on_its_way_is_not() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let (connected, receiver, _) = watched(&keeper).await;
        let notifier = notifier(&keeper.store);
        receiver.answer(&[(500, "", "")]);
        end(&keeper, &connected).await;
        let happened = keeper.clock.now();
        keeper.advance(1);
        let forget = async |before| keeper.store.forget_events(before, 9).await.unwrap();
        assert_eq!(forget(keeper.clock.now()).await, 0, "{db}: nobody was told");
        assert_eq!(notifier.step().await.unwrap().again, 1, "{db}");
        assert_eq!(forget(keeper.clock.now()).await, 0, "{db}: it is tried again");
        let one = only_delivery(&keeper.store, &connected).await;
        keeper.advance(one.next_attempt_at.unwrap() - keeper.clock.now());
        assert_eq!(notifier.step().await.unwrap().delivered, 1, "{db}");
        assert_eq!(forget(happened).await, 0, "{db}: young enough");
        assert_eq!(forget(happened + 1).await, 1, "{db}");
        assert!(keeper.store.deliveries_of(&connected.org, 0).await.unwrap().is_empty(), "{db}");
        assert!(keeper.store.events_of_org(&connected.org, 9).await.unwrap().is_empty(), "{db}");
    }
}
