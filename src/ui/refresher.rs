//! The refresher: renders nothing, and has the organisation's tokens refreshed when somebody starts to work in it.

use leptos::prelude::*;
use leptos::task::spawn_local;

use super::signed_in::Version;
use super::toasts::Toasts;
use crate::api::refresh_integrations;
use crate::model::OrgId;

/// Where this tab remembers which organisation it served last, and when.
const MEMORY: &str = "evergrant.refresher";

/// Coming back later than this asks again. Milliseconds.
const REST: i64 = 5 * 60 * 1000;

/// Runs on a switch of the organisation, on the first load, and when the page is loaded or comes back into view
/// more than five minutes later; never on a mere navigation.
#[island]
pub fn XeroTokenRefresher(org_id: OrgId) -> impl IntoView {
    let toasts = use_context::<Toasts>();
    let version = use_context::<Version>();
    Effect::new(move |_| {
        let org = org_id.0.clone();
        let run = move || {
            if document().visibility_state() != web_sys::VisibilityState::Hidden && claim(&org) {
                spawn_local(refresh(toasts, version));
            }
        };
        run();
        // The listener lives as long as the page does.
        let _ = window_event_listener_untyped("visibilitychange", move |_| run());
    });
}

/// One refresh and what there is to say about it. Nothing to do is silence, and so is a server that doesn't
/// answer: the page's own records show what is wrong.
async fn refresh(toasts: Option<Toasts>, version: Option<Version>) {
    let Ok(report) = refresh_integrations(false).await else {
        // So that the next load tries again.
        forget();
        return;
    };
    let refreshed = report.refreshed_count > 0;
    let failed = !report.errors.is_empty();
    if let Some(toasts) = toasts {
        if refreshed {
            toasts.good("Xero connection refreshed");
        }
        if failed {
            toasts.attention("Xero connection needs attention");
        }
    }
    if let (true, Some(Version(version))) = (refreshed || failed, version) {
        version.update(|version| *version += 1);
    }
}

/// Whether this call is the one to run. It writes the memory before anything is sent, so that two can't both be.
fn claim(org: &str) -> bool {
    let Some(storage) = storage() else { return true };
    let memory = storage.get_item(MEMORY).ok().flatten();
    let now = js_sys::Date::now() as i64;
    if !due(org, now, memory.as_deref()) {
        return false;
    }
    // A full or forbidden storage costs no more than one refresh too many.
    let _ = storage.set_item(MEMORY, &format!("{now} {org}"));
    true
}

fn forget() {
    if let Some(storage) = storage() {
        let _ = storage.remove_item(MEMORY);
    }
}

fn storage() -> Option<web_sys::Storage> {
    window().session_storage().ok().flatten()
}

/// Whether the organisation is another one than remembered, or was served more than five minutes ago. A clock
/// that was set back counts as long ago.
fn due(org: &str, now: i64, memory: Option<&str>) -> bool {
    let Some((at, served)) = memory.and_then(|memory| memory.split_once(' ')) else { return true };
    served != org || !at.parse::<i64>().is_ok_and(|at| (0..=REST).contains(&(now - at)))
}

#[cfg(test)]
mod tests {
    use super::due;

    const NOW: i64 = 1_795_442_709_000;

    #[test]
    fn it_runs_on_the_first_load_and_on_a_switch() {
        assert!(due("org-1", NOW, None));
        assert!(due("org-1", NOW, Some(&format!("{NOW} org-2"))));
    }

    #[test]
    fn it_rests_on_a_mere_navigation() {
        assert!(!due("org-1", NOW, Some(&format!("{NOW} org-1"))));
        assert!(!due("org-1", NOW + 300_000, Some(&format!("{NOW} org-1"))));
    }

    #[test]
    fn it_runs_on_a_return_after_five_minutes() {
        assert!(due("org-1", NOW + 300_001, Some(&format!("{NOW} org-1"))));
    }

    #[test]
    fn it_runs_when_the_memory_makes_no_sense() {
        for memory in ["", "org-1", "soon org-1", "1.5 org-1"] {
            assert!(due("org-1", NOW, Some(memory)), "{memory:?}");
        }
        assert!(due("org-1", NOW - 60_000, Some(&format!("{NOW} org-1"))), "the clock was set back");
    }
}
