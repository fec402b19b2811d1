//! Settings → Members: members, invitations and the organization's name.

pub mod confirm_dialog;
pub mod invitations;
pub mod list;
pub mod organization;
pub mod parts;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::load_failure;
use crate::api;
use crate::model::MembersView;
use crate::ui::layout::{Layout, page, settings_tabs};
use parts::ConfirmationRequest;

const PATH: &str = "/settings/members";

/// The page at `/settings/members`.
#[component]
pub fn Members() -> impl IntoView {
    let query = use_query_map().read_untracked().clone();
    // Set by the links in the members' menus.
    let asked = ConfirmationRequest::from_query(|name| query.get(name));
    let link = page().invitation_link;
    view! {
        <Layout title="Members">
            {Suspend::new(async move {
                match api::members().await {
                    Ok(view) => {
                        let question = asked.and_then(|asked| parts::confirmation(&view, &asked));
                        let link = link.as_ref().map(|link| parts::invitation_link(link.expose()).into_any());
                        loaded(&view, question, link).into_any()
                    }
                    Err(error) => load_failure("Members", &error, PATH.to_owned()).into_any(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: &MembersView, question: Option<AnyView>, link: Option<AnyView>) -> impl IntoView + use<> {
    view! {
        <div class="contents" data-as-of=view.as_of>
            <header class="page-head">
                <div>
                    <h1>"Members"</h1>
                    <p class="lead">{format!("Who belongs to {}, and what they can do.", view.organisation)}</p>
                </div>
            </header>
            {settings_tabs(PATH)} {question} {link} {parts::list(view)} {parts::invitations(view)}
            {parts::organization(view)}
        </div>
    }
}
