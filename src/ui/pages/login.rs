//! Signing in.

use leptos::either::EitherOf3;
use leptos::prelude::*;

use crate::model::{LoginProblem, LoginView};
use crate::ui::clerk;
use crate::ui::frame::{Bare, page};

#[component]
pub fn Login() -> impl IntoView {
    let LoginView { problem, next, no_users, demo } = page().login;
    view! {
        <Bare title="Sign in">
            {match (page().clerk, no_users) {
                (Some(_), _) => EitherOf3::A((problem.map(say), clerk::sign_in())),
                (None, true) => EitherOf3::B(first_start()),
                (None, false) => EitherOf3::C(form(problem, next, demo)),
            }}
        </Bare>
    }
}

fn form(
    problem: Option<LoginProblem>,
    next: Option<String>,
    demo: Option<(&'static str, &'static str)>,
) -> impl IntoView {
    view! {
        <h1>"Sign in"</h1>
        {problem.map(say)}
        <form class="card stack" method="post" action="/api/session/login">
            {next.map(|next| view! { <input type="hidden" name="next" value=next /> })}
            <label class="field">
                <span>"Email"</span>
                <input
                    type="email"
                    name="email"
                    autocomplete="username"
                    autocapitalize="none"
                    spellcheck="false"
                    required=true
                    autofocus=true
                />
            </label>
            <label class="field">
                <span>"Password"</span>
                <input type="password" name="password" autocomplete="current-password" required=true />
            </label>
            <button class="button primary wide">"Sign in"</button>
        </form>
        {demo
            .map(|(email, password)| {
                view! {
                    <section class="aside">
                        <h2>"Demo login"</h2>
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

fn say(problem: LoginProblem) -> impl IntoView {
    let (tone, role, text) = match problem {
        LoginProblem::Credentials => {
            ("bad", "alert", "That email and password don't match. Check both, then try again.")
        }
        LoginProblem::TooManyTries => ("bad", "alert", "Too many tries. Wait a minute, then try again."),
        LoginProblem::SignedOut => ("quiet", "status", "You are signed out. Sign in to go on."),
    };
    view! {
        <div class="notice" data-tone=tone role=role>
            <p>{text}</p>
        </div>
    }
}

fn first_start() -> impl IntoView {
    view! {
        <h1>"Make the first person"</h1>
        <section class="card stack">
            <p>"Nobody can sign in yet. Where Evergrant runs, type:"</p>
            <pre><code>"evergrant user add --email you@example.com --org \"Your company\""</code></pre>
            <p>"It asks for a password, makes the organisation, and you own it."</p>
            <a class="button primary" href="/login">"Reload"</a>
        </section>
    }
}
