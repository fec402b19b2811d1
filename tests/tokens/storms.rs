//! Storms: a provider that fails is left alone, one grant's trouble stays its own, and nobody's calls cost others.

use evergrant::model::{GrantId, GrantStatus, Trigger};
use evergrant::server::tokens::{Ask, Failed, Landed, TokenService, Why};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::keeper::{Connected, Keeper};

const AN_HOUR: i64 = 60 * 60;
const GRACE: i64 = 30 * 60;
const QUARTER: i64 = 15 * 60;

async fn refresh(keeper: &Keeper, connected: &Connected) -> Landed {
    keeper.service.refresh_grant_single_flight(&connected.grant, Ask::automatic(Trigger::Client)).await
}

async fn click(keeper: &Keeper, connected: &Connected) -> Landed {
    keeper.service.refresh_grant_single_flight(&connected.grant, Ask::by("ana@example.com", true)).await
}

async fn fault(keeper: &Keeper, fault: Value) {
    keeper.provider.control("faults", fault).await;
}

async fn recovers(keeper: &Keeper) {
    let faults = format!("{}/_control/faults", keeper.provider.base);
    assert!(keeper.provider.client.delete(faults).send().await.unwrap().status().is_success());
}

/// So many organisations with a due grant each.
async fn many(keeper: &Keeper, count: usize) -> Vec<Connected> {
    let mut many = Vec::new();
    for number in 0..count {
        many.push(keeper.connect(&format!("Org {number}"), &["harbour"], 60).await);
    }
    many
}

fn failed(landed: Landed) -> Failed {
    match landed {
        Landed::Failed(failed) => failed,
        landed => panic!("{landed:?}"),
    }
}

/// Five grants meet a provider that is down.
async fn found_down(keeper: &Keeper, grants: &[Connected]) {
    fault(keeper, json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
    for connected in &grants[..5] {
        assert_eq!(keeper.service.provider_rests_until(), None);
        failed(refresh(keeper, connected).await);
    }
    assert!(keeper.service.provider_rests_until().is_some());
}

/// Lets time pass until the provider is asked again.
fn rest(keeper: &Keeper) {
    if let Some(until) = keeper.service.provider_rests_until() {
        keeper.advance(until - keeper.clock.now());
    }
}

#[tokio::test]
async fn a_provider_that_fails_is_left_alone_and_nothing_is_held_against_the_grants() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let grants = many(&keeper, 6).await;
        found_down(&keeper, &grants).await;
        let before = keeper.read(&grants[5].grant).await;
        for _ in 0..100 {
            let failed = failed(refresh(&keeper, &grants[5]).await);
            assert_eq!((failed.why, failed.next_attempt_at), (Why::Transient, keeper.service.provider_rests_until()));
            assert_eq!(failed.message, "Xero isn't answering. Your connection is safe.", "{db}");
        }
        assert_eq!(keeper.exchanges().await, 5, "{db}");
        assert_eq!(keeper.read(&grants[5].grant).await, before, "{db}");
        let attempts = keeper.store.attempts_of_binding(&grants[5].org, &grants[5].bindings[0], 9).await.unwrap();
        assert!(attempts.is_empty(), "{db}: {attempts:?}");
    }
}

#[tokio::test]
async fn one_probe_finds_out_and_everybody_goes_on() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let grants = many(&keeper, 25).await;
        found_down(&keeper, &grants).await;
        recovers(&keeper).await;
        rest(&keeper);
        assert_eq!(keeper.service.provider_rests_until(), None, "{db}");
        keeper.provider.control("hold", json!({})).await;
        let ask = |connected: &Connected| {
            let (service, grant) = (keeper.service.clone(), connected.grant.clone());
            tokio::spawn(
                async move { service.refresh_grant_single_flight(&grant, Ask::automatic(Trigger::Sweep)).await },
            )
        };
        let probe = ask(&grants[5]);
        assert_eq!(keeper.provider.waiting(1).await, 1, "{db}");
        for landed in join_all(grants[6..].iter().map(ask)).await {
            let failed = failed(landed.unwrap());
            assert!(failed.next_attempt_at.is_some_and(|next| next > keeper.clock.now()), "{db}: {failed:?}");
        }
        assert_eq!(keeper.exchanges().await, 6, "{db}: one probe, and nobody else");
        keeper.provider.control("release", json!({})).await;
        assert_eq!(probe.await.unwrap(), Landed::Exchanged, "{db}");
        for connected in &grants[6..] {
            assert_eq!(refresh(&keeper, connected).await, Landed::Exchanged, "{db}");
        }
    }
}

