//! Badges: a state in a word or two.

use leptos::prelude::*;

use crate::model::Tone;
use crate::ui::shared::icons::icon;

/// A state as its badge shows it.
#[derive(Clone, Copy)]
pub struct Badge {
    /// The badge's color.
    pub tone: Tone,
    /// Path of the icon, if it has one.
    pub icon: Option<&'static str>,
    /// The state's name, which says what the color and the icon say.
    pub label: &'static str,
}

impl Badge {
    /// Creates a badge with an icon.
    pub const fn new(tone: Tone, icon: &'static str, label: &'static str) -> Self {
        Self { tone, icon: Some(icon), label }
    }

    /// Creates a badge without an icon.
    pub const fn plain(tone: Tone, label: &'static str) -> Self {
        Self { tone, icon: None, label }
    }

    /// Renders the badge.
    pub fn render(self) -> impl IntoView {
        self.render_with(())
    }

    /// Renders the badge with something after its label.
    pub fn render_with(self, more: impl IntoView) -> impl IntoView {
        view! {
            <span class="badge" data-tone=self.tone.as_str()>
                {self.icon.map(icon)} {self.label} {more}
            </span>
        }
    }
}
