//! Invitations: making one, its link, and those that are open.

use leptos::prelude::*;

use super::word;
use crate::model::{InvitationView, MembersView, Permission, Role};
use crate::ui::icons::{INFO, icon};
use crate::ui::time;

/// The section, for those who may invite.
pub fn invitations(view: &MembersView) -> impl IntoView + use<> {
    if view.kept_elsewhere || !view.role.may(Permission::ManageMembers) {
        return None;
    }
    let rows = view.invitations.iter().map(row).collect_view();
    Some(view! {
        <section aria-labelledby="invitations">
            <div class="section-head">
                <h2 id="invitations">"Invitations"</h2>
            </div>
            <div class="stack">
                {(!view.invitations.is_empty())
                    .then(|| view! { <ul class="connections" aria-label="Invitations">{rows}</ul> })}
                {form(view.role)}
            </div>
        </section>
    })
}

fn form(mine: Role) -> impl IntoView {
    let roles = [Role::Member, Role::Admin, Role::Owner].into_iter().filter(|role| mine.may_manage(*role));
    let options = roles.map(|role| view! { <option value=role.as_str()>{word(role)}</option> }).collect_view();
    view! {
        <form class="card inline-form" method="post" action="/api/members/invite">
            <label class="field">
                <span>"Role"</span>
                <select name="role" aria-describedby="invite-hint">
                    {options}
                </select>
            </label>
            <button class="button primary">"Make an invitation"</button>
            <p class="hint" id="invite-hint">
                "You get a link to send to one person. It works once, for seven days."
            </p>
        </form>
    }
}

/// The one look at a link.
pub fn link(link: &str) -> impl IntoView + use<> {
    view! {
        <section class="card secret" aria-labelledby="invitation-link">
            <h2 id="invitation-link">{icon(INFO)} "The invitation's link"</h2>
            <p>
                "Send it to the person, and to nobody else: whoever opens it first joins. It isn't shown again."
            </p>
            <pre>
                <code id="invitation-address">{link.to_owned()}</code>
            </pre>
            <p class="copy">
                <button type="button" class="button" data-copy="invitation-address" hidden=true>
                    "Copy the link"
                </button>
                <span role="status" class="meta"></span>
            </p>
        </section>
    }
}

fn row(one: &InvitationView) -> impl IntoView + use<> {
    let title = format!("invitation-{}", one.id);
    view! {
        <li class="connection brief">
            <div class="connection-name">
                <h3 id=title.clone()>{format!("{}’s link", word(one.role))}</h3>
                <span class="meta">
                    {one.invited_by.clone().map(|by| format!("by {by}, "))} "works until "
                    <time datetime=time::iso(one.expires_at)>{time::absolute(one.expires_at)}</time>
                </span>
            </div>
            <form method="post" action="/api/members/revoke-invitation">
                <input type="hidden" name="invitation_id" value=one.id.0.clone() />
                <button class="button" aria-describedby=title>
                    "Take back"
                </button>
            </form>
        </li>
    }
    .into_any()
}
