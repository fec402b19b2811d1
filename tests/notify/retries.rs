//! Deliveries that are not accepted: retries, giving up, disabled endpoints, secret rotation and retention.

use crate::support::databases::TestDatabase;
use crate::support::wait::{MAX_WAIT, eventually};
use chrono::DateTime;
use evergrant::model::{Channel, DeliveryStatus, DeliveryView, DisabledBy, EndpointId, EventListFilter};
use evergrant::server::crypto::webhook_key::WebhookKey;
use evergrant::server::store::{DisableResult, RowChange, Store};

use super::receiver::Receiver;
use super::{DAY, SESSION_HASH, add_endpoint, connect_with_receiver, end_at_xero, notifier, tick};
use crate::support::consents::ConnectedOrg;
use crate::support::test_service::TestService;

async fn only_delivery(store: &Store, connected: &ConnectedOrg) -> DeliveryView {
    let mut all = store.deliveries_of_events(&connected.org, 0, i64::MAX).await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0).1
}

async fn disabled_by(store: &Store, connected: &ConnectedOrg, id: &EndpointId) -> Option<DisabledBy> {
    store.endpoint(&connected.org, id).await.unwrap().unwrap().disabled_by
}

#[apply(each_database!)]
async fn delivery_is_retried_with_the_same_id_and_body_until_it_is_accepted(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, _) = connect_with_receiver(&harness).await;
    let notifier = notifier(&harness.store);
    receiver.queue_responses(&[(500, "", ""), (302, "location", "/elsewhere"), (429, "retry-after", "3600")]);
    end_at_xero(&harness, &connected).await;
    for (attempts, error) in [(1, "answered 500"), (2, "answered 302"), (3, "answered 429")] {
        assert_eq!(tick(&notifier).await.retrying, 1, "{db}");
        let one = only_delivery(&harness.store, &connected).await;
        assert_eq!(
            (one.status, one.attempts, one.error.as_deref()),
            (DeliveryStatus::Pending, attempts, Some(error)),
            "{db}"
        );
        assert_eq!(tick(&notifier).await, Default::default(), "{db}: the retry is not due yet");
        harness.advance(one.next_attempt_at.unwrap() - harness.clock.now());
    }
    assert_eq!(tick(&notifier).await.delivered, 1, "{db}");
    let got = receiver.deliveries();
    assert_eq!(got.len(), 4, "{db}: a redirect isn't followed");
    assert!(got[3].timestamp - got[2].timestamp >= 3600, "{db}: Retry-After was ignored");
    for one in &got {
        assert!(one.verified && one.id == got[0].id && one.text == got[0].text, "{db}: {one:?}");
    }
    let one = only_delivery(&harness.store, &connected).await;
    assert_eq!((one.status, one.http_status, one.error), (DeliveryStatus::Delivered, Some(204), None), "{db}");
}

#[apply(each_database!)]
async fn clock_that_is_set_back_does_not_delay_a_retry(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (connected, receiver, _) = connect_with_receiver(&harness).await;
    let notifier = notifier(&harness.store);
    receiver.queue_responses(&[(500, "", "")]);
    end_at_xero(&harness, &connected).await;
    assert_eq!(tick(&notifier).await.retrying, 1, "{}", harness.database.name);
    harness.set_clock_back(25 * 60 * 60);
    assert_eq!(tick(&notifier).await.delivered, 1, "{}", harness.database.name);
}

#[apply(each_database!)]
async fn retry_after_with_a_date_is_honored(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, _) = connect_with_receiver(&harness).await;
    let until = harness.clock.now() + 7200;
    let date = DateTime::from_timestamp(until, 0).unwrap().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    receiver.queue_responses(&[(503, "retry-after", &date)]);
    end_at_xero(&harness, &connected).await;
    assert_eq!(tick(&notifier(&harness.store)).await.retrying, 1, "{db}");
    assert_eq!(only_delivery(&harness.store, &connected).await.next_attempt_at, Some(until), "{db}: {date}");
}

#[apply(each_database!)]
async fn delivery_is_given_up_after_three_days_and_its_endpoint_stays_enabled(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, id) = connect_with_receiver(&harness).await;
    let notifier = notifier(&harness.store);
    receiver.queue_responses(&[(503, "", ""); 99]);
    end_at_xero(&harness, &connected).await;
    let started_at = harness.clock.now();
    for _ in 0..100 {
        let report = tick(&notifier).await;
        let one = only_delivery(&harness.store, &connected).await;
        let Some(next) = one.next_attempt_at else {
            assert_eq!((report.given_up, one.status), (1, DeliveryStatus::GivenUp), "{db}");
            break;
        };
        harness.advance(next - harness.clock.now());
    }
    assert_eq!(only_delivery(&harness.store, &connected).await.status, DeliveryStatus::GivenUp, "{db}");
    assert_eq!(harness.clock.now() - started_at, 3 * DAY, "{db}");
    assert!((10..=16).contains(&receiver.deliveries().len()), "{db}: {}", receiver.deliveries().len());
    assert_eq!(disabled_by(&harness.store, &connected, &id).await, None, "{db}: the endpoint stays enabled");
}

