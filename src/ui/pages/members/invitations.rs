//! Invitations: the form, a new link, and the open ones.

use leptos::prelude::*;

use super::words;
use crate::model::{InvitationView, MembersView, NewInvitationLink, Permission, Role};
use crate::ui::components::org_field::org_field;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::secret_card::SecretCard;
use crate::ui::components::time;
use crate::ui::components::typed::typed;

/// Returns whether the viewer may invite people.
fn may_invite(view: &MembersView) -> bool {
    !view.managed_by_clerk && view.role.may(Permission::ManageMembers)
}

/// Renders the open invitations. `None` if the viewer may not invite.
pub fn open_invitations(view: &MembersView) -> impl IntoView + use<> {
    let rows = view.invitations.iter().map(row).collect_view();
    may_invite(view).then(|| {
        view! {
            <section aria-labelledby="invitations">
                <div class="section-head">
                    <h2 id="invitations">{words::INVITATIONS}</h2>
                </div>
                {if view.invitations.is_empty() {
                    view! { <p class="hint">{words::NO_INVITATION_IS_OPEN}</p> }.rendered()
                } else {
                    view! { <ul class="connections" aria-label=words::INVITATIONS>{rows}</ul> }.rendered()
                }}
            </section>
        }
    })
}

/// Renders the form that invites somebody. `None` if the viewer may not invite.
pub fn invite_form(view: &MembersView) -> impl IntoView + use<> {
    may_invite(view).then(|| create_form(view.role))
}

fn create_form(mine: Role) -> impl IntoView {
    let roles = [Role::Member, Role::Admin, Role::Owner].into_iter().filter(|role| mine.may_manage(*role));
    let typed = typed("/api/members/invite");
    let chosen = typed.value("role", Role::Member.as_str());
    let option = |role: Role| {
        view! { <option value=role.as_str() selected=role.as_str() == chosen>{role.label()}</option> }
    };
    let options = roles.map(option).collect_view();
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
                <span>{words::EMAIL}</span>
                <input
                    type="email"
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck="false"
                    maxlength="254"
                    {..typed.input("email", "", Some("invite-hint"))}
                />
            </label>
            <button class="button primary">{words::CREATE_INVITATION}</button>
            {typed.error("email")}
            <p class="hint" id="invite-hint">
                {words::INVITATION_HINT}
            </p>
        </form>
    }
}

/// Shows a new invitation's link once.
pub fn invitation_link(new: &NewInvitationLink) -> impl IntoView + use<> {
    view! {
        <SecretCard
            id="invitation-address"
            title=words::INVITATION_LINK
            secret=new.link.expose().to_owned()
            copy=words::COPY_THE_LINK
            text=words::who_can_use(new).rendered()
        />
    }
}

fn row(one: &InvitationView) -> impl IntoView + use<> {
    let title = format!("invitation-{}", one.id);
    view! {
        <li class="connection brief" data-key=one.id.0.clone()>
            <div class="connection-name">
                <h3 id=title.clone()>
                    {words::invitation(one.role.label(), one.email.as_deref())}
                </h3>
                <span class="meta">{words::invited_by(one.invited_by.clone(), time::absolute(one.expires_at))}</span>
            </div>
            <form method="post" action="/api/members/revoke-invitation">
                {org_field()}
                <input type="hidden" name="invitation_id" value=one.id.0.clone() />
                <button class="button" aria-describedby=title>
                    {words::CANCEL_INVITATION}
                </button>
            </form>
        </li>
    }
    .rendered()
}
