//! Limiters of several instances on one database.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;

use super::*;
use crate::server::store::testing::{each_store, rename_table};

const LIMITS: CallLimits =
    CallLimits { concurrent: 5, per_minute: 60, per_day: 5_000, app_per_minute: 10_000, wait: Duration::from_secs(30) };
const NO_WAIT: CallLimits = CallLimits { wait: Duration::ZERO, ..LIMITS };

fn instance(store: &Store, name: &str, limits: CallLimits) -> TenantLimiter {
    TenantLimiter::new(store.clone(), name.to_owned(), limits)
}

/// Makes a call that ends at once.
async fn call(limiter: &TenantLimiter) -> Result<(), LimitReached> {
    match limiter.acquire("harbour").await {
        Ok(turn) => {
            turn.finish();
            Ok(())
        }
        Err(TurnError::LimitReached(reached)) => Err(reached),
        Err(TurnError::Store(error)) => panic!("{error}"),
    }
}

#[test]
fn shares_of_the_slots_add_up_to_the_limit() {
    for (limit, shares) in [(60, [12; 5]), (62, [13, 13, 12, 12, 12]), (4, [1, 1, 1, 1, 0])] {
        assert_eq!([0, 1, 2, 3, 4].map(|slot| share(limit, slot, 5)), shares, "{limit}");
    }
    assert_eq!(CallLimits { per_minute: 3, ..LIMITS }.slots(), 3, "each slot may make a call");
}

#[test]
fn soonest_of_what_is_in_the_way_is_told() {
    let (minute, day) = (Blocked::until(CallLimit::Minute, 60), Blocked::until(CallLimit::Day, 600));
    let (running, none) = (Blocked::BY_OTHER_CALLS, Blocked::WITHOUT_SLOT);
    for (one, other, limit, free_at, may_end_sooner) in [
        (minute, day, CallLimit::Minute, Some(60), false),
        (day, minute, CallLimit::Minute, Some(60), false),
        (running, day, CallLimit::Day, Some(600), true),
        (day, running, CallLimit::Day, Some(600), true),
        (none, running, CallLimit::Concurrent, None, true),
        (none, none, CallLimit::Concurrent, None, false),
    ] {
        let told = one.or_sooner(other);
        assert_eq!(
            (told.limit, told.free_at, told.may_end_sooner),
            (limit, free_at, may_end_sooner),
            "{one:?} {other:?}"
        );
    }
}

each_store! {
    async fn burst_over_two_instances_runs_five_at_a_time_and_sixty_a_minute(store: Store) {
        let instances = [instance(&store, "one", LIMITS), instance(&store, "two", LIMITS)];
        let (running, most) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
        let calls = (0..60).map(|number| {
            let limiter = &instances[number % 2];
            async move {
                let turn = limiter.acquire("harbour").await.unwrap();
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Lets every other caller that has a turn begin, too.
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                turn.finish();
                // Gives back at once what it would keep for a second.
                limiter.maintain(true).await.unwrap();
            }
        });
        join_all(calls).await;
        assert!(most.load(Ordering::SeqCst) <= 5, "{} at once", most.load(Ordering::SeqCst));
        let third = instance(&store, "three", NO_WAIT);
        let refused = call(&third).await.unwrap_err();
        assert_eq!(refused.limit, CallLimit::Minute);
        assert!((1..=61).contains(&refused.retry_after), "{refused:?}");
        third.acquire("southerly").await.expect("another tenant has limits of its own").finish();
        for limiter in &instances {
            limiter.maintain(true).await.unwrap();
        }
        store.clock().advance(61);
        assert_eq!(call(&third).await, Ok(()));
    }
}

each_store! {
    async fn slot_of_a_dead_instance_is_free_after_its_hold_and_counts_as_used_up(store: Store) {
        let limits = CallLimits { concurrent: 1, per_minute: 3, ..NO_WAIT };
        assert_eq!(call(&instance(&store, "dead", limits)).await, Ok(()));
        let heir = instance(&store, "heir", limits);
        assert_eq!(call(&heir).await.unwrap_err().limit, CallLimit::Concurrent);
        store.clock().advance(HOLD_SECONDS);
        let refused = call(&heir).await.unwrap_err();
        assert_eq!(refused, LimitReached { limit: CallLimit::Minute, retry_after: 61 });
        store.clock().advance(61);
        for _ in 0..3 {
            assert_eq!(call(&heir).await, Ok(()));
        }
        assert_eq!(call(&heir).await.unwrap_err().limit, CallLimit::Minute);
    }
}

