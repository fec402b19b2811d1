//! The page behind an invitation link: adds the signed-in person to the organization, or creates an account.

use leptos::prelude::*;

use crate::model::{InvitationDetails, InvitationPage, OrgId, ProviderLink, paths};
use crate::ui::components::account_fields::{email_field, new_password_field};
use crate::ui::components::provider_button::provider_button;
use crate::ui::components::typed::typed;
use crate::ui::context::page;
use crate::ui::layout::BareLayout;

/// The page at `/invite`.
#[component]
pub fn Invite() -> impl IntoView {
    let invitation = page().invitation;
    view! {
        <BareLayout title="Invitation">
            {match invitation {
                Some(InvitationPage { managed_by_clerk: true, .. }) => managed_by_clerk().into_any(),
                Some(InvitationPage { invitation: Some(invited), signed_in_as, provider, .. }) => {
                    let text = invitation_text(&invited);
                    match signed_in_as {
                        Some(email) if invited.email.as_ref().is_some_and(|invited| *invited != email) => {
                            view! { {text} {other_address(email)} }.into_any()
                        }
                        Some(email) => view! { {text} {join_form(&invited.org_id, email)} }.into_any(),
                        None if invited.is_for_mail_readers() => {
                            let email = invited.email.unwrap_or_default();
                            view! { {text} {open_the_mail(email, provider)} }.into_any()
                        }
                        None => view! { {text} {sign_up_form(&invited.org_id, invited.email, provider)} }.into_any(),
                    }
                }
                Some(InvitationPage { joined: Some(organization), .. }) => joined(organization).into_any(),
                _ => invalid_invitation().into_any(),
            }}
        </BareLayout>
    }
}

/// Says what the invitation leads to. The owners and the id tell the organization from another of the same name.
fn invitation_text(invited: &InvitationDetails) -> impl IntoView + use<> {
    let by = invited.invited_by.clone().map(|by| format!("{by} invites you as "));
    let owner = if invited.owners.len() == 1 { "Owner" } else { "Owners" };
    view! {
        <h1>{format!("Join {}", invited.organisation)}</h1>
        <p class="lead">{by.unwrap_or_else(|| "You are invited as ".to_owned())} {invited.role.with_article()} "."</p>
        <dl class="pairs">
            <dt>{owner}</dt>
            <dd class="address">{invited.owners.join(", ")}</dd>
            <dt>"Organisation ID"</dt>
            <dd>
                <code>{invited.org_id.0.clone()}</code>
            </dd>
        </dl>
    }
}

fn joined(organization: String) -> impl IntoView {
    view! {
        <h1>{format!("You have joined {organization}")}</h1>
        <section class="card stack">
            <a class="button primary" href="/">"Go to Evergrant"</a>
        </section>
    }
}

fn other_address(signed_in_as: String) -> impl IntoView {
    view! {
        <section class="card stack">
            <p>
                "You are signed in as " <strong>{signed_in_as}</strong>
                ", and this invitation is for another email address. Sign out, then open its link again."
            </p>
            <a class="button" href="/">"Go to Evergrant"</a>
        </section>
    }
}

/// Says to which organization the page's invitation leads: another one may have been opened in the meantime.
fn shown_field(org: &OrgId) -> impl IntoView + use<> {
    view! { <input type="hidden" name="joins" value=org.0.clone() /> }
}

fn join_form(org: &OrgId, email: String) -> impl IntoView + use<> {
    view! {
        <form class="card stack" method="post" action="/api/invitations/accept">
            {shown_field(org)}
            <p>"You are signed in as " <strong>{email}</strong> "."</p>
            <button class="button primary wide">"Join"</button>
            <a href="/">"Not now"</a>
        </form>
    }
}

/// The link is not the one of the mail, so it makes no account.
fn open_the_mail(invited: String, provider: Option<ProviderLink>) -> impl IntoView {
    let other_way = provider.map(|provider| provider_button("Join", provider));
    view! {
        <section class="card stack">
            <p>
                "This invitation was sent to " <strong class="address">{invited}</strong>
                ". Open the link in that email to create an account: it shows that the mailbox is yours. If it hasn't arrived, ask for a new invitation."
            </p>
            {other_way}
        </section>
        <p class="aside">"Already have an account? " <a href="/login?next=%2Finvite">"Sign in to join"</a></p>
    }
}

/// An invitation for one address admits no other.
fn sign_up_form(org: &OrgId, invited: Option<String>, provider: Option<ProviderLink>) -> impl IntoView + use<> {
    let other_way = provider.map(|provider| provider_button("Join", provider));
    let typed = typed(paths::ACCEPT_INVITATION);
    view! {
        <form class="card stack" method="post" action="/api/invitations/accept">
            {shown_field(org)}
            {invited.map_or_else(|| email_field(&typed, "Email", "username", None).into_any(), |email| fixed_email(email).into_any())}
            {new_password_field(&typed, "password", "")}
            <button class="button primary wide">"Create account and join"</button>
            {other_way}
        </form>
        <p class="aside">"Already have an account? " <a href="/login?next=%2Finvite">"Sign in to join"</a></p>
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
        <h1>"This invitation has expired or been used"</h1>
        <section class="card stack">
            <p>"It may also have been cancelled. Ask the person who sent it for a new one."</p>
            <a class="button" href="/">"Go to Evergrant"</a>
        </section>
    }
}

fn managed_by_clerk() -> impl IntoView {
    view! {
        <h1>"Members are managed in Clerk"</h1>
        <section class="card stack">
            <p>"Ask the person who invited you to send an invitation from Clerk."</p>
            <a class="button" href="/">"Go to Evergrant"</a>
        </section>
    }
}
