//! Limits on guessing the secrets that people type. They are rows that all instances share, so they outlive a restart.
//!
//! An attempt counts by account and network, by account alone, and by network alone, each looser than the one before.
//! A browser in which the account has signed in has a limit of its own instead, so that strangers can't keep the owner
//! out. A success is taken off again.
//!
//! If the database doesn't answer, the attempt fails with its error: nothing is tried without being counted, and nothing
//! is remembered against anybody. It works again as soon as the database does.

use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::server::store::{AttemptCount, AttemptLimit, Store, StoreError, hash_parts};
use crate::server::telemetry::metrics::Metrics;

/// How often an instance deletes the limits that have refilled. It bounds the table while somebody guesses.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60);

/// Which secret is guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptPurpose {
    /// The password at sign-in, or where a password is asked for again.
    Login,
    /// The link or code that resets a password, and the request for one.
    PasswordReset,
    /// The code of a second factor, or a recovery code.
    SecondFactor,
    /// An invitation's secret.
    Invitation,
    /// A connect link, which starts a consent.
    ConnectLink,
}

/// Which limit an attempt counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptScope {
    /// An account, from a browser in which it has signed in.
    KnownBrowser,
    /// An account, from one network.
    AccountAndNetwork,
    /// An account, from anywhere.
    Account,
    /// A network, whatever the account.
    Network,
}

/// An attempt to enter a secret.
pub struct Attempt<'a> {
    /// Which secret.
    pub purpose: AttemptPurpose,
    /// Whose secret: a normalized email address, or the id of a user or an invitation.
    pub account: &'a str,
    /// The client's address.
    pub from: IpAddr,
    /// The hash of the browser's cookie, if the account has signed in with it.
    pub known_browser: Option<&'a str>,
}

/// Why an attempt is not allowed.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// A limit is used up.
    #[error("too many attempts")]
    TooMany(AttemptScope),
    /// The database failed, so the attempt can't be counted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Counts attempts.
pub struct AttemptLimiter {
    store: Store,
    metrics: Option<Metrics>,
    cleaned_at: Mutex<Option<Duration>>,
}

impl AttemptPurpose {
    /// Every purpose.
    pub const ALL: [Self; 5] =
        [Self::Login, Self::PasswordReset, Self::SecondFactor, Self::Invitation, Self::ConnectLink];

    /// The value in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::PasswordReset => "password_reset",
            Self::SecondFactor => "second_factor",
            Self::Invitation => "invitation",
            Self::ConnectLink => "connect_link",
        }
    }

    /// Returns how many attempts a full limit allows, and the seconds in which one refills.
    ///
    /// A code of six digits gets far fewer attempts than a password.
    fn quota(self, scope: AttemptScope) -> (i64, i64) {
        match (self, scope) {
            (Self::SecondFactor, AttemptScope::KnownBrowser | AttemptScope::AccountAndNetwork) => (5, 5 * 60),
            (Self::SecondFactor, AttemptScope::Account) => (30, 10 * 60),
            (Self::PasswordReset, AttemptScope::KnownBrowser | AttemptScope::AccountAndNetwork) => (5, 5 * 60),
            (_, AttemptScope::KnownBrowser | AttemptScope::AccountAndNetwork) => (10, 60),
            (_, AttemptScope::Account) => (100, 60),
            // Everybody behind a proxy that was not named shares it.
            (_, AttemptScope::Network) => (300, 3),
        }
    }
}

impl AttemptScope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::KnownBrowser, Self::AccountAndNetwork, Self::Account, Self::Network];

    /// The value in the database, in metrics and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KnownBrowser => "known_browser",
            Self::AccountAndNetwork => "account_and_network",
            Self::Account => "account",
            Self::Network => "network",
        }
    }
}

impl AttemptLimiter {
    /// Creates the limiter. All limiters on one database share their counts.
    pub fn new(store: Store) -> Self {
        Self { store, metrics: None, cleaned_at: Mutex::new(None) }
    }

    /// Counts the attempts that a limit refuses.
    pub fn counted_by(self, metrics: &Metrics) -> Self {
        let (purposes, limits) =
            (AttemptPurpose::ALL.map(AttemptPurpose::as_str), AttemptScope::ALL.map(AttemptScope::as_str));
        metrics.init_limits(&purposes, &limits);
        Self { metrics: Some(metrics.clone()), ..self }
    }

