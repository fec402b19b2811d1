//! The page behind a connect link, for a person who knows nothing of Evergrant: who asks, what for, what it allows, and
//! what became of it.

mod outcome;
mod words;

use leptos::prelude::*;

use crate::model::{ConnectLinkPage, LinkOutcome, LinkStatus};
use crate::ui::components::least_access::{least_access, least_access_button};
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;
use crate::ui::context::page;
use crate::ui::layout::BareLayout;
use outcome::{ended, problem};

/// The page at `/connect/{id}`.
#[component]
pub fn ConnectLink() -> impl IntoView {
    let link = page().connect_link.clone();
    view! {
        <BareLayout title=words::TITLE>
            {match link {
                Some(link) if link.status == LinkStatus::Open && link.outcome != Some(LinkOutcome::Connected) => {
                    open(&link).rendered()
                }
                Some(link) => ended(&link).rendered(),
                None => unknown().rendered(),
            }}
        </BareLayout>
    }
}

fn open(link: &ConnectLinkPage) -> impl IntoView + use<> {
    let permissions = link.permissions.iter().map(|sentence| view! { <li>{sentence.clone()}</li> }).collect_view();
    let is_set = |text: &String| (!text.is_empty()).then(|| text.clone());
    view! {
        {problem(link)}
        <h1>{words::who_asks(link)}</h1>
        <p class="lead">{words::why(&link.organisation)}</p>
        <dl class="pairs">
            {is_set(&link.requested_by).map(|name| view! { <dt>{words::ASKED_BY}</dt> <dd>{name}</dd> })}
            {is_set(&link.note).map(|note| view! { <dt>{words::WHAT_FOR}</dt> <dd>{note}</dd> })}
            {link.tenant_name.clone().map(|name| view! { <dt>{words::ORGANIZATION_IN_XERO}</dt> <dd>{name}</dd> })}
            <dt>{words::LINK_EXPIRES}</dt>
            <dd>{words::in_utc(time::absolute(link.expires_at))}</dd>
        </dl>
        <section class="card stack" aria-labelledby="permissions">
            <h2 id="permissions">{words::what_it_may_do(&link.organisation)}</h2>
            <ul>{permissions}</ul>
            <h2>{words::WHAT_HAPPENS_NEXT}</h2>
            <p>
                {words::NEXT_STEPS}
            </p>
            <form method="post" action="/api/connect-links/start">
                {id_field(link)} <button class="button primary wide">{words::CONNECT}</button>
            </form>
            {link.least_access_lacks.as_ref().map(|lacks| least_access(lacks, least_access_form(link).rendered()))}
            <p class="hint">{words::if_you_do_not_know(&link.organisation)}</p>
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

fn unknown() -> impl IntoView {
    view! {
        <h1>{words::UNKNOWN_LINK}</h1>
        <section class="card stack">
            <p>
                {words::OPEN_THE_WHOLE_LINK}
            </p>
        </section>
    }
}
