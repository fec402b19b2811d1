//! Waits that end: for a condition, for a future, and for a child process.

use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

/// The longest wait for something that takes a moment, with room for a busy machine.
pub const MAX_WAIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Polls `condition` until it holds. Panics if it does not within `limit`.
pub async fn eventually(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    eventually_some(what, limit, async || condition().await.then_some(())).await;
}

/// Polls `read` until it returns a value. Panics if it does not within `limit`.
pub async fn eventually_some<T>(what: &str, limit: Duration, mut read: impl AsyncFnMut() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(value) = read().await {
                return value;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    within(what, limit, polling).await
}

/// Awaits a future. Panics if it is not ready within `limit`.
pub async fn within<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(limit, future).await;
    result.unwrap_or_else(|_| panic!("timed out after {limit:?} waiting for: {what}"))
}

/// Runs a command to its end. Kills it and panics if it takes longer than `MAX_WAIT`.
pub async fn run(command: Command) -> Output {
    run_with_input(command, "").await
}

/// Runs a command like `run`, with `input` on its standard input.
pub async fn run_with_input(command: Command, input: &str) -> Output {
    let what = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
    // A command that reads no input may exit before the write.
    _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    within(&what, MAX_WAIT, child.wait_with_output()).await.unwrap()
}

/// Blocks until the process exits. Panics if it does not within `MAX_WAIT`.
pub fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(
            begun.elapsed() < MAX_WAIT,
            "timed out after {MAX_WAIT:?} waiting for the exit of process {}",
            child.id()
        );
        std::thread::sleep(POLL_INTERVAL);
    }
}
