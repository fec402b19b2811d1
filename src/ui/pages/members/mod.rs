//! Settings → Members: members, invitations and the organization's name.

mod confirm_card;
mod factor_policy;
mod invitations;
mod list;
mod organization;
mod words;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{MemberBelongings, MembersView, UserId, paths};
use crate::ui::components::live_body::around_live_body;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::rendered::{IntoRendered as _, Rendered};
use crate::ui::context::page;
use crate::ui::layout::{Layout, settings_tabs};
use confirm_card::{MemberAction, confirmation};
use factor_policy::factor_policy;
use invitations::{invitation_link, invite_form, open_invitations};
use list::list;
use organization::organization;

/// The page at `/settings/members`.
#[component]
pub fn Members() -> impl IntoView {
    let query = use_query_map().read_untracked().clone();
    // Set by the links in the members' menus.
    let asked = MemberAction::from_query(|name| query.get(name));
    let link = page().invitation_link.clone();
    view! {
        <Layout title=words::TITLE>
            {Suspend::new(async move {
                match api::members().await {
                    Ok(view) => {
                        let removed = asked.as_ref().and_then(|asked| removable(&view, asked));
                        let belongings = match removed {
                            Some(id) => api::belongings(id).await.unwrap_or_default(),
                            None => MemberBelongings::default(),
                        };
                        let question = asked.and_then(|asked| confirmation(&view, &asked, &belongings));
                        let link = link.as_ref().map(|link| invitation_link(link).rendered());
                        loaded(&view, question, link).rendered()
                    }
                    Err(error) => load_failure(words::TITLE, &error, paths::MEMBERS.to_owned()).rendered(),
                }
            })}
        </Layout>
    }
}

/// Returns the member whose removal is asked about, if the viewer may remove them.
fn removable(view: &MembersView, asked: &MemberAction) -> Option<UserId> {
    let one = view.members.iter().find(|one| Some(one.user_id.as_str()) == asked.removed())?;
    (one.is_you || view.role.may_manage(one.role)).then(|| one.user_id.clone())
}

fn loaded(view: &MembersView, question: Option<Rendered>, link: Option<Rendered>) -> Rendered {
    let before = view! {
        <header class="page-head">
            <div>
                <h1>{words::TITLE}</h1>
                <p class="lead">{words::who_belongs(&view.organisation)}</p>
            </div>
        </header>
        {settings_tabs(paths::MEMBERS)}
        {question}
        {link}
    };
    let lists = (list(view), open_invitations(view));
    let after = (invite_form(view), factor_policy(view), organization(view));
    around_live_body(before.rendered(), (view.as_of, lists.rendered()), after.rendered())
}