#[apply(each_database!)]
async fn endpoint_that_answers_410_is_disabled_until_it_is_enabled_again(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, id) = connect_with_receiver(&harness).await;
    let notifier = notifier(&harness.store);
    receiver.queue_responses(&[(410, "", "")]);
    end_at_xero(&harness, &connected).await;
    assert_eq!(tick(&notifier).await.given_up, 1, "{db}");
    assert_eq!(disabled_by(&harness.store, &connected, &id).await, Some(DisabledBy::Gone), "{db}");
    end_at_xero(&harness, &harness.reconnect(&connected, &["harbour"]).await).await;
    tick(&notifier).await;
    assert_eq!(receiver.deliveries().len(), 1, "{db}");

    assert_eq!(harness.store.enable_endpoint(&connected.org, &id).await.unwrap(), RowChange::Applied);
    end_at_xero(&harness, &harness.reconnect(&connected, &["harbour"]).await).await;
    tick(&notifier).await;
    assert_eq!(receiver.deliveries().len(), 4, "{db}: a recovery, a reconnect and an end since, nothing older");
}

#[apply(each_database!)]
async fn pending_deliveries_of_a_disabled_endpoint_are_canceled(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, id) = connect_with_receiver(&harness).await;
    receiver.queue_responses(&[(500, "", "")]);
    end_at_xero(&harness, &connected).await;
    tick(&notifier(&harness.store)).await;
    let disable = async || harness.store.disable_endpoint(&connected.org, &id, DisabledBy::Person).await.unwrap();
    assert_eq!(disable().await, DisableResult::Disabled, "{db}");
    assert_eq!(disable().await, DisableResult::AlreadyDisabled, "{db}");
    harness.advance(DAY);
    assert_eq!(tick(&notifier(&harness.store)).await.delivered, 0, "{db}");
    assert_eq!(only_delivery(&harness.store, &connected).await.status, DeliveryStatus::Cancelled, "{db}");
}

#[apply(each_database!)]
async fn pending_deliveries_of_a_removed_endpoint_are_canceled(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, id) = connect_with_receiver(&harness).await;
    receiver.queue_responses(&[(500, "", "")]);
    end_at_xero(&harness, &connected).await;
    tick(&notifier(&harness.store)).await;
    let other = harness.store.add_org("Other").await.unwrap();
    let disabled = harness.store.disable_endpoint(&other, &id, DisabledBy::Person).await.unwrap();
    assert_eq!(disabled, DisableResult::NotFound, "{db}: wrong org");
    assert_eq!(harness.store.remove_endpoint(&other, &id).await.unwrap(), RowChange::NotFound, "{db}: wrong org");
    assert_eq!(harness.store.enable_endpoint(&other, &id).await.unwrap(), RowChange::NotFound, "{db}: wrong org");
    let secret = WebhookKey::new_secret().unwrap();
    assert_eq!(
        harness.store.rotate_secret(&other, &id, &secret, SESSION_HASH).await.unwrap(),
        RowChange::NotFound,
        "{db}: wrong org"
    );
    assert_eq!(harness.store.remove_endpoint(&connected.org, &id).await.unwrap(), RowChange::Applied, "{db}");
    harness.advance(DAY);
    assert_eq!(tick(&notifier(&harness.store)).await.delivered, 0, "{db}");
    let one = only_delivery(&harness.store, &connected).await;
    assert_eq!((one.status, one.receiver), (DeliveryStatus::Cancelled, None), "{db}");
}

#[apply(each_database!)]
async fn both_secrets_sign_for_a_day_after_a_rotation(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, id) = connect_with_receiver(&harness).await;
    let notifier = notifier(&harness.store);
    let shown = harness.store.reveal_secret(&connected.org, SESSION_HASH).await.unwrap();
    assert!(shown.is_some_and(|(url, secret)| url == receiver.url() && secret.expose().starts_with("whsec_")));
    assert!(harness.store.reveal_secret(&connected.org, SESSION_HASH).await.unwrap().is_some(), "{db}: used up");
    harness.advance(60);
    assert!(harness.store.reveal_secret(&connected.org, SESSION_HASH).await.unwrap().is_none(), "{db}: for a minute");

    let new = WebhookKey::new_secret().unwrap();
    assert_eq!(harness.store.rotate_secret(&connected.org, &id, &new, SESSION_HASH).await.unwrap(), RowChange::Applied);
    assert!(harness.store.reveal_secret(&connected.org, "another").await.unwrap().is_none(), "{db}");
    assert!(notifier.test_endpoint(&connected.org, &id).await.unwrap(), "{db}");
    let old_still = receiver.deliveries().pop().unwrap();
    receiver.set_secret(new);
    assert!(notifier.test_endpoint(&connected.org, &id).await.unwrap(), "{db}");
    let new_too = receiver.deliveries().pop().unwrap();
    assert!(old_still.verified && old_still.signatures == 2, "{db}: {old_still:?}");
    assert!(new_too.verified && new_too.signatures == 2, "{db}: {new_too:?}");
    assert_eq!(new_too.body["type"], "notifications.test", "{db}");
    harness.advance(DAY);
    assert!(notifier.test_endpoint(&connected.org, &id).await.unwrap(), "{db}");
    let alone = receiver.deliveries().pop().unwrap();
    assert!(alone.verified && alone.signatures == 1, "{db}: {alone:?}");
}

