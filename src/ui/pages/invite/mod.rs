//! The page behind an invitation link: adds the signed-in person to the organization, or creates an account.

use leptos::prelude::*;

use crate::model::{InvitationDetails, InvitationPage, ProviderLink};
use crate::ui::components::account_fields::{email_field, new_password_field};
use crate::ui::components::provider_button::provider_button;
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
                Some(InvitationPage { invitation: Some(invited), token, signed_in_as, provider, .. }) => {
                    let token = token.expose().to_owned();
                    let text = invitation_text(&invited);
                    match signed_in_as {
                        Some(email) => view! { {text} {join_form(token, email)} }.into_any(),
                        None => view! { {text} {sign_up_form(token, provider)} }.into_any(),
                    }
                }
                _ => invalid_invitation().into_any(),
            }}
        </BareLayout>
    }
}

fn invitation_text(invited: &InvitationDetails) -> impl IntoView + use<> {
    let by = invited.invited_by.clone().map(|by| format!("{by} invites you as "));
    view! {
        <h1>{format!("Join {}", invited.organisation)}</h1>
        <p class="lead">{by.unwrap_or_else(|| "You are invited as ".to_owned())} {invited.role.with_article()} "."</p>
    }
}

fn join_form(token: String, email: String) -> impl IntoView {
    view! {
        <form class="card stack" method="post" action="/api/invitations/accept">
            <input type="hidden" name="token" value=token />
            <p>"You are signed in as " <strong>{email}</strong> "."</p>
            <button class="button primary wide">"Join"</button>
            <a href="/">"Not now"</a>
        </form>
    }
}

fn sign_up_form(token: String, provider: Option<ProviderLink>) -> impl IntoView {
    let other_way = provider.map(|provider| provider_button("Join", provider));
    let sign_in = format!("/login?next=%2Finvite%3Ftoken%3D{token}");
    view! {
        <form class="card stack" method="post" action="/api/invitations/accept">
            <input type="hidden" name="token" value=token />
            {email_field("Email", "username", None)}
            {new_password_field("password", "")}
            <button class="button primary wide">"Create account and join"</button>
            {other_way}
        </form>
        <p class="aside">"Already have an account? " <a href=sign_in>"Sign in to join"</a></p>
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
