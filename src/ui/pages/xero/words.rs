//! The words of the page about Xero's state.

use leptos::prelude::*;

use crate::model::{XeroCondition, XeroTroubleView};

pub const TITLE: &str = "Xero's state";
pub fn headline(condition: XeroCondition) -> &'static str {
    match condition {
        XeroCondition::Answering => "Xero is answering.",
        XeroCondition::NotAnswering => "Xero isn't answering.",
        XeroCondition::RefusesApp => "Xero refuses Evergrant's app credentials.",
        XeroCondition::RefusesMany => "Xero refuses several connections at once.",
        XeroCondition::Limiting => "Xero is limiting Evergrant's requests.",
        XeroCondition::NeedsOperator => "Some connections can't be refreshed.",
        XeroCondition::AnotherApp => "Some connections can't be refreshed with Evergrant's present Xero app.",
        XeroCondition::RefusesSome => "Xero refused access, and Evergrant is checking that.",
    }
}
pub fn since(time: impl IntoView) -> impl IntoView {
    ("Since ", time, ".")
}
/// Says how many connections wait for Xero.
pub fn affected(XeroTroubleView { condition, affected, active, .. }: XeroTroubleView) -> String {
    match (affected, active) {
        (1, 1) if condition == XeroCondition::Answering => "The connection waits for its next refresh.".to_owned(),
        (1.., 1..) if condition == XeroCondition::Answering => {
            format!("{affected} of {active} connections wait for their next refresh.")
        }
        (_, 0) => "There are no active connections.".to_owned(),
        (0, 1) => "The connection has a token that works.".to_owned(),
        (0, _) => format!("All {active} connections have a token that works."),
        (1, 1) => "It affects the only connection.".to_owned(),
        _ => format!("It affects {affected} of {active} connections."),
    }
}
pub fn tries_again_at(time: impl IntoView) -> impl IntoView {
    ("Evergrant tries again at ", time, ".")
}
/// Says who has to act.
pub fn advice(condition: XeroCondition) -> &'static str {
    match condition {
        XeroCondition::Answering => "Tokens are refreshed before they expire.",
        XeroCondition::NotAnswering | XeroCondition::Limiting => {
            "Your connections are safe, and a token that hasn't expired keeps working. You don't need to do anything."
        }
        XeroCondition::RefusesApp | XeroCondition::NeedsOperator | XeroCondition::AnotherApp => {
            "Your connections are safe, but get no new tokens until your Evergrant administrator has fixed this."
        }
        XeroCondition::RefusesSome => {
            "Somebody may have removed the access in Xero. Evergrant asks again within minutes: if Xero still refuses, the connection needs reconnecting."
        }
        XeroCondition::RefusesMany => {
            "Rarely do several organisations end their access at the same time, so Evergrant has ended no connection and asks Xero again. You don't need to do anything."
        }
    }
}

// What an administrator looks at.
pub const FOR_YOUR_ADMINISTRATOR: &str = "For your administrator";
pub fn refused_with(code: impl IntoView) -> impl IntoView {
    (
        "Xero answered ",
        code,
        ". Check XERO_CLIENT_ID, XERO_CLIENT_SECRET and XERO_SCOPES. The next request that Xero accepts ends this.",
    )
}
pub fn held_refusals(held: i64) -> String {
    if held == 1 {
        "1 refusal is held back until another answer of Xero confirms it.".to_owned()
    } else {
        format!("{held} refusals are held back until another answer of Xero confirms them.")
    }
}
pub const REQUESTS_ARE_SENT: &str = "Requests are sent";
pub const NEXT_TRY: &str = "Next try";
pub const XEROS_ANSWER: &str = "Xero's answer";
pub const AS_THIS_SERVER_SEES_IT: &str =
    "As this server sees it. If several run, each has its own view of Xero's endpoints.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentence_about_affected_connections_counts_the_active_ones() {
        let of = |condition, waiting, active| {
            affected(XeroTroubleView { condition, affected: waiting, active, ..XeroTroubleView::default() })
        };
        let text = |affected, active| of(XeroCondition::NotAnswering, affected, active);
        let recovering = of(XeroCondition::Answering, 16, 20);
        assert_eq!(recovering, "16 of 20 connections wait for their next refresh.");
        assert_eq!(text(16, 20), "It affects 16 of 20 connections.");
        assert_eq!(text(1, 1), "It affects the only connection.");
        assert_eq!(text(0, 20), "All 20 connections have a token that works.");
        assert_eq!(text(0, 0), "There are no active connections.");
    }
}
