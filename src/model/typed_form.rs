//! What a person typed into a form that was refused, for the page that shows the form again.

/// A refused form. Its values are the person's own, and are shown in its fields only. It holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypedForm {
    /// The path of the page that shows the form.
    pub page: String,
    /// Where the form is posted.
    pub action: String,
    /// Names and values of its fields. A field with several values is there several times.
    pub values: Vec<(String, String)>,
    /// Whether some values did not fit and are missing.
    pub is_incomplete: bool,
}

impl TypedForm {
    /// Returns the value of a field.
    pub fn value(&self, field: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    /// Returns whether one of a field's values is this one.
    pub fn has(&self, field: &str, value: &str) -> bool {
        self.values.iter().any(|(name, known)| name == field && known == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_with_several_values_has_each_of_them_and_shows_the_first() {
        let values = [("name", "Export"), ("scopes", "read"), ("scopes", "write")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let form = TypedForm { values, ..TypedForm::default() };
        assert_eq!(["name", "scopes", "email"].map(|field| form.value(field)), [Some("Export"), Some("read"), None]);
        assert!(form.has("scopes", "read") && form.has("scopes", "write"));
        assert!(!form.has("scopes", "Export") && !form.has("name", "read"), "that is another field's");
    }
}
