//! Notices above a page's content: the sandbox, refused credentials, and the flash message.

use leptos::prelude::*;

use crate::model::{FlashMessage, Page, Tone, still_broken_text};
use crate::ui::components::time;
use crate::ui::shared::icons::{CHECK, CLOCK, INFO, WARNING, icon};

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

/// Renders the alert shown on every page while Xero refuses the app's credentials.
pub fn app_alarm(page: &Page) -> impl IntoView + use<> {
    page.app_alarm.clone().map(|code| {
        view! {
            <div class="notice" data-tone="bad" role="alert">
                {icon(WARNING)}
                <p>
                    <strong>"Xero refuses Evergrant's app credentials"</strong> " (" <code>{code}</code>
                    "), so no token can be refreshed. Your Evergrant administrator needs to check XERO_CLIENT_ID, XERO_CLIENT_SECRET and XERO_SCOPES. Your connections are safe. This message disappears once Xero accepts the credentials again."
                </p>
            </div>
        }
    })
}

/// Renders the message of the form that redirected here.
pub fn flash_message(page: &Page) -> impl IntoView + use<> {
    page.flash.as_ref().map(|flash| {
        let text = match &page.flash_tenant {
            Some(tenant) => flash.text_about(tenant),
            None => flash.text(),
        };
        let retry = flash.retry_at().map(|at| view! { " Evergrant will try again at " {time::time_of_day(at)} "." });
        let rest = still_broken_text(&page.still_broken);
        let text = if rest.is_empty() { text.into_owned() } else { format!("{text} {rest}") };
        let (role, path) = match flash.tone() {
            Tone::Good => ("status", CHECK),
            // Nobody has to act.
            _ if retry.is_some() => ("status", CLOCK),
            _ => ("alert", WARNING),
        };
        view! {
            <div class="notice" data-tone=flash.tone().as_str() role=role>
                {icon(path)}
                <p>{text} {retry}</p>
            </div>
        }
    })
}
