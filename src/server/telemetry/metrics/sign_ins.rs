//! Counts sign-ins, with a password or with an OpenID Connect provider, proofs, and attempts that a limit refused.

use metrics::counter;
use serde::{Deserialize, Serialize};

use super::Metrics;
use super::names::{LIMITED_ATTEMPTS, PROOFS, SIGN_INS};
use crate::model::LoginProblem;
use crate::model::text_enum::str_enum;

/// How a sign-in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInOutcome {
    /// The person is signed in.
    SignedIn,
    /// The password is right, and a code is asked for.
    CodeRequired,
    /// The code is wrong, or was used.
    WrongCode,
    /// The code came too late, or the account changed since the password was entered.
    Expired,
    /// The email address or the password is wrong.
    WrongCredentials,
    /// This limit on attempts is used up.
    Limited(&'static str),
    /// People sign in with the identity provider.
    Delegated,
    /// The OpenID Connect provider, or what it said, kept the person out.
    Refused(LoginProblem),
    /// The server failed.
    Failed,
}

str_enum!(
    /// How a proof of who somebody is ended. The value is its label.
    ProofOutcome {
        Proven = "proven",
        WrongPassword = "wrong_password",
        WrongCode = "wrong_code",
        Limited = "limited",
        /// The account has neither a password nor a code.
        SignInAgain = "sign_in_again",
    }
);

impl SignInOutcome {
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::SignedIn => ("signed_in", ""),
            Self::CodeRequired => ("code_required", ""),
            Self::WrongCode => ("wrong_code", ""),
            Self::Expired => ("expired", ""),
            Self::WrongCredentials => ("wrong_credentials", ""),
            Self::Limited(scope) => ("limited", scope),
            Self::Delegated => ("delegated", ""),
            Self::Refused(problem) => (problem.as_str(), ""),
            Self::Failed => ("failed", ""),
        }
    }
}

impl Metrics {
    /// Counts a sign-in.
    pub fn count_sign_in(&self, outcome: SignInOutcome) {
        let (outcome, limit) = outcome.labels();
        self.with_recorder(|| counter!(SIGN_INS, "outcome" => outcome, "limit" => limit).increment(1));
    }

    /// Makes the usual outcomes present from the start, so that alert rules see the first increment.
    pub(super) fn init_sign_ins(&self) {
        let refused = [LoginProblem::ProviderUnavailable, LoginProblem::ProviderRejected].map(SignInOutcome::Refused);
        let usual =
            [SignInOutcome::SignedIn, SignInOutcome::WrongCredentials, SignInOutcome::WrongCode, SignInOutcome::Failed];
        for outcome in usual.into_iter().chain(refused) {
            let (outcome, limit) = outcome.labels();
            self.with_recorder(|| counter!(SIGN_INS, "outcome" => outcome, "limit" => limit).absolute(0));
        }
    }

    /// Makes these limits present from the start, for sign-ins and for attempts of each purpose.
    pub fn init_limits(&self, purposes: &[&'static str], limits: &[&'static str]) {
        for limit in limits.iter().copied() {
            let (outcome, limit) = SignInOutcome::Limited(limit).labels();
            self.with_recorder(|| counter!(SIGN_INS, "outcome" => outcome, "limit" => limit).absolute(0));
            for purpose in purposes.iter().copied() {
                self.with_recorder(|| counter!(LIMITED_ATTEMPTS, "purpose" => purpose, "limit" => limit).absolute(0));
            }
        }
    }

    /// Counts an attempt that a limit refused.
    pub fn count_limited_attempt(&self, purpose: &'static str, limit: &'static str) {
        self.with_recorder(|| counter!(LIMITED_ATTEMPTS, "purpose" => purpose, "limit" => limit).increment(1));
    }

    /// Counts a proof of who somebody is.
    pub fn count_proof(&self, outcome: ProofOutcome) {
        self.with_recorder(|| counter!(PROOFS, "outcome" => outcome.as_str()).increment(1));
    }

    /// Makes every outcome present from the start.
    pub(super) fn init_proofs(&self) {
        for outcome in ProofOutcome::ALL {
            self.with_recorder(|| counter!(PROOFS, "outcome" => outcome.as_str()).absolute(0));
        }
    }
}
