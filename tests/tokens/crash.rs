//! `kill -9` around an exchange: whatever the moment, the grant works at the next start or the next call.
//!
//! `EVERGRANT_TORTURE_ROUNDS` says how many kills each database sees; `make torture` makes it a thousand. Where a
//! kill fell is judged afterwards, by journal, row and ledger; a run in which a step saw none fails.

mod moments;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use self::moments::{InTheSpool, Moment, Step, Timing};
use crate::support::databases::TestDatabase;
use crate::support::plant::Plant;

const SETTINGS: &[(&str, &str)] = &[("EVERGRANT_LEASE_TTL", "1s")];
/// Each moment in both of the provider's replay modes.
const FEW: usize = 2 * Moment::ALL.len();
/// How many more rounds there may be until each step has seen a kill.
const MORE: usize = 200;
/// Rounds at the same time: most of a round is waiting for the dead holder's lease to end.
const LANES: usize = 4;
/// Longer than Xero honours a spent token, in seconds.
const PAST_THE_GRACE: i64 = 31 * 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_costs_no_grant_on_sqlite() {
    let lanes = (0..LANES).map(|_| TestDatabase::sqlite()).collect();
    torture(lanes, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_costs_no_grant_on_postgresql() {
    let mut lanes = Vec::new();
    for _ in 0..LANES {
        lanes.extend(TestDatabase::postgres().await);
    }
    if !lanes.is_empty() {
        torture(lanes, 3).await;
    }
}

/// What the lanes share: the rounds to go, and where the kills fell.
struct Tally {
    name: &'static str,
    rounds: usize,
    next: AtomicUsize,
    /// Each of these has to see a kill.
    wanted: &'static [Step],
    steps: Mutex<BTreeMap<Step, usize>>,
    begun: Instant,
}

async fn torture(lanes: Vec<TestDatabase>, instances: usize) {
    let rounds = std::env::var("EVERGRANT_TORTURE_ROUNDS").map_or(FEW, |rounds| rounds.parse().unwrap());
    let (next, steps, begun) = (AtomicUsize::new(0), Mutex::default(), Instant::now());
    // One instance has nobody to race with.
    let wanted = if instances > 1 { &Step::ALL[..] } else { &Step::ALL[..Step::ALL.len() - 1] };
    let tally = Arc::new(Tally { name: lanes[0].name, rounds, next, wanted, steps, begun });
    let lanes: Vec<JoinHandle<()>> = lanes
        .into_iter()
        .map(|database| {
            let tally = Arc::clone(&tally);
            tokio::spawn(async move {
                let plant = Plant::on(database, instances, SETTINGS).await;
                Lane { plant, timing: Timing::default(), tally }.run().await;
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    tally.say("done");
    let steps = tally.steps.lock().unwrap();
    let missed: Vec<&Step> = tally.wanted.iter().filter(|step| !steps.contains_key(step)).collect();
    assert!(missed.is_empty(), "no kill fell at {missed:?}: {steps:?}");
}

impl Tally {
    /// The next round's number; none once there were enough and each step has seen a kill.
    fn next(&self) -> Option<usize> {
        let round = self.next.fetch_add(1, Ordering::SeqCst);
        let complete = self.steps.lock().unwrap().len() == self.wanted.len();
        (round < self.rounds || (!complete && round < self.rounds + MORE)).then_some(round)
    }

    fn count(&self, step: Step) {
        let kills = {
            let mut steps = self.steps.lock().unwrap();
            *steps.entry(step).or_default() += 1;
            steps.values().sum::<usize>()
        };
        if kills.is_multiple_of(100) {
            self.say("so far");
        }
    }

    fn say(&self, when: &str) {
        let steps = self.steps.lock().unwrap();
        let (kills, took) = (steps.values().sum::<usize>(), self.begun.elapsed().as_secs());
        println!("{}: {kills} kills {when} in {took} s, and the grant works: {steps:?}", self.name);
    }
}

/// One organisation's instances, and the rounds they die in.
struct Lane {
    plant: Plant,
    timing: Timing,
    tally: Arc<Tally>,
}

impl Lane {
    async fn run(mut self) {
        while let Some(round) = self.tally.next() {
            let moment = Moment::of(round);
            let mode = if (round / Moment::ALL.len()).is_multiple_of(2) { "same" } else { "sibling" };
            self.plant.provider.control("settings", json!({"replay": mode})).await;
            let case = format!("{}, round {round}, {mode}, {moment:?}", self.plant.database.name);
            let victim = round % self.plant.instances.len();
            let step = self.kill(victim, moment, round, &case).await;
            self.tally.count(step);
            self.goes_on(victim, step, round, &format!("{case}, {step:?}")).await;
            // Xero lets an app call its API sixty times a minute; the rounds come faster than that.
            self.plant.provider.control("clock", json!({"advance": 2})).await;
        }
    }

    /// The next start, or another instance's next call, has a grant that works.
    async fn goes_on(&mut self, victim: usize, step: Step, round: usize, case: &str) {
        let others = self.plant.instances.len() - 1;
        if step == Step::Spooled {
            // Now only what lies in the victim's folder is worth anything.
            self.plant.provider.control("clock", json!({"advance": PAST_THE_GRACE})).await;
        }
        if others == 0 || round.is_multiple_of(2) || step == Step::Spooled {
            self.plant.restart(victim);
            self.plant.must_work(victim, case).await;
        } else {
            self.plant.must_work((victim + 1 + round % others) % self.plant.instances.len(), case).await;
            self.plant.restart(victim);
        }
        let spool = self.plant.spool(victim);
        assert_ne!(
            moments::in_the_spool(&spool),
            InTheSpool::Whole,
            "{case}: a token set that has served stays behind"
        );
        moments::sweep(&spool);
    }

    /// Has an instance refresh, kills it at that moment of it, and judges where that fell.
    async fn kill(&mut self, victim: usize, moment: Moment, round: usize, case: &str) -> Step {
        let before = self.plant.rows().await;
        self.plant.new_exchanges().await;
        self.timing.prepare(&self.plant, moment).await;
        let asked = Instant::now();
        let calls = self.ask(victim, moment);
        let released = self.timing.wait_for(&self.plant, victim, moment, round, before, asked).await;
        self.plant.instances[victim].kill();
        let spool = moments::in_the_spool(&self.plant.spool(victim));
        if moment.breaks_the_commit() {
            moments::mend(&self.plant).await;
        }
        // In this order: in a race the others go on, and what the ledger shows is in the journal by then.
        let exchanges = self.plant.new_exchanges().await;
        let after = self.plant.rows().await;
        self.plant.provider.control("settings", json!({"latency_ms": 0})).await;
        self.plant.provider.control("release", json!({})).await;
        self.plant
            .provider
            .client
            .delete(format!("{}/_control/faults", self.plant.provider.base))
            .send()
            .await
            .unwrap();
        let calls_of_others = calls.len() > 1;
        for (number, call) in calls {
            let answer = call.await.unwrap();
            // The victim's is cut off, or was answered just before; the others take over.
            if number != victim {
                let report = answer.unwrap_or_else(|| panic!("{case}: instance {number} gave no answer"));
                let log = || self.plant.instances[number].log_so_far().join("\n");
                assert_eq!(report["success"], json!(true), "{case}: instance {number}: {report}\n{}", log());
            }
        }
        assert!(exchanges.is_empty() || after.attempts > before.attempts, "{case}: sent without a line in the journal");
        if calls_of_others {
            return Step::InARace;
        }
        Step::judge(before, after, &exchanges, released, spool)
    }

    /// The refreshes that are under way when the victim dies: its own, and in a race everybody's.
    fn ask(&self, victim: usize, moment: Moment) -> Vec<(usize, JoinHandle<Option<Value>>)> {
        let asked = (0..self.plant.instances.len()).filter(|number| *number == victim || moment == Moment::Race);
        let call = |number| {
            let call = self.plant.refresh(number);
            (number, tokio::spawn(async move { call.send().await.ok()?.json().await.ok() }))
        };
        asked.map(call).collect()
    }
}
