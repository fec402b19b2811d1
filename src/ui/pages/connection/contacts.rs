//! A connection's contacts: who gets a letter with a link if it needs reconnecting.

use leptos::prelude::*;

use crate::model::{ConnectionPageView, ContactView};
use crate::ui::components::org_field::org_field;
use crate::ui::components::time;
use crate::ui::components::typed::typed_about;

/// Renders the section. `None` if the viewer may not manage connections.
pub fn contacts(view: &ConnectionPageView) -> impl IntoView + use<> {
    if !view.may_manage {
        return None;
    }
    let one = &view.connection;
    let lines = one.contacts.iter().map(|contact| contact.email.as_str()).collect::<Vec<_>>().join("\n");
    let typed = typed_about("/api/integrations/contacts/set", "binding_id", one.id.as_str());
    let lines = typed.value("contacts", lines);
    let notes: Vec<_> = one.contacts.iter().filter_map(note).collect();
    let notes = (!notes.is_empty()).then(|| view! { <ul>{notes}</ul> });
    let how = match view.can_send_email {
        true => {
            "One email address a line, at most 5. If Xero ends the access, they get an email with a link to reconnect, and reminders after 1, 3 and 7 days. They need no account in Evergrant."
        }
        false => {
            "One email address a line, at most 5. They would get an email with a link to reconnect if Xero ended the access, but this Evergrant has no mail server, so nobody gets one."
        }
    };
    Some(view! {
        <section class="card stack" aria-labelledby="contacts">
            <h2 id="contacts">"Contacts"</h2>
            <form class="stack" method="post" action="/api/integrations/contacts/set">
                {org_field()}
                <input type="hidden" name="binding_id" value=one.id.0.clone() />
                {notes}
                <label class="field">
                    <span>{format!("Contacts of {}", one.tenant_name)}</span>
                    <textarea
                        rows="2"
                        spellcheck="false"
                        autocapitalize="none"
                        {..typed.marks("contacts", Some("contacts-hint"))}
                    >
                        {lines}
                    </textarea>
                </label>
                {typed.error("contacts")}
                <p class="hint" id="contacts-hint">
                    {how}
                </p>
                <button class="button">"Save contacts"</button>
            </form>
        </section>
    })
}

/// Says why a contact gets no letters.
fn note(contact: &ContactView) -> Option<impl IntoView + use<>> {
    let ContactView { email, unsubscribed_at, refused_at } = contact;
    let (text, at) = match (*unsubscribed_at, *refused_at) {
        (Some(at), _) => (format!("{email} unsubscribed, and gets no emails since "), at),
        (None, Some(at)) => (format!("{email} can't be reached: the mail server refused the address on "), at),
        (None, None) => return None,
    };
    Some(view! { <li class="hint">{text} {time::date(at)}</li> })
}
