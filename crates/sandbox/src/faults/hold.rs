//! Holds responses back while a hold is on, or for as long as an injected time-out lasts.

use tokio::sync::watch;

/// Holds responses back, and counts those that wait until they are released or their client disconnects.
pub(crate) struct ResponseHold {
    status: watch::Sender<HoldStatus>,
    waiting: watch::Sender<usize>,
}

#[derive(Clone, Copy, Default)]
struct HoldStatus {
    is_on: bool,
    releases: u64,
}

impl Default for ResponseHold {
    fn default() -> Self {
        Self { status: watch::Sender::new(HoldStatus::default()), waiting: watch::Sender::new(0) }
    }
}

impl ResponseHold {
    /// Holds every token response from now on.
    pub fn start(&self) {
        self.status.send_modify(|status| status.is_on = true);
    }

    /// Ends the hold and every injected time-out.
    pub fn release(&self) {
        self.status.send_modify(|status| {
            status.is_on = false;
            status.releases += 1;
        });
    }

    /// Waits until no hold is on.
    pub async fn wait_while_held(&self) {
        if self.status.borrow().is_on {
            self.wait_until(|status| !status.is_on).await;
        }
    }

    /// Waits for the next release, whether or not a hold is on.
    pub async fn wait_for_release(&self) {
        let releases = self.status.borrow().releases;
        self.wait_until(|status| status.releases != releases).await;
    }

    async fn wait_until(&self, condition: impl FnMut(&HoldStatus) -> bool) {
        let mut status = self.status.subscribe();
        let _guard = WaitingGuard::new(&self.waiting);
        // An error means that the sender was dropped, and `self` owns the sender.
        let _ = status.wait_for(condition).await;
    }

    /// Returns the number of responses that wait now.
    pub fn waiting(&self) -> usize {
        *self.waiting.borrow()
    }

    /// Waits until at least `count` responses wait at the same time.
    pub async fn wait_for_waiting(&self, count: usize) {
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting >= count).await;
    }
}

/// Counts one waiting response for as long as it exists.
struct WaitingGuard<'a>(&'a watch::Sender<usize>);

impl<'a> WaitingGuard<'a> {
    fn new(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}
