//! Who gets notification emails.

use leptos::prelude::*;

use crate::model::{NotificationsView, RecipientView, Tone};
use crate::ui::components::badge::Badge;
use crate::ui::components::org_field::org_field;

/// Renders the section. Members change their own setting, owners and admins anyone's.
pub fn email_settings(view: &NotificationsView) -> impl IntoView + use<> {
    let rows = view.recipients.iter().map(row).collect_view();
    view! {
        <section aria-labelledby="mail">
            <div class="section-head">
                <h2 id="mail">"Email"</h2>
            </div>
            <div class="stack">
            {(!view.ways.mail)
                .then(|| {
                    view! {
                        <p class="hint">
                            "No email is sent yet: your Evergrant administrator hasn't set up a mail server. Your choices are saved until then."
                        </p>
                    }
                })}
            <ul class="connections" aria-label="Email">{rows}</ul>
            </div>
        </section>
    }
}

fn row(one: &RecipientView) -> impl IntoView + use<> {
    let (badge, verb) = if one.gets_mail {
        (Badge::plain(Tone::Good, "Email on"), "Turn off")
    } else {
        (Badge::plain(Tone::Quiet, "Email off"), "Turn on")
    };
    view! {
        <li class="connection brief" data-key=one.user_id.0.clone()>
            <div class="connection-name">
                <h3 id=format!("mail-{}", one.user_id)>{one.email.clone()}</h3>
                {badge.render()}
                <span class="meta">{one.role.label()} {one.is_you.then_some(", you")}</span>
            </div>
            <form method="post" action="/api/notifications/mail">
                {org_field()}
                <input type="hidden" name="user_id" value=one.user_id.0.clone() />
                <input type="hidden" name="on" value=(!one.gets_mail).to_string() />
                <button class="button" aria-describedby=format!("mail-{}", one.user_id)>{verb}</button>
            </form>
        </li>
    }
}
