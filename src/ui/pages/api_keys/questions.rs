//! The cards of a key's actions: revoke, rotate, rename and choose connections.

use leptos::prelude::*;

use super::words;
use crate::model::{ApiKeyStatus, ApiKeyView, ApiKeysView, KeyOverlap, KeyReach, paths};
use crate::ui::components::org_field::org_field;
use crate::ui::components::question_card::{ConfirmationCard, answer_buttons};
use crate::ui::components::rendered::{IntoRendered as _, Rendered};
use crate::ui::components::typed::typed_about;

/// The key that a link of its row is about, and what the link does.
pub enum KeyQuestion {
    /// Revoke the key with this id.
    Revoke(String),
    /// Rotate it.
    Rotate(String),
    /// Rename it.
    Rename(String),
    /// Change which connections it opens.
    Limit(String),
}

/// Renders the card of the chosen action. `None` if there is no such key or the action isn't possible.
pub fn question(view: &ApiKeysView, asked: &KeyQuestion) -> Option<Rendered> {
    let (KeyQuestion::Revoke(id) | KeyQuestion::Rotate(id) | KeyQuestion::Rename(id) | KeyQuestion::Limit(id)) = asked;
    let key = view.keys.iter().find(|key| key.id.0 == *id && key.status != ApiKeyStatus::Revoked)?;
    match asked {
        KeyQuestion::Revoke(_) => Some(revoke(key).rendered()),
        KeyQuestion::Rotate(_) if key.status == ApiKeyStatus::Active && key.previous.is_none() => {
            Some(rotate(key).rendered())
        }
        KeyQuestion::Rotate(_) => None,
        KeyQuestion::Rename(_) => Some(rename(key).rendered()),
        KeyQuestion::Limit(_) => Some(limit(view, key).rendered()),
    }
}

fn revoke(key: &ApiKeyView) -> impl IntoView + use<> {
    let text = words::what_revoking_does(view! { <code>{format!("{}…", key.prefix)}</code> });
    view! {
        <ConfirmationCard
            title=words::revoke_question(&key.name)
            text=text.rendered()
            action="/api/api-keys/revoke"
            field=("key_id", key.id.0.clone())
            cancel=paths::API_KEYS
            verb="Revoke"
        />
    }
}

fn rotate(key: &ApiKeyView) -> impl IntoView + use<> {
    let choices = KeyOverlap::ALL.iter().map(|&overlap| {
        view! {
            <option value=overlap.as_str() selected=overlap == KeyOverlap::default()>
                {overlap.label()}
            </option>
        }
    });
    view! {
        <section class="card question" aria-labelledby="question">
            <h2 id="question">{words::rotate_question(&key.name)}</h2>
            <p>{words::WHAT_ROTATING_DOES}</p>
            <form class="fields" method="post" action="/api/api-keys/rotate">
                {org_field()} <input type="hidden" name="key_id" value=key.id.0.clone() />
                <label class="field">
                    <span>{words::OLD_KEY_WORKS_FOR}</span>
                    <select name="overlap">{choices.collect_view()}</select>
                </label>
                {answer_buttons(paths::API_KEYS, "primary", "Rotate")}
            </form>
        </section>
    }
}

fn rename(key: &ApiKeyView) -> impl IntoView + use<> {
    let typed = typed_about("/api/api-keys/rename", "key_id", key.id.as_str());
    view! {
        <section class="card question" aria-labelledby="question">
            <h2 id="question">{words::rename_title(&key.name)}</h2>
            <form class="fields" method="post" action="/api/api-keys/rename">
                {org_field()} <input type="hidden" name="key_id" value=key.id.0.clone() />
                <label class="field">
                    <span>{words::NEW_NAME}</span>
                    <input
                        maxlength="100"
                        autocomplete="off"
                        required=true
                        {..typed.input("name", &key.name, None)}
                    />
                </label>
                {typed.error("name")}
                {answer_buttons(paths::API_KEYS, "primary", "Rename")}
            </form>
        </section>
    }
}

fn limit(view: &ApiKeysView, key: &ApiKeyView) -> impl IntoView + use<> {
    let typed = typed_about("/api/api-keys/limit", "key_id", key.id.as_str());
    let (is_limited, chosen) = (key.connections.is_some(), key.connections.clone().unwrap_or_default());
    // One that was disconnected stays in the list as long as the key opens it.
    let gone = chosen.iter().filter(|one| !view.connections.contains(one));
    let connections = view.connections.iter().chain(gone).enumerate().map(|(place, one)| {
        view! {
            <label class="check">
                <input
                    type="checkbox"
                    name=format!("bindings[{place}]")
                    value=one.id.0.clone()
                    checked=typed.has("bindings", one.id.as_str(), chosen.contains(one))
                />
                {one.name.clone()}
            </label>
        }
    });
    let reach = |reach: KeyReach, text: &'static str| {
        view! {
            <label class="check">
                <input
                    type="radio"
                    name="reach"
                    value=reach.as_str()
                    checked=typed.has("reach", reach.as_str(), (reach == KeyReach::Chosen) == is_limited)
                    autofocus=reach == KeyReach::Chosen && typed.is_refused_for(&["bindings"])
                />
                {text}
            </label>
        }
    };
    view! {
        <section class="card question" aria-labelledby="question">
            <h2 id="question">{words::which_connections(&key.name)}</h2>
            <form class="fields" method="post" action="/api/api-keys/limit">
                {org_field()} <input type="hidden" name="key_id" value=key.id.0.clone() />
                <fieldset class="checks">
                    <legend>{words::THE_KEY_OPENS}</legend>
                    {reach(KeyReach::All, words::OPENS_ALL)}
                    {reach(KeyReach::Chosen, words::OPENS_CHOSEN)}
                </fieldset>
                <fieldset class="checks" aria-describedby=typed.described_by("bindings", None)>
                    <legend>{words::CHOSEN_CONNECTIONS}</legend>
                    {typed.error("bindings")}
                    <div class="many-checks">{connections.collect_view()}</div>
                </fieldset>
                {answer_buttons(paths::API_KEYS, "primary", "Save")}
            </form>
        </section>
    }
}
