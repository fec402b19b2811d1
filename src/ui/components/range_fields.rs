//! The fields that narrow a list of activity to days and a person.

use leptos::prelude::*;
use leptos_router::location::Url;

use crate::model::{ActivityRange, RangeProblem};
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::context::page;
use crate::ui::shared::icons::{WARNING, icon};

/// Renders the fields. The browser writes the zone in which it shows times. A day that is refused stands in its field as it was typed, with the reason beside it.
pub fn range_fields(range: &ActivityRange, problem: Option<RangeProblem>) -> impl IntoView + use<> {
    let of_from = problem.filter(|problem| *problem == RangeProblem::From);
    let of_to = problem.filter(|problem| *problem != RangeProblem::From);
    view! {
        {day_field("from", "From", range.from.clone(), of_from)}
        {day_field("to", "To", range.to.clone(), of_to)}
        <input type="hidden" name="zone" value=range.zone.clone() />
        <label class="field">
            <span>"Person or API key"</span>
            <input
                name="person"
                value=range.person.clone()
                maxlength="254"
                autocomplete="off"
                autocapitalize="none"
                spellcheck="false"
            />
        </label>
        {(problem.is_none() && range.has_days()).then(|| zone_of_days(&range.zone, page().time_zone.as_deref()))}
    }
}

/// Says by which zone the days are counted if it isn't the reader's, as after a link of somebody elsewhere. The browser
/// knows the reader's zone, and shows the sentence. Without script, times are in the zone that the person chose or in UTC.
fn zone_of_days(zone: &str, chosen: Option<&str>) -> impl IntoView + use<> {
    let sentence = format!("The days of this address are counted in {}.", zone.replace('_', " "));
    let differs_without_script = zone != chosen.unwrap_or("UTC");
    view! {
        <p class="meta" data-zone-of-days=zone.to_owned() hidden=true>{sentence.clone()}</p>
        {differs_without_script.then(|| view! { <noscript><p class="meta">{sentence}</p></noscript> })}
    }
    .rendered()
}

fn day_field(name: &'static str, label: &'static str, value: String, problem: Option<RangeProblem>) -> impl IntoView {
    let (field, note) = (format!("activity-{name}"), format!("activity-{name}-problem"));
    // A field for dates would drop what is no date.
    let is_date = problem.is_none_or(|problem| problem == RangeProblem::Reversed);
    let kind = if is_date { "date" } else { "text" };
    let described_by = problem.map(|_| note.clone());
    view! {
        <div class="field">
            <label for=field.clone()>{label}</label>
            <input
                type=kind
                id=field
                name=name
                value=value
                aria-invalid=problem.map(|_| "true")
                aria-describedby=described_by
                autofocus=problem.is_some()
            />
            {problem
                .map(|problem| {
                    view! { <p class="field-error" id=note>{icon(WARNING)} <span>{problem.to_string()}</span></p> }
                })}
        </div>
    }
    .rendered()
}

/// Returns the part of a query that narrows a list in the same way: `&from=…`, for what is not empty.
pub fn range_query(range: &ActivityRange) -> String {
    if !range.narrows() {
        return String::new();
    }
    let fields = [("from", &range.from), ("to", &range.to), ("zone", &range.zone), ("person", &range.person)];
    let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(|(name, value)| format!("&{name}={}", Url::escape(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_has_what_narrows_the_list() {
        let all = ActivityRange { zone: "Pacific/Auckland".into(), ..ActivityRange::default() };
        assert_eq!(range_query(&all), "");
        let range = ActivityRange { from: "2026-11-01".into(), person: "a&b@example.com".into(), ..all };
        let query = "&from=2026%2D11%2D01&zone=Pacific%2FAuckland&person=a%26b%40example%2Ecom";
        assert_eq!(range_query(&range), query);
    }
}