each_store! {
    async fn slot_that_is_given_back_keeps_its_counts(store: Store) {
        let limits = CallLimits { concurrent: 1, per_minute: 2, per_day: 3, ..NO_WAIT };
        let (one, two) = (instance(&store, "one", limits), instance(&store, "two", limits));
        assert_eq!(call(&one).await, Ok(()));
        one.maintain(true).await.unwrap();
        assert_eq!(call(&two).await, Ok(()));
        assert_eq!(call(&two).await.unwrap_err().limit, CallLimit::Minute);
        two.maintain(true).await.unwrap();
        store.clock().advance(61);
        assert_eq!(call(&one).await, Ok(()));
        one.maintain(true).await.unwrap();
        let refused = call(&two).await.unwrap_err();
        assert!(refused.limit == CallLimit::Day && refused.retry_after > 23 * 60 * 60, "{refused:?}");
    }
}

each_store! {
    async fn refusal_of_xeros_pauses_the_tenant_at_every_instance(store: Store) {
        let (one, two) = (instance(&store, "one", NO_WAIT), instance(&store, "two", NO_WAIT));
        let turn = one.acquire("harbour").await.unwrap();
        turn.pause(CallLimit::Day, store.clock().now() + 500).await.unwrap();
        turn.finish();
        let paused = LimitReached { limit: CallLimit::Day, retry_after: 500 };
        assert_eq!((call(&one).await, call(&two).await), (Err(paused), Err(paused)));
        store.clock().advance(500);
        assert_eq!((call(&one).await, call(&two).await), (Ok(()), Ok(())));
    }
}

each_store! {
    async fn shorter_pause_ends_no_longer_one(store: Store) {
        let (one, two) = (instance(&store, "one", NO_WAIT), instance(&store, "two", NO_WAIT));
        let turn = one.acquire("harbour").await.unwrap();
        turn.pause(CallLimit::Day, store.clock().now() + 500).await.unwrap();
        turn.pause(CallLimit::Minute, store.clock().now() + 7).await.unwrap();
        turn.finish();
        let paused = LimitReached { limit: CallLimit::Day, retry_after: 500 };
        assert_eq!((call(&one).await, call(&two).await), (Err(paused), Err(paused)));
    }
}

each_store! {
    async fn slot_that_was_lost_while_the_process_slept_is_not_used_again(store: Store) {
        let limits = CallLimits { concurrent: 1, ..NO_WAIT };
        let (sleeper, other) = (instance(&store, "sleeper", limits), instance(&store, "other", limits));
        let busy = sleeper.acquire("harbour").await.unwrap();
        store.clock().advance(HOLD_SECONDS + 61);
        let theirs = other.acquire("harbour").await.unwrap();
        *sleeper.0.renewed_at.lock() = Instant::now().checked_sub(upkeep::RENEWAL_INTERVAL).unwrap();
        sleeper.maintain(false).await.unwrap();
        busy.finish();
        assert_eq!(call(&sleeper).await.unwrap_err().limit, CallLimit::Concurrent);
        theirs.finish();
    }
}

each_store! {
    async fn tenant_waits_if_xero_says_that_no_call_of_the_minute_is_left(store: Store) {
        let limiter = instance(&store, "one", NO_WAIT);
        let turn = limiter.acquire("harbour").await.unwrap();
        store.clock().advance(10);
        let said = RemainingCalls { minute: Some(1), day: Some(1), app_minute: None };
        turn.observe_remaining(said).await.unwrap();
        turn.observe_remaining(RemainingCalls { minute: Some(0), ..said }).await.unwrap();
        turn.finish();
        assert_eq!(call(&limiter).await, Err(LimitReached { limit: CallLimit::Minute, retry_after: 51 }));
        store.clock().advance(51);
        assert_eq!(call(&limiter).await, Ok(()));
    }
}

