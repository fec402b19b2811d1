//! Connect links: the form, a new link, the open ones, and the return addresses.

use leptos::prelude::*;

use crate::model::{ConnectLinkView, SettingsView};
use crate::ui::components::org_field::org_field;
use crate::ui::components::secret_card::SecretCard;
use crate::ui::components::time;

/// The lifetimes that the form offers, in seconds.
const LIFETIMES: [(i64, &str); 4] =
    [(3_600, "1 hour"), (86_400, "1 day"), (7 * 86_400, "7 days"), (30 * 86_400, "30 days")];

/// Renders the section. `None` if the viewer may not manage connections.
pub fn links(view: &SettingsView) -> impl IntoView + use<> {
    if !view.may_manage {
        return None;
    }
    let rows = view.links.iter().map(row).collect_view();
    Some(view! {
        <section aria-labelledby="links">
            <div class="section-head">
                <h2 id="links">"Connect links"</h2>
            </div>
            <div class="stack">
                {(!view.links.is_empty())
                    .then(|| view! { <ul class="connections" aria-label="Connect links">{rows}</ul> })}
                {create_form(view)} {return_urls(view)}
            </div>
        </section>
    })
}

fn create_form(view: &SettingsView) -> impl IntoView + use<> {
    let connections = view.connections.iter().map(|one| {
        view! { <option value=one.id.0.clone()>{format!("Reconnect {}", one.tenant_name)}</option> }
    });
    let lifetimes = LIFETIMES.map(|(seconds, label)| {
        view! {
            <option value=seconds.to_string() selected=label == "7 days">
                {label}
            </option>
        }
    });
    view! {
        <form class="card stack" method="post" action="/api/integrations/links/create">
            {org_field()}
            <p class="hint" id="link-hint">
                "Somebody else has the Xero sign-in? Send them a link. They connect Xero with it once, without an account in Evergrant."
            </p>
            <label class="field">
                <span>"What it connects"</span>
                <select name="binding_id">
                    <option value="">"A new connection"</option>
                    {connections.collect_view()}
                </select>
            </label>
            <label class="field">
                <span>"Your name (optional)"</span>
                <input name="requested_by" maxlength="100" autocomplete="name" />
            </label>
            <label class="field">
                <span>"What for (optional)"</span>
                <input name="note" maxlength="300" autocomplete="off" aria-describedby="link-hint" />
            </label>
            {view
                .can_send_email
                .then(|| {
                    view! {
                        <label class="field">
                            <span>"Send the link to (optional)"</span>
                            <input type="email" name="email" maxlength="254" autocomplete="off" />
                        </label>
                    }
                })}
            <label class="field">
                <span>"Works for"</span>
                <select name="lifetime">{lifetimes.collect_view()}</select>
            </label>
            <details>
                <summary>"For programs"</summary>
                <div class="stack">
                    <label class="field">
                        <span>"Your ID of the connection"</span>
                        <input name="external_id" maxlength="255" autocomplete="off" />
                    </label>
                    <label class="field">
                        <span>"Tags, with spaces between them"</span>
                        <input name="tags" autocomplete="off" autocapitalize="none" />
                    </label>
                    <label class="field">
                        <span>"Return address"</span>
                        <input type="url" name="return_url" maxlength="500" autocomplete="off" />
                    </label>
                </div>
            </details>
            <button class="button">"Create link"</button>
        </form>
    }
}

fn return_urls(view: &SettingsView) -> impl IntoView + use<> {
    let urls = view.return_urls.join("\n");
    view.may_edit_return_urls.then(|| {
        view! {
            <form class="card stack" method="post" action="/api/integrations/links/return-urls">
                {org_field()}
                <label class="field">
                    <span>"Return addresses"</span>
                    <textarea name="urls" rows="3" spellcheck="false" aria-describedby="return-urls-hint">
                        {urls}
                    </textarea>
                </label>
                <p class="hint" id="return-urls-hint">
                    "One a line. A link may send people back only to an address that begins with one of these."
                </p>
                <button class="button">"Save return addresses"</button>
            </form>
        }
    })
}

/// Shows a new link once.
pub fn new_link(url: &str) -> impl IntoView + use<> {
    let text = "Send it only to the person who is to connect Xero: anyone with the link can use it, once. You won't be able to see it again.";
    view! {
        <SecretCard
            id="connect-link-address"
            title="Connect link"
            secret=url.to_owned()
            copy="Copy the link"
            text=text.into_any()
        />
    }
}

fn row(one: &ConnectLinkView) -> impl IntoView + use<> {
    let title = format!("link-{}", one.id);
    let name = one.tenant_name.clone().map_or_else(|| "New connection".to_owned(), |name| format!("Reconnect {name}"));
    view! {
        <li class="connection brief">
            <div class="connection-name">
                <h3 id=title.clone()>{name} {(!one.note.is_empty()).then(|| format!(": {}", one.note))}</h3>
                <span class="meta">
                    {format!("by {}, ", one.created_by)}
                    {one.email.clone().map(|email| format!("sent to {email}, "))} "expires on " {time::absolute(one.expires_at)}
                </span>
            </div>
            <form method="post" action="/api/integrations/links/cancel">
                {org_field()}
                <input type="hidden" name="link_id" value=one.id.0.clone() />
                <button class="button" aria-describedby=title>
                    "Cancel link"
                </button>
            </form>
        </li>
    }
    .into_any()
}
