//! Notices above a page's content: the sandbox, refused credentials, and the flash message.

use leptos::prelude::*;

use crate::model::{AppAlarm, FlashMessage, Page, Tone, paths, still_broken_text};
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;
use crate::ui::islands::ids;
use crate::ui::shared::icons::{CHECK, CLOCK, INFO, WARNING, icon};

/// The pages that say themselves that Xero refuses the app's credentials.
const SAYS_IT_ITSELF: [&str; 2] = [paths::HOME, paths::XERO];

/// Renders the strip that says that no Xero credentials are set.
pub fn sandbox_strip(page: &Page) -> impl IntoView + use<> {
    page.sandbox.then(|| {
        view! {
            <p class="strip">
                {icon(INFO)} "Sandbox: no Xero credentials are set. Nothing leaves this machine."
            </p>
        }
    })
}

/// Renders the alert shown on other pages while Xero refuses the app's credentials. What to check is for those who may see
/// the app's state.
pub fn app_alarm(page: &Page) -> impl IntoView + use<> {
    page.app_alarm.clone().map(|AppAlarm { code }| {
        let what_to_check = match code {
            Some(code) => view! {
                " (" <code>{code}</code>
                "), so no token can be refreshed. Your Evergrant administrator needs to check XERO_CLIENT_ID, XERO_CLIENT_SECRET and XERO_SCOPES."
            }
                .rendered(),
            None => view! { ", so no token can be refreshed. Your Evergrant administrator has to look into it." }.rendered(),
        };
        view! {
            <div class="notice" data-tone="bad" role="alert">
                {icon(WARNING)}
                <p>
                    <strong>"Xero refuses Evergrant's app credentials"</strong> {what_to_check}
                    " Your connections are safe. This message disappears once Xero accepts the credentials again. "
                    <a href=paths::XERO>"Xero's state"</a>
                </p>
            </div>
        }
    })
}

/// Renders the region with that alert, empty on the pages that say it themselves.
pub fn alarm_region(page: &Page) -> impl IntoView + use<> {
    let alert = (!SAYS_IT_ITSELF.contains(&page.path.as_str())).then(|| app_alarm(page));
    view! { <div id=ids::ALARM class="contents" data-region>{alert}</div> }
}

/// Renders the hidden notice that the browser shows while it can't bring the page up to date.
pub fn stale_notice() -> impl IntoView {
    view! {
        <div id=ids::STALE_NOTICE class="notice" data-tone="bad" role="alert" hidden=true>
            {icon(WARNING)}
            <p>"This page couldn't be updated, so it may be out of date. " <a href="">"Try again"</a></p>
        </div>
    }
}

/// Names the zone that the times on the page are in: the one that the person chose, or else UTC, where the browser writes
/// its own.
pub fn zone_note(chosen: Option<&str>) -> impl IntoView + use<> {
    let name = chosen.unwrap_or("UTC").replace('_', " ");
    view! {
        <p class="meta zone">
            "Times are in " <span id=ids::ZONE data-chosen=chosen.map(str::to_owned)>{name}</span>
        </p>
    }
}

/// Says that a form that is given back is not all that was typed.
pub fn incomplete_form_notice(page: &Page) -> impl IntoView + use<> {
    page.typed.as_ref().is_some_and(|form| form.is_incomplete).then(|| {
        view! {
            <div class="notice" data-tone="warn" role="alert">
                {icon(WARNING)}
                <p>
                    "Not all that you entered could be kept, because it was too much. Check the form before you send it again."
                </p>
            </div>
        }
    })
}

/// Renders the message of the form that redirected here.
pub fn flash_message(page: &Page) -> impl IntoView + use<> {
    // A refusal is shown at its field.
    page.flash.as_ref().filter(|_| page.refusal().is_none()).map(|flash| {
        let text = match &page.flash_tenant {
            Some(tenant) => flash.text_about(tenant),
            None => flash.text(),
        };
        let retry = flash.retry_at().map(|at| view! { " Evergrant will try again at " {time::time_of_day(at)} "." });
        let rest = still_broken_text(&page.still_broken);
        let text = if rest.is_empty() { text.into_owned() } else { format!("{text} {rest}") };
        let is_alert = flash.is_alert();
        let (role, path) = match flash.tone() {
            _ if is_alert => ("alert", WARNING),
            Tone::Good => ("status", CHECK),
            _ => ("status", CLOCK),
        };
        view! {
            <div class="notice" data-tone=flash.tone().as_str() role=role tabindex=is_alert.then_some("-1") autofocus=is_alert>
                {icon(path)}
                <p>{text} {retry}</p>
            </div>
        }
    })
}
