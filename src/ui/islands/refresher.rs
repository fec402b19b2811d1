//! The refresher: renders nothing, and refreshes the organization's tokens when a person starts working in it.

use leptos::prelude::*;
use leptos::task::spawn_local;

use super::dom::on;
use super::live;
use super::times::retry_sentence;
use super::toasts::Toasts;
use crate::api::refresh_integrations;
use crate::model::OrgId;

/// Session storage key: which organization this tab refreshed last, and when.
const STORAGE_KEY: &str = "evergrant.refresher";

/// A page that is loaded or shown again later than this refreshes again. Milliseconds.
const REFRESH_AGAIN_AFTER_MS: i64 = 5 * 60 * 1000;

/// Refreshes on the first load, after a switch of organization, and when the page is loaded or becomes visible more
/// than five minutes later. Navigation alone does not refresh.
#[island]
pub fn XeroTokenRefresher(org_id: OrgId) -> impl IntoView {
    let toasts = use_context::<Toasts>();
    Effect::new(move |_| {
        let org = org_id.0.clone();
        let run = move || {
            if document().visibility_state() != web_sys::VisibilityState::Hidden && claim_refresh(&org) {
                spawn_local(refresh(OrgId(org.clone()), toasts));
            }
        };
        run();
        on(&window(), "visibilitychange", move |_| run());
    });
}

/// Runs one refresh and shows its result as toasts. Shows nothing if nothing was due or the server did not respond: the
/// page itself shows what is wrong.
async fn refresh(org: OrgId, toasts: Option<Toasts>) {
    let Ok(report) = refresh_integrations(false, Some(org)).await else {
        // Lets the next load try again.
        clear_claim();
        return;
    };
    let refreshed = report.refreshed_count > 0;
    let failed = !report.errors.is_empty();
    let summary = report.summary();
    if let Some(toasts) = toasts {
        if summary.needs_action() > 0 {
            toasts.attention("Xero connection needs attention");
        }
        if refreshed {
            toasts.good("Xero connection refreshed");
        } else if let Some(at) = summary.retry_at() {
            toasts.waiting(format!("{} {}", summary.text(None), retry_sentence(at)));
        }
    }
    if refreshed || failed {
        live::note_change();
    }
}

/// Returns whether this call should run. Writes to the storage before anything is sent, so only one of two calls runs.
fn claim_refresh(org: &str) -> bool {
    let Some(storage) = storage() else { return true };
    let memory = storage.get_item(STORAGE_KEY).ok().flatten();
    let now = js_sys::Date::now() as i64;
    if !is_due(org, now, memory.as_deref()) {
        return false;
    }
    // If the storage is full or forbidden, at most one extra refresh runs.
    let _ = storage.set_item(STORAGE_KEY, &format!("{now} {org}"));
    true
}

fn clear_claim() {
    if let Some(storage) = storage() {
        let _ = storage.remove_item(STORAGE_KEY);
    }
}

fn storage() -> Option<web_sys::Storage> {
    window().session_storage().ok().flatten()
}

/// Returns whether the organization differs from the stored one, or was refreshed more than five minutes ago. A clock
/// that was set back counts as more than five minutes.
fn is_due(org: &str, now: i64, memory: Option<&str>) -> bool {
    let Some((at, served)) = memory.and_then(|memory| memory.split_once(' ')) else { return true };
    served != org || !at.parse::<i64>().is_ok_and(|at| (0..=REFRESH_AGAIN_AFTER_MS).contains(&(now - at)))
}

#[cfg(test)]
mod tests {
    use super::is_due;

    const NOW: i64 = 1_795_442_709_000;

    #[test]
    fn refresh_is_due_on_the_first_load_and_after_a_switch() {
        assert!(is_due("org-1", NOW, None));
        assert!(is_due("org-1", NOW, Some(&format!("{NOW} org-2"))));
    }

    #[test]
    fn refresh_is_not_due_after_navigation() {
        assert!(!is_due("org-1", NOW, Some(&format!("{NOW} org-1"))));
        assert!(!is_due("org-1", NOW + 300_000, Some(&format!("{NOW} org-1"))));
    }

    #[test]
    fn refresh_is_due_on_a_return_after_five_minutes() {
        assert!(is_due("org-1", NOW + 300_001, Some(&format!("{NOW} org-1"))));
    }

    #[test]
    fn refresh_is_due_if_the_stored_value_is_malformed() {
        for memory in ["", "org-1", "soon org-1", "1.5 org-1"] {
            assert!(is_due("org-1", NOW, Some(memory)), "{memory:?}");
        }
        assert!(is_due("org-1", NOW - 60_000, Some(&format!("{NOW} org-1"))), "the clock was set back");
    }
}
