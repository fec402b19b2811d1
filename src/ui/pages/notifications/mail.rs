//! Who gets notification emails.

use leptos::prelude::*;

use super::words;
use crate::model::{NotificationsView, RecipientView, Tone};
use crate::ui::components::badge::Badge;
use crate::ui::components::org_field::org_field;

/// Renders the section. Members change their own setting, owners and admins anyone's.
pub fn email_settings(view: &NotificationsView) -> impl IntoView + use<> {
    let rows = view.recipients.iter().map(row).collect_view();
    view! {
        <section aria-labelledby="mail">
            <div class="section-head">
                <h2 id="mail">{words::EMAIL}</h2>
            </div>
            <div class="stack">
            {(!view.ways.mail)
                .then(|| {
                    view! {
                        <p class="hint">
                            {words::NO_MAIL_SERVER}
                        </p>
                    }
                })}
            <ul class="connections" aria-label=words::EMAIL>{rows}</ul>
            </div>
        </section>
    }
}

fn row(one: &RecipientView) -> impl IntoView + use<> {
    let (badge, verb) = if one.gets_mail {
        (Badge::plain(Tone::Good, words::EMAIL_ON), words::TURN_OFF)
    } else {
        (Badge::plain(Tone::Quiet, words::EMAIL_OFF), words::TURN_ON)
    };
    view! {
        <li class="connection brief" data-key=one.user_id.0.clone()>
            <div class="connection-name">
                <h3 id=format!("mail-{}", one.user_id)>{one.email.clone()}</h3>
                {badge.render()}
                <span class="meta">{words::role(one.role.label(), one.is_you)}</span>
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