each_store! {
    async fn pause_whose_end_xero_does_not_say_depends_on_the_limit(store: Store) {
        let limiter = instance(&store, "one", NO_WAIT);
        let turn = limiter.acquire("harbour").await.unwrap();
        let said = RemainingCalls { minute: Some(40), day: Some(0), app_minute: None };
        turn.observe_remaining(said).await.unwrap();
        turn.finish();
        assert_eq!(call(&limiter).await, Err(LimitReached { limit: CallLimit::Day, retry_after: 600 }));
        let turn = limiter.acquire("southerly").await.unwrap();
        turn.observe_remaining(RemainingCalls { app_minute: Some(0), ..RemainingCalls::default() }).await.unwrap();
        turn.finish();
        let Err(TurnError::LimitReached(reached)) = limiter.acquire("kauri").await else { panic!("it has a turn") };
        assert_eq!((reached.limit, reached.retry_after), (CallLimit::AppMinute, 10));
    }
}

each_store! {
    async fn call_that_runs_for_over_a_minute_began_in_one_that_has_ended(store: Store) {
        let limiter = instance(&store, "one", NO_WAIT);
        let turn = limiter.acquire("harbour").await.unwrap();
        store.clock().advance(70);
        turn.observe_remaining(RemainingCalls { minute: Some(0), ..RemainingCalls::default() }).await.unwrap();
        turn.finish();
        assert_eq!(call(&limiter).await, Err(LimitReached { limit: CallLimit::Minute, retry_after: 1 }));
    }
}

each_store! {
    async fn only_as_many_calls_begin_as_xero_says_are_left(store: Store) {
        let limiter = instance(&store, "one", NO_WAIT);
        let turn = limiter.acquire("harbour").await.unwrap();
        let said = RemainingCalls { minute: Some(3), day: Some(2_000), app_minute: Some(9_000) };
        turn.observe_remaining(said).await.unwrap();
        turn.finish();
        let mut running = Vec::new();
        for _ in 0..3 {
            running.push(limiter.acquire("harbour").await.unwrap());
        }
        assert_eq!(call(&limiter).await.unwrap_err().limit, CallLimit::Minute, "there are free slots");
        running.into_iter().for_each(Turn::finish);
        assert_eq!(call(&limiter).await, Ok(()), "with nothing running, a call asks Xero");
    }
}

each_store! {
    async fn refusal_for_the_apps_limit_pauses_every_tenant_at_every_instance(store: Store) {
        let (one, two) = (instance(&store, "one", NO_WAIT), instance(&store, "two", NO_WAIT));
        let turn = one.acquire("harbour").await.unwrap();
        let said = RemainingCalls { minute: Some(40), day: None, app_minute: Some(0) };
        turn.refused(Some("minute"), said, Some(25)).await.unwrap();
        turn.finish();
        for (limiter, tenant) in [(&one, "harbour"), (&one, "southerly"), (&two, "kauri")] {
            let Err(TurnError::LimitReached(reached)) = limiter.acquire(tenant).await else { panic!("{tenant}") };
            assert_eq!((reached.limit, reached.retry_after), (CallLimit::AppMinute, 30), "{tenant}");
        }
        store.clock().advance(30);
        two.acquire("kauri").await.unwrap().finish();
    }
}

each_store! {
    async fn instance_that_holds_slots_learns_of_a_pause(store: Store) {
        let (one, two) = (instance(&store, "one", NO_WAIT), instance(&store, "two", NO_WAIT));
        assert_eq!(call(&two).await, Ok(()));
        let turn = one.acquire("harbour").await.unwrap();
        turn.refused(Some("day"), RemainingCalls::default(), Some(500)).await.unwrap();
        turn.finish();
        two.maintain(false).await.unwrap();
        assert_eq!(call(&two).await, Err(LimitReached { limit: CallLimit::Day, retry_after: 500 }));
    }
}

