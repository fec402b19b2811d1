//! Fields of the forms about accounts, named so that password managers recognize them.

use leptos::prelude::*;

use super::typed::Typed;
use crate::model::MIN_PASSWORD_CHARACTERS;

/// Renders the field for an email address. `autocomplete` says whether it signs somebody in or is a new one; `hint` is
/// the id of the text that explains it.
pub fn email_field(
    typed: &Typed,
    label: &'static str,
    autocomplete: &'static str,
    hint: Option<&'static str>,
) -> impl IntoView + use<> {
    view! {
        <label class="field">
            <span>{label}</span>
            <input
                type="email"
                autocomplete=autocomplete
                autocapitalize="none"
                spellcheck="false"
                maxlength="254"
                required=true
                {..typed.input("email", "", hint)}
            />
        </label>
        {typed.error("email")}
    }
}

/// Renders the field for the password that the account has.
pub fn current_password_field(typed: &Typed) -> impl IntoView + use<> {
    const NAME: &str = "current_password";
    view! {
        <label class="field">
            <span>"Current password"</span>
            <input
                type="password"
                autocomplete="current-password"
                required=true
                {..typed.marks(NAME, None)}
            />
        </label>
        {typed.error(NAME)}
    }
}

/// Renders the field for a code of the second factor, called `name` in the form. `hint` is the id of the text that
/// explains it.
pub fn code_field(typed: &Typed, name: &'static str, label: &'static str, hint: &'static str) -> impl IntoView + use<> {
    view! {
        <label class="field">
            <span>{label}</span>
            <input
                name=name
                autocomplete="one-time-code"
                autocapitalize="none"
                spellcheck="false"
                maxlength="40"
                required=true
                autofocus=typed.is_refused_for(&["code"])
                aria-invalid=typed.invalid("code")
                aria-describedby=typed.described_by("code", Some(hint))
            />
        </label>
        {typed.error("code")}
    }
}

/// Renders the field for a new password, called `name` in the form, with what it has to be and what follows.
pub fn new_password_field(typed: &Typed, name: &'static str, consequence: &'static str) -> impl IntoView + use<> {
    view! {
        <label class="field">
            <span>"New password"</span>
            <input
                type="password"
                autocomplete="new-password"
                minlength=MIN_PASSWORD_CHARACTERS
                required=true
                {..typed.marks(name, Some("new-password-hint"))}
            />
        </label>
        {typed.error(name)}
        <p class="hint" id="new-password-hint">
            {format!("At least {MIN_PASSWORD_CHARACTERS} characters.{consequence}")}
        </p>
    }
}
