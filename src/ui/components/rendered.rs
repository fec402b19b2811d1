//! Views that are rendered into text at once.
//!
//! What waits for nothing becomes text at the end of its function. Leptos renders everything else element by element, each
//! with buffers of its own, and compiles for each kind of element how it would wait, and how the browser would build it.

use leptos::prelude::*;
use leptos::tachys::html::InertElement;
use maud::{Markup, PreEscaped};

/// A rendered view.
pub type Rendered = InertElement;

/// Renders views.
pub trait IntoRendered: IntoView {
    /// Renders the view. Nothing in it may wait.
    fn rendered(self) -> Rendered {
        InertElement::new(self.into_view().to_html())
    }

    /// Renders the view for a row that is written as text. Nothing in it may wait.
    fn markup(self) -> Markup {
        PreEscaped(self.into_view().to_html())
    }
}

impl<V: IntoView> IntoRendered for V {}

/// Turns text into a view.
pub fn from_markup(markup: Markup) -> Rendered {
    InertElement::new(markup.into_string())
}
