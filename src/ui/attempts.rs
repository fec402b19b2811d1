//! The journal's tries as rows of a table: on the activity page, and on a connection's own history.

use leptos::prelude::*;

use super::time;
use crate::model::{AttemptView, Trigger};

/// The table. `named` says whether a row tells which connections it was about.
pub fn table(named: bool, rows: AnyView) -> impl IntoView {
    view! {
        <table class="table">
            <thead>
                <tr>
                    <th scope="col">"When"</th>
                    {named.then(|| view! { <th scope="col">"Connection"</th> })}
                    <th scope="col">"Result"</th>
                    <th scope="col">"Why"</th>
                    <th scope="col">"Took"</th>
                    <th scope="col">"Xero's answer"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
}

/// One try, with its evidence.
pub fn row(attempt: &AttemptView, connections: Option<&[String]>) -> impl IntoView + use<> {
    let (tone, result) = outcome(attempt.outcome.as_deref());
    let names = connections.map(|names| if names.is_empty() { "none now".to_owned() } else { names.join(", ") });
    view! {
        <tr>
            <td data-label="When">
                <time datetime=time::iso(attempt.started_at)>{time::absolute(attempt.started_at)}</time>
            </td>
            {names.map(|names| view! { <td data-label="Connection">{names}</td> })}
            <td data-label="Result">
                <span class="badge" data-tone=tone>{result}</span>
            </td>
            <td data-label="Why">
                {why(&attempt.trigger)}
                {attempt.actor.clone().map(|actor| view! { <span class="meta">{actor}</span> })}
            </td>
            <td data-label="Took" class="brief-cell">{took(attempt)}</td>
            <td data-label="Xero's answer">
                {attempt.evidence()}
                {attempt.correlation_id.clone().map(|id| view! { <span class="meta">"Xero reference " <code>{id}</code></span> })}
                {attempt.trace_id.clone().map(|id| view! { <span class="meta">"Trace " <code>{id}</code></span> })}
            </td>
        </tr>
    }
}

fn took(attempt: &AttemptView) -> String {
    let seconds = || attempt.finished_at.map(|end| time::took((end - attempt.started_at) * 1_000));
    let exact = attempt.duration_ms.map(time::took);
    exact.or_else(seconds).unwrap_or_else(|| "not finished".to_owned())
}

/// A tone and words for how a try ended.
pub fn outcome(word: Option<&str>) -> (&'static str, &'static str) {
    match word {
        Some("refreshed") => ("good", "Refreshed"),
        Some("reconnect") => ("bad", "Reconnect needed"),
        Some("operator") => ("bad", "Refused, see the set-up"),
        Some("transient") => ("warn", "No answer, tried later"),
        Some("refused") => ("quiet", "The token given was no good"),
        Some("abandoned") => ("warn", "Cut off, sent again"),
        Some("superseded") => ("quiet", "Another try was first"),
        Some("running") | None => ("info", "Under way"),
        Some(_) => ("quiet", "Unknown"),
    }
}

fn why(trigger: &str) -> &'static str {
    match Trigger::parse(trigger) {
        Some(Trigger::OrgSwitch) => "Somebody came to the organisation",
        Some(Trigger::Manual) => "Asked for",
        Some(Trigger::Sweep) => "It was due",
        Some(Trigger::Client | Trigger::Vend) => "A program needed it",
        Some(Trigger::Cli) => "Command line",
        None => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;

    #[test]
    fn a_duration_is_said_as_exactly_as_it_is_known() {
        let mut attempt = AttemptView {
            id: "a".into(),
            trigger: "sweep".into(),
            actor: None,
            started_at: 0,
            finished_at: Some(1),
            duration_ms: Some(420),
            outcome: Some("refreshed".into()),
            error_code: None,
            http_status: Some(200),
            trace_id: None,
            correlation_id: None,
        };
        assert_eq!(took(&attempt), "420 ms");
        attempt.duration_ms = None;
        assert_eq!(took(&attempt), "1.0 s");
        attempt.finished_at = None;
        assert_eq!(took(&attempt), "not finished");
    }

    #[test]
    fn every_end_has_words_of_its_own() {
        let mut words: Vec<_> = Outcome::ALL.iter().map(|one| outcome(Some(one.as_str())).1).collect();
        words.sort_unstable();
        words.dedup();
        assert!(words.len() == Outcome::ALL.len() && !words.contains(&"Unknown"), "{words:?}");
    }
}