each_store! {
    async fn call_whose_turn_is_known_not_to_come_is_refused_at_once(store: Store) {
        // Longer than the test may take.
        let limits = CallLimits { concurrent: 2, per_minute: 2, wait: Duration::from_secs(3_600), ..LIMITS };
        let limiter = instance(&store, "one", limits);
        let turn = limiter.acquire("harbour").await.unwrap();
        turn.refused(Some("day"), RemainingCalls::default(), Some(50_000)).await.unwrap();
        turn.finish();
        let refused = tokio::time::timeout(Duration::from_secs(60), call(&limiter)).await.expect("it waits");
        assert_eq!(refused, Err(LimitReached { limit: CallLimit::Day, retry_after: 50_000 }));

        let limits = CallLimits { per_day: 2, ..limits };
        let limiter = instance(&store, "two", limits);
        for _ in 0..2 {
            limiter.acquire("kauri").await.unwrap().finish();
        }
        let refused = tokio::time::timeout(Duration::from_secs(60), limiter.acquire("kauri")).await.expect("it waits");
        let Err(TurnError::LimitReached(reached)) = refused else { panic!("it has a turn") };
        assert_eq!(reached.limit, CallLimit::Day);
    }
}

each_store! {
    async fn call_beyond_the_minute_waits_and_gets_its_turn(store: Store) {
        let limits = CallLimits { concurrent: 2, per_minute: 2, wait: Duration::from_secs(3_600), ..LIMITS };
        let limiter = instance(&store, "one", limits);
        let first = limiter.acquire("harbour").await.unwrap();
        limiter.acquire("harbour").await.unwrap().finish();
        let third = async { limiter.acquire("harbour").await.unwrap().finish() };
        let minute_passes = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            // Its slots are lost meanwhile, because nothing renews them: what was done in them counts from then.
            store.clock().advance(HOLD_SECONDS + 62);
            first.finish();
        };
        let both = futures::future::join(third, minute_passes);
        tokio::time::timeout(Duration::from_secs(60), both).await.expect("its turn does not come");
    }
}

each_store! {
    async fn slot_that_could_not_be_given_back_keeps_its_counts_and_is_given_back_later(store: Store) {
        let limits = CallLimits { concurrent: 2, per_minute: 60, per_day: 4, ..NO_WAIT };
        let (one, two) = (instance(&store, "one", limits), instance(&store, "two", limits));
        let (first, second) = (one.acquire("harbour").await.unwrap(), one.acquire("harbour").await.unwrap());
        first.finish();
        second.finish();
        rename_table(&store, "request_slots", "elsewhere").await;
        one.maintain(true).await.unwrap_err();
        rename_table(&store, "elsewhere", "request_slots").await;
        assert_eq!(call(&one).await.unwrap_err().limit, CallLimit::Concurrent, "its slots are not given back yet");
        one.maintain(true).await.unwrap();
        for _ in 0..2 {
            assert_eq!(call(&two).await, Ok(()));
        }
        assert_eq!(call(&two).await.unwrap_err().limit, CallLimit::Day, "the calls of both count");
    }
}

each_store! {
    async fn app_limit_counts_the_calls_of_all_instances(store: Store) {
        let limits = CallLimits { app_per_minute: 70, ..NO_WAIT };
        let instances = [instance(&store, "one", limits), instance(&store, "two", limits)];
        for number in 0..10 {
            let tenant = number.to_string();
            instances[number % 2].acquire(&tenant).await.unwrap().finish();
        }
        for limiter in &instances {
            assert_eq!(call(limiter).await, Err(LimitReached { limit: CallLimit::AppMinute, retry_after: 10 }));
        }
        store.clock().advance(10);
        assert_eq!(call(&instances[1]).await, Ok(()));
    }
}

each_store! {
    async fn slot_of_an_abandoned_call_rests(store: Store) {
        let limiter = instance(&store, "one", CallLimits { concurrent: 1, ..NO_WAIT });
        drop(limiter.acquire("harbour").await.unwrap());
        assert_eq!(call(&limiter).await.unwrap_err().limit, CallLimit::Concurrent);
    }
}

each_store! {
    async fn waiting_calls_come_in_the_order_of_arrival(store: Store) {
        let limiter = &instance(&store, "one", CallLimits { concurrent: 1, ..LIMITS });
        let first = limiter.acquire("harbour").await.unwrap();
        let order = &Mutex::new(Vec::new());
        let waiting = (0..5).map(|number| async move {
            let turn = limiter.acquire("harbour").await.unwrap();
            order.lock().push(number);
            turn.finish();
        });
        let ended = async {
            tokio::task::yield_now().await;
            first.finish();
        };
        futures::join!(join_all(waiting), ended);
        assert_eq!(*order.lock(), [0, 1, 2, 3, 4]);
    }
}
