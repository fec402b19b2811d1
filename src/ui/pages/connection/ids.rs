//! What identifies the connection, for programs and for support.

use leptos::prelude::*;

use super::words;
use crate::model::ConnectionPageView;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::islands::page_action::PageAction;

/// Renders the section.
pub fn ids(view: &ConnectionPageView) -> impl IntoView + use<> {
    let ids = &view.ids;
    let known = [
        ("binding-id", words::ID_FOR_THE_API, Some(view.connection.id.0.clone())),
        ("tenant-id", words::ID_OF_THE_TENANT, Some(ids.tenant_id.clone())),
        ("connection-id", words::ID_AT_XERO, Some(ids.connection_id.clone()).filter(|id| !id.is_empty())),
        ("external-id", words::YOUR_OWN_ID, ids.external_id.clone()),
        ("tags", "Tags", Some(ids.tags.join(" ")).filter(|tags| !tags.is_empty())),
    ];
    let rows = known.into_iter().filter_map(|(id, label, value)| Some(row(id, label, value?))).collect_view();
    view! {
        <section class="card stack" aria-labelledby="ids">
            <h2 id="ids">{words::IDS}</h2>
            <dl class="pairs">{rows}</dl>
        </section>
    }
}

fn row(id: &'static str, label: &'static str, value: String) -> impl IntoView {
    view! {
        <dt>{label}</dt>
        <dd class="copy">
            <code id=id>{value}</code>
            <button type="button" class="button" data-action=PageAction::Copy(id.to_owned()).to_string() aria-label=words::copy(label)>
                "Copy"
            </button>
            <span role="status" class="meta"></span>
        </dd>
    }
    .rendered()
}