#[apply(each_database!)]
async fn test_delivery_is_sent_once_and_returns_its_result(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, id) = connect_with_receiver(&harness).await;
    let notifier = notifier(&harness.store);
    receiver.queue_responses(&[(500, "", "")]);
    assert!(!notifier.test_endpoint(&connected.org, &id).await.unwrap(), "{db}");
    let one = only_delivery(&harness.store, &connected).await;
    assert_eq!((one.status, one.error.as_deref()), (DeliveryStatus::GivenUp, Some("answered 500")), "{db}");
    harness.advance(DAY);
    assert_eq!(tick(&notifier).await, Default::default(), "{db}: a test is not retried");
}

#[apply(each_database!)]
async fn delivery_that_cannot_be_prepared_is_retried_later_and_blocks_no_other(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, broken) = connect_with_receiver(&harness).await;
    let good = Receiver::start().await;
    let (_, secret) = add_endpoint(&harness.store, &connected.org, &good.url()).await;
    good.set_secret(secret);
    sqlx::query("UPDATE webhook_endpoints SET secret_enc = 'v1.gone.AAAAAAAAAAAAAAAA.AAAA' WHERE id = $1")
        .bind(broken.as_str())
        .execute(harness.store.database().pool())
        .await
        .unwrap();
    end_at_xero(&harness, &connected).await;
    let report = tick(&notifier(&harness.store)).await;
    assert_eq!((report.delivered, report.retrying), (1, 1), "{db}");
    assert_eq!((good.deliveries().len(), receiver.deliveries().len()), (1, 0), "{db}");
    let all = harness.store.deliveries_of_events(&connected.org, 0, i64::MAX).await.unwrap();
    let pending = all.iter().map(|(_, one)| one).find(|one| one.status == DeliveryStatus::Pending).unwrap();
    assert_eq!((pending.attempts, pending.error.as_deref()), (1, Some("could not be prepared")), "{db}");
    assert!(pending.next_attempt_at.is_some_and(|next| next > harness.clock.now()), "{db}: the retry is delayed");
}

#[apply(each_database!)]
async fn endpoint_with_a_backlog_does_not_delay_others(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let (db, store) = (harness.database.name, &harness.store);
    let (busy, _receiver, busy_endpoint) = connect_with_receiver(&harness).await;
    for _ in 0..3 {
        end_at_xero(&harness, &harness.reconnect(&busy, &["harbour"]).await).await;
    }
    eventually("the fan-out", MAX_WAIT, async || store.fan_out(32).await.unwrap() == 0).await;
    harness.advance(1);
    let other = harness.connect("Other", &["kauri"], 60).await;
    store.fan_out(32).await.unwrap();
    let (others_endpoint, _) = add_endpoint(store, &other.org, "http://127.0.0.1:9/").await;
    end_at_xero(&harness, &other).await;
    assert_eq!(store.fan_out(32).await.unwrap(), 1, "{db}");

    let claimed = store.claim_deliveries(Channel::Webhook, "one", harness.clock.now() + 60, 2).await.unwrap();
    let mut targets: Vec<String> = claimed.into_iter().map(|one| one.target).collect();
    targets.sort();
    let mut both = [busy_endpoint.as_str().to_owned(), others_endpoint.as_str().to_owned()];
    both.sort();
    assert_eq!(targets, both, "{db}: the oldest of each endpoint before any second one");
}

#[apply(each_database!)]
async fn old_events_are_deleted_unless_a_delivery_is_pending(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let (connected, receiver, _) = connect_with_receiver(&harness).await;
    let notifier = notifier(&harness.store);
    receiver.queue_responses(&[(500, "", "")]);
    end_at_xero(&harness, &connected).await;
    let happened_at = harness.clock.now();
    harness.advance(1);
    let delete_before = async |before| harness.store.delete_events_before(before, 9).await.unwrap();
    assert_eq!(delete_before(harness.clock.now()).await, 1, "{db}: the connect's; the end is not delivered yet");
    assert_eq!(tick(&notifier).await.retrying, 1, "{db}");
    assert_eq!(delete_before(harness.clock.now()).await, 0, "{db}: a retry is pending");
    let one = only_delivery(&harness.store, &connected).await;
    harness.advance(one.next_attempt_at.unwrap() - harness.clock.now());
    assert_eq!(tick(&notifier).await.delivered, 1, "{db}");
    assert_eq!(delete_before(happened_at).await, 0, "{db}: the event is not old enough");
    assert_eq!(delete_before(happened_at + 1).await, 1, "{db}");
    assert!(harness.store.deliveries_of_events(&connected.org, 0, i64::MAX).await.unwrap().is_empty(), "{db}");
    assert!(
        harness.store.org_events(&connected.org, &EventListFilter::default(), None, 9).await.unwrap().is_empty(),
        "{db}"
    );
}
