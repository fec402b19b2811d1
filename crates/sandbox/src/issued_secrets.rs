//! Secrets that the sandbox issued or received. Leak tests search logs, pages and databases for them.

use std::collections::VecDeque;

/// Older entries are dropped, so that a run of several days doesn't fill the memory.
const MAX_SECRETS: usize = 4_096;

#[derive(Default)]
pub(crate) struct IssuedSecrets(VecDeque<String>);

impl IssuedSecrets {
    pub fn record(&mut self, secret: &str) {
        if self.0.len() == MAX_SECRETS {
            self.0.pop_front();
        }
        self.0.push_back(secret.to_owned());
    }

    pub fn all(&self) -> &VecDeque<String> {
        &self.0
    }
}
