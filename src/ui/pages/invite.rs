//! The page behind an invitation's link: joins whoever is signed in, or makes an account.

use leptos::prelude::*;

use crate::model::{InvitationPage, Invited, Role};
use crate::ui::frame::{Bare, page};

#[component]
pub fn Invite() -> impl IntoView {
    let invitation = page().invitation;
    view! {
        <Bare title="Invitation">
            {match invitation {
                Some(InvitationPage { kept_elsewhere: true, .. }) => elsewhere().into_any(),
                Some(InvitationPage { invited: Some(invited), token, signed_in_as, .. }) => {
                    let token = token.show().to_owned();
                    let words = words(&invited);
                    match signed_in_as {
                        Some(email) => view! { {words} {join(token, email)} }.into_any(),
                        None => view! { {words} {newcomer(token)} }.into_any(),
                    }
                }
                _ => over().into_any(),
            }}
        </Bare>
    }
}

fn words(invited: &Invited) -> impl IntoView + use<> {
    let by = invited.invited_by.clone().map(|by| format!("{by} invites you as "));
    let role = match invited.role {
        Role::Owner => "an owner.",
        Role::Admin => "an admin.",
        Role::Member => "a member.",
    };
    view! {
        <h1>{format!("Join {}", invited.organisation)}</h1>
        <p class="lead">{by.unwrap_or_else(|| "You are invited as ".to_owned())} {role}</p>
    }
}

fn join(token: String, email: String) -> impl IntoView {
    view! {
        <form class="card stack" method="post" action="/api/invitations/accept">
            <input type="hidden" name="token" value=token />
            <p>"You are signed in as " <strong>{email}</strong> "."</p>
            <button class="button primary wide">"Join"</button>
            <a href="/">"Not now"</a>
        </form>
    }
}

fn newcomer(token: String) -> impl IntoView {
    let sign_in = format!("/login?next=%2Finvite%3Ftoken%3D{token}");
    view! {
        <form class="card stack" method="post" action="/api/invitations/accept">
            <input type="hidden" name="token" value=token />
            <label class="field">
                <span>"Email"</span>
                <input
                    type="email"
                    name="email"
                    autocomplete="username"
                    autocapitalize="none"
                    spellcheck="false"
                    maxlength="254"
                    required=true
                />
            </label>
            <label class="field">
                <span>"New password"</span>
                <input
                    type="password"
                    name="password"
                    autocomplete="new-password"
                    minlength="12"
                    required=true
                    aria-describedby="password-hint"
                />
            </label>
            <p class="hint" id="password-hint">"At least 12 characters."</p>
            <button class="button primary wide">"Make an account and join"</button>
        </form>
        <p class="aside">"You have an account? " <a href=sign_in>"Sign in to join with it"</a></p>
    }
}

fn over() -> impl IntoView {
    view! {
        <h1>"This invitation is over"</h1>
        <section class="card stack">
            <p>"It is used, taken back or too old. Ask whoever sent it to you for another."</p>
            <a class="button" href="/">"Go to Evergrant"</a>
        </section>
    }
}

fn elsewhere() -> impl IntoView {
    view! {
        <h1>"Members are kept in Clerk"</h1>
        <section class="card stack">
            <p>"Ask whoever invited you for an invitation from there."</p>
            <a class="button" href="/">"Go to Evergrant"</a>
        </section>
    }
}
