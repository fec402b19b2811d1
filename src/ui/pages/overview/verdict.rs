//! The overview's first sentence: whether the connections work.

use leptos::prelude::*;

use crate::model::{ConnectionView, Health, Permission, Tone, XERO_NOT_ANSWERING, paths};
use crate::ui::components::time;
use crate::ui::context::may;
use crate::ui::shared::icons::{CHECK, CLOCK, WARNING, icon};

/// Renders the sentence, with the way to reconnect if that is needed and allowed.
pub fn verdict(connections: &[ConnectionView]) -> impl IntoView + use<> {
    let (tone, sentence) = summary(connections);
    let path = match tone {
        Tone::Good => CHECK,
        Tone::Warn => CLOCK,
        _ => WARNING,
    };
    let retry = (tone == Tone::Warn).then(|| retry_notice(connections));
    let reconnect = (tone == Tone::Bad && may(Permission::ManageConnections))
        .then(|| view! { <a class="button primary" href=paths::INTEGRATIONS>"Reconnect"</a> });
    view! {
        <section class="verdict" data-tone=tone.as_str()>
            {icon(path)}
            <p>{sentence} {retry}</p>
            {reconnect}
        </section>
    }
}

/// Says when Evergrant tries again, while nobody has to act.
fn retry_notice(connections: &[ConnectionView]) -> impl IntoView + use<> {
    let retrying = connections.iter().filter(|one| one.health == Health::Retrying);
    let at = retrying.filter_map(|one| one.next_attempt_at).min();
    let at = at.map(|at| view! { " at " {time::time_of_day(at)} });
    view! { " Evergrant will try again" {at} ". You don't need to do anything." }
}

/// Returns the tone and the sentence that sum up the connections. Disconnected and moved ones aren't counted.
fn summary(connections: &[ConnectionView]) -> (Tone, String) {
    let count = |health| connections.iter().filter(|one| one.health == health).count();
    let broken = count(Health::NeedsReauth);
    let retrying = count(Health::Retrying);
    let moved = count(Health::Moved);
    let total = connections.len() - count(Health::Disconnected) - moved;
    match (total, broken, retrying) {
        (0, ..) if moved > 0 => (
            Tone::Quiet,
            "Nothing is connected: every connection has been disconnected or moved to another system.".to_owned(),
        ),
        (0, ..) => (Tone::Quiet, "Nothing is connected: every connection has been disconnected.".to_owned()),
        (1, 1, _) => (Tone::Bad, "The connection needs reconnecting.".to_owned()),
        (_, 1, _) => (Tone::Bad, format!("1 of {total} connections needs reconnecting.")),
        (_, 2.., _) => (Tone::Bad, format!("{broken} of {total} connections need reconnecting.")),
        (1, 0, _) if retrying > 0 => (Tone::Warn, format!("{XERO_NOT_ANSWERING}.")),
        (_, 0, 1..) => (Tone::Warn, format!("{XERO_NOT_ANSWERING} for {retrying} of {total} connections.")),
        (1, 0, 0) => (Tone::Good, "The connection is working.".to_owned()),
        (_, 0, 0) => (Tone::Good, format!("All {total} connections are working.")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::connections::tests::connections;
    use super::*;

    #[test]
    fn verdict_sums_up_the_connections_in_one_sentence() {
        use Health::*;
        for (healths, sentence) in [
            (&[Connected][..], "The connection is working."),
            (&[Connected, Refreshing, Disconnected], "All 2 connections are working."),
            (&[NeedsReauth, Connected], "1 of 2 connections needs reconnecting."),
            (&[NeedsReauth, NeedsReauth, Retrying], "2 of 3 connections need reconnecting."),
            (&[Retrying, Connected], "Xero isn't answering for 1 of 2 connections."),
            (&[Retrying, Disconnected], "Xero isn't answering."),
            (&[Connected, Moved], "The connection is working."),
            (
                &[Moved, Disconnected],
                "Nothing is connected: every connection has been disconnected or moved to another system.",
            ),
            (&[Disconnected], "Nothing is connected: every connection has been disconnected."),
        ] {
            assert_eq!(summary(&connections(healths)).1, sentence);
        }
    }
}
