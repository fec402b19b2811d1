//! The card in which a person chooses the events that a webhook gets.

use leptos::prelude::*;

use super::words;
use crate::model::{EndpointView, EventKind, paths};
use crate::ui::components::org_field::org_field;
use crate::ui::components::question_card::answer_buttons;

/// Renders the card.
pub fn event_choice(one: &EndpointView) -> impl IntoView + use<> {
    let chosen = one.events.clone().unwrap_or_default();
    let kinds = EventKind::ALL.iter().copied().filter(|kind| kind.can_be_chosen());
    let boxes = kinds.enumerate().map(|(place, kind)| {
        view! {
            <label class="check">
                <input
                    type="checkbox"
                    name=format!("kinds[{place}]")
                    value=kind.as_str()
                    checked=chosen.contains(&kind)
                />
                {kind.label()}
            </label>
        }
    });
    let boxes = boxes.collect_view();
    view! {
        <section class="card question" aria-labelledby="question">
            <h2 id="question">{words::WHICH_EVENTS}</h2>
            <p class="address">{one.url.clone()}</p>
            <form class="fields" method="post" action="/api/notifications/webhooks/events">
                {org_field()} <input type="hidden" name="endpoint_id" value=one.id.0.clone() />
                <fieldset class="checks" aria-describedby="events-hint">
                    <legend>{words::ONLY_THESE_EVENTS}</legend>
                    {boxes}
                    <span class="hint" id="events-hint">
                        {words::NONE_TICKED_GETS_ALL}
                    </span>
                </fieldset>
                {answer_buttons(paths::NOTIFICATIONS, "primary", "Save")}
            </form>
        </section>
    }
}
