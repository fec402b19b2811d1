//! The words of the API keys page.

use leptos::prelude::*;

pub const TITLE: &str = "API keys";
pub fn what_keys_are_for(organization: &str) -> String {
    format!("With a key, a program can get fresh tokens for {organization}’s connections.")
}
pub const API_REFERENCE: &str = "API reference";
pub const FORBIDDEN: &str = "Only owners and admins can see and create API keys. Ask one of them.";

// A new key, which is shown once.
pub const YOUR_NEW_KEY: &str = "Your new API key";
pub const COPY_IT_NOW: &str =
    "Copy it now and store it with your program's secrets. You won't be able to see it again.";
pub const COPY_THE_KEY: &str = "Copy the key";
pub const WHAT_THE_EXAMPLE_DOES: &str =
    "With the key in EVERGRANT_KEY, this command lists the connections that it can access:";
pub fn example_call(origin: &str) -> String {
    format!("curl -H \"Authorization: Bearer $EVERGRANT_KEY\" {origin}/api/v1/bindings")
}

// The list.
pub const KEYS: &str = "Keys";
pub const NO_KEYS: &str = "No API keys yet. Create one for each program, so that you can revoke each one separately.";
pub fn key_origin(prefix: impl IntoView, is_rotated: bool, date: impl IntoView, by: Option<String>) -> impl IntoView {
    let verb = if is_rotated { ", rotated on " } else { ", created on " };
    (prefix, verb, date, by.map_or_else(|| " from the command line".to_owned(), |by| format!(" by {by}")))
}
pub fn old_key(prefix: impl IntoView, ends: impl IntoView, use_of_it: impl IntoView) -> impl IntoView {
    ("The old key ", prefix, " works until ", ends, use_of_it)
}
pub fn old_key_last_used(age: impl IntoView, by: String) -> impl IntoView {
    (", last used ", age, (!by.is_empty()).then(|| format!(" by {by}")))
}
pub const OLD_KEY_NEVER_USED: &str = ", never used";
pub const LAST_USED: &str = "Last used";
pub const OPENS_NONE_ANY_MORE: &str = "None any more";
pub const END_THE_OLD_KEY: &str = "End the old key";
pub const CHOOSE_CONNECTIONS: &str = "Choose connections";

// The form that creates a key.
pub const NEW_KEY: &str = "New key";
pub const EXAMPLE_NAME: &str = "Nightly export";
pub const NAME_HINT: &str = "The program that will use the key. This list and the activity page show it.";
pub const ONLY_THESE_CONNECTIONS: &str = "Only these connections";
pub const NONE_TICKED_OPENS_ALL: &str = "Tick none for a key that opens all connections, also later ones.";
pub const EXPIRES_AFTER: &str = "Expires after";
pub const CREATE_KEY: &str = "Create API key";

// The question before a key is revoked.
pub fn revoke_question(key: &str) -> String {
    format!("Revoke {key}?")
}
pub fn what_revoking_does(prefix: impl IntoView) -> impl IntoView {
    (
        "Requests with ",
        prefix,
        " will be refused from then on. You can't undo this. Access tokens that it has already returned work until they expire, after 30 minutes at most.",
    )
}

// Rotating a key.
pub fn rotate_question(key: &str) -> String {
    format!("Rotate {key}?")
}
pub const WHAT_ROTATING_DOES: &str = "A new key takes the place of this one, with the same permissions. It is shown once. Give it to your program before the old key ends.";
pub const OLD_KEY_WORKS_FOR: &str = "The old key works for";

// Renaming a key.
pub fn rename_title(key: &str) -> String {
    format!("Rename {key}")
}
pub const NEW_NAME: &str = "New name";

// Choosing a key's connections.
pub fn which_connections(key: &str) -> String {
    format!("Which connections does {key} open?")
}
pub const THE_KEY_OPENS: &str = "The key opens";
pub const OPENS_ALL: &str = "All connections, also later ones";
pub const OPENS_CHOSEN: &str = "Only the ones ticked here";
pub const CHOSEN_CONNECTIONS: &str = "Chosen connections";
