//! Counts sign-ins, with a password or with an OpenID Connect provider.

use metrics::counter;

use super::Metrics;
use super::names::SIGN_INS;
use crate::model::LoginProblem;

/// How a sign-in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInOutcome {
    /// The person is signed in.
    SignedIn,
    /// The password is right, and a code is asked for.
    CodeRequired,
    /// The code is wrong, was used, or came too late.
    WrongCode,
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

impl SignInOutcome {
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::SignedIn => ("signed_in", ""),
            Self::CodeRequired => ("code_required", ""),
            Self::WrongCode => ("wrong_code", ""),
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
        let usual = [SignInOutcome::SignedIn, SignInOutcome::WrongCredentials, SignInOutcome::Failed];
        for outcome in usual.into_iter().chain(refused) {
            let (outcome, limit) = outcome.labels();
            self.with_recorder(|| counter!(SIGN_INS, "outcome" => outcome, "limit" => limit).absolute(0));
        }
    }
}
