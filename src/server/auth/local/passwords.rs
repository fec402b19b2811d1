//! Argon2id password hashing. A check takes the same time whether or not the user exists.

use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::password_policy::{NewPassword, normalized};
use crate::server::auth::error::AuthError;
use crate::server::crypto::random::random_bytes;
use crate::server::domain::Secret;

/// 19 MiB, two passes, one lane: OWASP's password storage cheat sheet. Each check uses this memory.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const ALGORITHM: Algorithm = Algorithm::Argon2id;
const VERSION: Version = Version::V0x13;

/// How many passwords are hashed at once, whatever the number of processors. It bounds the memory of all checks to
/// twice 19 MiB, and leaves processors for everything else while somebody guesses.
const MAX_CONCURRENT: usize = 2;

/// Hashes and verifies passwords, a few at once. Cheap to clone.
///
/// The memory of a check is kept and reused by the next one. Allocating it each time fragments the heap: hundreds of
/// wrong passwords then keep hundreds of megabytes for good.
#[derive(Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    buffers: Arc<Mutex<Vec<Buffer>>>,
    /// The hash that an unknown user's password is verified against, so that the response takes as long.
    dummy_hash: Arc<Secret>,
}

/// Argon2's working memory. What it holds after a check can't be turned back into the password.
type Buffer = Vec<Block>;

impl Passwords {
    /// Creates the hasher.
    pub fn new() -> Result<Self, AuthError> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            permits: Arc::new(Semaphore::new(processors.min(MAX_CONCURRENT))),
            buffers: Arc::default(),
            dummy_hash: Arc::new(nobodys_hash()?),
        })
    }

    /// Returns the text to store: parameters, salt and hash.
    pub async fn hash(&self, password: NewPassword) -> Result<Secret, AuthError> {
        self.run_with_permit(move |_, buffer| hash(&password.into_secret(), buffer)).await
    }

    /// Returns whether the password matches the hash. `None`, for an unknown user, never matches, and neither does the
    /// empty hash of somebody who signs in with a provider alone. Older hashes are of
    /// passwords that were not normalized, so one that changes by it is tried both ways.
    pub async fn verify(&self, password: Secret, hash: Option<Secret>) -> Result<bool, AuthError> {
        let hash = hash.filter(|hash| !hash.expose().is_empty());
        self.run_with_permit(move |nobodys, buffer| {
            let stored = hash.as_ref().unwrap_or(nobodys);
            let normal = normalized(&password);
            let mut right = matches(&normal, stored, buffer)?;
            if !right && normal.expose() != password.expose() {
                right = matches(&password, stored, buffer)?;
            }
            Ok(right && hash.is_some())
        })
        .await
    }

    async fn run_with_permit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Secret, &mut Buffer) -> Result<T, AuthError> + Send + 'static,
    ) -> Result<T, AuthError> {
        // The semaphore is never closed.
        let turn = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| AuthError::PasswordHash)?;
        let (nobodys, buffers) = (Arc::clone(&self.dummy_hash), Arc::clone(&self.buffers));
        // The permit moves into the task, so that a dropped caller doesn't free the processor early.
        tokio::task::spawn_blocking(move || {
            // As many as there are permits. The lock is held for neither check nor allocation.
            let mut buffer = buffers.lock().pop().unwrap_or_default();
            let result = work(&nobodys, &mut buffer);
            // A hash with larger parameters, from elsewhere, must not enlarge the process for good.
            if buffer.len() <= MEMORY_KIB as usize {
                buffers.lock().push(buffer);
            }
            drop(turn);
            result
        })
        .await
        .map_err(|_| AuthError::PasswordHash)?
    }
}

fn hash(password: &Secret, buffer: &mut Buffer) -> Result<Secret, AuthError> {
    let (salt, mut output) = (random_bytes::<SALT_BYTES>()?, [0; HASH_BYTES]);
    fill(&Argon2::new(ALGORITHM, VERSION, params()?), password, &salt, &mut output, buffer)?;
    to_text(&salt, &output)
}

/// Returns a hash that no password has, without hashing one.
fn nobodys_hash() -> Result<Secret, AuthError> {
    to_text(&random_bytes::<SALT_BYTES>()?, &random_bytes::<HASH_BYTES>()?)
}

fn params() -> Result<Params, AuthError> {
    Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| AuthError::PasswordHash)
}

/// Returns the text to store of a hash with our parameters.
fn to_text(salt: &[u8], output: &[u8]) -> Result<Secret, AuthError> {
    let stored = PasswordHash {
        algorithm: ALGORITHM.ident(),
        version: Some(VERSION.into()),
        params: ParamsString::try_from(&params()?).map_err(|_| AuthError::PasswordHash)?,
        salt: Some(Salt::new(salt).map_err(|_| AuthError::PasswordHash)?),
        hash: Some(Output::new(output).map_err(|_| AuthError::PasswordHash)?),
    };
    Ok(Secret::new(stored.to_string()))
}

