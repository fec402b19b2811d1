//! The words of the notifications page. What each kind of event is called is in the model, because emails say it, too.

use leptos::prelude::*;

pub const TITLE: &str = "Notifications";
pub const WHEN_YOU_ARE_NOTIFIED: &str =
    "Evergrant tells you when a connection needs attention, before it expires, and when it works again.";
pub const RECENT_EVENTS: &str = "Recent events";

// The question before a webhook is removed.
pub const REMOVE_QUESTION: &str = "Remove this webhook?";
pub fn what_removing_does(address: impl IntoView) -> impl IntoView {
    (
        "Evergrant will post nothing more to ",
        address,
        ". Its pending deliveries are cancelled. If you add it again, it gets a new secret.",
    )
}

// The events that a webhook gets.
pub const WHICH_EVENTS: &str = "Which events does this webhook get?";
pub const ONLY_THESE_EVENTS: &str = "Only these events";
pub const NONE_TICKED_GETS_ALL: &str = "Tick none for all events, also those that a later version adds.";

// A signing secret, which is shown once.
pub const SIGNING_SECRET: &str = "Signing secret";
pub fn what_the_secret_is_for(address: impl IntoView) -> impl IntoView {
    (
        "For ",
        address,
        ". Copy it to your receiver, which checks each event's signature with it. You won't be able to see it again.",
    )
}
pub const COPY_THE_SECRET: &str = "Copy the secret";

// Who gets emails.
pub const EMAIL: &str = "Email";
pub const NO_MAIL_SERVER: &str = "No email is sent yet: your Evergrant administrator hasn't set up a mail server. Your choices are saved until then.";
pub const EMAIL_ON: &str = "Email on";
pub const EMAIL_OFF: &str = "Email off";
pub fn role(role: &str, is_you: bool) -> String {
    if is_you { format!("{role}, you") } else { role.to_owned() }
}
pub const TURN_ON: &str = "Turn on";
pub const TURN_OFF: &str = "Turn off";

// The webhooks.
pub const WEBHOOKS: &str = "Webhooks";
pub const WHAT_WEBHOOKS_ARE: &str =
    "Evergrant posts each event as JSON, signed with the Standard Webhooks scheme, and retries for up to three days.";
pub const NO_WEBHOOKS: &str = "No webhooks yet.";
pub const OFF_AS_GONE: &str = "Off: the receiver answered 410 Gone";
pub fn added_on(date: impl IntoView, previous_until: Option<impl IntoView>) -> impl IntoView {
    ("Added on ", date, previous_until.map(|until| (". The previous secret also signs until ", until)))
}
pub const LAST_DELIVERY: &str = "Last delivery";
pub const NONE_YET: &str = "None yet";
pub const NEXT_ATTEMPT: &str = "Next attempt";
pub const SEND_A_TEST: &str = "Send a test";
pub const CHOOSE_EVENTS: &str = "Choose events";
pub const NEW_SECRET: &str = "New secret";

// The form that adds a webhook.
pub const ADD_WEBHOOK: &str = "Add webhook";
pub fn address_hint(only_this_machine: bool) -> &'static str {
    if only_this_machine {
        "In sandbox mode nothing leaves this machine, so use an address on it."
    } else {
        "A public https address. Its signing secret is shown once, on the next page."
    }
}
pub const WHO_MAY_ADD: &str = "Only owners and admins can add and change webhooks.";
