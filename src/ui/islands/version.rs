//! The version that tells pages with connections to read themselves again.

use leptos::prelude::*;

/// Counts changes of connections, made here or elsewhere. Pages that show connections read themselves again after each.
#[derive(Clone, Copy)]
pub struct ConnectionsVersion(RwSignal<u32>);

impl ConnectionsVersion {
    /// Starts to count.
    pub fn new() -> Self {
        Self(RwSignal::new(0))
    }

    /// Counts a change.
    pub fn increment(self) {
        self.0.update(|version| *version += 1);
    }

    /// Runs the surrounding effect again after each change.
    pub fn track(self) {
        self.0.track();
    }
}
