//! What the sandbox has given out, and been shown, that is nobody else's business: a test looks for it where it must
//! not be.

use std::collections::VecDeque;

/// Older ones are forgotten: a run that lasts for days must not fill the memory.
const KEPT: usize = 4_096;

#[derive(Default)]
pub(super) struct Issued(VecDeque<String>);

impl Issued {
    pub fn note(&mut self, secret: &str) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(secret.to_owned());
    }

    pub fn all(&self) -> &VecDeque<String> {
        &self.0
    }
}
