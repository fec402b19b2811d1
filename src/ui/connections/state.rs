//! What the connections' island knows, and what it does when somebody presses something.

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api;
use crate::model::{ApiError, BindingId, BindingStatus, Health, RefreshReport, SettingsView};
use crate::ui::signed_in::ActiveOrg;

/// How long a row may wait for something that should have happened before the list is read again. Seconds.
const PATIENCE: i64 = 5;

/// What an action came to, as a sentence; one at a time on the page.
#[derive(Clone)]
struct Outcome {
    /// The row it belongs to; `None` for Refresh Tokens and for what happened to the list.
    of: Option<BindingId>,
    tone: &'static str,
    text: String,
}

#[derive(Clone, Copy)]
pub struct State {
    pub view: RwSignal<SettingsView>,
    /// The list couldn't be read again.
    pub stale: RwSignal<bool>,
    /// Refresh Tokens is at work.
    pub running: RwSignal<bool>,
    pub button: NodeRef<html::Button>,
    /// The row whose menu's action is at work.
    pub busy: RwSignal<Option<BindingId>>,
    /// The connection that the dialog asks about.
    pub asked: RwSignal<Option<(BindingId, String)>>,
    /// Unix seconds by the server's clock, once the browser counts them. Until then the page shows what the server
    /// wrote.
    pub now: RwSignal<Option<i64>>,
    outcome: RwSignal<Option<Outcome>>,
    org: StoredValue<Option<ActiveOrg>>,
    /// Server's time less this machine's.
    offset: StoredValue<i64>,
    /// When the list was last asked for.
    asked_at: StoredValue<i64>,
}

impl State {
    pub fn new(view: SettingsView, org: Option<ActiveOrg>) -> Self {
        Self {
            asked_at: StoredValue::new(view.as_of),
            view: RwSignal::new(view),
            stale: RwSignal::new(false),
            running: RwSignal::new(false),
            button: NodeRef::new(),
            busy: RwSignal::new(None),
            asked: RwSignal::new(None),
            now: RwSignal::new(None),
            outcome: RwSignal::new(None),
            org: StoredValue::new(org),
            offset: StoredValue::new(0),
        }
    }

    /// The time that rows are shown for: what the server wrote until the browser counts on.
    pub fn time(self) -> i64 {
        self.now.get().unwrap_or_else(|| self.view.with_untracked(|view| view.as_of))
    }

    pub fn said(self, of: Option<&BindingId>) -> Option<String> {
        self.outcome.with(|outcome| outcome.as_ref().filter(|one| one.of.as_ref() == of).map(|one| one.text.clone()))
    }

