//! Passwords: hashed with Argon2id, checked in the same time whether or not there is anybody to check.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use super::AuthError;
use crate::server::domain::Secret;

/// The fewest characters that a password has (NIST SP 800-63B-4, 3.1.1.2, asks for 8 with and 15 without a second
/// factor; OWASP's cheat sheet for 8 and 15 likewise). Twelve, with tries limited, is our middle.
pub const MIN_CHARACTERS: usize = 12;

/// 19 MiB, two passes, one lane: OWASP's password storage cheat sheet. Each check takes this memory.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes and checks passwords, as many at once as there are processors. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// What an unknown person's password is checked against, so that the answer takes as long.
    nobodys: Arc<Secret>,
}

impl Passwords {
    pub fn new() -> Result<Self, AuthError> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let nobodys = hash(&Secret::new("nobody's password"))?;
        Ok(Self { turns: Arc::new(Semaphore::new(processors)), nobodys: Arc::new(nobodys) })
    }

    /// The text that the database keeps: parameters, salt and hash.
    pub async fn hash(&self, password: Secret) -> Result<Secret, AuthError> {
        self.in_turn(move |_| hash(&password)).await
    }

    /// Whether the password is the one that was hashed. `None` is nobody's, and never right.
    pub async fn verify(&self, password: Secret, hash: Option<Secret>) -> Result<bool, AuthError> {
        self.in_turn(move |nobodys| {
            let known = hash.as_ref().unwrap_or(nobodys);
            let hash_of_somebody = PasswordHash::new(known.expose()).map_err(|_| AuthError::Hash)?;
            let right = argon2()?.verify_password(password.expose().as_bytes(), &hash_of_somebody).is_ok();
            Ok(right && hash.is_some())
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Secret) -> Result<T, AuthError> + Send + 'static,
    ) -> Result<T, AuthError> {
        // The semaphore is never closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| AuthError::Hash)?;
        let nobodys = Arc::clone(&self.nobodys);
        // The turn goes with the work: a caller who leaves doesn't free the processor.
        tokio::task::spawn_blocking(move || {
            let result = work(&nobodys);
            drop(turn);
            result
        })
        .await
        .map_err(|_| AuthError::Hash)?
    }
}

fn hash(password: &Secret) -> Result<Secret, AuthError> {
    let hashed: PasswordHash = argon2()?.hash_password(password.expose().as_bytes()).map_err(|_| AuthError::Hash)?;
    Ok(Secret::new(hashed.to_string()))
}

fn argon2() -> Result<Argon2<'static>, AuthError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| AuthError::Hash)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_passes_and_nobodys_never() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash(Secret::new("correct horse battery")).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let again = passwords.hash(Secret::new("correct horse battery")).await.unwrap();
        assert_ne!(hash.expose(), again.expose(), "each has a salt of its own");

        let kept = || Some(Secret::new(hash.expose()));
        assert!(passwords.verify(Secret::new("correct horse battery"), kept()).await.unwrap());
        assert!(!passwords.verify(Secret::new("correct horse batterz"), kept()).await.unwrap());
        assert!(!passwords.verify(Secret::new("nobody's password"), None).await.unwrap());
        assert!(passwords.verify(Secret::new("x"), Some(Secret::new("broken"))).await.is_err());
    }
}
