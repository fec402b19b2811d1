//! What the journal shows afterwards: who cut an attempt off, and what ended a grant.

use evergrant::model::{AttemptView, GrantStatus, Trigger};
use evergrant::server::store::NewAttempt;
use evergrant::server::tokens::{Ask, Failed, Landed};
use evergrant::server::views;
use serde_json::json;

use crate::support::keeper::{Connected, Keeper};

async fn refresh(keeper: &Keeper, connected: &Connected) -> Landed {
    keeper.service.refresh_grant_single_flight(&connected.grant, Ask::automatic(Trigger::Client)).await
}

async fn fault(keeper: &Keeper, kind: &str) {
    keeper.provider.control("faults", json!({"endpoint": "token", "kind": kind, "times": 1})).await;
}

/// The binding's attempts, newest first.
async fn attempts(keeper: &Keeper, connected: &Connected) -> Vec<AttemptView> {
    keeper.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap()
}

/// A holder that journals, has the token exchanged at Xero, and dies before the answer comes.
async fn exchange_and_die(keeper: &Keeper, connected: &Connected) {
    let (store, id) = (&keeper.store, &connected.grant);
    let held = store.take_lease(id, "dies", keeper.clock.now() + 60).await.unwrap().unwrap();
    let new =
        NewAttempt { grant_id: id, generation: held.generation, trigger: Trigger::Sweep, actor: None, trace_id: None };
    store.begin_attempt(&new).await.unwrap();
    assert_eq!(keeper.provider.refresh(&connected.minted.refresh_token).await.0.as_u16(), 200);
}

/// The grant is dead, and everything that speaks of it gives this reason: `code` for programs, `words` for people.
async fn assert_ended(keeper: &Keeper, connected: &Connected, code: &str, words: &str) {
    let case = format!("{} {code}", keeper.database.name);
    let landed = refresh(keeper, connected).await;
    let row = keeper.read(&connected.grant).await;
    assert_eq!(row.status, GrantStatus::RefreshFailed, "{case}: {landed:?}");
    let sentence = row.last_error.unwrap();
    assert!(sentence.contains(words) && sentence.contains("reconnect to go on"), "{case}: {sentence}");
    let says_so = |landed: &Landed| matches!(landed, Landed::Failed(Failed { message, .. }) if *message == sentence);
    assert!(says_so(&landed), "{case}: {landed:?}");
    let again = refresh(keeper, connected).await;
    assert!(says_so(&again), "{case}: the next one to ask is told the same: {again:?}");

    let last = &attempts(keeper, connected).await[0];
    assert_eq!((last.outcome.as_deref(), last.error_code.as_deref()), (Some("reconnect"), Some(code)), "{case}");
    assert_eq!(last.http_status, Some(400), "{case}");
    let view = views::settings(&keeper.store, &connected.org, true).await.unwrap();
    assert_eq!(view.connections[0].problem.as_deref(), Some(sentence.as_str()), "{case}");
    let listed = keeper.store.database().listed_grants(Some(&connected.org)).await.unwrap();
    assert_eq!(listed[0].trouble_code.as_deref(), Some(code), "{case}");
}

#[tokio::test]
async fn a_dead_holders_attempt_is_closed_when_its_token_is_sent_again() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        exchange_and_die(&keeper, &connected).await;
        keeper.advance(29 * 60);
        assert_eq!(refresh(&keeper, &connected).await, Landed::Exchanged, "{db}: inside the 30 minutes");
        let attempts = attempts(&keeper, &connected).await;
        let outcomes: Vec<_> = attempts.iter().map(|one| one.outcome.as_deref()).collect();
        assert_eq!(outcomes, [Some("refreshed"), Some("abandoned")], "{db}");
        assert_eq!(attempts[1].finished_at, Some(keeper.clock.now()), "{db}");
    }
}

#[tokio::test]
async fn a_reply_lost_to_a_crash_is_told_from_a_revocation() {
    for keeper in Keeper::each().await {
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        exchange_and_die(&keeper, &connected).await;
        keeper.advance(31 * 60);
        assert_ended(&keeper, &connected, "invalid_grant_after_lost_reply", "30 minutes").await;
    }
}

#[tokio::test]
async fn a_reply_lost_on_the_way_is_told_from_a_revocation() {
    for keeper in Keeper::each().await {
        for (number, kind) in ["reset_after", "timeout_after", "truncated"].into_iter().enumerate() {
            let connected = keeper.connect(&format!("Org {number}"), &["harbour"], 60).await;
            fault(&keeper, kind).await;
            assert!(matches!(refresh(&keeper, &connected).await, Landed::Failed(_)));
            keeper.advance(31 * 60);
            assert_ended(&keeper, &connected, "invalid_grant_after_lost_reply", "30 minutes").await;
        }
    }
}

#[tokio::test]
async fn a_revocation_is_called_one_whatever_failed_before_it() {
    for keeper in Keeper::each().await {
        let revoke = |connected: &Connected| {
            assert!(keeper.provider.sandbox.forget_grant(&connected.minted.refresh_token).unwrap());
        };
        let connected = keeper.connect("Nothing failed", &["harbour"], 60).await;
        revoke(&connected);
        assert_ended(&keeper, &connected, "invalid_grant", "the person who made it, or Xero, ended it").await;

        // Inside the grace Xero would have sent the successor again.
        let connected = keeper.connect("A reply was lost a moment ago", &["harbour"], 60).await;
        fault(&keeper, "reset_after").await;
        assert!(matches!(refresh(&keeper, &connected).await, Landed::Failed(_)));
        revoke(&connected);
        keeper.advance(20 * 60);
        assert_ended(&keeper, &connected, "invalid_grant", "the person who made it, or Xero, ended it").await;

        // Xero did nothing with that one.
        let connected = keeper.connect("Asked to slow down", &["harbour"], 60).await;
        let slow = json!({"endpoint": "token", "kind": "status", "status": 429, "times": 1});
        keeper.provider.control("faults", slow).await;
        assert!(matches!(refresh(&keeper, &connected).await, Landed::Failed(_)));
        revoke(&connected);
        keeper.advance(31 * 60);
        assert_ended(&keeper, &connected, "invalid_grant", "the person who made it, or Xero, ended it").await;
    }
}

#[tokio::test]
async fn a_token_that_was_left_unused_is_told_from_a_revocation() {
    const DAY: i64 = 24 * 60 * 60;
    for keeper in Keeper::each().await {
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        keeper.advance(61 * DAY);
        assert_ended(&keeper, &connected, "invalid_grant_after_sixty_days", "sixty days").await;
    }
}
