//! The sign-in page, and the pages of people who can't sign in.

mod code;
mod confirm_email;
mod forgot;
mod link;
mod reset;

use leptos::either::EitherOf3;
use leptos::prelude::*;

use crate::model::{LoginProblem, LoginView, ProviderLink, Tone, paths};
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
    let LoginView { problem, next, provider, no_users, demo_login, .. } = page().login;
    view! {
        <BareLayout title="Sign in">
            {match (page().clerk, no_users) {
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
    let other_way = provider.map(|provider| provider_button("Sign in", provider));
    let email = typed(paths::SESSION_LOGIN).value("email", "");
    // The address is there already after a refusal.
    let (is_refused, has_email) = (problem.is_some_and(LoginProblem::is_refusal), !email.is_empty());
    view! {
        <h1>"Sign in"</h1>
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
            <button class="button primary wide">"Sign in"</button>
            {other_way}
        </form>
        <p class="aside"><a href="/login/forgot">"Forgot your password?"</a></p>
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

fn problem_notice(problem: LoginProblem) -> impl IntoView {
    let (tone, role, text) = match problem {
        LoginProblem::Credentials => {
            (Tone::Bad, "alert", "That email and password don't match. Check both, then try again.")
        }
        LoginProblem::WrongPassword => {
            (Tone::Bad, "alert", "That isn't the password of an account with this address. Check it, then try again.")
        }
        LoginProblem::TooManyAttempts => (Tone::Bad, "alert", "Too many attempts. Wait a minute, then try again."),
        LoginProblem::WrongCode => {
            (Tone::Bad, "alert", "That code is wrong or was used already. Wait for the next one, then try again.")
        }
        LoginProblem::TooManyCodes => (Tone::Bad, "alert", "Too many wrong codes. Wait five minutes, then try again."),
        LoginProblem::SignInExpired => (
            Tone::Bad,
            "alert",
            "That sign-in took too long or began in another browser. Enter your email and password again.",
        ),
        LoginProblem::SignedOut => (Tone::Quiet, "status", "You are signed out. Sign in to continue."),
        LoginProblem::SessionEnded => {
            (Tone::Quiet, "status", "Your session has ended, so nothing was changed. Sign in to go on where you were.")
        }
        LoginProblem::ProviderUnavailable => {
            (Tone::Bad, "alert", "The sign-in service isn't answering. Try again in a minute, or use your password.")
        }
        LoginProblem::ProviderDeclined => {
            (Tone::Quiet, "status", "Nobody was signed in, because the request was declined. You can try again.")
        }
        LoginProblem::ProviderRejected => (
            Tone::Bad,
            "alert",
            "The sign-in service's answer couldn't be verified. Try again, or tell your administrator.",
        ),
        LoginProblem::ProviderExpired => {
            (Tone::Bad, "alert", "That sign-in took too long or began in another browser. Start again.")
        }
        LoginProblem::NotInvited => (
            Tone::Bad,
            "alert",
            "You have no Evergrant account that can sign in. Ask somebody in your organisation for an invitation.",
        ),
        LoginProblem::InvitationByMail => (
            Tone::Bad,
            "alert",
            "Nobody joined. Open the link in the email that Evergrant sent to the invited address: it shows that the mailbox is yours.",
        ),
        LoginProblem::SignInToJoin => (
            Tone::Quiet,
            "status",
            "Almost there. Sign in with that email address and its password. If you had an account with it before, use the password of that.",
        ),
        LoginProblem::EmailTaken => (
            Tone::Quiet,
            "status",
            "An account with your email address exists already. Enter its password to link the two.",
        ),
    };
    view! {
        <div class="notice" id=PROBLEM_ID data-tone=tone.as_str() role=role>
            <p>{text}</p>
        </div>
    }
}

fn first_account() -> impl IntoView {
    view! {
        <h1>"Create the first account"</h1>
        <section class="card stack">
            <p>"Nobody can sign in yet. On the machine that runs Evergrant, run:"</p>
            <pre><code>"evergrant user add --email you@example.com --org \"Your company\""</code></pre>
            <p>"The command asks for a password and creates the organisation with you as its owner."</p>
            <a class="button primary" href="/login">"Reload"</a>
        </section>
    }
}
