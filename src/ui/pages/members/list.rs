//! The list of members and the actions on each.

use leptos::prelude::*;

use super::parts::role_label;
use crate::model::{MemberView, MembersView, Permission, Role};
use crate::ui::components::icons::{DOTS, icon};
use crate::ui::components::time;

/// Renders the section.
pub fn list(view: &MembersView) -> impl IntoView + use<> {
    let rows = view.members.iter().map(|one| row(one, view)).collect_view();
    view! {
        <section aria-labelledby="members">
            <div class="section-head">
                <h2 id="members">"People"</h2>
            </div>
            <div class="stack">
                {view.kept_elsewhere.then(managed_by_clerk_hint)}
                <ul class="connections" aria-label="Members">{rows}</ul>
                <p class="hint">
                    "Owners can do everything. Admins can do everything except manage owners. Members can view and refresh connections, and leave."
                </p>
            </div>
        </section>
    }
}

fn managed_by_clerk_hint() -> impl IntoView {
    view! {
        <p class="hint">
            "Members are managed in Clerk: invite, change and remove people in its organisation menu at the top of this page. This list shows everyone who has signed in here."
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
                <span class="badge" data-tone=tone>{role_label(one.role)}</span>
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

/// Renders the row's menu: a form whose buttons set a role, and links to confirmations. `None` if no action is allowed.
fn actions(one: &MemberView, view: &MembersView) -> Option<AnyView> {
    if view.kept_elsewhere {
        return None;
    }
    let last = one.role == Role::Owner && view.owner_count() == 1;
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
                    {buttons.collect_view()} {hands_over.then(|| menu_link(ask("transfer"), "Transfer ownership", ""))}
                    {removes.then(|| menu_link(ask("remove"), "Remove", " danger"))}
                    {leaves.then(|| menu_link(ask("remove"), "Leave", " danger"))}
                </div>
            </form>
        }
        .into_any(),
    )
}

fn menu_link(to: String, word: &'static str, more: &'static str) -> impl IntoView {
    view! {
        <a class=format!("menu-item{more}") role="menuitem" href=to>
            {word}
        </a>
    }
}
