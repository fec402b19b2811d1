//! Badges: a state in a word or two.

use maud::{Markup, PreEscaped, html};

use super::rendered::{Rendered, from_markup, text};
use crate::model::Tone;

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
    pub fn render(self) -> Rendered {
        from_markup(self.markup_with(&html! {}))
    }

    /// Renders the badge as text, with something after its label.
    pub fn markup_with(self, more: &Markup) -> Markup {
        html! {
            span class="badge" data-tone=(self.tone.as_str()) {
                @if let Some(icon) = self.icon { (PreEscaped(icon)) }
                (text(self.label))
                (more)
            }
        }
    }
}
