//! The second factor: adding one, its recovery codes, and removing it.

use leptos::prelude::*;

use crate::model::{AccountView, FactorEnrollment, Page, SecondFactorView, Tone, paths};
use crate::ui::components::account_fields::code_field;
use crate::ui::components::badge::Badge;
use crate::ui::components::question_card::answer_buttons;
use crate::ui::components::secret_card::SecretCard;
use crate::ui::components::time;
use crate::ui::components::typed::typed;

/// Renders the section. The demo login has none. `asked` is what the address asks to remove.
pub fn second_factor(view: &AccountView, page: &Page, asked: Option<&str>) -> impl IntoView + use<> {
    if view.is_demo {
        return None;
    }
    let codes = page.recovery_codes.as_ref().map(|codes| recovery_codes(codes.expose()).into_any());
    let factor = &view.second_factor;
    let asks_removal = asked == Some("factor") || typed("/api/account/remove-second-factor").is_refused();
    let state = match (factor.since, &page.factor_enrollment) {
        (Some(since), _) if asks_removal => removal_card(view, since).into_any(),
        (Some(since), _) => is_on(factor, since).into_any(),
        (None, _) if !factor.can_enroll => elsewhere().into_any(),
        (None, Some(enrollment)) => enroll(enrollment).into_any(),
        (None, None) => begin().into_any(),
    };
    Some(view! {
        <section aria-labelledby="second-factor">
            <div class="section-head">
                <h2 id="second-factor">"Second factor"</h2>
            </div>
            <div class="stack">{codes} {state}</div>
        </section>
    })
}

fn begin() -> impl IntoView {
    view! {
        <form class="card stack" method="post" action="/api/account/begin-second-factor">
            <p>
                "With a second factor, nobody signs in with your password alone: an app on your phone shows a code that changes every 30 seconds."
            </p>
            <div>
                <button class="button">"Set up a second factor"</button>
            </div>
        </form>
    }
}

fn elsewhere() -> impl IntoView {
    view! {
        <p class="hint">"You sign in with another service, which asks for a second factor if you turn it on there."</p>
    }
}

fn enroll(enrollment: &FactorEnrollment) -> impl IntoView + use<> {
    let size = enrollment.qr_size;
    let squares = enrollment.qr_path.expose().to_owned();
    view! {
        <div class="card stack">
            <p>"Scan this with an authenticator app:"</p>
            <svg class="qr" viewBox=format!("0 0 {size} {size}") role="img" aria-label="QR code of the secret below">
                <path d=squares></path>
            </svg>
            <p>
                "Or enter the secret: " <code id="factor-secret">{enrollment.secret.expose().to_owned()}</code>
            </p>
            <form class="stack" method="post" action="/api/account/confirm-second-factor">
                {code_field(&typed("/api/account/confirm-second-factor"), "code", "Code", "factor-hint")}
                <p class="hint" id="factor-hint">
                    "The six digits that the app shows. You are signed out everywhere else, and the secret is not shown again."
                </p>
                <div>
                    <button class="button primary">"Turn on"</button>
                </div>
            </form>
            <form method="post" action="/api/account/begin-second-factor">
                <button class="button">"Start again with a new secret"</button>
            </form>
        </div>
    }
}

fn is_on(factor: &SecondFactorView, since: i64) -> impl IntoView + use<> {
    let left = match factor.recovery_codes_left {
        0 => "No recovery code is left. Create new ones now.".to_owned(),
        1 => "One recovery code is left.".to_owned(),
        left => format!("{left} recovery codes are left."),
    };
    view! {
        <div class="card stack">
            <p>{Badge::plain(Tone::Good, "On").render()} " since " {time::date(since)} ". " {left}</p>
            <div class="dialog-actions">
                <form method="post" action="/api/account/create-recovery-codes">
                    <button class="button">"Create new recovery codes"</button>
                </form>
                <a class="button danger" href=format!("{}?remove=factor#second-factor", paths::ACCOUNT)>
                    "Remove the second factor"
                </a>
            </div>
        </div>
    }
}

/// Says what is removed and what follows, and asks for a code.
fn removal_card(view: &AccountView, since: i64) -> impl IntoView + use<> {
    let codes = match view.second_factor.recovery_codes_left {
        0 => None,
        1 => Some("Your recovery code stops working.".to_owned()),
        left => Some(format!("Your {left} recovery codes stop working.")),
    };
    let told = format!("We send an email about it to {}.", view.email);
    let typed = typed("/api/account/remove-second-factor");
    view! {
        <section class="card question" aria-labelledby="question">
            <h3 id="question">"Remove the second factor?"</h3>
            <ul>
                <li>"The authenticator app that you set up on " {time::date(since)} " no longer signs you in."</li>
                {codes.map(|codes| view! { <li>{codes}</li> })}
                <li>"Your password alone signs you in. You are signed out everywhere else."</li>
                <li>
                    "Organisations that require a second factor stay closed to you until you set one up again."
                </li>
                {view.can_send_email.then(|| view! { <li>{told}</li> })}
            </ul>
            <form class="stack" method="post" action="/api/account/remove-second-factor">
                {code_field(&typed, "code", "Code", "removal-hint")}
                <p class="hint" id="removal-hint">
                    "The six digits that your authenticator app shows, or one of your recovery codes."
                </p>
                {answer_buttons(paths::ACCOUNT, "danger", "Remove")}
            </form>
        </section>
    }
}

fn recovery_codes(codes: &str) -> impl IntoView + use<> {
    let text = "Keep them where you keep other passwords. Each signs you in once, instead of a code, if you don't have your phone. You won't be able to see them again.";
    view! {
        <SecretCard
            id="recovery-codes"
            title="Recovery codes"
            secret=codes.to_owned()
            copy="Copy the codes"
            text=text.into_any()
        />
    }
}
