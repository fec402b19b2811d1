//! A form that was refused shows what was typed, and says at its field why.

use leptos::attr::Attribute;
use leptos::prelude::*;

use crate::model::{TypedForm, paths};
use crate::ui::context::page;
use crate::ui::shared::icons::{WARNING, icon};

/// The element that says why a field was refused. A page has one at most.
const REFUSAL_ID: &str = "refusal";

/// What a form was refused for, and what was typed into it. Empty if it was not refused.
#[derive(Clone, Default)]
pub struct Typed {
    form: Option<TypedForm>,
    refusal: Option<(&'static str, String)>,
}

/// Returns what was typed into the form that is posted to this path.
pub fn typed(action: &str) -> Typed {
    let page = page();
    // The page that asks for a proof has one form, and keeps nothing of it.
    let is_proof = action == paths::SESSION_PROOF && page.path == paths::PROOF;
    let form = page.typed.clone().filter(|form| form.action == action);
    let refusal = page.refusal().filter(|_| form.is_some() || is_proof);
    Typed { form, refusal: refusal.map(|(field, text)| (field, text.into_owned())) }
}

/// Returns what was typed into one of several forms that are posted to this path: the one with this hidden field.
pub fn typed_about(action: &str, field: &str, value: &str) -> Typed {
    let typed = typed(action);
    if typed.form.as_ref().is_some_and(|form| form.has(field, value)) { typed } else { Typed::default() }
}

impl Typed {
    /// Returns what was typed into a field; `saved` if the form was not refused.
    pub fn value(&self, field: &str, saved: impl Into<String>) -> String {
        let typed = self.form.as_ref().and_then(|form| form.value(field));
        typed.map_or_else(|| saved.into(), str::to_owned)
    }

    /// Returns whether a choice was made; `saved` if the form was not refused.
    pub fn has(&self, field: &str, value: &str, saved: bool) -> bool {
        self.form.as_ref().map_or(saved, |form| form.has(field, value))
    }

    /// Returns whether the form was refused.
    pub fn is_refused(&self) -> bool {
        self.form.is_some()
    }

    /// Returns whether the form was refused for one of these fields.
    pub fn is_refused_for(&self, fields: &[&str]) -> bool {
        self.refusal.as_ref().is_some_and(|(refused, _)| fields.contains(refused))
    }

    /// Returns the attributes of an `input`: its name, its value, and whether it was refused. The value is what was typed;
    /// `saved` if the form was not refused. `hint` is the id of the text that explains the field.
    pub fn input(&self, field: &'static str, saved: &str, hint: Option<&str>) -> impl Attribute + use<> {
        (leptos::attr::value(self.value(field, saved)), self.marks(field, hint))
    }

    /// Returns the attributes of a field whose value is not one: its name, and whether it was refused.
    pub fn marks(&self, field: &'static str, hint: Option<&str>) -> impl Attribute + use<> {
        let (is_refused, described_by) = (self.is_refused_for(&[field]), self.described_by(field, hint));
        view! {
            <{..}
                name=field
                autofocus=is_refused
                aria-invalid=self.invalid(field)
                aria-describedby=described_by
            />
        }
    }

    /// Returns the `aria-invalid` of a field.
    pub fn invalid(&self, field: &str) -> Option<&'static str> {
        self.is_refused_for(&[field]).then_some("true")
    }

    /// Returns the `aria-describedby` of a field, which may have a hint.
    pub fn described_by(&self, field: &str, hint: Option<&str>) -> Option<String> {
        match (self.is_refused_for(&[field]), hint) {
            (true, Some(hint)) => Some(format!("{REFUSAL_ID} {hint}")),
            (true, None) => Some(REFUSAL_ID.to_owned()),
            (false, hint) => hint.map(str::to_owned),
        }
    }

    /// Says why the field was refused.
    pub fn error(&self, field: &str) -> impl IntoView + use<> {
        let text = self.refusal.as_ref().filter(|(refused, _)| *refused == field).map(|(_, text)| text.clone());
        text.map(|text| view! { <p class="field-error" id=REFUSAL_ID>{icon(WARNING)} <span>{text}</span></p> })
    }
}
