//! Without any one of the protections, some interleaving loses a token or breaks another promise.

use super::explore::explore;
use super::provider::{ProviderBehavior, Replay};
use super::rules::Rules;
use super::state::Violation;
use super::{MODES, rules_with_rescue, rules_with_reseal, rules_with_restore};

/// The removed protection, the resulting violation, and the least number of steps to it.
type Case = (&'static str, fn(Rules) -> Rules, Violation, usize);

#[test]
fn removing_any_one_protection_causes_a_violation() {
    let cases: [Case; 11] = [
        ("the lease", |all| Rules { lease: false, ..all }, Violation::TwoHolders, 6),
        ("the second read under the lease", |all| Rules { reread: false, ..all }, Violation::SentSpent, 9),
        ("the generation fence", |all| Rules { generation_fence: false, ..all }, Violation::StaleCommit, 6),
        ("the owner fence", |all| Rules { owner_fence: false, ..all }, Violation::TwoHolders, 8),
        ("keeping the old token", |all| Rules { keep_old_token: false, ..all }, Violation::TokenLost, 2),
        ("journaling before sending", |all| Rules { journal_first: false, ..all }, Violation::Unjournaled, 4),
        ("the spool", |all| Rules { spool: false, ..all }, Violation::TokenLost, 6),
        (
            "the spool's replay before an exchange",
            |all| Rules { replay_first: false, ..all },
            Violation::FalselyDead,
            13,
        ),
        ("the claim's spool check", |all| Rules { claim_checks_spool: false, ..all }, Violation::FalselyDead, 12),
        ("waiting for the other holder", |all| Rules { await_successor: false, ..all }, Violation::TokenLost, 8),
        ("reviving a grant that was marked dead", |all| Rules { revive: false, ..all }, Violation::TokenLost, 13),
    ];
    for replay in MODES {
        for case in cases {
            assert_violation(Rules::all(ProviderBehavior { replay, max_tokens: 4 }), case);
        }
    }
}

fn assert_violation(rules: Rules, (missing, without, breaks, steps): Case) {
    let seen = explore(&without(rules), |_| {});
    let found = seen.counterexample.unwrap_or_else(|| panic!("{rules:?}: no violation without {missing}"));
    assert_eq!((found.violation, found.steps.len()), (breaks, steps), "{rules:?}, {missing}: {:?}", found.steps);
}

#[test]
fn removing_a_protection_from_replays_that_end_siblings_causes_a_violation() {
    let rules = Rules::all(ProviderBehavior { replay: Replay::Newest, max_tokens: 4 });
    let without: Case =
        ("sending the predecessor", |all| Rules { predecessor: false, ..all }, Violation::TokenLost, 10);
    assert_violation(rules, without);
}

#[test]
fn removing_a_protection_from_a_restored_row_causes_a_violation() {
    let cases: [Case; 2] = [
        (
            "keeping a successor of a later generation than the row's",
            |all| Rules { outlives_restore: false, ..all },
            Violation::TokenLost,
            11,
        ),
        (
            "the commit of a spooled successor to a row of an earlier generation",
            |all| Rules { older_row_accepts_spool: false, ..all },
            Violation::TokenLost,
            12,
        ),
    ];
    for replay in MODES {
        for case in cases {
            assert_violation(rules_with_restore(ProviderBehavior { replay, max_tokens: 3 }), case);
        }
    }
}

/// A case whose rules depend on the provider's behavior.
type OperatorCase = (&'static str, fn(ProviderBehavior) -> Rules, Violation, usize);

#[test]
fn removing_any_one_operator_protection_causes_a_violation() {
    let cases: [OperatorCase; 4] = [
        (
            "the rescue's fence",
            |xero| Rules { rescue_fence: false, ..rules_with_rescue(xero) },
            Violation::StaleCommit,
            11,
        ),
        (
            "leaving a grant alone whose own token was not refused",
            |xero| Rules { rescue_refusal_keeps_grant: false, ..rules_with_rescue(xero) },
            Violation::FalselyDead,
            11,
        ),
        (
            "detecting that the row already has the token",
            |xero| Rules {
                rescue_detects_no_change: false,
                ..rules_with_rescue(ProviderBehavior { replay: Replay::Same, ..xero })
            },
            Violation::TokenLost,
            16,
        ),
        (
            "the reseal fence",
            |xero| Rules { reseal_fence: false, ..rules_with_reseal(xero) },
            Violation::StaleCommit,
            12,
        ),
    ];
    for replay in MODES {
        for (missing, without, breaks, steps) in cases {
            let seen = explore(&without(ProviderBehavior { replay, max_tokens: 4 }), |_| {});
            let found = seen.counterexample.unwrap_or_else(|| panic!("{replay:?}: no violation without {missing}"));
            assert_eq!(
                (found.violation, found.steps.len()),
                (breaks, steps),
                "{replay:?}, {missing}: {:?}",
                found.steps
            );
        }
    }
}

#[test]
fn counterexample_lists_the_steps_in_order() {
    let all = Rules::all(ProviderBehavior { replay: Replay::Same, max_tokens: 4 });
    let found = explore(&Rules { await_successor: false, ..all }, |_| {}).counterexample.unwrap();
    let story = [
        "A claims",
        "A journals",
        "A sends",
        "A receives the response",
        "the lease expires",
        "B claims",
        "A commits",
        "the replay window ends",
    ];
    assert_eq!(found.steps, story, "A's successor is dropped while B, which has sent no request, holds a spent token");
}
