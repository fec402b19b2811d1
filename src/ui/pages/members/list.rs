//! The list of members and the actions on each.

use leptos::prelude::*;

use super::words;
use crate::model::{MemberView, MembersView, Permission, Role, Tone, paths};
use crate::ui::components::actions_menu::ActionsMenu;
use crate::ui::components::badge::Badge;
use crate::ui::components::org_field::org_field;
use crate::ui::components::rendered::{IntoRendered as _, Rendered};
use crate::ui::components::time;

/// Renders the section.
pub fn list(view: &MembersView) -> impl IntoView + use<> {
    let rows = view.members.iter().map(|one| row(one, view)).collect_view();
    view! {
        <section aria-labelledby="members">
            <div class="section-head">
                <h2 id="members">{words::PEOPLE}</h2>
            </div>
            <div class="stack">
                {view.managed_by_clerk.then(managed_by_clerk_hint)}
                <ul class="connections" aria-label=words::TITLE>{rows}</ul>
                <p class="hint">
                    {words::WHAT_ROLES_CAN_DO}
                </p>
            </div>
        </section>
    }
}

fn managed_by_clerk_hint() -> impl IntoView {
    view! {
        <p class="hint">
            {words::MANAGED_BY_CLERK}
        </p>
    }
}

fn row(one: &MemberView, view: &MembersView) -> impl IntoView + use<> {
    let title = format!("member-{}", one.user_id);
    let manages = view.role.may(Permission::ManageMembers) && !view.managed_by_clerk;
    let tone = if one.role == Role::Member { Tone::Quiet } else { Tone::Info };
    view! {
        <li class="connection brief" data-key=one.user_id.0.clone()>
            <div class="connection-name">
                <h3 class="address" id=title>{one.email.clone()}</h3>
                {Badge::plain(tone, one.role.label()).render()}
                <span class="meta">{words::member_since(one.is_you, time::date(one.since), manages && one.has_factor)}</span>
            </div>
            {actions(one, view)}
        </li>
    }
    .rendered()
}

/// Renders the row's menu: a form whose buttons set a role, and links to confirmations. `None` if no action is allowed.
fn actions(one: &MemberView, view: &MembersView) -> Option<Rendered> {
    if view.managed_by_clerk {
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
    let buttons = roles.into_iter().map(|role| {
        view! {
            <button class="menu-item" name="role" value=role.as_str()>
                {words::make(role.with_article())}
            </button>
        }
    });
    let buttons = buttons.collect_view();
    let link = |class: &'static str, query: &str, label: &'static str| {
        let to = format!("{}?{query}={}", paths::MEMBERS, one.user_id);
        view! {
            <a class=class href=to>
                {label}
            </a>
        }
    };
    let transfer = hands_over.then(|| link("menu-item", "transfer", words::TRANSFER_OWNERSHIP));
    let remove = removes.then(|| link("menu-item danger", "remove", "Remove"));
    let leave = leaves.then(|| link("menu-item danger", "remove", "Leave"));
    Some(
        view! {
            <form method="post" action="/api/members/set-role">
                {org_field()}
                <input type="hidden" name="user_id" value=one.user_id.0.clone() />
                <ActionsMenu id=one.user_id.0.clone() name=one.email.clone()>
                    {buttons} {transfer} {remove} {leave}
                </ActionsMenu>
            </form>
        }
        .rendered(),
    )
}
