//! Argon2id password hashing. A check takes the same time whether or not the user exists.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use crate::server::auth::error::AuthError;
use crate::server::domain::Secret;

/// The shortest password, in characters. NIST SP 800-63B-4, 3.1.1.2, and OWASP's cheat sheet ask for 8 with and 15
/// without a second factor; 12 with a limit on attempts is in between.
pub const MIN_PASSWORD_CHARACTERS: usize = 12;

/// 19 MiB, two passes, one lane: OWASP's password storage cheat sheet. Each check uses this memory.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes and verifies passwords, at most one per processor at once. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    /// The hash that an unknown user's password is verified against, so that the response takes as long.
    dummy_hash: Arc<Secret>,
}

impl Passwords {
    /// Creates the hasher.
    pub fn new() -> Result<Self, AuthError> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let nobodys = hash(&Secret::new("nobody's password"))?;
        Ok(Self { permits: Arc::new(Semaphore::new(processors)), dummy_hash: Arc::new(nobodys) })
    }

    /// Returns the text to store: parameters, salt and hash.
    pub async fn hash(&self, password: Secret) -> Result<Secret, AuthError> {
        self.run_with_permit(move |_| hash(&password)).await
    }

    /// Returns whether the password matches the hash. `None`, for an unknown user, never matches.
    pub async fn verify(&self, password: Secret, hash: Option<Secret>) -> Result<bool, AuthError> {
        self.run_with_permit(move |nobodys| {
            let known = hash.as_ref().unwrap_or(nobodys);
            let hash_of_somebody = PasswordHash::new(known.expose()).map_err(|_| AuthError::PasswordHash)?;
            let right = argon2()?.verify_password(password.expose().as_bytes(), &hash_of_somebody).is_ok();
            Ok(right && hash.is_some())
        })
        .await
    }

    async fn run_with_permit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Secret) -> Result<T, AuthError> + Send + 'static,
    ) -> Result<T, AuthError> {
        // The semaphore is never closed.
        let turn = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| AuthError::PasswordHash)?;
        let nobodys = Arc::clone(&self.dummy_hash);
        // The permit moves into the task, so that a dropped caller doesn't free the processor early.
        tokio::task::spawn_blocking(move || {
            let result = work(&nobodys);
            drop(turn);
            result
        })
        .await
        .map_err(|_| AuthError::PasswordHash)?
    }
}

fn hash(password: &Secret) -> Result<Secret, AuthError> {
    let hashed: PasswordHash =
        argon2()?.hash_password(password.expose().as_bytes()).map_err(|_| AuthError::PasswordHash)?;
    Ok(Secret::new(hashed.to_string()))
}

fn argon2() -> Result<Argon2<'static>, AuthError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| AuthError::PasswordHash)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_verifies() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash(Secret::new("correct horse battery")).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let again = passwords.hash(Secret::new("correct horse battery")).await.unwrap();
        assert_ne!(hash.expose(), again.expose(), "each hash has its own salt");

        let kept = || Some(Secret::new(hash.expose()));
        assert!(passwords.verify(Secret::new("correct horse battery"), kept()).await.unwrap());
        assert!(!passwords.verify(Secret::new("correct horse batterz"), kept()).await.unwrap());
        assert!(!passwords.verify(Secret::new("nobody's password"), None).await.unwrap());
        assert!(passwords.verify(Secret::new("x"), Some(Secret::new("broken"))).await.is_err());
    }
}
