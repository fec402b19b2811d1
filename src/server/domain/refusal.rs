//! When a refused token is believed to be dead. Times are unix seconds.
//!
//! One grant's `invalid_grant` is news of that grant. Those of several organizations without a success between them are
//! not: then this server, its database or Xero is wrong, and believing them would end every connection. So a refusal is
//! believed only once something speaks for it.

/// How long a refusal that nothing speaks for or against is checked again before it is believed.
pub const CONFIRMATION_PERIOD: i64 = 10 * 60;
/// The pause between two checks of a refused token. A success elsewhere meanwhile makes the next check decisive.
pub const CHECK_INTERVAL: i64 = 60;
/// How long a refusal that was believed counts among the refused ones: nothing may have succeeded since, and the next
/// organization's refusal then speaks against both.
pub const BELIEVED_COUNTS_FOR: i64 = 24 * 60 * 60;
/// How many organizations' grants must be refused without a success for the refusals to be held. Two are enough: in a
/// larger fleet a grant that was not refused is exchanged soon, and its success lets them be judged.
const HELD_ORGS: i64 = 2;

/// What is known when Xero refuses a grant's current token.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefusalEvidence {
    /// When Xero first refused this token; `None` if this refusal is the first.
    pub refused_before: Option<i64>,
    /// When any other grant of the app was last refreshed. A consent is no success: it says nothing of refresh tokens.
    pub last_success: Option<i64>,
    /// The grants of the app that are refused since any of them was last refreshed, this one included, and their
    /// organizations. Those that a refusal ended count for `BELIEVED_COUNTS_FOR`.
    pub refused: GrantTally,
    /// The grants of the app that are active or count among `refused`, this one included, and their organizations.
    pub fleet: GrantTally,
}

/// A number of grants, and of the organizations that own them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantTally {
    /// How many grants.
    pub grants: i64,
    /// How many organizations own them.
    pub orgs: i64,
}

/// What to make of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The token is dead: the grant ends.
    Believed,
    /// Nothing speaks for it yet: it is checked again.
    Unconfirmed,
    /// Grants of several organizations are refused: nothing ends until one succeeds or an operator decides.
    Held,
}

impl GrantTally {
    /// Returns whether refusals of these grants are not news of the grants.
    pub fn is_suspicious(self) -> bool {
        self.orgs >= HELD_ORGS
    }
}

/// Returns what to make of a refusal at `now`.
pub fn judge(evidence: &RefusalEvidence, now: i64) -> Verdict {
    let since = evidence.refused_before.unwrap_or(now);
    let others_work = evidence.last_success.is_some_and(|success| success > since);
    // Even refusals of all of them could not be held.
    let is_one_org = !evidence.fleet.is_suspicious();
    if others_work || is_one_org {
        Verdict::Believed
    } else if evidence.refused.is_suspicious() {
        Verdict::Held
    } else if now - since >= CONFIRMATION_PERIOD {
        Verdict::Believed
    } else {
        Verdict::Unconfirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn tally(grants: i64, orgs: i64) -> GrantTally {
        GrantTally { grants, orgs }
    }

    #[test]
    fn refusal_is_believed_once_something_speaks_for_it() {
        let first = RefusalEvidence {
            refused_before: None,
            last_success: Some(NOW - 5),
            refused: tally(1, 1),
            fleet: tally(9, 4),
        };
        let again = RefusalEvidence { refused_before: Some(NOW - 60), ..first };
        let two = RefusalEvidence { fleet: tally(2, 2), last_success: None, ..first };
        let cases = [
            (first, Verdict::Unconfirmed, "a success before it says nothing"),
            (RefusalEvidence { last_success: None, ..first }, Verdict::Unconfirmed, "nothing ever worked"),
            (again, Verdict::Believed, "others worked since"),
            (RefusalEvidence { last_success: Some(NOW - 60), ..again }, Verdict::Unconfirmed, "in the same second"),
            (
                RefusalEvidence { refused_before: Some(NOW - 600), last_success: None, ..first },
                Verdict::Believed,
                "confirmed",
            ),
            (
                RefusalEvidence { refused_before: Some(NOW - 599), last_success: None, ..first },
                Verdict::Unconfirmed,
                "a second early",
            ),
            (RefusalEvidence { refused: tally(5, 1), ..first }, Verdict::Unconfirmed, "one organization's"),
            (RefusalEvidence { refused: tally(2, 2), ..first }, Verdict::Held, "two organizations'"),
            (
                RefusalEvidence {
                    refused_before: Some(NOW - 86_400),
                    last_success: None,
                    refused: tally(2, 2),
                    ..first
                },
                Verdict::Held,
                "however long",
            ),
            (RefusalEvidence { refused: tally(3, 2), ..again }, Verdict::Believed, "others worked since"),
            (
                RefusalEvidence { fleet: tally(5, 1), refused: tally(5, 1), ..first },
                Verdict::Believed,
                "only one organization",
            ),
            (two, Verdict::Unconfirmed, "the first of two connections"),
            (RefusalEvidence { refused: tally(2, 2), ..two }, Verdict::Held, "both connections"),
            (RefusalEvidence { refused_before: Some(NOW - 600), ..two }, Verdict::Believed, "one of two, confirmed"),
        ];
        for (evidence, verdict, why) in cases {
            assert_eq!(judge(&evidence, NOW), verdict, "{why}: {evidence:?}");
        }
    }
}