/// Verifies with the stored hash's own parameters, so that older hashes still open.
fn matches(password: &Secret, stored: &Secret, buffer: &mut Buffer) -> Result<bool, AuthError> {
    let stored = PasswordHash::new(stored.expose()).map_err(|_| AuthError::PasswordHash)?;
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else { return Err(AuthError::PasswordHash) };
    let algorithm = Algorithm::try_from(stored.algorithm.as_str()).map_err(|_| AuthError::PasswordHash)?;
    let version = stored.version.map(Version::try_from).transpose().map_err(|_| AuthError::PasswordHash)?;
    let params = Params::try_from(&stored).map_err(|_| AuthError::PasswordHash)?;
    let mut output = vec![0; expected.len()];
    fill(&Argon2::new(algorithm, version.unwrap_or_default(), params), password, salt, &mut output, buffer)?;
    Ok(output.ct_eq(expected.as_bytes()).into())
}

fn fill(
    argon2: &Argon2<'_>,
    password: &Secret,
    salt: &[u8],
    output: &mut [u8],
    buffer: &mut Buffer,
) -> Result<(), AuthError> {
    let blocks = argon2.params().block_count();
    if buffer.len() < blocks {
        *buffer = vec![Block::default(); blocks];
    }
    // A hash with smaller parameters needs no more than the buffer's beginning.
    let memory = buffer.get_mut(..blocks).ok_or(AuthError::PasswordHash)?;
    argon2
        .hash_password_into_with_memory(password.expose().as_bytes(), salt, output, memory)
        .map_err(|_| AuthError::PasswordHash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_verifies() {
        let passwords = Passwords::new().unwrap();
        let new = || NewPassword::check(&Secret::new("correct horse battery"), "ann@example.com").unwrap();
        let hash = passwords.hash(new()).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let again = passwords.hash(new()).await.unwrap();
        assert_ne!(hash.expose(), again.expose(), "each hash has its own salt");

        let kept = || Some(Secret::new(hash.expose()));
        assert!(passwords.verify(Secret::new("correct horse battery"), kept()).await.unwrap());
        assert!(!passwords.verify(Secret::new("correct horse batterz"), kept()).await.unwrap());
        assert!(!passwords.verify(Secret::new("nobody's password"), None).await.unwrap());
        assert!(!passwords.verify(Secret::new(""), Some(Secret::new(""))).await.unwrap());
        assert!(passwords.verify(Secret::new("x"), Some(Secret::new("broken"))).await.is_err());
    }

    #[tokio::test]
    async fn hash_of_another_library_and_of_other_parameters_verifies() {
        let passwords = Passwords::new().unwrap();
        // From the test vectors of the reference implementation, phc-winner-argon2 test.c: 64 KiB and 256 KiB.
        for stored in [
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ] {
            assert!(passwords.verify(Secret::new("password"), Some(Secret::new(stored))).await.unwrap(), "{stored}");
            assert!(!passwords.verify(Secret::new("Password"), Some(Secret::new(stored))).await.unwrap(), "{stored}");
        }
    }

    #[tokio::test]
    async fn buffers_are_reused_however_many_passwords_are_tried() {
        let passwords = Passwords::new().unwrap();
        let tries = (0..24).map(|_| passwords.verify(Secret::new("wrong"), None));
        assert!(futures::future::join_all(tries).await.into_iter().all(|right| !right.unwrap()));
        let kept = passwords.buffers.lock();
        assert!(kept.len() <= MAX_CONCURRENT, "{} buffers", kept.len());
        assert!(kept.iter().all(|buffer| buffer.len() == MEMORY_KIB as usize), "one password's memory each");
    }

    #[tokio::test]
    async fn accent_of_another_keyboard_signs_in_and_an_old_hash_still_opens() {
        let passwords = Passwords::new().unwrap();
        let (composed, combining) = ("caf\u{e9} au lait", "cafe\u{301} au lait");
        let new = NewPassword::check(&Secret::new(combining), "ann@example.com").unwrap();
        let kept = passwords.hash(new).await.unwrap();
        let old = hash(&Secret::new(combining), &mut Buffer::new()).unwrap();
        for typed in [composed, combining] {
            assert!(passwords.verify(Secret::new(typed), Some(Secret::new(kept.expose()))).await.unwrap(), "{typed}");
        }
        assert!(passwords.verify(Secret::new(combining), Some(old)).await.unwrap());
    }
}
