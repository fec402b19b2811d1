//! The parts of the API keys' page. All of it is HTML and forms.

use leptos::prelude::*;

use super::icons::{CHECK, CLOCK, INFO, SLASH, icon};
use super::time;
use super::times::{AGO, shown};
use crate::model::{ApiKeyView, ApiKeysView, KeyLife, KeyStatus, Revealed, Scope};

const PAGE: &str = "/settings/api-keys";

/// The one look at a new key, and what to do with it.
pub fn made(key: &Revealed, origin: &str) -> impl IntoView + use<> {
    let call = format!("curl -H \"Authorization: Bearer $EVERGRANT_KEY\" {origin}/api/v1/bindings");
    view! {
        <section class="card secret" aria-labelledby="made">
            <h2 id="made">{icon(INFO)} "The new API key"</h2>
            <p>
                "Copy it to where your program keeps its secrets. It isn't shown again, and nobody can look it up."
            </p>
            <pre>
                <code id="new-key">{key.show().to_owned()}</code>
            </pre>
            <p class="copy">
                <button type="button" class="button" data-copy="new-key" hidden=true>
                    "Copy the key"
                </button>
                <span role="status" class="meta"></span>
            </p>
            <p class="hint">"With the key in EVERGRANT_KEY, this lists the connections that it opens:"</p>
            <pre><code>{call}</code></pre>
        </section>
    }
}

/// The keys, newest first.
pub fn list(view: &ApiKeysView) -> impl IntoView + use<> {
    let rows = view.keys.iter().map(row).collect_view();
    view! {
        <section aria-labelledby="keys">
            <div class="section-head">
                <h2 id="keys">"Keys"</h2>
            </div>
            {if view.keys.is_empty() {
                view! { <p class="hint">"No API key yet. Make one for each program, so that each can be revoked by itself."</p> }
                    .into_any()
            } else {
                view! { <ul class="connections" aria-label="API keys">{rows}</ul> }.into_any()
            }}
        </section>
    }
}

fn row(key: &ApiKeyView) -> impl IntoView + use<> {
    let (tone, path, word) = match key.status {
        KeyStatus::Active => ("good", CHECK, "Active"),
        KeyStatus::Expired => ("warn", CLOCK, "Expired"),
        KeyStatus::Revoked => ("quiet", SLASH, "Revoked"),
    };
    let title = format!("key-{}", key.id);
    let revoke = (key.status != KeyStatus::Revoked).then(|| {
        view! {
            <div class="connection-actions">
                <a class="button" href=format!("{PAGE}?revoke={}", key.id) aria-describedby=title.clone()>
                    "Revoke"
                </a>
            </div>
        }
    });
    let may = key.scopes.iter().map(|scope| view! { <div>{scope.words()}</div> }).collect_view();
    view! {
        <li class="connection">
            <div class="connection-who">
                <div class="connection-name">
                    <h3 id=title>{key.name.clone()}</h3>
                    <span class="badge" data-tone=tone>{icon(path)} {word}</span>
                </div>
                <p class="meta">
                    <code>{format!("{}…", key.prefix)}</code>
                    ", made on "
                    <time datetime=time::iso(key.created_at)>{time::date(key.created_at)}</time>
                    {key.created_by.clone().map_or_else(|| " at the command line".to_owned(), |by| format!(" by {by}"))}
                </p>
            </div>
            {revoke}
            <dl class="facts">
                <div>
                    <dt>"May"</dt>
                    <dd>{may}</dd>
                </div>
                <div>
                    <dt>"Last used"</dt>
                    <dd>
                        {match key.last_used_at {
                            Some(at) => shown(at, AGO, time::absolute(at)).into_any(),
                            None => "Never".into_any(),
                        }}
                    </dd>
                </div>
                {ends(key)}
            </dl>
        </li>
    }
    .into_any()
}

fn ends(key: &ApiKeyView) -> impl IntoView + use<> {
    let (word, at) = match key.revoked_at {
        Some(at) => ("Revoked", Some(at)),
        None => (if key.status == KeyStatus::Expired { "Expired" } else { "Expires" }, key.expires_at),
    };
    let when = at.map(|at| view! { <time datetime=time::iso(at)>{time::absolute(at)}</time> }.into_any());
    view! {
        <div>
            <dt>{word}</dt>
            <dd>{when.unwrap_or_else(|| "Never".into_any())}</dd>
        </div>
    }
}

/// The form for another key.
pub fn form() -> impl IntoView {
    let scopes = Scope::ALL.iter().enumerate().map(|(place, scope)| {
        view! {
            <label class="check">
                <input type="checkbox" name=format!("scopes[{place}]") value=scope.as_str() checked=true />
                {scope.words()}
            </label>
        }
    });
    let lives = KeyLife::ALL.iter().map(|&life| {
        view! {
            <option value=life.as_str() selected=life == KeyLife::default()>
                {life.words()}
            </option>
        }
    });
    view! {
        <section aria-labelledby="new">
            <div class="section-head">
                <h2 id="new">"New key"</h2>
            </div>
            <form class="card fields" method="post" action="/api/api-keys/create">
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
                        "What asks with it, as this list and the activity will call it."
                    </span>
                </label>
                <fieldset class="checks">
                    <legend>"It may"</legend>
                    {scopes.collect_view()}
                </fieldset>
                <label class="field">
                    <span>"It counts for"</span>
                    <select name="life">{lives.collect_view()}</select>
                </label>
                <p>
                    <button class="button primary">"Make API key"</button>
                </p>
            </form>
        </section>
    }
}

/// The question before a key ends; nothing where it has ended.
pub fn revocation(view: &ApiKeysView, asked: &str) -> Option<AnyView> {
    let key = view.keys.iter().find(|key| key.id.0 == asked && key.status != KeyStatus::Revoked)?;
    Some(
        view! {
            <section class="card question" aria-labelledby="question">
                <h2 id="question">{format!("Revoke {}?", key.name)}</h2>
                <p>
                    "Whatever asks with " <code>{format!("{}…", key.prefix)}</code>
                    " is refused from then on. This can't be undone; tokens that it has already work until they end, thirty minutes at most."
                </p>
                <form class="dialog-actions" method="post" action="/api/api-keys/revoke">
                    <input type="hidden" name="key_id" value=key.id.0.clone() />
                    <a class="button" href=PAGE>"Cancel"</a>
                    <button class="button danger">"Revoke"</button>
                </form>
            </section>
        }
        .into_any(),
    )
}
