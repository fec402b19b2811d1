//! The parts of a page that the browser keeps in step with the server.

use leptos::prelude::*;

use crate::ui::components::rendered::{IntoRendered as _, Rendered};
use crate::ui::context::page;
use crate::ui::islands::ids;

/// Renders a page of which one part is kept in step with the server: what stands before it, that part, read at `as_of`, and
/// what follows. Forms, questions and secrets belong around it. Only the part is sent to a browser that asks for it.
pub fn around_live_body(before: Rendered, (as_of, body): (i64, Rendered), after: Rendered) -> Rendered {
    let body = live_body(as_of, body);
    if page().regions.is_some() { body.rendered() } else { (before, body, after).rendered() }
}

/// Renders a page's own content. It was read at `as_of`.
pub fn live_body(as_of: i64, body: Rendered) -> impl IntoView {
    live_body_until(as_of, None, body)
}

/// Renders a page's own content, which is read again at `again` at the latest: something changes with time alone.
pub fn live_body_until(as_of: i64, again: Option<i64>, body: Rendered) -> impl IntoView {
    page().shows_region(ids::BODY).then(|| {
        view! {
            <div id=ids::BODY class="contents" data-region data-as-of=as_of data-again=again>
                {body}
            </div>
        }
    })
}
