//! The second factor: adding one, its recovery codes, and removing it.

use leptos::prelude::*;

use super::words;
use crate::model::{AccountView, FactorEnrollment, Page, SecondFactorView, Tone, paths};
use crate::ui::components::account_fields::code_field;
use crate::ui::components::badge::Badge;
use crate::ui::components::question_card::answer_buttons;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::secret_card::SecretCard;
use crate::ui::components::time;
use crate::ui::components::typed::typed;

/// Renders the section. The demo login has none. `asked` is what the address asks to remove.
pub fn second_factor(view: &AccountView, page: &Page, asked: Option<&str>) -> impl IntoView + use<> {
    if view.is_demo {
        return None;
    }
    let codes = page.recovery_codes.as_ref().map(|codes| recovery_codes(codes.expose()).rendered());
    let factor = &view.second_factor;
    let asks_removal = asked == Some("factor") || typed("/api/account/remove-second-factor").is_refused();
    let state = match (factor.since, &page.factor_enrollment) {
        (Some(since), _) if asks_removal => removal_card(view, since).rendered(),
        (Some(since), _) => is_on(factor, since).rendered(),
        (None, _) if !factor.can_enroll => elsewhere().rendered(),
        (None, Some(enrollment)) => enroll(enrollment).rendered(),
        (None, None) => begin().rendered(),
    };
    Some(view! {
        <section aria-labelledby="second-factor">
            <div class="section-head">
                <h2 id="second-factor">{words::SECOND_FACTOR}</h2>
            </div>
            <div class="stack">{codes} {state}</div>
        </section>
    })
}

fn begin() -> impl IntoView {
    view! {
        <form class="card stack" method="post" action="/api/account/begin-second-factor">
            <p>
                {words::WHAT_A_SECOND_FACTOR_DOES}
            </p>
            <div>
                <button class="button">{words::SET_UP_SECOND_FACTOR}</button>
            </div>
        </form>
    }
}

fn elsewhere() -> impl IntoView {
    view! {
        <p class="hint">{words::SECOND_FACTOR_IS_ELSEWHERE}</p>
    }
}

fn enroll(enrollment: &FactorEnrollment) -> impl IntoView + use<> {
    let size = enrollment.qr_size;
    let squares = enrollment.qr_path.expose().to_owned();
    let secret = view! { <code id="factor-secret">{enrollment.secret.expose().to_owned()}</code> };
    view! {
        <div class="card stack">
            <p>{words::SCAN_THIS}</p>
            <svg class="qr" viewBox=format!("0 0 {size} {size}") role="img" aria-label=words::QR_CODE>
                <path d=squares></path>
            </svg>
            <p>{words::or_enter_the_secret(secret)}</p>
            <form class="stack" method="post" action="/api/account/confirm-second-factor">
                {code_field(&typed("/api/account/confirm-second-factor"), "code", "Code", "factor-hint")}
                <p class="hint" id="factor-hint">
                    {words::FIRST_CODE_HINT}
                </p>
                <div>
                    <button class="button primary">{words::TURN_ON}</button>
                </div>
            </form>
            <form method="post" action="/api/account/begin-second-factor">
                <button class="button">{words::START_AGAIN}</button>
            </form>
        </div>
    }
}

fn is_on(factor: &SecondFactorView, since: i64) -> impl IntoView + use<> {
    let badge = Badge::plain(Tone::Good, "On").render();
    view! {
        <div class="card stack">
            <p>{words::factor_is_on(badge, time::date(since), factor.recovery_codes_left)}</p>
            <div class="dialog-actions">
                <form method="post" action="/api/account/create-recovery-codes">
                    <button class="button">{words::CREATE_RECOVERY_CODES}</button>
                </form>
                <a class="button danger" href=format!("{}?remove=factor#second-factor", paths::ACCOUNT)>
                    {words::REMOVE_SECOND_FACTOR}
                </a>
            </div>
        </div>
    }
}

/// Says what is removed and what follows, and asks for a code.
fn removal_card(view: &AccountView, since: i64) -> impl IntoView + use<> {
    let codes = words::recovery_codes_stop(view.second_factor.recovery_codes_left);
    let told = words::email_about_removal(&view.email);
    let typed = typed("/api/account/remove-second-factor");
    view! {
        <section class="card question" aria-labelledby="question">
            <h3 id="question">{words::REMOVE_SECOND_FACTOR_QUESTION}</h3>
            <ul>
                <li>{words::app_no_longer_signs_in(time::date(since))}</li>
                {codes.map(|codes| view! { <li>{codes}</li> })}
                <li>{words::PASSWORD_ALONE_SIGNS_IN}</li>
                <li>
                    {words::ORGANIZATIONS_STAY_CLOSED}
                </li>
                {view.can_send_email.then(|| view! { <li>{told}</li> })}
            </ul>
            <form class="stack" method="post" action="/api/account/remove-second-factor">
                {code_field(&typed, "code", "Code", "removal-hint")}
                <p class="hint" id="removal-hint">
                    {words::CODE_HINT}
                </p>
                {answer_buttons(paths::ACCOUNT, "danger", "Remove")}
            </form>
        </section>
    }
}

fn recovery_codes(codes: &str) -> impl IntoView + use<> {
    view! {
        <SecretCard
            id="recovery-codes"
            title=words::RECOVERY_CODES
            secret=codes.to_owned()
            copy=words::COPY_THE_CODES
            text=words::KEEP_RECOVERY_CODES.rendered()
        />
    }
}
