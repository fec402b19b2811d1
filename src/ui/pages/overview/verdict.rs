//! The overview's first sentence: whether the connections work, and if not, who has to act.

use leptos::prelude::*;

use super::words;
use crate::model::{ConnectionView, Health, OverviewView, Tone, XeroCondition, paths};
use crate::ui::components::broken_connections::broken_connections;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;
use crate::ui::shared::icons::{CHECK, CLOCK, WARNING, icon};

/// What follows the sentence, besides what a person reconnects.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    /// Nothing.
    Nothing,
    /// Evergrant tries again by itself.
    Retry,
    /// Evergrant asks Xero again before anybody has to act.
    Check,
    /// The operator acts.
    Administrator,
}

/// Renders the sentence, with what follows from it.
pub fn verdict(view: &OverviewView) -> impl IntoView + use<> {
    let xero = view.xero;
    let (tone, sentence, next) = summary(&view.connections, xero.condition);
    let path = match tone {
        Tone::Good => CHECK,
        Tone::Warn => CLOCK,
        _ => WARNING,
    };
    let since =
        xero.since.filter(|_| next == Next::Retry).map(|at| view! { " " {words::since(time::time_of_day(at))} });
    let is_broken = view.broken.count > 0;
    let again = xero.next_attempt_at.map(time::time_of_day);
    let more = match next {
        Next::Nothing => ().rendered(),
        Next::Retry => view! { {since} " " {words::will_try_again(again, is_broken)} " " {xero_link()} }.rendered(),
        Next::Check => view! { " " {words::will_ask_again(again)} " " {xero_link()} }.rendered(),
        Next::Administrator => view! { " " {words::ADMINISTRATOR_NEEDS_TO_FIX} " " {xero_link()} }.rendered(),
    };
    let reconnect =
        (is_broken && xero.condition != XeroCondition::RefusesApp).then(|| broken_connections(&view.broken));
    view! {
        <section class="verdict" data-tone=tone.as_str()>
            {icon(path)}
            <div class="stack">
                <p>{sentence} {more}</p>
                {reconnect}
            </div>
        </section>
    }
}

fn xero_link() -> impl IntoView {
    view! { <a href=paths::XERO>{words::XEROS_STATE}</a> }
}

/// Returns the tone and the sentences that sum up the connections, each cause in one, and what follows. Disconnected and
/// moved ones aren't counted.
fn summary(connections: &[ConnectionView], xero: XeroCondition) -> (Tone, String, Next) {
    let count = |health| connections.iter().filter(|one| one.health == health).count();
    let broken = count(Health::NeedsReauth);
    let retrying = count(Health::Retrying);
    let moved = count(Health::Moved);
    let total = connections.len() - count(Health::Disconnected) - moved;
    let needs_reconnecting = words::need_reconnecting(broken, total);
    // A consent would fail, too, so this comes before what a person could do.
    if xero == XeroCondition::RefusesApp {
        let refused = words::CREDENTIALS_REFUSED;
        // What follows is about the refusal.
        let rest = if broken > 0 { format!("{needs_reconnecting} {refused}") } else { refused.to_owned() };
        return (Tone::Bad, rest, Next::Administrator);
    }
    match (total, broken, retrying) {
        (0, ..) if moved > 0 => (Tone::Quiet, words::ALL_DISCONNECTED_OR_MOVED.to_owned(), Next::Nothing),
        (0, ..) => (Tone::Quiet, words::ALL_DISCONNECTED.to_owned(), Next::Nothing),
        (_, 1.., 0) => (Tone::Bad, needs_reconnecting, Next::Nothing),
        (_, 1.., 1..) => {
            let (waiting, (_, next)) = (words::waiting(xero, retrying, total), what_follows(xero));
            (Tone::Bad, format!("{needs_reconnecting} {waiting}"), next)
        }
        (_, 0, 1..) => {
            let (tone, next) = what_follows(xero);
            (tone, words::waiting(xero, retrying, total), next)
        }
        (_, 0, 0) => (Tone::Good, words::working(total), Next::Nothing),
    }
}

