//! Views that are rendered at once.

use leptos::prelude::*;
use leptos::tachys::html::InertElement;

/// Renders a view into one text. Leptos renders what may contain something that it has to wait for element by element,
/// each with buffers of its own; a list of rows costs a fraction this way. Nothing in the view may wait.
pub fn rendered(view: impl IntoView) -> InertElement {
    InertElement::new(view.into_view().to_html())
}
