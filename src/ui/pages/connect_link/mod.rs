//! The page behind a connect link, for a person who knows nothing of Evergrant: who asks, what for, what it allows, and
//! what became of it.

mod outcome;

use leptos::prelude::*;

use crate::model::{ConnectLinkPage, LinkOutcome, LinkStatus};
use crate::ui::components::least_access::{least_access, least_access_button};
use crate::ui::components::time;
use crate::ui::context::page;
use crate::ui::layout::BareLayout;
use outcome::{ended, problem};

/// The page at `/connect/{id}`.
#[component]
pub fn ConnectLink() -> impl IntoView {
    let link = page().connect_link;
    view! {
        <BareLayout title="Connect to Xero">
            {match link {
                Some(link) if link.status == LinkStatus::Open && link.outcome != Some(LinkOutcome::Connected) => {
                    open(&link).into_any()
                }
                Some(link) => ended(&link).into_any(),
                None => unknown().into_any(),
            }}
        </BareLayout>
    }
}

fn open(link: &ConnectLinkPage) -> impl IntoView + use<> {
    let permissions = link.permissions.iter().map(|sentence| view! { <li>{sentence.clone()}</li> }).collect_view();
    let is_set = |text: &String| (!text.is_empty()).then(|| text.clone());
    view! {
        {problem(link)}
        <h1>{title(link)}</h1>
        <p class="lead">
            {link.organisation.clone()} " uses Evergrant to work with Xero, and needs your permission. You don't need an account here."
        </p>
        <dl class="pairs">
            {is_set(&link.requested_by).map(|name| view! { <dt>"Asked by"</dt> <dd>{name}</dd> })}
            {is_set(&link.note).map(|note| view! { <dt>"What for"</dt> <dd>{note}</dd> })}
            {link.tenant_name.clone().map(|name| view! { <dt>"Organisation in Xero"</dt> <dd>{name}</dd> })}
            <dt>"Link expires"</dt>
            <dd>{time::absolute(link.expires_at)} " UTC"</dd>
        </dl>
        <section class="card stack" aria-labelledby="permissions">
            <h2 id="permissions">{format!("What {} may do", link.organisation)}</h2>
            <ul>{permissions}</ul>
            <h2>"What happens next"</h2>
            <p>
                "You sign in at Xero and choose the organisation. Then you come back here. Your Xero password stays with Xero, and you can end the access there at any time, under Connected apps."
            </p>
            <form method="post" action="/api/connect-links/start">
                {id_field(link)} <button class="button primary wide">"Connect to Xero"</button>
            </form>
            {link.least_access_lacks.as_ref().map(|lacks| least_access(lacks, least_access_form(link).into_any()))}
            <p class="hint">
                {format!("If you don't know {}, close this page: nothing has happened yet.", link.organisation)}
            </p>
        </section>
    }
}

fn least_access_form(link: &ConnectLinkPage) -> impl IntoView + use<> {
    view! {
        <form method="post" action="/api/connect-links/start">
            {id_field(link)} {least_access_button()}
        </form>
    }
}

fn id_field(link: &ConnectLinkPage) -> impl IntoView + use<> {
    view! { <input type="hidden" name="id" value=link.id.0.clone() /> }
}

fn title(link: &ConnectLinkPage) -> String {
    match &link.tenant_name {
        Some(tenant) => format!("{} asks you to reconnect {tenant} to Xero", link.organisation),
        None => format!("{} asks you to connect Xero", link.organisation),
    }
}

fn unknown() -> impl IntoView {
    view! {
        <h1>"This link doesn't work here"</h1>
        <section class="card stack">
            <p>
                "Open the whole link again, as it was sent to you, in this browser. If that doesn't help, ask the person who sent it for a new one."
            </p>
        </section>
    }
}
