//! Tests of the letters: how many connections one lists, and when the next follows.

use super::*;
use crate::server::store::RowChange;
use crate::server::store::testing::each_store;
use crate::server::store::testing::grants::TestGrant;

#[apply(each_store!)]
async fn contact_of_more_connections_than_a_letter_lists_gets_the_others_in_the_next_letter(store: Store) {
    let org = store.add_org("Harbour").await.unwrap();
    let names: Vec<String> = (0..=MAX_CONNECTIONS).map(|number| format!("Company {number:03}")).collect();
    let tenants: Vec<&str> = names.iter().map(String::as_str).collect();
    TestGrant::of(&store, &org).bound_to(&tenants).insert().await;
    for one in store.bindings_of_org(&org).await.unwrap() {
        let set = store.set_contacts(&org, &one.binding.id, &["books@example.com".to_owned()]).await.unwrap();
        assert_eq!(set, RowChange::Applied);
    }
    sqlx::query("UPDATE integration_tenant_bindings SET status = 'needs_reauth', broken_notified_at = $1")
        .bind(store.clock().now())
        .execute(store.pool())
        .await
        .unwrap();
    store.clock().advance(GATHERING_PERIOD + 1);
    let mut listed = Vec::new();
    for expected in [MAX_CONNECTIONS, MAX_CONNECTIONS] {
        let contact = store.claim_reconnect_letters("one", 10).await.unwrap().pop().expect("a letter is due");
        let broken = store.broken_connections(&contact.id).await.unwrap();
        assert_eq!(i64::try_from(broken.len()).unwrap(), expected);
        let recorded = store.record_letter(&contact, "one", &broken, LetterOutcome::Sent).await.unwrap();
        assert_eq!(recorded, RecordedAttempt::Recorded);
        listed.extend(broken.into_iter().map(|one| one.tenant_name));
    }
    assert!(names.iter().all(|name| listed.contains(name)));
    assert_eq!(store.claim_reconnect_letters("one", 10).await.unwrap(), []);
}

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

#[test]
fn reminders_follow_after_one_three_and_seven_days_and_none_soon_after_another_letter() {
    for (now, next) in [
        (0, Some(DAY)),
        (DAY - 13 * HOUR, Some(DAY)),
        (DAY - 11 * HOUR, Some(3 * DAY)),
        (DAY, Some(3 * DAY)),
        (3 * DAY + HOUR, Some(7 * DAY)),
        (7 * DAY - HOUR, None),
        (7 * DAY, None),
    ] {
        assert_eq!(next_letter_at(0, now), next, "{now}");
    }
}
