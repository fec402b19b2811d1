//! The members, and what may be done with each.

use leptos::prelude::*;

use super::word;
use crate::model::{MemberView, MembersView, Permission, Role};
use crate::ui::icons::{DOTS, icon};
use crate::ui::time;

/// The section.
pub fn list(view: &MembersView) -> impl IntoView + use<> {
    let rows = view.members.iter().map(|one| row(one, view)).collect_view();
    view! {
        <section aria-labelledby="members">
            <div class="section-head">
                <h2 id="members">"People"</h2>
            </div>
            <div class="stack">
                {view.kept_elsewhere.then(elsewhere)}
                <ul class="connections" aria-label="Members">{rows}</ul>
                <p class="hint">
                    "Owners may do everything. Admins do all that concerns no owner. Members look, refresh and leave."
                </p>
            </div>
        </section>
    }
}

fn elsewhere() -> impl IntoView {
    view! {
        <p class="hint">
            "Members are kept in Clerk: invite, change and remove people in its organisation menu at the top of this page. Who came here once is listed."
        </p>
    }
}

fn row(one: &MemberView, view: &MembersView) -> impl IntoView + use<> {
    let title = format!("member-{}", one.user_id);
    let tone = if one.role == Role::Member { "quiet" } else { "info" };
    view! {
        <li class="connection brief">
            <div class="connection-name">
                <h3 class="address" id=title>{one.email.clone()}</h3>
                <span class="badge" data-tone=tone>{word(one.role)}</span>
                <span class="meta">
                    {one.is_you.then_some("You, ")} "since "
                    <time datetime=time::iso(one.since)>{time::date(one.since)}</time>
                </span>
            </div>
            {actions(one, view)}
        </li>
    }
    .into_any()
}

/// A form whose buttons give a role, and links to what is asked about first. Nothing where nothing is allowed.
fn actions(one: &MemberView, view: &MembersView) -> Option<AnyView> {
    if view.kept_elsewhere {
        return None;
    }
    let last = one.role == Role::Owner && view.owners() == 1;
    let roles = [Role::Owner, Role::Admin, Role::Member]
        .into_iter()
        .filter(|role| !last && *role != one.role && view.role.may_manage(one.role) && view.role.may_manage(*role));
    let roles: Vec<Role> = roles.collect();
    let hands_over = !one.is_you && view.role.may(Permission::ManageOwners);
    let removes = !one.is_you && view.role.may_manage(one.role) && !last;
    let leaves = one.is_you && !last;
    if roles.is_empty() && !hands_over && !removes && !leaves {
        return None;
    }
    let (menu, label) = (format!("actions-{}", one.user_id), format!("Actions for {}", one.email));
    let buttons = roles.into_iter().map(|role| {
        let article = if role == Role::Member { "a" } else { "an" };
        view! {
            <button class="menu-item" role="menuitem" name="role" value=role.as_str()>
                {format!("Make {article} {}", role.as_str())}
            </button>
        }
    });
    let ask = |what: &str| format!("/settings/members?{what}={}", one.user_id);
    Some(
        view! {
            <form method="post" action="/api/members/set-role">
                <input type="hidden" name="user_id" value=one.user_id.0.clone() />
                <button
                    type="button"
                    class="icon-button"
                    aria-label=label.clone()
                    aria-haspopup="menu"
                    popovertarget=menu.clone()
                >
                    {icon(DOTS)}
                </button>
                <div id=menu class="menu" popover="auto" role="menu" aria-label=label>
                    {buttons.collect_view()} {hands_over.then(|| link(ask("transfer"), "Hand ownership over", ""))}
                    {removes.then(|| link(ask("remove"), "Remove", " danger"))}
                    {leaves.then(|| link(ask("remove"), "Leave", " danger"))}
                </div>
            </form>
        }
        .into_any(),
    )
}

fn link(to: String, word: &'static str, more: &'static str) -> impl IntoView {
    view! {
        <a class=format!("menu-item{more}") role="menuitem" href=to>
            {word}
        </a>
    }
}
