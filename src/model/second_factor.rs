//! The second factor of an account: what pages show of it, and how a person proves again who they are.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;
use super::{ProviderLink, RevealedSecret};

/// How many recovery codes an account gets at a time.
pub const RECOVERY_CODES: usize = 10;

/// In how many days an organization can require a second factor of its members. A page offers these.
pub const FACTOR_DAYS: [i64; 4] = [7, 14, 30, 0];

/// The most of these days.
pub const MAX_FACTOR_DAYS: i64 = 30;

/// How long a proof counts for sensitive actions, in seconds.
pub const PROOF_LIFETIME: i64 = 10 * 60;

str_enum!(
    /// A message that tells a person of a change to their account.
    AccountNoticeKind {
        /// A second factor was added.
        FactorAdded = "factor_added",
        /// The second factor was removed, by the person or by an operator.
        FactorRemoved = "factor_removed",
        /// A recovery code was used.
        RecoveryCodeUsed = "recovery_code_used",
        /// The password was entered, and then more wrong codes than a limit allows.
        CodesGuessed = "codes_guessed",
        /// New recovery codes replaced the old ones.
        RecoveryCodesCreated = "recovery_codes_created",
        /// The OpenID Connect provider signs the person in from now on.
        SignInLinked = "sign_in_linked",
        /// The provider no longer signs the person in.
        SignInUnlinked = "sign_in_unlinked",
    }
);

str_enum!(
    /// What proves again who a person is.
    ProofMethod {
        /// A code of the second factor.
        Code = "code",
        /// The password.
        Password = "password",
        /// A new sign-in with the OpenID Connect provider, because the account has no password.
        Provider = "provider",
    }
);

/// The second factor of an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SecondFactorView {
    /// Unix seconds since which it counts; `None` if there is none.
    pub since: Option<i64>,
    /// Number of recovery codes that were not used.
    pub recovery_codes_left: u32,
    /// Whether the account can have one: it has a password, and isn't the demo login.
    pub can_enroll: bool,
}

impl SecondFactorView {
    /// Returns whether codes are asked for at sign-in.
    pub fn is_on(&self) -> bool {
        self.since.is_some()
    }
}

/// What the page shows of a secret until a code confirms it. Never leaves the server but on that page.
#[derive(Clone, Debug, PartialEq)]
pub struct FactorEnrollment {
    /// The secret, in groups of four characters, to type.
    pub secret: RevealedSecret,
    /// The outlines of the QR code's dark squares, as the data of an SVG path.
    pub qr_path: RevealedSecret,
    /// The number of squares in a row of the QR code, with its margin.
    pub qr_size: usize,
}

/// What the page shows that asks for a proof.
#[derive(Clone, Debug, PartialEq)]
pub struct ProofPage {
    /// What is asked for.
    pub method: ProofMethod,
    /// The page that is shown afterwards.
    pub next: String,
    /// The link to the OpenID Connect provider, if a new sign-in is asked for.
    pub provider: Option<ProviderLink>,
}
