//! Load on running servers during a rotation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::COOKIE;
use tokio::sync::watch;

use crate::cli::operators::OperatorEnv;
use crate::support::instance::Instance;
use crate::support::wait::{MAX_WAIT, within};

/// Load on each server: refresh calls and readiness checks in a loop, until it is stopped.
pub(super) struct BackgroundLoad {
    stop: Arc<AtomicBool>,
    rounds_done: watch::Sender<usize>,
    callers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl BackgroundLoad {
    pub(super) async fn on(env: &OperatorEnv, servers: &[Instance]) -> Self {
        let cookie = servers[0].sign_in(&env.provider).await;
        let (stop, done) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(0));
        let mut callers = Vec::new();
        for server in servers {
            let refresh = env.provider.client.post(format!("{}/api/integrations/xero/refresh", server.base));
            let refresh = refresh.header(COOKIE, &cookie).form(&[("clicked", "false")]);
            let ready = env.provider.client.get(format!("{}/readyz", server.base));
            let (stop, done) = (Arc::clone(&stop), done.clone());
            callers.push(tokio::spawn(async move {
                let mut wrong = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    for request in [&refresh, &ready] {
                        match request.try_clone().unwrap().send().await {
                            Err(error) => wrong.push(error.to_string()),
                            Ok(answer) => {
                                let (status, text) = (answer.status(), answer.text().await.unwrap());
                                if text != "ready\n" && !text.contains("\"success\":true") {
                                    wrong.push(format!("{status}: {text}"));
                                }
                            }
                        }
                    }
                    done.send_modify(|rounds| *rounds += 1);
                }
                wrong
            }));
        }
        Self { stop, rounds_done: done, callers }
    }

    /// Waits for this many more rounds.
    pub(super) async fn wait_for_rounds(&self, rounds: usize) {
        let mut done = self.rounds_done.subscribe();
        let until = *done.borrow() + rounds;
        within("rounds of the load", MAX_WAIT, done.wait_for(|rounds| *rounds >= until)).await.unwrap();
    }

    pub(super) async fn stop_and_assert_no_failures(self, db: &str) {
        self.stop.store(true, Ordering::SeqCst);
        for caller in self.callers {
            assert_eq!(caller.await.unwrap(), Vec::<String>::new(), "{db}");
        }
    }
}