    pub fn tone(self, of: Option<&BindingId>) -> Option<&'static str> {
        self.outcome.with(|outcome| outcome.as_ref().filter(|one| one.of.as_ref() == of).map(|one| one.tone))
    }

    pub fn say(self, of: Option<BindingId>, tone: &'static str, text: String) {
        self.outcome.set(Some(Outcome { of, tone, text }));
    }

    /// Refreshes what is due. A second press while it runs does nothing.
    pub fn refresh_all(self) {
        if self.running.get_untracked() {
            return;
        }
        self.running.set(true);
        self.outcome.set(None);
        spawn_local(async move {
            match api::refresh_integrations(true).await {
                Ok(report) => {
                    let failed = report.errors.len() as u32;
                    let total = self.view.with_untracked(active);
                    let text = RefreshReport::sentence(report.refreshed_count, failed, total);
                    self.say(None, if failed == 0 { "good" } else { "bad" }, text);
                    self.read_again().await;
                }
                Err(error) => self.say(None, "bad", error.to_string()),
            }
            self.running.set(false);
            // A button that is disabled loses the focus; the timer lets it be enabled first.
            set_timeout(move || self.return_focus(), std::time::Duration::ZERO);
        });
    }

    fn return_focus(self) {
        let nowhere = |tag: String| matches!(tag.as_str(), "BODY" | "MAIN");
        let nowhere = document().active_element().is_none_or(|element| nowhere(element.tag_name()));
        if let (true, Some(button)) = (nowhere, self.button.get_untracked()) {
            // Only a detached document refuses.
            let _ = button.focus();
        }
    }

    /// Exchanges one connection's token now.
    pub fn refresh_one(self, id: BindingId) {
        self.act(id.clone(), "Refreshing", async move {
            let report = api::refresh_connection(id).await?;
            Ok(match report.errors.into_iter().next() {
                Some(failed) => ("bad", failed.error),
                None => ("good", "The token is refreshed.".to_owned()),
            })
        });
    }

    /// Fetches the organisation's details, to show that the connection works.
    pub fn test(self, id: BindingId) {
        self.act(id.clone(), "Asking Xero", async move {
            let details = api::test_connection(id).await?;
            let mut text = format!("Xero answered: {}", details.legal_name.unwrap_or(details.name));
            for more in [details.country_code, details.base_currency].into_iter().flatten() {
                text.push_str(", ");
                text.push_str(&more);
            }
            text.push('.');
            if let Some(warning) = details.warning {
                text.push(' ');
                text.push_str(&warning);
            }
            Ok(("good", text))
        });
    }

    fn act(
        self,
        id: BindingId,
        meanwhile: &'static str,
        action: impl Future<Output = Result<(&'static str, String), ApiError>> + 'static,
    ) {
        if self.busy.with_untracked(Option::is_some) {
            return;
        }
        self.busy.set(Some(id.clone()));
        self.say(Some(id.clone()), "quiet", format!("{meanwhile}…"));
        spawn_local(async move {
            let (tone, text) = action.await.unwrap_or_else(|error| ("bad", error.to_string()));
            self.read_again().await;
            self.say(Some(id), tone, text);
            self.busy.set(None);
        });
    }

    pub fn reload(self) {
        spawn_local(self.read_again());
    }

    /// Reads the list again. Rows stay as they are where that fails, and the page says so.
    pub async fn read_again(self) {
        self.asked_at.set_value(self.time_untracked());
        match api::settings().await {
            Ok(view) => {
                let here = self.org.with_value(|org| org.as_ref().map(|org| org.0.clone()));
                if here.zip(view.org_id.as_ref()).is_some_and(|(here, theirs)| here != *theirs) {
                    // Another tab works in another organisation now; so does this session.
                    let _ = window().location().reload();
                    return;
                }
                self.view.set(view);
                self.stale.set(false);
                self.start_clock();
            }
            Err(_) => self.stale.set(true),
        }
    }

    fn time_untracked(self) -> i64 {
        self.now.get_untracked().unwrap_or_default()
    }

    /// Counts on from the server's time, so that a wrong clock on this machine doesn't matter.
    pub fn start_clock(self) {
        let as_of = self.view.with_untracked(|view| view.as_of);
        self.offset.set_value(as_of - here());
        self.now.set(Some(as_of));
    }

    /// Once a second: moves the clock, and reads the list again where a row waits for something overdue.
    pub fn tick(self) {
        let now = here() + self.offset.get_value();
        self.now.set(Some(now));
        let waited = now - self.asked_at.get_value() >= PATIENCE;
        if waited && !document().hidden() && self.view.with_untracked(|view| overdue(view, now)) {
            self.reload();
        }
    }
}

/// This machine's clock, in unix seconds.
fn here() -> i64 {
    (js_sys::Date::now() / 1000.0) as i64
}

fn active(view: &SettingsView) -> u32 {
    view.connections.iter().filter(|one| one.status == BindingStatus::Active).count() as u32
}

/// Whether a row shows something that the server must be past by now: an exchange, or a try whose time has come.
fn overdue(view: &SettingsView, now: i64) -> bool {
    view.connections.iter().any(|one| match one.health {
        Health::Refreshing => true,
        Health::Retrying => one.next_attempt_at.is_some_and(|at| at <= now),
        Health::Connected | Health::NeedsReauth | Health::Disconnected => false,
    })
}