    /// Counts an attempt before the secret is checked. Fails if it exceeds a limit.
    pub async fn check(&self, attempt: &Attempt<'_>) -> Result<(), AttemptError> {
        if self.is_cleanup_due() {
            self.store.delete_refilled_limits().await?;
        }
        match self.store.count_attempt(&attempt.limits()).await? {
            AttemptCount::Counted => Ok(()),
            AttemptCount::Exceeded(position) => {
                let scope = attempt.scopes().get(position).copied().unwrap_or(AttemptScope::Account);
                if let Some(metrics) = &self.metrics {
                    metrics.count_limited_attempt(attempt.purpose.as_str(), scope.as_str());
                }
                Err(AttemptError::TooMany(scope))
            }
        }
    }

    /// Takes an attempt off its limits again, because the secret was right.
    pub async fn succeeded(&self, attempt: &Attempt<'_>) -> Result<(), StoreError> {
        self.store.refund_attempt(&attempt.limits()).await
    }

    fn is_cleanup_due(&self) -> bool {
        let now = self.store.clock().monotonic();
        let mut cleaned_at = self.cleaned_at.lock();
        let due = cleaned_at.is_none_or(|at| now.saturating_sub(at) >= CLEANUP_INTERVAL);
        if due {
            *cleaned_at = Some(now);
        }
        due
    }
}

impl Attempt<'_> {
    /// Returns what the attempt counts against, in the order in which rows are locked.
    fn scopes(&self) -> &'static [AttemptScope] {
        match self.known_browser {
            Some(_) => &[AttemptScope::KnownBrowser],
            None => &[AttemptScope::AccountAndNetwork, AttemptScope::Account, AttemptScope::Network],
        }
    }

    fn limits(&self) -> Vec<AttemptLimit> {
        let network = client_network(self.from);
        let limit = |scope: &AttemptScope| {
            let (burst, refill_seconds) = self.purpose.quota(*scope);
            let key_hash = match scope {
                AttemptScope::KnownBrowser => {
                    hash_parts(&[self.account.as_bytes(), self.known_browser.unwrap_or_default().as_bytes()])
                }
                AttemptScope::AccountAndNetwork => hash_parts(&[self.account.as_bytes(), &network]),
                AttemptScope::Account => hash_parts(&[self.account.as_bytes()]),
                AttemptScope::Network => hash_parts(&[&network]),
            };
            AttemptLimit { purpose: self.purpose.as_str(), scope: scope.as_str(), key_hash, burst, refill_seconds }
        };
        self.scopes().iter().map(limit).collect()
    }
}

