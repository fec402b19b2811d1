//! The body of a page that shows connections.

use leptos::prelude::*;

use crate::ui::context::page;
use crate::ui::islands::connections::Connections;
use crate::ui::islands::ids;

/// Wraps a page's body so that it is read again after changes. For pages without a disconnect dialog.
pub fn live_body(as_of: i64, body: AnyView) -> impl IntoView {
    let org = page().session.and_then(|session| session.org).map(|org| org.id.0);
    view! {
        <Connections>
            <div id=ids::BODY class="contents" data-as-of=as_of data-org=org>
                {body}
            </div>
        </Connections>
    }
}
