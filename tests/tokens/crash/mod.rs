//! SIGKILL at every step of an exchange: the grant works at the next start or the next call.
//!
//! `EVERGRANT_TORTURE_ROUNDS` sets the number of kills per database; `make torture` sets it to a thousand. The step at
//! which a kill fell is classified afterwards from journal, row and ledger. A run fails if a step had no kill, or if the
//! model has no run with the steps that the instances logged in a round.

mod kill_points;
mod recording;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use self::kill_points::{ExchangeStep, KillPoint, KillTiming, SpoolContents};
use self::recording::Recording;
use crate::model::provider::Replay;
use crate::support::cluster::{GrantState, TestCluster};
use crate::support::databases::TestDatabase;
use crate::support::test_service::PAST_REPLAY_WINDOW;

const SETTINGS: &[(&str, &str)] = &[("EVERGRANT_LEASE_TTL", "2s"), ("RUST_LOG", "info,evergrant::protocol=debug")];
/// The default number of rounds: each kill point in both of the provider's replay modes.
const DEFAULT_ROUNDS: usize = 2 * KillPoint::ALL.len();
/// The most extra rounds that may run until each step has had a kill.
const MAX_EXTRA_ROUNDS: usize = 200;
/// The number of concurrent rounds. Most of a round waits for the dead holder's lease to expire.
const LANES: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_grant_is_lost_if_killed_at_any_step_on_sqlite() {
    let lanes = (0..LANES).map(|_| TestDatabase::sqlite()).collect();
    torture(lanes, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_grant_is_lost_if_killed_at_any_step_on_postgresql() {
    let mut lanes = Vec::new();
    for _ in 0..LANES {
        lanes.extend(TestDatabase::postgres().await);
    }
    if !lanes.is_empty() {
        torture(lanes, 3).await;
    }
}

/// The state that all lanes share: the remaining rounds, and the steps at which kills fell.
struct Tally {
    name: &'static str,
    rounds: usize,
    next: AtomicUsize,
    /// The steps that must have a kill.
    required: &'static [ExchangeStep],
    steps: Mutex<BTreeMap<ExchangeStep, usize>>,
    /// The rounds whose steps are a run of the model.
    validated: AtomicUsize,
    started: Instant,
}

async fn torture(lanes: Vec<TestDatabase>, instances: usize) {
    let rounds = std::env::var("EVERGRANT_TORTURE_ROUNDS").map_or(DEFAULT_ROUNDS, |rounds| rounds.parse().unwrap());
    let (next, steps, begun) = (AtomicUsize::new(0), Mutex::default(), Instant::now());
    // A single instance cannot race.
    let wanted = if instances > 1 { &ExchangeStep::ALL[..] } else { &ExchangeStep::ALL[..ExchangeStep::ALL.len() - 1] };
    let (name, validated) = (lanes[0].name, AtomicUsize::default());
    let tally = Arc::new(Tally { name, rounds, next, required: wanted, steps, validated, started: begun });
    let lanes: Vec<JoinHandle<()>> = lanes
        .into_iter()
        .map(|database| {
            let tally = Arc::clone(&tally);
            tokio::spawn(async move {
                let cluster = TestCluster::on(database, instances, SETTINGS).await;
                Lane { cluster, timing: KillTiming::default(), tally }.run().await;
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    tally.print("done");
    let steps = tally.steps.lock().unwrap();
    let missed: Vec<&ExchangeStep> = tally.required.iter().filter(|step| !steps.contains_key(step)).collect();
    assert!(missed.is_empty(), "no kill at {missed:?}: {steps:?}");
    // A sweep of a third instance may make a round one that the model does not have.
    let (kills, validated) = (steps.values().sum::<usize>(), tally.validated.load(Ordering::SeqCst));
    assert!(validated * 10 >= kills * 9, "only {validated} of {kills} rounds had two processes");
}

impl Tally {
    /// Returns the next round's number, or `None` once all rounds have run and each step has had a kill.
    fn next(&self) -> Option<usize> {
        let round = self.next.fetch_add(1, Ordering::SeqCst);
        let complete = self.steps.lock().unwrap().len() == self.required.len();
        (round < self.rounds || (!complete && round < self.rounds + MAX_EXTRA_ROUNDS)).then_some(round)
    }

    fn count(&self, step: ExchangeStep) {
        let kills = {
            let mut steps = self.steps.lock().unwrap();
            *steps.entry(step).or_default() += 1;
            steps.values().sum::<usize>()
        };
        if kills.is_multiple_of(100) {
            self.print("so far");
        }
    }

    fn print(&self, when: &str) {
        let steps = self.steps.lock().unwrap();
        let (kills, took) = (steps.values().sum::<usize>(), self.started.elapsed().as_secs());
        let validated = self.validated.load(Ordering::SeqCst);
        println!(
            "{}: {kills} kills {when} in {took} s, the grant works, {validated} traces are runs of the model: {steps:?}",
            self.name
        );
    }
}

/// One organization's instances and the rounds in which they are killed.
struct Lane {
    cluster: TestCluster,
    timing: KillTiming,
    tally: Arc<Tally>,
}

impl Lane {
    async fn run(mut self) {
        while let Some(round) = self.tally.next() {
            let kill_point = KillPoint::of(round);
            let (mode, replay) = match (round / KillPoint::ALL.len()).is_multiple_of(2) {
                true => ("same", Replay::Same),
                false => ("sibling", Replay::Sibling),
            };
            self.cluster.provider.control("settings", json!({"replay": mode})).await;
            let case = format!("{}, round {round}, {mode}, {kill_point:?}", self.cluster.database.name);
            let victim = round % self.cluster.instances.len();
            let before = self.cluster.grant_state().await;
            self.cluster.new_exchanges().await;
            let mut recording = Recording::start(&self.cluster, before);
            let step = self.kill(victim, kill_point, round, &case, before).await;
            recording.add_killed(&mut self.cluster, victim);
            self.tally.count(step);
            let case = format!("{case}, {step:?}");
            self.assert_recovers(victim, step, round, &case).await;
            recording.add_started(&self.cluster, victim);
            if recording.assert_is_of_the_model(&self.cluster, replay, &case).await {
                self.tally.validated.fetch_add(1, Ordering::SeqCst);
            }
            // Xero allows sixty API calls a minute; the rounds are faster than that.
            self.cluster.provider.control("clock", json!({"advance": 2})).await;
        }
    }

    /// Asserts that the grant works after the victim's restart or at another instance's next call.
    async fn assert_recovers(&mut self, victim: usize, step: ExchangeStep, round: usize, case: &str) {
        let others = self.cluster.instances.len() - 1;
        if step == ExchangeStep::Spooled {
            // Only the token set in the victim's spool works now.
            self.cluster.provider.control("clock", json!({"advance": PAST_REPLAY_WINDOW})).await;
        }
        if others == 0 || round.is_multiple_of(2) || step == ExchangeStep::Spooled {
            self.cluster.restart(victim);
            self.cluster.assert_ok(victim, case).await;
        } else {
            // After a race the one that took part, because the model has two processes.
            let other = if step == ExchangeStep::DuringRace { 0 } else { round % others };
            self.cluster.assert_ok((victim + 1 + other) % self.cluster.instances.len(), case).await;
            self.cluster.restart(victim);
        }
        let spool = self.cluster.spool(victim);
        assert_ne!(
            kill_points::spool_contents(&spool),
            SpoolContents::Complete,
            "{case}: a replayed token set was not removed"
        );
        kill_points::remove_spool_files(&spool);
    }

    /// Starts a refresh, kills the instance at `kill_point`, and returns the step at which the kill fell.
    async fn kill(
        &mut self,
        victim: usize,
        kill_point: KillPoint,
        round: usize,
        case: &str,
        before: GrantState,
    ) -> ExchangeStep {
        self.timing.prepare(&self.cluster, kill_point).await;
        let asked = Instant::now();
        let calls = self.spawn_refreshes(victim, kill_point);
        let released = self.timing.wait_for(&self.cluster, victim, kill_point, round, before, asked).await;
        self.cluster.instances[victim].kill();
        let spool = kill_points::spool_contents(&self.cluster.spool(victim));
        if kill_point.commit_is_broken() {
            kill_points::restore_commits(&self.cluster).await;
        }
        // In this order: in a race the others continue, and every exchange in the ledger is journaled by then.
        let exchanges = self.cluster.new_exchanges().await;
        let after = self.cluster.grant_state().await;
        self.cluster.provider.control("settings", json!({"latency_ms": 0})).await;
        self.cluster.provider.control("release", json!({})).await;
        self.cluster.provider.clear_faults().await;
        let calls_of_others = calls.len() > 1;
        for (number, call) in calls {
            let answer = call.await.unwrap();
            // The victim's call may be cut off. Another instance takes over, so the others' calls must succeed.
            if number != victim {
                let report = answer.unwrap_or_else(|| panic!("{case}: instance {number} did not respond"));
                let log = || self.cluster.instances[number].unread_log().join("\n");
                assert_eq!(report["success"], json!(true), "{case}: instance {number}: {report}\n{}", log());
            }
        }
        assert!(exchanges.is_empty() || after.attempts > before.attempts, "{case}: a request without a journal line");
        if calls_of_others {
            return ExchangeStep::DuringRace;
        }
        ExchangeStep::classify(before, after, &exchanges, released, spool)
    }

    /// Starts the victim's refresh, and in a race also that of the next instance.
    fn spawn_refreshes(&self, victim: usize, kill_point: KillPoint) -> Vec<(usize, JoinHandle<Option<Value>>)> {
        let next = (victim + 1) % self.cluster.instances.len();
        let mut asked = vec![victim];
        if kill_point == KillPoint::Race && next != victim {
            asked.push(next);
        }
        let call = |number| {
            let call = self.cluster.refresh(number);
            (number, tokio::spawn(async move { call.send().await.ok()?.json().await.ok() }))
        };
        asked.into_iter().map(call).collect()
    }
}
