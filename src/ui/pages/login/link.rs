//! The page that asks for an account's password, to link it with the identity that the provider vouched for.

use leptos::prelude::*;

use super::words;
use super::{PROBLEM_ID, problem_notice};
use crate::model::{LoginProblem, LoginView, PendingIdentityPage};
use crate::ui::context::page;
use crate::ui::layout::BareLayout;

/// The page at `/login/link`.
#[component]
pub fn SignInLink() -> impl IntoView {
    let LoginView { problem, next, .. } = page().login.clone();
    let waiting = page().pending_identity.clone();
    let waiting = waiting.and_then(|PendingIdentityPage { provider, email }| Some((provider, email?)));
    view! {
        <BareLayout title=words::LINK_YOUR_ACCOUNT>
            <h1>{words::LINK_YOUR_ACCOUNT}</h1>
            {problem.map(problem_notice)}
            {waiting.map(|(provider, email)| password_form(&provider, email, next, problem))}
            <p class="aside"><a href="/login/forgot">{words::FORGOT_YOUR_PASSWORD}</a></p>
            <p class="aside"><a href="/login">{words::BACK_TO_SIGN_IN}</a></p>
        </BareLayout>
    }
}

fn password_form(
    provider: &str,
    email: String,
    next: Option<String>,
    problem: Option<LoginProblem>,
) -> impl IntoView + use<> {
    let (username, is_refused) = (email.clone(), problem.is_some_and(LoginProblem::is_refusal));
    view! {
        <form class="card stack" method="post" action="/api/session/oidc/link">
            {next.map(|next| view! { <input type="hidden" name="next" value=next /> })}
            <p class="address">
                <strong>{email}</strong>
            </p>
            <p>{words::account_is_not_linked(provider)}</p>
            // For password managers, which keep the two together.
            <input type="text" name="username" value=username autocomplete="username" hidden=true readonly=true />
            <label class="field">
                <span>{words::PASSWORD_OF_YOUR_ACCOUNT}</span>
                <input
                    type="password"
                    name="password"
                    autocomplete="current-password"
                    required=true
                    autofocus=true
                    aria-invalid=is_refused.then_some("true")
                    aria-describedby=is_refused.then_some(PROBLEM_ID)
                />
            </label>
            <button class="button primary wide">{words::LINK_AND_SIGN_IN}</button>
        </form>
    }
}
