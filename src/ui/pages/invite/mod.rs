//! The page behind an invitation link: adds the signed-in person to the organization, or creates an account.

mod words;

use leptos::prelude::*;

use crate::model::{InvitationDetails, InvitationPage, OrgId, ProviderLink, paths};
use crate::ui::components::account_fields::{email_field, new_password_field};
use crate::ui::components::provider_button::provider_button;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::typed::typed;
use crate::ui::context::page;
use crate::ui::layout::BareLayout;

/// The page at `/invite`.
#[component]
pub fn Invite() -> impl IntoView {
    let invitation = page().invitation.clone();
    view! {
        <BareLayout title=words::TITLE>
            {match invitation {
                Some(InvitationPage { managed_by_clerk: true, .. }) => managed_by_clerk().rendered(),
                Some(InvitationPage { invitation: Some(invited), signed_in_as, provider, .. }) => {
                    let text = invitation_text(&invited);
                    match signed_in_as {
                        Some(email) if invited.email.as_ref().is_some_and(|invited| *invited != email) => {
                            view! { {text} {other_address(email)} }.rendered()
                        }
                        Some(email) => view! { {text} {join_form(&invited.org_id, email)} }.rendered(),
                        None if invited.is_for_mail_readers() => {
                            let email = invited.email.unwrap_or_default();
                            view! { {text} {open_the_mail(email, provider)} }.rendered()
                        }
                        None => view! { {text} {sign_up_form(&invited.org_id, invited.email, provider)} }.rendered(),
                    }
                }
                Some(InvitationPage { joined: Some(organization), .. }) => joined(organization).rendered(),
                _ => invalid_invitation().rendered(),
            }}
        </BareLayout>
    }
}

/// Says what the invitation leads to. The owners and the id tell the organization from another of the same name.
fn invitation_text(invited: &InvitationDetails) -> impl IntoView + use<> {
    let owner = if invited.owners.len() == 1 { "Owner" } else { "Owners" };
    view! {
        <h1>{words::join(&invited.organisation)}</h1>
        <p class="lead">{words::invited_as(invited.invited_by.as_deref(), invited.role.with_article())}</p>
        <dl class="pairs">
            <dt>{owner}</dt>
            <dd class="address">{invited.owners.join(", ")}</dd>
            <dt>{words::ORGANIZATION_ID}</dt>
            <dd>
                <code>{invited.org_id.0.clone()}</code>
            </dd>
        </dl>
    }
}

fn joined(organization: String) -> impl IntoView {
    view! {
        <h1>{words::joined(&organization)}</h1>
        <section class="card stack">
            <a class="button primary" href="/">{words::GO_TO_EVERGRANT}</a>
        </section>
    }
}

fn other_address(signed_in_as: String) -> impl IntoView {
    let email = view! { <strong>{signed_in_as}</strong> };
    view! {
        <section class="card stack">
            <p>{words::invitation_is_for_another(email)}</p>
            <a class="button" href="/">{words::GO_TO_EVERGRANT}</a>
        </section>
    }
}

/// Says to which organization the page's invitation leads: another one may have been opened in the meantime.
fn shown_field(org: &OrgId) -> impl IntoView + use<> {
    view! { <input type="hidden" name="joins" value=org.0.clone() /> }
}

fn join_form(org: &OrgId, email: String) -> impl IntoView + use<> {
    let email = view! { <strong>{email}</strong> };
    view! {
        <form class="card stack" method="post" action="/api/invitations/accept">
            {shown_field(org)}
            <p>{words::signed_in_as(email)}</p>
            <button class="button primary wide">"Join"</button>
            <a href="/">{words::NOT_NOW}</a>
        </form>
    }
}

/// The link is not the one of the mail, so it makes no account.
fn open_the_mail(invited: String, provider: Option<ProviderLink>) -> impl IntoView {
    let other_way = provider.map(|provider| provider_button("Join", provider));
    let invited = view! { <strong class="address">{invited}</strong> };
    view! {
        <section class="card stack">
            <p>{words::open_the_email(invited)}</p>
            {other_way}
        </section>
        <p class="aside">{words::ALREADY_HAVE_AN_ACCOUNT} " " <a href="/login?next=%2Finvite">{words::SIGN_IN_TO_JOIN}</a></p>
    }
}

/// An invitation for one address admits no other.
fn sign_up_form(org: &OrgId, invited: Option<String>, provider: Option<ProviderLink>) -> impl IntoView + use<> {
    let other_way = provider.map(|provider| provider_button("Join", provider));
    let typed = typed(paths::ACCEPT_INVITATION);
    view! {
        <form class="card stack" method="post" action="/api/invitations/accept">
            {shown_field(org)}
            {invited.map_or_else(|| email_field(&typed, "Email", "username", None).rendered(), |email| fixed_email(email).rendered())}
            {new_password_field(&typed, "password", "")}
            <button class="button primary wide">{words::CREATE_ACCOUNT_AND_JOIN}</button>
            {other_way}
        </form>
        <p class="aside">{words::ALREADY_HAVE_AN_ACCOUNT} " " <a href="/login?next=%2Finvite">{words::SIGN_IN_TO_JOIN}</a></p>
    }
}

/// Renders the address that alone may accept, for password managers to read.
fn fixed_email(email: String) -> impl IntoView {
    view! {
        <label class="field">
            <span>"Email"</span>
            <input type="email" name="email" autocomplete="username" readonly=true value=email />
        </label>
    }
}

fn invalid_invitation() -> impl IntoView {
    view! {
        <h1>{words::INVITATION_IS_OVER}</h1>
        <section class="card stack">
            <p>{words::ASK_FOR_A_NEW_ONE}</p>
            <a class="button" href="/">{words::GO_TO_EVERGRANT}</a>
        </section>
    }
}

fn managed_by_clerk() -> impl IntoView {
    view! {
        <h1>{words::MANAGED_BY_CLERK}</h1>
        <section class="card stack">
            <p>{words::ASK_FOR_ONE_OF_CLERK}</p>
            <a class="button" href="/">{words::GO_TO_EVERGRANT}</a>
        </section>
    }
}
