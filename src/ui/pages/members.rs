//! Settings → Members: who belongs to the organisation, who is invited, and the organisation's name.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::failure;
use crate::api;
use crate::model::MembersView;
use crate::ui::frame::{Frame, page, settings_tabs};
use crate::ui::members::{self, Question};

const HERE: &str = "/settings/members";

#[component]
pub fn Members() -> impl IntoView {
    let query = use_query_map().read_untracked().clone();
    // The menus' links lead here.
    let asked = Question::read(|name| query.get(name));
    let link = page().invited;
    view! {
        <Frame title="Members">
            {Suspend::new(async move {
                match api::members().await {
                    Ok(view) => {
                        let question = asked.and_then(|asked| members::question(&view, &asked));
                        let link = link.as_ref().map(|link| members::link(link.show()).into_any());
                        loaded(&view, question, link).into_any()
                    }
                    Err(error) => failure("Members", &error, HERE.to_owned()).into_any(),
                }
            })}
        </Frame>
    }
}

fn loaded(view: &MembersView, question: Option<AnyView>, link: Option<AnyView>) -> impl IntoView + use<> {
    view! {
        <div class="contents" data-as-of=view.as_of>
            <header class="page-head">
                <div>
                    <h1>"Members"</h1>
                    <p class="lead">{format!("Who works in {}, and what they may do.", view.organisation)}</p>
                </div>
            </header>
            {settings_tabs(HERE)} {question} {link} {members::list(view)} {members::invitations(view)}
            {members::organisation(view)}
        </div>
    }
}
