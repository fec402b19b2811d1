//! Views that are rendered into text at once.
//!
//! What waits for nothing becomes text at the end of its function. Leptos renders everything else element by element, each
//! with buffers of its own, and compiles for each kind of element how it would wait, and how the browser would build it.

use std::borrow::Cow;

use leptos::prelude::*;
use leptos::tachys::html::InertElement;
use maud::{Markup, PreEscaped, Render as _};

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

/// Returns a text as escaped markup. Most texts have nothing to escape and are then copied as a whole. `maud` itself copies
/// byte by byte.
pub fn text(text: &str) -> PreEscaped<Cow<'_, str>> {
    // Reads the whole text: a loop without an early exit is vectorized.
    let is_plain = text.bytes().fold(true, |is_plain, byte| is_plain & !matches!(byte, b'&' | b'<' | b'>' | b'"'));
    PreEscaped(if is_plain { Cow::Borrowed(text) } else { Cow::Owned(text.render().into_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_exactly_as_maud_escapes_it() {
        for one in ["", "Harbour Coffee", "Ōtautahi 'n' co", "A & B", "<b>", "a > b", "\"quoted\"", "trailing &"] {
            assert_eq!(text(one).0, one.render().into_string(), "{one}");
        }
        assert!(matches!(text("Harbour Coffee").0, Cow::Borrowed(_)));
        assert_eq!(text("<script>\"&'").0, "&lt;script&gt;&quot;&amp;'");
    }
}
