//! The forms about connect links: a new link, and the addresses that links may return to.

use leptos::prelude::*;

use super::words;
use crate::model::ConnectLinksView;
use crate::ui::components::org_field::org_field;
use crate::ui::components::typed::typed;

/// The lifetimes that the form offers, in seconds.
const LIFETIMES: [(i64, &str); 4] =
    [(3_600, "1 hour"), (86_400, "1 day"), (7 * 86_400, "7 days"), (30 * 86_400, "30 days")];

/// The lifetime that is chosen at first, in seconds.
const DEFAULT_LIFETIME: i64 = 7 * 86_400;

/// Renders the form that creates a link. `chosen` is the id of the connection that it starts with.
pub fn create_form(view: &ConnectLinksView, chosen: Option<&str>) -> impl IntoView + use<> {
    let typed = typed("/api/integrations/links/create");
    let chosen = typed.value("binding_id", chosen.unwrap_or_default());
    let lifetime = typed.value("lifetime", DEFAULT_LIFETIME.to_string());
    let for_programs = typed.is_refused_for(&["external_id", "tags", "return_url"]);
    let connections = view.connections.iter().map(|one| {
        let selected = chosen == one.id.0;
        view! { <option value=one.id.0.clone() selected=selected>{words::reconnect(&one.tenant_name)}</option> }
    });
    let connections = connections.collect_view();
    let lifetimes = LIFETIMES.map(|(seconds, label)| {
        view! {
            <option value=seconds.to_string() selected=seconds.to_string() == lifetime>
                {label}
            </option>
        }
    });
    view! {
        <form class="card stack" method="post" action="/api/integrations/links/create">
            {org_field()}
            <label class="field">
                <span>{words::WHAT_IT_CONNECTS}</span>
                <select name="binding_id">
                    <option value="">{words::A_NEW_CONNECTION}</option>
                    {connections}
                </select>
            </label>
            <label class="field">
                <span>{words::YOUR_NAME}</span>
                <input name="requested_by" value=typed.value("requested_by", "") maxlength="100" autocomplete="name" />
            </label>
            <label class="field">
                <span>{words::WHAT_FOR}</span>
                <input
                    maxlength="300"
                    autocomplete="off"
                    {..typed.input("note", "", None)}
                />
            </label>
            {typed.error("note")}
            {view
                .can_send_email
                .then(|| {
                    view! {
                        <label class="field">
                            <span>{words::SEND_THE_LINK_TO}</span>
                            <input
                                type="email"
                                maxlength="254"
                                autocomplete="off"
                                {..typed.input("email", "", None)}
                            />
                        </label>
                        {typed.error("email")}
                    }
                })}
            <label class="field">
                <span>{words::WORKS_FOR}</span>
                <select name="lifetime">{lifetimes.collect_view()}</select>
            </label>
            <details open=for_programs>
                <summary>{words::FOR_PROGRAMS}</summary>
                <div class="stack">
                    <label class="field">
                        <span>{words::YOUR_ID}</span>
                        <input
                            maxlength="255"
                            autocomplete="off"
                            {..typed.input("external_id", "", None)}
                        />
                    </label>
                    {typed.error("external_id")}
                    <label class="field">
                        <span>{words::TAGS}</span>
                        <input
                            autocomplete="off"
                            autocapitalize="none"
                            {..typed.input("tags", "", None)}
                        />
                    </label>
                    {typed.error("tags")}
                    <label class="field">
                        <span>{words::RETURN_ADDRESS}</span>
                        <input
                            type="url"
                            maxlength="500"
                            autocomplete="off"
                            {..typed.input("return_url", "", None)}
                        />
                    </label>
                    {typed.error("return_url")}
                </div>
            </details>
            <button class="button">{words::CREATE_LINK}</button>
        </form>
    }
}

/// Renders the form for the return addresses. `None` if the viewer may not change them.
pub fn return_urls(view: &ConnectLinksView) -> impl IntoView + use<> {
    let typed = typed("/api/integrations/links/return-urls");
    let urls = typed.value("urls", view.return_urls.join("\n"));
    view.may_edit_return_urls.then(|| {
        view! {
            <form class="card stack" method="post" action="/api/integrations/links/return-urls">
                {org_field()}
                <label class="field">
                    <span>{words::RETURN_ADDRESSES}</span>
                    <textarea
                        rows="3"
                        spellcheck="false"
                        {..typed.marks("urls", Some("return-urls-hint"))}
                    >
                        {urls}
                    </textarea>
                </label>
                {typed.error("urls")}
                <p class="hint" id="return-urls-hint">
                    {words::RETURN_ADDRESSES_HINT}
                </p>
                <button class="button">{words::SAVE_RETURN_ADDRESSES}</button>
            </form>
        }
    })
}