/// Returns the client's network: an IPv4 address, or an IPv6 /64, which one customer gets.
fn client_network(from: IpAddr) -> [u8; 16] {
    match from.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => (address.to_bits() & (u128::MAX << 64)).to_be_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::LONGEST_REFILL;
    use crate::server::store::testing::{each_store, sqlite, store_on};

    fn attempt<'a>(account: &'a str, from: &str, known_browser: Option<&'a str>) -> Attempt<'a> {
        Attempt { purpose: AttemptPurpose::Login, account, from: from.parse().unwrap(), known_browser }
    }

    async fn refused(limiter: &AttemptLimiter, attempt: &Attempt<'_>) -> Option<AttemptScope> {
        match limiter.check(attempt).await {
            Ok(()) => None,
            Err(AttemptError::TooMany(scope)) => Some(scope),
            Err(AttemptError::Store(error)) => panic!("{error}"),
        }
    }

    #[apply(each_store!)]
    async fn wrong_attempts_from_elsewhere_or_in_another_browser_keep_nobody_out(store: Store) {
        let limiter = AttemptLimiter::new(store.clone());
        let mut limited = 0;
        for _ in 0..12 {
            limited += usize::from(refused(&limiter, &attempt("ann", "192.0.2.1", None)).await.is_some());
        }
        assert_eq!(limited, 2, "a network has ten attempts at an account");
        // Another instance has the same counts.
        let other = AttemptLimiter::new(store.clone());
        let there = attempt("ann", "192.0.2.1", None);
        assert_eq!(refused(&other, &there).await, Some(AttemptScope::AccountAndNetwork));
        assert_eq!(refused(&limiter, &attempt("ann", "198.51.100.1", None)).await, None, "the owner's network");
        assert_eq!(refused(&limiter, &attempt("ann", "192.0.2.1", Some("hers"))).await, None, "her browser");
        assert_eq!(refused(&limiter, &attempt("bob", "192.0.2.1", None)).await, None, "another account");
        store.clock().advance(60);
        assert_eq!(refused(&limiter, &there).await, None);
        assert_eq!(refused(&limiter, &there).await, Some(AttemptScope::AccountAndNetwork));
    }

    #[apply(each_store!)]
    async fn account_is_limited_over_all_networks_but_not_in_its_own_browser(store: Store) {
        let limiter = AttemptLimiter::new(store);
        for network in 0..100 {
            assert_eq!(refused(&limiter, &attempt("ann", &format!("192.0.2.{network}"), None)).await, None);
        }
        let new = attempt("ann", "198.51.100.1", None);
        assert_eq!(refused(&limiter, &new).await, Some(AttemptScope::Account));
        let hers = attempt("ann", "198.51.100.1", Some("hers"));
        for _ in 0..10 {
            assert_eq!(refused(&limiter, &hers).await, None);
        }
        assert_eq!(refused(&limiter, &hers).await, Some(AttemptScope::KnownBrowser), "a stolen cookie has a limit too");
    }

    #[apply(each_store!)]
    async fn network_is_limited_over_all_accounts_after_far_more_than_fifty(store: Store) {
        let limiter = AttemptLimiter::new(store);
        for n in 0..300 {
            let from = format!("2001:db8::{n:x}");
            assert_eq!(refused(&limiter, &attempt(&n.to_string(), &from, None)).await, None, "{n}");
        }
        assert_eq!(refused(&limiter, &attempt("x", "2001:db8::ffff", None)).await, Some(AttemptScope::Network));
        assert_eq!(refused(&limiter, &attempt("x", "2001:db8:0:1::1", None)).await, None, "another customer's /64");
    }

    #[apply(each_store!)]
    async fn success_is_not_counted(store: Store) {
        let limiter = AttemptLimiter::new(store);
        let right = attempt("ann", "192.0.2.1", None);
        for _ in 0..25 {
            limiter.check(&right).await.unwrap();
            limiter.succeeded(&right).await.unwrap();
        }
    }

    #[tokio::test]
    async fn purposes_are_counted_apart_and_refill_within_the_longest_span() {
        use AttemptPurpose::{ConnectLink, Invitation, Login, PasswordReset, SecondFactor};
        for purpose in [Login, PasswordReset, SecondFactor, Invitation, ConnectLink] {
            for scope in AttemptScope::ALL {
                let (burst, refill) = purpose.quota(scope);
                assert!(burst * refill <= LONGEST_REFILL, "{purpose:?} {scope:?}");
            }
        }
        let store = store_on(sqlite().await);
        let limiter = AttemptLimiter::new(store.clone());
        for purpose in [SecondFactor, PasswordReset] {
            let guess = Attempt { purpose, ..attempt("ann", "192.0.2.1", None) };
            for _ in 0..5 {
                assert_eq!(refused(&limiter, &guess).await, None, "{purpose:?}");
            }
            assert_eq!(refused(&limiter, &guess).await, Some(AttemptScope::AccountAndNetwork));
            store.clock().advance(299);
            assert_eq!(refused(&limiter, &guess).await, Some(AttemptScope::AccountAndNetwork));
            store.clock().advance(1);
            assert_eq!(refused(&limiter, &guess).await, None, "{purpose:?}: one attempt has refilled");
            assert_eq!(refused(&limiter, &guess).await, Some(AttemptScope::AccountAndNetwork));
        }
        assert_eq!(refused(&limiter, &attempt("ann", "192.0.2.1", None)).await, None);
    }

    #[tokio::test]
    async fn thirty_codes_of_an_account_are_tried_over_all_networks_and_one_more_in_ten_minutes() {
        let store = store_on(sqlite().await);
        let limiter = AttemptLimiter::new(store.clone());
        let tried = async |network: usize| {
            let from = format!("192.0.2.{network}");
            let code = Attempt { purpose: AttemptPurpose::SecondFactor, ..attempt("ann", &from, None) };
            refused(&limiter, &code).await
        };
        for network in 0..30 {
            assert_eq!(tried(network).await, None);
        }
        assert_eq!(tried(30).await, Some(AttemptScope::Account));
        store.clock().advance(599);
        assert_eq!(tried(30).await, Some(AttemptScope::Account));
        store.clock().advance(1);
        assert_eq!((tried(30).await, tried(31).await), (None, Some(AttemptScope::Account)));
    }

    #[tokio::test]
    async fn limits_that_have_refilled_are_deleted_once_a_minute() {
        let store = store_on(sqlite().await);
        let limiter = AttemptLimiter::new(store.clone());
        for account in ["ann", "bob", "cat", "dan"] {
            store.clock().advance(30);
            assert_eq!(refused(&limiter, &attempt(account, "192.0.2.1", None)).await, None);
        }
        // The third attempt deleted the limits of ann, which had refilled. Those of bob have refilled since.
        assert_eq!(store.delete_refilled_limits().await.unwrap(), 2);
    }
}
