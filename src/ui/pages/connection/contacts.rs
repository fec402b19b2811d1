//! A connection's contacts: who gets a letter with a link if it needs reconnecting.

use leptos::prelude::*;

use super::words;
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
    let how = words::what_contacts_get(view.can_send_email);
    Some(view! {
        <section class="card stack" aria-labelledby="contacts">
            <h2 id="contacts">{words::CONTACTS}</h2>
            <form class="stack" method="post" action="/api/integrations/contacts/set">
                {org_field()}
                <input type="hidden" name="binding_id" value=one.id.0.clone() />
                {notes}
                <label class="field">
                    <span>{words::contacts_of(&one.tenant_name)}</span>
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
                <button class="button">{words::SAVE_CONTACTS}</button>
            </form>
        </section>
    })
}

/// Says why a contact gets no letters.
fn note(contact: &ContactView) -> Option<impl IntoView + use<>> {
    let (text, at) = words::contact_note(contact)?;
    Some(view! { <li class="hint">{text} {time::date(at)}</li> })
}