#[tokio::test]
async fn a_persons_click_probes_a_provider_at_rest_now_and_then() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let grants = many(&keeper, 8).await;
        found_down(&keeper, &grants).await;
        failed(click(&keeper, &grants[5]).await);
        assert_eq!(keeper.exchanges().await, 6, "{db}");
        failed(click(&keeper, &grants[6]).await);
        assert_eq!(keeper.exchanges().await, 6, "{db}: not everybody's click");
        recovers(&keeper).await;
        rest(&keeper);
        assert_eq!(click(&keeper, &grants[6]).await, Landed::Exchanged, "{db}");
        assert_eq!(refresh(&keeper, &grants[7]).await, Landed::Exchanged, "{db}: it has found out for all");
    }
}

#[tokio::test]
async fn dead_grants_leave_everybody_else_alone() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let grants = many(&keeper, 8).await;
        for dead in &grants[..7] {
            assert!(keeper.provider.sandbox.forget_grant(&dead.minted.refresh_token).unwrap());
            assert_eq!(failed(refresh(&keeper, dead).await).why, Why::Reconnect, "{db}");
        }
        assert_eq!(keeper.service.provider_rests_until(), None, "{db}");
        assert_eq!(refresh(&keeper, &grants[7]).await, Landed::Exchanged, "{db}");
    }
}

#[tokio::test]
async fn a_hostile_retry_after_takes_no_lost_replys_grace_away() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        fault(&keeper, json!({"endpoint": "token", "kind": "reset_after", "times": 1})).await;
        let begun = keeper.clock.now();
        let mut next = failed(refresh(&keeper, &connected).await).next_attempt_at.unwrap();
        assert_eq!(keeper.read(&connected.grant).await.reply_lost_at, Some(begun), "{db}");
        for status in [429, 503, 429, 503, 429] {
            fault(&keeper, json!({"endpoint": "token", "kind": "status", "status": status, "retry_after": 86_400}))
                .await;
        }
        // Each of them has the breaker rest as well.
        let landed = loop {
            keeper.advance(next - keeper.clock.now());
            match refresh(&keeper, &connected).await {
                Landed::Failed(failed) => next = failed.next_attempt_at.unwrap(),
                landed => break landed,
            }
        };
        assert_eq!((landed, keeper.exchanges().await), (Landed::Exchanged, 7), "{db}");
        assert!(keeper.clock.now() < begun + GRACE, "{db}");
        // What nobody lost may wait, for an hour.
        let other = keeper.connect("Other", &["kauri"], 60).await;
        keeper.advance(AN_HOUR);
        fault(&keeper, json!({"endpoint": "token", "kind": "status", "status": 429, "retry_after": 86_400})).await;
        let waits = failed(refresh(&keeper, &other).await).next_attempt_at.unwrap() - keeper.clock.now();
        assert_eq!(waits, AN_HOUR, "{db}");
    }
}

