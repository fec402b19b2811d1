//! The parts of the API keys page: plain HTML and forms.

use leptos::prelude::*;

use crate::model::{ApiKeyLifetime, ApiKeyStatus, ApiKeyView, ApiKeysView, RevealedSecret, Scope, Tone, paths};
use crate::ui::components::badge::Badge;
use crate::ui::components::org_field::org_field;
use crate::ui::components::question_card::ConfirmationCard;
use crate::ui::components::secret_card::SecretCard;
use crate::ui::components::time;
use crate::ui::shared::icons::{CHECK, CLOCK, SLASH};

/// Shows a new key once, with an example call.
pub fn new_key_card(key: &RevealedSecret, origin: &str) -> impl IntoView + use<> {
    let call = format!("curl -H \"Authorization: Bearer $EVERGRANT_KEY\" {origin}/api/v1/bindings");
    let text = "Copy it now and store it with your program's secrets. You won't be able to see it again.";
    view! {
        <SecretCard
            id="new-key"
            title="Your new API key"
            secret=key.expose().to_owned()
            copy="Copy the key"
            text=text.into_any()
        >
            <p class="hint">"With the key in EVERGRANT_KEY, this command lists the connections that it can access:"</p>
            <pre><code>{call}</code></pre>
        </SecretCard>
    }
}

/// Renders the keys, newest first.
pub fn list(view: &ApiKeysView) -> impl IntoView + use<> {
    let rows = view.keys.iter().map(row).collect_view();
    view! {
        <section aria-labelledby="keys">
            <div class="section-head">
                <h2 id="keys">"Keys"</h2>
            </div>
            {if view.keys.is_empty() {
                view! { <p class="hint">"No API keys yet. Create one for each program, so that you can revoke each one separately."</p> }
                    .into_any()
            } else {
                view! { <ul class="connections" aria-label="API keys">{rows}</ul> }.into_any()
            }}
        </section>
    }
}

fn row(key: &ApiKeyView) -> impl IntoView + use<> {
    let badge = match key.status {
        ApiKeyStatus::Active => Badge::new(Tone::Good, CHECK, "Active"),
        ApiKeyStatus::Expired => Badge::new(Tone::Warn, CLOCK, "Expired"),
        ApiKeyStatus::Revoked => Badge::new(Tone::Quiet, SLASH, "Revoked"),
    };
    let title = format!("key-{}", key.id);
    let revoke = (key.status != ApiKeyStatus::Revoked).then(|| {
        view! {
            <div class="connection-actions">
                <a class="button" href=format!("{}?revoke={}", paths::API_KEYS, key.id) aria-describedby=title.clone()>
                    "Revoke"
                </a>
            </div>
        }
    });
    let may = key.scopes.iter().map(|scope| view! { <div>{scope.label()}</div> }).collect_view();
    view! {
        <li class="connection">
            <div class="connection-who">
                <div class="connection-name">
                    <h3 id=title>{key.name.clone()}</h3>
                    {badge.render()}
                </div>
                <p class="meta">
                    <code>{format!("{}…", key.prefix)}</code>
                    ", created on "
                    {time::date(key.created_at)}
                    {key.created_by.clone().map_or_else(|| " from the command line".to_owned(), |by| format!(" by {by}"))}
                </p>
            </div>
            {revoke}
            <dl class="facts">
                <div>
                    <dt>"Permissions"</dt>
                    <dd>{may}</dd>
                </div>
                <div>
                    <dt>"Last used"</dt>
                    <dd>
                        {match key.last_used_at {
                            Some(at) => time::age(at).into_any(),
                            None => "Never".into_any(),
                        }}
                    </dd>
                </div>
                {expiry(key)}
            </dl>
        </li>
    }
    .into_any()
}

fn expiry(key: &ApiKeyView) -> impl IntoView + use<> {
    let (word, at) = match key.revoked_at {
        Some(at) => ("Revoked", Some(at)),
        None => (if key.status == ApiKeyStatus::Expired { "Expired" } else { "Expires" }, key.expires_at),
    };
    let when = at.map(|at| time::absolute(at).into_any());
    view! {
        <div>
            <dt>{word}</dt>
            <dd>{when.unwrap_or_else(|| "Never".into_any())}</dd>
        </div>
    }
}

/// Renders the form that creates a key.
pub fn create_form() -> impl IntoView {
    let scopes = Scope::ALL.iter().enumerate().map(|(place, scope)| {
        view! {
            <label class="check">
                <input type="checkbox" name=format!("scopes[{place}]") value=scope.as_str() checked=true />
                {scope.label()}
            </label>
        }
    });
    let lives = ApiKeyLifetime::ALL.iter().map(|&life| {
        view! {
            <option value=life.as_str() selected=life == ApiKeyLifetime::default()>
                {life.label()}
            </option>
        }
    });
    view! {
        <section aria-labelledby="new">
            <div class="section-head">
                <h2 id="new">"New key"</h2>
            </div>
            <form class="card fields" method="post" action="/api/api-keys/create">
                {org_field()}
                <label class="field">
                    <span>"Name"</span>
                    <input
                        name="name"
                        maxlength="100"
                        autocomplete="off"
                        placeholder="Nightly export"
                        required=true
                        aria-describedby="name-hint"
                    />
                    <span class="hint" id="name-hint">
                        "The program that will use the key. This list and the activity page show it."
                    </span>
                </label>
                <fieldset class="checks">
                    <legend>"Permissions"</legend>
                    {scopes.collect_view()}
                </fieldset>
                <label class="field">
                    <span>"Expires after"</span>
                    <select name="life">{lives.collect_view()}</select>
                </label>
                <p>
                    <button class="button primary">"Create API key"</button>
                </p>
            </form>
        </section>
    }
}

/// Asks for confirmation before a key is revoked. `None` if there is no such key or it has been revoked.
pub fn revoke_confirmation(view: &ApiKeysView, asked: &str) -> Option<AnyView> {
    let key = view.keys.iter().find(|key| key.id.0 == asked && key.status != ApiKeyStatus::Revoked)?;
    let text = view! {
        "Requests with "
        <code>{format!("{}…", key.prefix)}</code>
        " will be refused from then on. You can't undo this. Access tokens that it has already returned work until they expire, after 30 minutes at most."
    };
    let card = view! {
        <ConfirmationCard
            title=format!("Revoke {}?", key.name)
            text=text.into_any()
            action="/api/api-keys/revoke"
            field=("key_id", key.id.0.clone())
            cancel=paths::API_KEYS
            verb="Revoke"
        />
    };
    Some(card.into_any())
}
