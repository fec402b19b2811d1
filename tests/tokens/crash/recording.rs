//! What the instances did in a round, which the model has to accept as a run of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::model::provider::Replay;
use crate::model::trace::{Event, Exchange, Trace};
use crate::support::cluster::{GrantState, TestCluster};

/// The longest wait for the last log lines of a live instance.
const LOG_TIMEOUT: Duration = Duration::from_secs(10);

/// The logged protocol steps of each instance since the start of a round.
pub struct Recording {
    before: GrantState,
    ledger_position: u64,
    events: BTreeMap<usize, Vec<Event>>,
}

impl Recording {
    /// Starts the recording of a round. No exchange may be running.
    pub fn start(cluster: &TestCluster, before: GrantState) -> Self {
        cluster.instances.iter().for_each(|instance| drop(instance.unread_log()));
        Self { before, ledger_position: cluster.ledger_position(), events: BTreeMap::new() }
    }

    /// Adds the log of an instance up to its kill.
    pub fn add_killed(&mut self, cluster: &mut TestCluster, victim: usize) {
        let log = cluster.instances[victim].log_until_exit();
        self.add(victim, log.iter());
        self.events.entry(victim).or_default().push(Event::Killed);
    }

    /// Adds the log of an instance that was started again, until it listened.
    pub fn add_started(&mut self, cluster: &TestCluster, instance: usize) {
        self.add(instance, cluster.instances[instance].startup_log.iter());
    }

    /// Asserts that the model has a run in which two processes do what the instances did. Returns `false` if more than
    /// two of them took part.
    pub async fn assert_is_of_the_model(mut self, cluster: &TestCluster, replay: Replay, case: &str) -> bool {
        let ledger = cluster.exchanges_since(self.ledger_position).await;
        let exchanges: Vec<Exchange> = ledger.iter().filter_map(exchange_of).collect();
        let generation = self.count(cluster.grant_state().await.generation);
        let begun = Instant::now();
        loop {
            for (number, instance) in cluster.instances.iter().enumerate() {
                let log: Vec<Value> =
                    instance.unread_log().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
                self.add(number, log.iter());
            }
            let mut processes: Vec<Vec<Event>> = self.events.values().cloned().collect();
            processes.resize(2.max(processes.len()), Vec::new());
            let Ok(processes) = processes.try_into() else { return false };
            let trace = Trace { replay, processes, exchanges: exchanges.clone(), generation, is_dead: false };
            if trace.validate().is_some() {
                return true;
            }
            // The last lines may be on their way.
            assert!(begun.elapsed() < LOG_TIMEOUT, "{case}: the model has no such run: {trace:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn add<'a>(&mut self, instance: usize, log: impl Iterator<Item = &'a Value>) {
        for line in log.filter(|line| line["target"] == "evergrant::protocol") {
            let fields = &line["fields"];
            let generation = self.count(fields["generation"].as_i64().unwrap());
            let event = Event::Step(fields["step"].as_str().unwrap().to_owned(), generation);
            self.events.entry(instance).or_default().push(event);
        }
    }

    /// Returns the number of a generation from the row's at the start.
    fn count(&self, generation: i64) -> u8 {
        u8::try_from(generation - self.before.generation).unwrap()
    }
}

fn exchange_of(line: &Value) -> Option<Exchange> {
    match line["outcome"].as_str().unwrap() {
        "rotated" => Some(Exchange::Rotated),
        "replayed" => Some(Exchange::Replayed),
        "invalid_grant" => Some(Exchange::Refused),
        _ => None,
    }
}
