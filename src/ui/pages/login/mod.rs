//! The sign-in page, and the pages of people who can't sign in.

mod code;
mod confirm_email;
mod forgot;
mod link;
mod reset;
mod words;

use leptos::either::EitherOf3;
use leptos::prelude::*;

use crate::model::{LoginProblem, LoginView, ProviderLink, paths};
use crate::ui::components::provider_button::provider_button;
use crate::ui::components::typed::typed;
use crate::ui::context::page;
use crate::ui::layout::{BareLayout, clerk};
pub use code::SignInCode;
pub use confirm_email::ConfirmEmail;
pub use forgot::ForgotPassword;
pub use link::SignInLink;
pub use reset::ResetPassword;

/// The element that says why the page is shown.
const PROBLEM_ID: &str = "problem";

/// The page at `/login`.
#[component]
pub fn Login() -> impl IntoView {
    let LoginView { problem, next, provider, no_users, demo_login, .. } = page().login.clone();
    view! {
        <BareLayout title=words::SIGN_IN>
            {match (&page().clerk, no_users) {
                (Some(_), _) => EitherOf3::A((problem.map(problem_notice), clerk::sign_in())),
                (None, true) => EitherOf3::B(first_account()),
                (None, false) => EitherOf3::C(sign_in_form(problem, next, provider, demo_login)),
            }}
        </BareLayout>
    }
}

fn sign_in_form(
    problem: Option<LoginProblem>,
    next: Option<String>,
    provider: Option<ProviderLink>,
    demo: Option<(&'static str, &'static str)>,
) -> impl IntoView {
    let other_way = provider.map(|provider| provider_button(words::SIGN_IN, provider));
    let email = typed(paths::SESSION_LOGIN).value("email", "");
    // The address is there already after a refusal.
    let (is_refused, has_email) = (problem.is_some_and(LoginProblem::is_refusal), !email.is_empty());
    view! {
        <h1>{words::SIGN_IN}</h1>
        {problem.map(problem_notice)}
        <form class="card stack" method="post" action="/api/session/login">
            {next.map(|next| view! { <input type="hidden" name="next" value=next /> })}
            <label class="field">
                <span>"Email"</span>
                <input
                    type="email"
                    name="email"
                    value=email
                    autocomplete="username"
                    autocapitalize="none"
                    spellcheck="false"
                    required=true
                    autofocus=!has_email
                />
            </label>
            <label class="field">
                <span>"Password"</span>
                <input
                    type="password"
                    name="password"
                    autocomplete="current-password"
                    required=true
                    autofocus=has_email
                    aria-invalid=is_refused.then_some("true")
                    aria-describedby=is_refused.then_some(PROBLEM_ID)
                />
            </label>
            <button class="button primary wide">{words::SIGN_IN}</button>
            {other_way}
        </form>
        <p class="aside"><a href="/login/forgot">{words::FORGOT_YOUR_PASSWORD}</a></p>
        {demo
            .map(|(email, password)| {
                view! {
                    <section class="aside">
                        <h2>{words::DEMO_LOGIN}</h2>
                        <dl class="pairs">
                            <dt>"Email"</dt>
                            <dd>
                                <code>{email}</code>
                            </dd>
                            <dt>"Password"</dt>
                            <dd>
                                <code>{password}</code>
                            </dd>
                        </dl>
                    </section>
                }
            })}
    }
}

fn problem_notice(problem: LoginProblem) -> impl IntoView {
    let (tone, role, text) = words::problem(problem);
    view! {
        <div class="notice" id=PROBLEM_ID data-tone=tone.as_str() role=role>
            <p>{text}</p>
        </div>
    }
}

fn first_account() -> impl IntoView {
    view! {
        <h1>{words::CREATE_THE_FIRST_ACCOUNT}</h1>
        <section class="card stack">
            <p>{words::NOBODY_CAN_SIGN_IN}</p>
            <pre><code>{words::ADD_USER_COMMAND}</code></pre>
            <p>{words::WHAT_THE_COMMAND_DOES}</p>
            <a class="button primary" href="/login">"Reload"</a>
        </section>
    }
}
