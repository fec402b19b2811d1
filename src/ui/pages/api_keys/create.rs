//! The form that creates an API key.

use leptos::prelude::*;

use super::words;
use crate::model::{ApiKeyLifetime, ApiKeysView, Scope};
use crate::ui::components::org_field::org_field;
use crate::ui::components::typed::typed;

/// Renders the form that creates a key.
pub fn create_form(view: &ApiKeysView) -> impl IntoView + use<> {
    let typed = typed("/api/api-keys/create");
    let scopes = Scope::ALL.iter().enumerate().map(|(place, scope)| {
        view! {
            <label class="check">
                <input type="checkbox" name=format!("scopes[{place}]") value=scope.as_str() checked=typed.has("scopes", scope.as_str(), true) autofocus=place == 0 && typed.is_refused_for(&["scopes"]) />
                {scope.label()}
            </label>
        }
    });
    let connections = view.connections.iter().enumerate().map(|(place, one)| {
        view! {
            <label class="check">
                <input
                    type="checkbox"
                    name=format!("bindings[{place}]")
                    value=one.id.0.clone()
                    checked=typed.has("bindings", one.id.as_str(), false)
                />
                {one.name.clone()}
            </label>
        }
    });
    let connections = (!view.connections.is_empty()).then(|| {
        view! {
            <fieldset class="checks" aria-describedby=typed.described_by("bindings", Some("connections-hint"))>
                <legend>{words::ONLY_THESE_CONNECTIONS}</legend>
                {typed.error("bindings")}
                <div class="many-checks">{connections.collect_view()}</div>
                <span class="hint" id="connections-hint">
                    {words::NONE_TICKED_OPENS_ALL}
                </span>
            </fieldset>
        }
    });
    let chosen_life = typed.value("life", ApiKeyLifetime::default().as_str());
    let lives = ApiKeyLifetime::ALL.iter().map(|&life| {
        view! {
            <option value=life.as_str() selected=life.as_str() == chosen_life>
                {life.label()}
            </option>
        }
    });
    view! {
        <section aria-labelledby="new">
            <div class="section-head">
                <h2 id="new">{words::NEW_KEY}</h2>
            </div>
            <form class="card fields" method="post" action="/api/api-keys/create">
                {org_field()}
                <label class="field">
                    <span>"Name"</span>
                    <input
                        maxlength="100"
                        autocomplete="off"
                        placeholder=words::EXAMPLE_NAME
                        required=true
                        {..typed.input("name", "", Some("name-hint"))}
                    />
                    <span class="hint" id="name-hint">
                        {words::NAME_HINT}
                    </span>
                </label>
                {typed.error("name")}
                <fieldset class="checks" aria-describedby=typed.described_by("scopes", None)>
                    <legend>"Permissions"</legend>
                    {typed.error("scopes")}
                    {scopes.collect_view()}
                </fieldset>
                {connections}
                <label class="field">
                    <span>{words::EXPIRES_AFTER}</span>
                    <select name="life">{lives.collect_view()}</select>
                </label>
                <p>
                    <button class="button primary">{words::CREATE_KEY}</button>
                </p>
            </form>
        </section>
    }
}
