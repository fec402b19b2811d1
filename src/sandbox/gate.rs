//! Holds answers back: while a hold is on, or for as long as an injected time-out lasts.

use tokio::sync::watch;

/// Everybody who waits is counted, until released or until their client goes away.
pub(super) struct Gate {
    door: watch::Sender<Door>,
    waiting: watch::Sender<usize>,
}

#[derive(Clone, Copy, Default)]
struct Door {
    held: bool,
    releases: u64,
}

impl Default for Gate {
    fn default() -> Self {
        Self { door: watch::Sender::new(Door::default()), waiting: watch::Sender::new(0) }
    }
}

impl Gate {
    /// Holds every token answer from now on.
    pub fn hold(&self) {
        self.door.send_modify(|door| door.held = true);
    }

    /// Ends the hold and lets everybody go who waits.
    pub fn release(&self) {
        self.door.send_modify(|door| {
            door.held = false;
            door.releases += 1;
        });
    }

    /// Waits while a hold is on; passes at once where there is none.
    pub async fn pass(&self) {
        if self.door.borrow().held {
            self.wait(|door| !door.held).await;
        }
    }

    /// Waits for the next release, hold or no hold.
    pub async fn stall(&self) {
        let releases = self.door.borrow().releases;
        self.wait(|door| door.releases != releases).await;
    }

    async fn wait(&self, free: impl FnMut(&Door) -> bool) {
        let mut door = self.door.subscribe();
        let _counted = Counted::new(&self.waiting);
        // It fails only when the sender is gone, and the sender is ours.
        let _ = door.wait_for(free).await;
    }

    pub fn waiting(&self) -> usize {
        *self.waiting.borrow()
    }

    /// Returns once so many wait at the same time.
    pub async fn at_least(&self, wanted: usize) {
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting >= wanted).await;
    }
}

struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    fn new(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}
