//! The tasks of a process and the two steps of its shutdown: tell every task to stop, then wait for all of them.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::telemetry::traces;

/// Spawns the tasks that shutdown waits for. Cheap to clone; clones share the tasks.
#[derive(Clone, Default)]
pub struct Lifecycle {
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Lifecycle {
    /// Spawns work that shutdown waits for and does not interrupt, such as an exchange.
    pub fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.tasks.spawn(work)
    }

    /// Spawns work like `spawn`. Its log lines and spans belong to the current request, which it may outlive.
    pub fn spawn_in_request<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.tasks.spawn(traces::inherit_request(work))
    }

    /// Spawns a loop that runs until its token is canceled. Logs an error if it panics or returns before that.
    pub fn spawn_loop<F>(&self, name: &'static str, start: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (work, stopping) = (start(self.stopping.clone()), self.stopping.clone());
        self.tasks.spawn(async move {
            if let Err(error) = run_until_stopped(work, &stopping).await {
                tracing::error!(job = name, %error, "background job ended, restart the server to resume it");
            }
        });
    }

    /// Returns the token that is canceled when shutdown begins.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// The first step of shutdown: loops and endless responses end, no new background work starts.
    pub fn begin_stop(&self) {
        self.stopping.cancel();
    }

    /// The second step of shutdown: waits until every task has ended.
    pub async fn wait_for_tasks(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Why a background job ended before shutdown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum JobError {
    #[error("it panicked")]
    Panicked,
    #[error("it returned before the shutdown")]
    ReturnedEarly,
}

/// Runs a job. Fails if it panics, or returns before `stopping` is canceled.
async fn run_until_stopped(work: impl Future<Output = ()>, stopping: &CancellationToken) -> Result<(), JobError> {
    // Nothing that the job owned is used after a panic.
    match AssertUnwindSafe(work).catch_unwind().await {
        Err(_) => Err(JobError::Panicked),
        Ok(()) if stopping.is_cancelled() => Ok(()),
        Ok(()) => Err(JobError::ReturnedEarly),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shutdown_waits_for_work_without_interrupting_it() {
        let lifecycle = Lifecycle::default();
        let stopping = lifecycle.stopping().clone();
        let work = lifecycle.spawn(async move {
            stopping.cancelled().await;
            tokio::task::yield_now().await;
            "finished"
        });
        lifecycle.begin_stop();
        lifecycle.wait_for_tasks().await;
        assert!(work.is_finished());
        assert_eq!(work.await.unwrap(), "finished");
    }

    #[tokio::test]
    async fn job_that_panics_or_returns_early_is_an_error() {
        let stopping = CancellationToken::new();
        assert_eq!(run_until_stopped(async { panic!("on purpose") }, &stopping).await, Err(JobError::Panicked));
        assert_eq!(run_until_stopped(async {}, &stopping).await, Err(JobError::ReturnedEarly));
        stopping.cancel();
        assert_eq!(run_until_stopped(stopping.cancelled(), &stopping).await, Ok(()));
    }

    #[tokio::test]
    async fn shutdown_ends_after_a_job_panicked() {
        let lifecycle = Lifecycle::default();
        lifecycle.spawn_loop("test", |_| async { panic!("on purpose") });
        lifecycle.begin_stop();
        lifecycle.wait_for_tasks().await;
    }
}