#[tokio::test]
async fn a_lost_reply_is_asked_for_again_though_the_provider_is_at_rest() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let grants = many(&keeper, 7).await;
        let lost = &grants[6];
        fault(&keeper, json!({"endpoint": "token", "kind": "reset_after", "times": 1})).await;
        let lost_at = keeper.clock.now();
        failed(refresh(&keeper, lost).await);
        found_down_with(&keeper, &grants).await;
        // Xero asks for a rest that outlasts the grace.
        while keeper.clock.now() < lost_at + QUARTER {
            rest(&keeper);
            fault(&keeper, json!({"endpoint": "token", "kind": "status", "status": 429, "retry_after": 86_400})).await;
            failed(click(&keeper, &grants[5]).await);
        }
        recovers(&keeper).await;
        assert!(keeper.service.provider_rests_until().is_some(), "{db}");
        assert!(keeper.clock.now() < lost_at + GRACE, "{db}");
        assert_eq!(refresh(&keeper, lost).await, Landed::Exchanged, "{db}");
        let after = keeper.read(&lost.grant).await;
        assert_eq!((after.status, after.generation, after.reply_lost_at), (GrantStatus::Active, 1, None), "{db}");
        assert_eq!(keeper.service.provider_rests_until(), None, "{db}: and all know that Xero answers");
    }
}

async fn found_down_with(keeper: &Keeper, grants: &[Connected]) {
    fault(keeper, json!({"endpoint": "token", "kind": "status", "status": 503, "times": 4})).await;
    for connected in &grants[..4] {
        failed(refresh(keeper, connected).await);
    }
    assert!(keeper.service.provider_rests_until().is_some(), "the lost reply was the first of five");
}

/// Everybody calls, all the time, for a day: at every moment at which anything could change, and in between.
async fn a_day_of_calls(keeper: &Keeper, connected: &Connected, clicks: bool) -> (usize, usize) {
    let end = keeper.clock.now() + 24 * AN_HOUR;
    while keeper.clock.now() < end {
        let mut next = end;
        for ask in [Ask::automatic(Trigger::Client), Ask::by("ana@example.com", true)] {
            if ask.is_a_click() && !clicks {
                continue;
            }
            let calls = (0..100).map(|_| keeper.service.refresh_grant_single_flight(&connected.grant, ask.clone()));
            for landed in join_all(calls).await {
                let asked_again = failed(landed).next_attempt_at.unwrap_or(end);
                next = next.min(asked_again.max(keeper.clock.now() + 1));
            }
        }
        let step = next - keeper.clock.now();
        // A click may always be tried.
        keeper.advance(if clicks { step.min(300) } else { step });
    }
    let attempts = keeper.store.attempts_of_binding(&connected.org, &connected.bindings[0], 10_000).await.unwrap();
    let by_hand = attempts.iter().filter(|attempt| attempt.trigger == "manual").count();
    (attempts.len() - by_hand, by_hand)
}

#[tokio::test]
async fn a_refused_grant_under_a_hundred_calls_a_second_costs_fifty_exchanges_a_day_at_most() {
    let troubles = [
        json!({"endpoint": "token", "kind": "status", "status": 500, "times": null}),
        json!({"endpoint": "token", "kind": "status", "status": 429, "times": null}),
        json!({"endpoint": "token", "kind": "status", "status": 429, "retry_after": 1, "times": null}),
        json!({"endpoint": "token", "kind": "status", "status": 404, "times": null}),
        json!({"endpoint": "token", "kind": "invalid_client", "times": null}),
    ];
    for keeper in Keeper::each().await {
        for (number, trouble) in troubles.iter().enumerate() {
            let case = format!("{}: {trouble}", keeper.database.name);
            let connected = keeper.connect(&format!("Org {number}"), &["harbour"], 60).await;
            fault(&keeper, trouble.clone()).await;
            let before = keeper.exchanges().await;
            let (automatic, clicks) = a_day_of_calls(&keeper, &connected, false).await;
            assert!((20..=50).contains(&automatic) && clicks == 0, "{case}: {automatic}");
            assert_eq!(keeper.exchanges().await - before, automatic, "{case}: the journal has them all");
            let (automatic, clicks) = a_day_of_calls(&keeper, &connected, true).await;
            assert!(automatic <= 2 * 50 && clicks <= 60 && clicks > 6, "{case}: {automatic} and {clicks}");
            assert_eq!(keeper.read(&connected.grant).await.status, GrantStatus::Active, "{case}");
            recovers(&keeper).await;
            keeper.advance(2 * AN_HOUR);
            assert_eq!(refresh(&keeper, &connected).await, Landed::Exchanged, "{case}");
        }
    }
}

