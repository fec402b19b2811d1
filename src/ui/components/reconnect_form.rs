//! The form that reconnects a connection.

use leptos::prelude::*;

use super::org_field::org_field;
use crate::model::{BindingId, Health};

/// Renders the form, whose button is primary where it is needed. `described_by` is the id of the element that names the connection.
pub fn reconnect_form(id: &BindingId, health: Health, described_by: String) -> impl IntoView + use<> {
    let class = if health == Health::NeedsReauth { "button primary" } else { "button" };
    view! {
        <form class="reconnect" method="post" action="/api/integrations/xero/connect">
            {org_field()}
            <input type="hidden" name="binding_id" value=id.0.clone() />
            <button class=class aria-describedby=described_by>
                "Reconnect"
            </button>
        </form>
    }
}
