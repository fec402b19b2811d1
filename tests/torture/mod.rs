//! Everything at once: in each round the provider, an instance, the database and a clock go wrong together, drawn from
//! the whole list, while all instances refresh the same grant. Afterwards the grant works.
//!
//! `EVERGRANT_TORTURE_MIXES` sets the number of rounds for each database; `make torture` sets it to three hundred. A
//! failure names its seed, which `EVERGRANT_TORTURE_SEED` repeats as far as the machine's timing allows.

mod draw;
mod lists;
mod troubles;

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use self::draw::{Deck, Dice};
use self::lists::ListReader;
use self::troubles::{CLOCK, INSTANCE, LISTS, PROVIDER, Started, Trouble};
use crate::support::cluster::TestCluster;
use crate::support::databases::TestDatabase;
use crate::support::wait::{MAX_WAIT, within};

const SETTINGS: &[(&str, &str)] = &[("EVERGRANT_LEASE_TTL", "2s"), ("EVERGRANT_XERO_TIMEOUT", "1s")];
/// The seconds after which a lease ends that a right clock has written: those of the setting, and one for its fractions.
const LEASE_SECONDS: i64 = 3;
const REPLAYS: [&str; 3] = ["same", "sibling", "newest"];
const DEFAULT_ROUNDS: usize = 8;
/// Calls to the API that the provider accepts in a minute and in a day: as many as the rounds make.
const CALLS: u32 = 1_000_000;
/// The number of concurrent clusters. Most of a round waits.
const LANES: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_grant_is_lost_whatever_goes_wrong_at_once_on_sqlite() {
    let lanes = (0..LANES).map(|_| TestDatabase::sqlite()).collect();
    torture(lanes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_grant_is_lost_whatever_goes_wrong_at_once_on_postgresql() {
    let mut lanes = Vec::new();
    for _ in 0..LANES {
        lanes.extend(TestDatabase::postgres().await);
    }
    if !lanes.is_empty() {
        torture(lanes).await;
    }
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

async fn torture(databases: Vec<TestDatabase>) {
    let (name, seed) = (databases[0].name, setting("EVERGRANT_TORTURE_SEED", 1));
    let rounds = setting("EVERGRANT_TORTURE_MIXES", DEFAULT_ROUNDS);
    let (next, tally, began) = (Arc::new(AtomicUsize::new(0)), Arc::default(), Instant::now());
    let lists_read = Arc::new(AtomicUsize::new(0));
    let mut lanes: Vec<JoinHandle<()>> = Vec::new();
    for (number, database) in databases.into_iter().enumerate() {
        let (next, tally, lists_read) = (Arc::clone(&next), Arc::clone(&tally), Arc::clone(&lists_read));
        lanes.push(tokio::spawn(async move {
            let mut lane = Lane::on(database, seed + number, tally, lists_read).await;
            while next.fetch_add(1, Ordering::SeqCst) < rounds {
                lane.round().await;
            }
        }));
    }
    for lane in lanes {
        lane.await.unwrap();
    }
    let tally: &Mutex<BTreeMap<Trouble, usize>> = &tally;
    let tally = tally.lock().unwrap();
    let tried: usize = tally.values().sum();
    let lists = lists_read.load(Ordering::SeqCst);
    println!(
        "{name}: {rounds} rounds in {} s, {tried} troubles, {lists} lists read meanwhile, no grant was lost: {tally:?}",
        began.elapsed().as_secs()
    );
    assert!(tried >= 2 * rounds && lists > 0, "{lists} lists, {tally:?}");
}

/// How many of the last exchanges a failure shows.
const EVIDENCE_LINES: usize = 12;

/// One organization's instances on one database.
struct Lane {
    cluster: TestCluster,
    dice: Dice,
    seed: usize,
    rounds: usize,
    reader: ListReader,
    of_provider: Deck<Trouble>,
    of_lists: Deck<Trouble>,
    of_instance: Deck<Trouble>,
    of_database: Deck<Trouble>,
    of_clocks: Deck<Trouble>,
    tally: Arc<Mutex<BTreeMap<Trouble, usize>>>,
}

impl Lane {
    async fn on(
        database: TestDatabase,
        seed: usize,
        tally: Arc<Mutex<BTreeMap<Trouble, usize>>>,
        lists_read: Arc<AtomicUsize>,
    ) -> Self {
        let of_database = Deck::new(troubles::of_database(database.kind()));
        let cluster = TestCluster::on(database, 2, SETTINGS).await;
        // The same person connects another organization elsewhere, so that a list without ours is not empty.
        cluster.provider.sandbox.mint("mere", &["kauri"], 60).unwrap();
        Self {
            reader: ListReader::of(&cluster, lists_read),
            cluster,
            dice: Dice::new(seed as u64),
            seed,
            rounds: 0,
            of_provider: Deck::new(&PROVIDER),
            of_lists: Deck::new(&LISTS),
            of_instance: Deck::new(&INSTANCE),
            of_database,
            of_clocks: Deck::new(&CLOCK),
            tally,
        }
    }

    /// Draws what goes wrong: something of the provider's, and mostly something of a clock's, the database's or an instance's.
    fn draw(&mut self) -> Vec<Trouble> {
        let dice = &mut self.dice;
        let mut drawn = vec![self.of_provider.draw(dice)];
        if dice.one_in(2) {
            drawn.push(self.of_provider.draw(dice));
        }
        if !dice.one_in(4) {
            drawn.push(self.of_lists.draw(dice));
        }
        if dice.one_in(2) {
            drawn.push(self.of_clocks.draw(dice));
        }
        if !dice.one_in(4) {
            drawn.push(self.of_database.draw(dice));
        }
        // Last: on SQLite, a stopped instance may hold the lock that another session waits for.
        if !dice.one_in(4) {
            drawn.push(self.of_instance.draw(dice));
        }
        drawn
    }

    async fn round(&mut self) {
        self.rounds += 1;
        let replay = REPLAYS[usize::try_from(self.dice.below(3)).unwrap()];
        let drawn = self.draw();
        let victim = usize::try_from(self.dice.below(2)).unwrap();
        let case = format!(
            "{}, seed {}, round {}, replays: {replay}, victim {victim}: {drawn:?}",
            self.cluster.database.name, self.seed, self.rounds
        );
        let latency = self.dice.below(60);
        self.cluster.replays_end_siblings |= replay == "newest";
        self.cluster
            .provider
            .control(
                "settings",
                json!({"replay": replay, "latency_ms": latency, "call_limits": {"minute": CALLS, "day": CALLS}}),
            )
            .await;
        let (of_provider, of_others): (Vec<Trouble>, Vec<Trouble>) =
            drawn.iter().partition(|trouble| PROVIDER.contains(trouble) || LISTS.contains(trouble));
        self.reader.make_due(&self.cluster).await;
        let mut started = Vec::new();
        for trouble in of_provider {
            started.push(trouble.start(&mut self.cluster, victim).await);
        }
        let mut calls = self.call_all();
        calls.push(self.reader.start());
        self.pause(60).await;
        for trouble in of_others {
            started.push(trouble.start(&mut self.cluster, victim).await);
            self.pause(30).await;
        }
        calls.extend(self.call_all());
        self.pause(100).await;
        if drawn.contains(&Trouble::Stopped) {
            // Longer than its request may take, and sometimes than its lease.
            tokio::time::sleep(Duration::from_millis(1_100 + self.dice.below(1_500))).await;
        }
        self.end(started, calls, &drawn, victim, &case).await;
        self.assert_recovers(&case).await;
        let mut tally = self.tally.lock().unwrap();
        for trouble in drawn {
            *tally.entry(trouble).or_default() += 1;
        }
    }

    /// Starts a refresh at every instance. What becomes of it is of no interest: the answer may be lost.
    fn call_all(&self) -> Vec<JoinHandle<()>> {
        let call = |number| {
            let call = self.cluster.refresh(number);
            tokio::spawn(async move { drop(call.send().await) })
        };
        (0..self.cluster.instances.len()).map(call).collect()
    }

    async fn pause(&mut self, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.dice.below(most))).await;
    }

    /// Puts everything right. Instances that ended are replaced, the others restarted: nothing may be lost by a stop.
    async fn end(
        &mut self,
        started: Vec<Started>,
        calls: Vec<JoinHandle<()>>,
        drawn: &[Trouble],
        victim: usize,
        case: &str,
    ) {
        for trouble in started {
            trouble.end(&self.cluster).await;
        }
        self.cluster.provider.control("settings", json!({"latency_ms": 0})).await;
        self.cluster.provider.control("release", json!({})).await;
        for number in 0..self.cluster.instances.len() {
            let happened = |trouble| number == victim && drawn.contains(&trouble);
            if happened(Trouble::Killed) {
                self.cluster.restart(number);
            } else if happened(Trouble::Terminated) {
                self.cluster.replace_stopping(number);
            } else {
                self.cluster.restart_gracefully(number);
            }
        }
        for call in calls {
            within(case, MAX_WAIT, call).await.unwrap();
        }
    }

    /// Asserts that no token set is left over, and that the grant works at every instance.
    async fn assert_recovers(&mut self, case: &str) {
        let spools: Vec<_> = (0..self.cluster.instances.len()).map(|number| self.cluster.spool(number)).collect();
        self.skip_leases(LEASE_SECONDS).await;
        let replayed = async {
            while spools.iter().any(|spool| holds_token_set(spool)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within(&format!("{case}: the spools' replay"), MAX_WAIT, replayed).await;
        // What was injected has been answered with 400 as well.
        self.cluster.new_exchanges().await;
        self.skip_waits().await;
        let before: Vec<Value> = self.cluster.provider.ledger().await;
        let told = format!("{case}, after {:#?}", &before[before.len().saturating_sub(EVIDENCE_LINES)..]);
        for number in 0..self.cluster.instances.len() {
            self.cluster.assert_ok(number, &told).await;
        }
        let ledger: Vec<Value> = self.cluster.provider.ledger().await;
        let is_refused =
            |line: &&Value| line["outcome"] == "invalid_grant" && !self.cluster.is_made_good(line, &ledger);
        let refused: Vec<_> = ledger.iter().filter(is_refused).collect();
        assert!(refused.is_empty(), "{case}: {refused:?}");
        self.reader.assert_nothing_ended(&self.cluster, case).await;
    }
}

impl Lane {
    /// Lets the time pass for which a grant rests after failures, and for which a lease lasts.
    async fn skip_waits(&self) {
        let rested = sqlx::query("UPDATE integration_grants SET next_attempt_at = NULL");
        rested.execute(self.cluster.store.database().pool()).await.unwrap();
        self.skip_leases(0).await;
    }

    /// Ends leases that last longer than `seconds`, as that of a process whose clock was ahead does. One beyond the longest
    /// stays: nobody may wait for that.
    async fn skip_leases(&self, seconds: i64) {
        let now = self.cluster.store.clock().now();
        let ended = sqlx::query(
            "UPDATE integration_grants SET lease_until = $1 WHERE lease_until > $1 + $2 AND lease_until <= $3",
        );
        let ended = ended.bind(now).bind(seconds).bind(now + 10 * 60);
        ended.execute(self.cluster.store.database().pool()).await.unwrap();
    }
}

fn holds_token_set(spool: &Path) -> bool {
    let is_token_set =
        |file: std::io::Result<DirEntry>| file.unwrap().path().extension().is_some_and(|end| end == "json");
    std::fs::read_dir(spool).unwrap().any(is_token_set)
}
