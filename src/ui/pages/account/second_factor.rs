//! The second factor: adding one, its recovery codes, and removing it.

use leptos::prelude::*;

use crate::model::{AccountView, FactorEnrollment, Page, SecondFactorView, Tone};
use crate::ui::components::account_fields::code_field;
use crate::ui::components::badge::Badge;
use crate::ui::components::secret_card::SecretCard;
use crate::ui::components::time;

/// Renders the section. The demo login has none.
pub fn second_factor(view: &AccountView, page: &Page) -> impl IntoView + use<> {
    if view.is_demo {
        return None;
    }
    let codes = page.recovery_codes.as_ref().map(|codes| recovery_codes(codes.expose()).into_any());
    let factor = &view.second_factor;
    let state = match (factor.since, &page.factor_enrollment) {
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
                {code_field("code", "Code", "factor-hint")}
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
                <form method="post" action="/api/account/remove-second-factor">
                    <button class="button danger">"Remove the second factor"</button>
                </form>
            </div>
        </div>
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
