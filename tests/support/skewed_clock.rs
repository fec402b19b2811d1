//! A wall clock for one process that a test sets while the process runs.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

/// The library that shifts the clock, built once for all tests of this process.
static LIBRARY: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/skewed_clock.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(folder.path().join("skewed_clock.so"))
        .args([source, "-ldl"])
        .status();
    assert!(built.unwrap().success(), "cc failed");
    folder
});

/// The clock of a process that is started with its environment.
pub struct SkewedClock(PathBuf);

impl SkewedClock {
    /// Returns a clock that is right. Its state is kept in `folder`.
    pub fn new(folder: &Path) -> Self {
        let clock = Self(folder.join("skew"));
        fs::write(&clock.0, 0_i64.to_ne_bytes()).unwrap();
        clock
    }

    /// Sets the clock to so many seconds ahead of the machine's, or behind if negative.
    pub fn set(&self, seconds: i64) {
        // In place, because the process has mapped the file.
        fs::File::options().write(true).open(&self.0).unwrap().write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// Returns the environment of a process that uses the clock.
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("LD_PRELOAD", LIBRARY.path().join("skewed_clock.so")), ("SKEWED_CLOCK", self.0.clone())]
    }
}