/// Returns the tone if connections wait, and what follows, by what they wait for.
fn what_follows(xero: XeroCondition) -> (Tone, Next) {
    match xero {
        XeroCondition::RefusesSome => (Tone::Warn, Next::Check),
        // Of another app, Xero is not even asked.
        XeroCondition::AnotherApp | XeroCondition::NeedsOperator => (Tone::Bad, Next::Administrator),
        XeroCondition::RefusesMany
        | XeroCondition::Limiting
        | XeroCondition::Answering
        | XeroCondition::NotAnswering
        | XeroCondition::RefusesApp => (Tone::Warn, Next::Retry),
    }
}

#[cfg(test)]
mod tests {
    use super::super::connections::tests::connections;
    use super::*;

    const SOME_REFUSED: &str = "Xero refused access, and Evergrant is checking 1 of 2 connections.";

    #[test]
    fn verdict_sums_up_the_connections_in_one_sentence() {
        use Health::*;
        for (healths, sentence) in [
            (&[Connected][..], "The connection is working."),
            (&[Connected, Refreshing, Disconnected], "All 2 connections are working."),
            (&[NeedsReauth, Connected], "1 of 2 connections needs reconnecting."),
            (
                &[NeedsReauth, NeedsReauth, Retrying],
                "2 of 3 connections need reconnecting. Xero isn't answering for 1 of 3 connections.",
            ),
            (&[Retrying, Connected], "Xero isn't answering for 1 of 2 connections."),
            (&[Retrying, Disconnected], "Xero isn't answering."),
            (&[Connected, Moved], "The connection is working."),
            (
                &[Moved, Disconnected],
                "Nothing is connected: every connection has been disconnected or moved to another system.",
            ),
            (&[Disconnected], "Nothing is connected: every connection has been disconnected."),
        ] {
            assert_eq!(summary(&connections(healths), XeroCondition::NotAnswering).1, sentence);
        }
    }

    #[test]
    fn verdict_carries_its_cause() {
        use Health::*;
        let two = connections(&[Retrying, Connected]);
        let of = |condition| summary(&two, condition);
        assert_eq!((of(XeroCondition::NotAnswering).0, of(XeroCondition::NotAnswering).2), (Tone::Warn, Next::Retry));
        let (tone, sentence, next) = of(XeroCondition::RefusesApp);
        assert_eq!((tone, next), (Tone::Bad, Next::Administrator));
        assert!(sentence.starts_with("Xero refuses Evergrant's app credentials"), "{sentence}");
        assert!(of(XeroCondition::RefusesMany).1.contains("several connections at once"));
        for condition in [XeroCondition::AnotherApp, XeroCondition::NeedsOperator] {
            assert_eq!((of(condition).0, of(condition).2), (Tone::Bad, Next::Administrator), "{condition:?}");
        }
        for condition in [XeroCondition::Limiting, XeroCondition::Answering] {
            assert_eq!((of(condition).0, of(condition).2), (Tone::Warn, Next::Retry), "{condition:?}");
        }
        // It was refreshed between the two looks at the database.
        assert_eq!(of(XeroCondition::Answering).1, "1 of 2 connections waits for the next refresh.");
        let (_, sentence, next) = of(XeroCondition::RefusesSome);
        assert_eq!((sentence.as_str(), next), (SOME_REFUSED, Next::Check));
        let broken = summary(&connections(&[NeedsReauth, Retrying]), XeroCondition::RefusesApp);
        assert!(broken.1.starts_with("1 of 2 connections needs reconnecting. Xero refuses"), "{}", broken.1);
        assert_eq!(broken.2, Next::Administrator);
        let both = summary(&connections(&[NeedsReauth, Retrying]), XeroCondition::NotAnswering);
        assert_eq!((both.0, both.2), (Tone::Bad, Next::Retry), "says when it tries the other one");
    }
}
