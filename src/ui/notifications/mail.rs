//! Who gets mail.

use leptos::prelude::*;

use crate::model::{NotificationsView, RecipientView, Role};

/// The section. Everybody decides for themselves; owners and admins for all.
pub fn mail(view: &NotificationsView) -> impl IntoView + use<> {
    let rows = view.recipients.iter().map(row).collect_view();
    view! {
        <section aria-labelledby="mail">
            <div class="section-head">
                <h2 id="mail">"E-mail"</h2>
            </div>
            <div class="stack">
            {(!view.ways.mail)
                .then(|| {
                    view! {
                        <p class="hint">
                            "No mail is sent yet: whoever runs Evergrant hasn't named a mail server. Choices are kept until then."
                        </p>
                    }
                })}
            <ul class="connections" aria-label="E-mail">{rows}</ul>
            </div>
        </section>
    }
}

fn row(one: &RecipientView) -> impl IntoView + use<> {
    let role = match one.role {
        Role::Owner => "Owner",
        Role::Admin => "Admin",
        Role::Member => "Member",
    };
    let (tone, word) = if one.gets_mail { ("good", "Wants mail") } else { ("quiet", "No mail") };
    let verb = if one.gets_mail { "Turn off" } else { "Turn on" };
    view! {
        <li class="connection brief">
            <div class="connection-name">
                <h3 id=format!("mail-{}", one.user_id)>{one.email.clone()}</h3>
                <span class="badge" data-tone=tone>{word}</span>
                <span class="meta">{role} {one.is_you.then_some(", you")}</span>
            </div>
            <form method="post" action="/api/notifications/mail">
                <input type="hidden" name="user_id" value=one.user_id.0.clone() />
                <input type="hidden" name="on" value=(!one.gets_mail).to_string() />
                <button class="button" aria-describedby=format!("mail-{}", one.user_id)>{verb}</button>
            </form>
        </li>
    }
}
