//! Whether the connection works, what a person has to do about it, and the actions on it.

use leptos::prelude::*;

use super::words;
use crate::model::{ConnectionPageView, ConnectionView, Health, paths};
use crate::ui::components::connection_texts::{ASK_TO_RECONNECT, DISCONNECT_CONSEQUENCE};
use crate::ui::components::health_badge::health_badge;
use crate::ui::components::org_field::org_field;
use crate::ui::components::question_card::ConfirmationCard;
use crate::ui::components::reconnect_form::reconnect_form;
use crate::ui::components::rendered::{IntoRendered as _, from_markup};
use crate::ui::components::time;
use crate::ui::components::token_facts::{TokenTimes, token_facts};

/// Id of the connection's name.
const NAME: &str = "connection-name";

/// Renders the head of the page: name, state in a word, and the actions.
pub fn head(view: &ConnectionPageView) -> impl IntoView + use<> {
    let one = &view.connection;
    view! {
        <header class="page-head">
            <div>
                <p class="crumb"><a href=paths::INTEGRATIONS>"Integrations"</a></p>
                <div class="connection-name">
                    <h1 id=NAME>{one.tenant_name.clone()}</h1>
                    {from_markup(health_badge(one))}
                </div>
                <p class="lead">
                    {words::connected(words::kind(&one.tenant_type), one.connected_by.clone(), time::date(one.connected_at))}
                </p>
            </div>
            <div class="page-actions">{actions(view)}</div>
        </header>
    }
}

/// Renders the state, and what a person does about it.
pub fn state(view: &ConnectionPageView) -> impl IntoView + use<> {
    let one = &view.connection;
    let times = TokenTimes {
        roll_after: view.roll_after,
        refresh_token_lifetime: view.refresh_token_lifetime,
        as_of: view.as_of,
    };
    view! {
        <section class="card stack" aria-labelledby="state">
            <h2 id="state">{words::STATE}</h2>
            <p class="problem">{one.problem.clone().unwrap_or_else(|| words::working(one.health).to_owned())}</p>
            {advice(one.health, view.may_manage).map(|text| view! { <p class="problem">{text}</p> })}
            {from_markup(token_facts(one, times))}
        </section>
    }
}

/// Says whom a person asks who can't do themselves what is to do.
fn advice(health: Health, may_manage: bool) -> Option<&'static str> {
    (health == Health::NeedsReauth && !may_manage).then_some(ASK_TO_RECONNECT)
}

fn actions(view: &ConnectionPageView) -> impl IntoView + use<> {
    let one = &view.connection;
    let wants_consent = !one.health.has_access() || !one.missing_scopes.is_empty();
    let question = format!("{}?disconnect=true", paths::connection(&one.id));
    view! {
        {(wants_consent && view.may_manage).then(|| reconnect_form(&one.id, one.health, NAME.to_owned()))}
        {one.health.has_access().then(|| refresh_and_test(one))}
        {(view.may_manage && one.health != Health::Disconnected)
            .then(|| {
                view! {
                    <a class="button" href=question>
                        "Disconnect"
                    </a>
                }
            })}
    }
}

fn refresh_and_test(one: &ConnectionView) -> impl IntoView + use<> {
    let id = one.id.0.clone();
    view! {
        <form method="post" action="/api/integrations/xero/refresh-connection">
            {org_field()} <input type="hidden" name="binding_id" value=id.clone() />
            <button class="button">{words::REFRESH_NOW}</button>
        </form>
        <form method="post" action="/api/integrations/xero/test">
            {org_field()} <input type="hidden" name="binding_id" value=id />
            <button class="button">{words::TEST_CONNECTION}</button>
        </form>
    }
}

/// Asks whether to disconnect.
pub fn disconnect_question(one: &ConnectionView) -> impl IntoView + use<> {
    view! {
        <ConfirmationCard
            title=words::disconnect_question(&one.tenant_name)
            text=DISCONNECT_CONSEQUENCE.rendered()
            action="/api/integrations/xero/disconnect"
            field=("binding_id", one.id.0.clone())
            cancel=paths::connection(&one.id)
            verb="Disconnect"
        />
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_person_who_cannot_reconnect_is_sent_to_somebody_else() {
        assert_eq!(advice(Health::NeedsReauth, true), None);
        assert!(advice(Health::NeedsReauth, false).unwrap().contains("owner or admin"));
        assert_eq!((advice(Health::Retrying, false), advice(Health::Connected, false)), (None, None));
    }
}
