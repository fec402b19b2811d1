//! The list of API keys, and the card that shows a new one once.

use leptos::prelude::*;

use super::words;
use crate::model::{ApiKeyStatus, ApiKeyView, ApiKeysView, KeyUseView, PreviousKeyView, RevealedSecret, Tone, paths};
use crate::ui::components::actions_menu::ActionsMenu;
use crate::ui::components::badge::Badge;
use crate::ui::components::org_field::org_field;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::secret_card::SecretCard;
use crate::ui::components::time;
use crate::ui::shared::icons::{CHECK, CLOCK, SLASH};

/// Shows a new key once, with an example call.
pub fn new_key_card(key: &RevealedSecret, origin: &str) -> impl IntoView + use<> {
    let call = words::example_call(origin);
    view! {
        <SecretCard
            id="new-key"
            title=words::YOUR_NEW_KEY
            secret=key.expose().to_owned()
            copy=words::COPY_THE_KEY
            text=words::COPY_IT_NOW.rendered()
        >
            <p class="hint">{words::WHAT_THE_EXAMPLE_DOES}</p>
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
                <h2 id="keys">{words::KEYS}</h2>
            </div>
            {if view.keys.is_empty() {
                view! { <p class="hint">{words::NO_KEYS}</p> }
                    .rendered()
            } else {
                view! { <ul class="connections" aria-label=words::TITLE>{rows}</ul> }.rendered()
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
    let is_revoked = key.status == ApiKeyStatus::Revoked;
    let (key_actions, previous) = ((!is_revoked).then(|| actions(key, title.clone())), key.previous.as_ref());
    let previous = previous.filter(|_| !is_revoked).map(replaced);
    let may = key.scopes.iter().map(|scope| view! { <div>{scope.label()}</div> }).collect_view();
    view! {
        <li class="connection" data-key=key.id.0.clone()>
            <div class="connection-who">
                <div class="connection-name">
                    <h3 id=title>{key.name.clone()}</h3>
                    {badge.render()}
                </div>
                <p class="meta">
                    {words::key_origin(
                        view! { <code>{format!("{}…", key.prefix)}</code> },
                        key.rotated_at.is_some(),
                        time::date(key.rotated_at.unwrap_or(key.created_at)),
                        key.created_by.clone(),
                    )}
                </p>
                {previous}
            </div>
            {key_actions}
            <dl class="facts">
                <div>
                    <dt>"Permissions"</dt>
                    <dd>{may}</dd>
                </div>
                <div>
                    <dt>"Connections"</dt>
                    <dd>{opens(key)}</dd>
                </div>
                <div>
                    <dt>{words::LAST_USED}</dt>
                    <dd>{last_use(&key.last_use)}</dd>
                </div>
                {expiry(key)}
            </dl>
        </li>
    }
    .rendered()
}

fn expiry(key: &ApiKeyView) -> impl IntoView + use<> {
    let (word, at) = match key.revoked_at {
        Some(at) => ("Revoked", Some(at)),
        None => (if key.status == ApiKeyStatus::Expired { "Expired" } else { "Expires" }, key.expires_at),
    };
    let when = at.map(time::absolute);
    view! {
        <div>
            <dt>{word}</dt>
            <dd>{when.unwrap_or_else(|| "Never".rendered())}</dd>
        </div>
    }
}

/// Names the connections that the key opens.
fn opens(key: &ApiKeyView) -> String {
    match &key.connections {
        None => "All".to_owned(),
        Some(only) if only.is_empty() => words::OPENS_NONE_ANY_MORE.to_owned(),
        Some(only) => only.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

fn last_use(used: &KeyUseView) -> impl IntoView + use<> {
    let Some(at) = used.at else { return "Never".rendered() };
    let by = Some(used.by()).filter(|by| !by.is_empty());
    view! {
        {time::age(at)}
        " "
        {by.map(|by| view! { <div class="meta">{by}</div> })}
    }
    .rendered()
}

/// Names the old key while it still works.
fn replaced(previous: &PreviousKeyView) -> impl IntoView + use<> {
    let prefix = view! { <code>{format!("{}…", previous.prefix)}</code> };
    let last_use = match previous.last_use.at {
        Some(at) => words::old_key_last_used(time::age(at), previous.last_use.by()).rendered(),
        None => words::OLD_KEY_NEVER_USED.rendered(),
    };
    view! { <p class="meta">{words::old_key(prefix, time::absolute(previous.ends_at), last_use)}</p> }
}

/// Renders the link that revokes the key, and the menu with what else can be done.
fn actions(key: &ApiKeyView, described_by: String) -> impl IntoView + use<> {
    let link = |verb| format!("{}?{verb}={}", paths::API_KEYS, key.id);
    let (revoke, rename, limit) = (link("revoke"), link("rename"), link("limit"));
    let is_active = key.status == ApiKeyStatus::Active;
    let rotate = (is_active && key.previous.is_none()).then(|| {
        view! {
            <a class="menu-item" href=link("rotate")>
                "Rotate"
            </a>
        }
    });
    let end = key.previous.is_some().then(|| view! { <button class="menu-item">{words::END_THE_OLD_KEY}</button> });
    view! {
        <form class="connection-actions" method="post" action="/api/api-keys/end-previous">
            {org_field()} <input type="hidden" name="key_id" value=key.id.0.clone() />
            <a class="button" href=revoke aria-describedby=described_by>
                "Revoke"
            </a>
            <ActionsMenu id=key.id.0.clone() name=key.name.clone()>
                {rotate} {end}
                <a class="menu-item" href=rename>
                    "Rename"
                </a>
                <a class="menu-item" href=limit>
                    {words::CHOOSE_CONNECTIONS}
                </a>
            </ActionsMenu>
        </form>
    }
}
