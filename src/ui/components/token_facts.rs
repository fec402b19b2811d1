//! What is known of a connection's tokens: the last refresh, and the ages of both tokens.

use maud::{Markup, html};

use super::rendered::{IntoRendered as _, text};
use super::time;
use crate::model::ConnectionView;
use crate::ui::shared::time_text;

/// The times that ages are measured by, in seconds.
#[derive(Clone, Copy)]
pub struct TokenTimes {
    /// The age of a refresh token from which it is renewed in any case.
    pub roll_after: i64,
    /// How long an unused refresh token lives.
    pub refresh_token_lifetime: i64,
    /// The server's time.
    pub as_of: i64,
}

/// Renders the facts.
pub fn token_facts(one: &ConnectionView, times: TokenTimes) -> Markup {
    let has_access = one.health.has_access();
    let access = one.access_expires_at.filter(|_| has_access);
    let refresh = one.refresh_issued_at.filter(|_| has_access);
    let refreshed = one.last_refreshed_at.map(|at| time::age(at).markup());
    html! {
        dl class="facts" {
            (fact("Last refreshed", &refreshed.unwrap_or_else(|| html! { "Not yet" })))
            @if let Some(at) = access { (fact("Access token", &time::time_left(at, times.as_of).markup())) }
            @if let Some(at) = refresh { (fact("Refresh token", &refresh_token_age(times.as_of - at, times))) }
        }
    }
}

fn fact(term: &str, value: &Markup) -> Markup {
    html! { div { dt { (text(term)) } dd { (value) } } }
}

/// Renders the refresh token's age, given in seconds, and the day from which it is renewed in any case.
fn refresh_token_age(age: i64, times: TokenTimes) -> Markup {
    let (lifetime, roll_after) = (times.refresh_token_lifetime.max(1), times.roll_after);
    let age = age.clamp(0, lifetime);
    let percent = |seconds: i64| seconds * 100 / lifetime;
    html! {
        span { "Day " (age / time_text::DAY) " of " (lifetime / time_text::DAY) }
        " "
        span class="meta" {
            @if age < roll_after {
                // Rounded up: it is renewed within that day.
                "renewed by day " ((roll_after + time_text::DAY - 1) / time_text::DAY)
            } @else {
                "renewal is due"
            }
        }
        // At least 2 %, so that day 0 shows where the bar begins.
        (bar(percent(age).max(2), percent(roll_after.clamp(0, lifetime))))
    }
}

/// Renders a bar that is filled up to `age` and has a mark, both in percent.
fn bar(age: i64, mark: i64) -> Markup {
    html! {
        svg class="bar" width="100%" height="6" aria-hidden="true" {
            rect class="bar-life" width="100%" height="6" rx="3" {}
            rect class="bar-age" width={ (age) "%" } height="6" rx="3" {}
            rect class="bar-mark" x={ (mark) "%" } width="2" height="6" {}
        }
    }
}
