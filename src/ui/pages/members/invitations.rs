//! Invitations: the form, a new link, and the open ones.

use leptos::prelude::*;

use crate::model::{InvitationView, MembersView, Permission, Role};
use crate::ui::components::org_field::org_field;
use crate::ui::components::secret_card::SecretCard;
use crate::ui::components::time;

/// Renders the section. `None` if the viewer may not invite.
pub fn invitations(view: &MembersView) -> impl IntoView + use<> {
    if view.managed_by_clerk || !view.role.may(Permission::ManageMembers) {
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
                {create_form(view.role)}
            </div>
        </section>
    })
}

fn create_form(mine: Role) -> impl IntoView {
    let roles = [Role::Member, Role::Admin, Role::Owner].into_iter().filter(|role| mine.may_manage(*role));
    let options = roles.map(|role| view! { <option value=role.as_str()>{role.label()}</option> }).collect_view();
    view! {
        <form class="card inline-form" method="post" action="/api/members/invite">
            {org_field()}
            <label class="field">
                <span>"Role"</span>
                <select name="role" aria-describedby="invite-hint">
                    {options}
                </select>
            </label>
            <label class="field">
                <span>"Email (optional)"</span>
                <input
                    type="email"
                    name="email"
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck="false"
                    maxlength="254"
                    aria-describedby="invite-hint"
                />
            </label>
            <button class="button primary">"Create invitation"</button>
            <p class="hint" id="invite-hint">
                "You get a link for one person. It works once and expires after seven days. With an email address, only the person with that address can use it, and Evergrant sends it if it has a mail server."
            </p>
        </form>
    }
}

/// Shows a new invitation's link once.
pub fn invitation_link(link: &str) -> impl IntoView + use<> {
    let text = "Send it only to the person you are inviting: anyone with the link can use it. You won't be able to see it again.";
    view! {
        <SecretCard
            id="invitation-address"
            title="Invitation link"
            secret=link.to_owned()
            copy="Copy the link"
            text=text.into_any()
        />
    }
}

fn row(one: &InvitationView) -> impl IntoView + use<> {
    let title = format!("invitation-{}", one.id);
    view! {
        <li class="connection brief">
            <div class="connection-name">
                <h3 id=title.clone()>
                    {format!("{} invitation", one.role.label())} {one.email.clone().map(|email| format!(" for {email}"))}
                </h3>
                <span class="meta">
                    {one.invited_by.clone().map(|by| format!("by {by}, "))} "expires on "
                    {time::absolute(one.expires_at)}
                </span>
            </div>
            <form method="post" action="/api/members/revoke-invitation">
                {org_field()}
                <input type="hidden" name="invitation_id" value=one.id.0.clone() />
                <button class="button" aria-describedby=title>
                    "Cancel invitation"
                </button>
            </form>
        </li>
    }
    .into_any()
}