#[tokio::test]
async fn a_dead_grant_under_a_hundred_calls_a_second_costs_one_exchange() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        keeper.provider.sandbox.forget_grant(&connected.minted.refresh_token).unwrap();
        assert_eq!(a_day_of_calls(&keeper, &connected, true).await, (1, 0), "{db}");
    }
}

#[tokio::test]
async fn a_failed_result_is_shared_by_those_who_waited_for_it() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let services = [keeper.service.clone(), keeper.another().await, keeper.another().await];
        keeper.provider.control("hold", json!({})).await;
        fault(&keeper, json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
        let ask = |service: &TokenService| {
            let (service, grant) = (service.clone(), connected.grant.clone());
            tokio::spawn(
                async move { service.refresh_grant_single_flight(&grant, Ask::automatic(Trigger::Client)).await },
            )
        };
        let first = ask(&services[0]);
        keeper.provider.waiting(1).await;
        // The same process's callers join its flight; another's wait for its lease.
        let others: Vec<_> = (0..60).map(|number| ask(&services[number % 3])).collect();
        keeper.provider.control("release", json!({})).await;
        let first = failed(first.await.unwrap());
        for other in others {
            let other = failed(other.await.unwrap());
            assert_eq!((other.message, other.next_attempt_at), (first.message.clone(), first.next_attempt_at), "{db}");
        }
        assert_eq!(keeper.exchanges().await, 1, "{db}");
        assert_eq!(keeper.read(&connected.grant).await.failure_count, 1, "{db}");
    }
}

#[tokio::test]
async fn one_organisations_storm_holds_up_no_other() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let stormy = keeper.connect("Stormy", &["harbour"], 60).await;
        let mut theirs = vec![stormy.grant];
        for _ in 0..11 {
            theirs.push(keeper.grant(&stormy.org, 60).await);
        }
        let calm = keeper.connect("Calm", &["kauri"], 60).await;
        keeper.provider.control("hold", json!({})).await;
        let ask = |grant: &GrantId| {
            let (service, grant) = (keeper.service.clone(), grant.clone());
            tokio::spawn(
                async move { service.refresh_grant_single_flight(&grant, Ask::automatic(Trigger::Client)).await },
            )
        };
        let storm: Vec<_> = theirs.iter().map(ask).collect();
        assert_eq!(keeper.provider.waiting(4).await, 4, "{db}");
        // Xero answers none of them, and this one's request gets through.
        let other = ask(&calm.grant);
        assert_eq!(keeper.provider.waiting(5).await, 5, "{db}: four of one organisation's at a time");
        keeper.provider.control("release", json!({})).await;
        assert_eq!(other.await.unwrap(), Landed::Exchanged, "{db}");
        for landed in storm {
            assert_eq!(landed.await.unwrap(), Landed::Exchanged, "{db}: each in its turn");
        }
    }
}

#[tokio::test]
async fn a_dead_holders_reply_is_not_forgotten_while_the_provider_rests() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let grants = many(&keeper, 6).await;
        let fresh = keeper.connect("Fresh", &["kauri"], 1800).await;
        let sent = keeper.clock.now();
        let died = keeper.store.take_lease(&fresh.grant, "a holder that dies", sent + 60).await.unwrap();
        assert!(died.is_some(), "{db}");
        keeper.advance(60);
        found_down(&keeper, &grants).await;
        assert_eq!(keeper.sweep().await.refreshed, 0, "{db}");
        let after = keeper.read(&fresh.grant).await;
        assert_eq!((after.lease, after.reply_lost_at, after.failure_count), (None, Some(sent), 0), "{db}");
        while keeper.clock.now() < sent + QUARTER {
            keeper.advance(60);
            failed(click(&keeper, &grants[0]).await);
        }
        recovers(&keeper).await;
        assert_eq!(refresh(&keeper, &fresh).await, Landed::Exchanged, "{db}: though its access token is fresh");
    }
}
