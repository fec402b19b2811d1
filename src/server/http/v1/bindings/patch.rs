//! The body of a change to a connection's labels and contacts.

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::server::domain::labels::{EXTERNAL_ID_RULE, TAGS_RULE, is_external_id, sorted_tags};
use crate::server::http::contact_addresses::{CONTACTS_RULE, contact_addresses};
use crate::server::http::v1::json_body::require_object;
use crate::server::http::v1::problem::Problem;
use crate::server::store::Labels;

/// The labels and contacts to change. A field that is missing stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelPatch {
    /// Your own id of the connection, of at most 255 bytes, unique within the organisation. null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    external_id: Option<Option<String>>,
    /// All tags that it is to have: at most 20, each of at most 64 lower case letters, digits and the signs - _ . : /
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    tags: Option<Vec<String>>,
    /// The email addresses of all contacts that it is to have, at most 5. They get a letter with a link if it needs
    /// reconnecting.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    contacts: Option<Vec<String>>,
}

/// Tells a field that is null from one that is missing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Reads a JSON body.
pub fn read_patch(body: &[u8]) -> Result<LabelPatch, Problem> {
    require_object(body, "The body is a JSON object with externalId, tags or contacts.")?;
    serde_json::from_slice(body).map_err(|error| Problem::invalid_argument(&format!("The body is not valid: {error}.")))
}

impl LabelPatch {
    /// Returns whether it is about labels. A patch without any field counts, so that it is audited as one.
    pub fn has_labels(&self) -> bool {
        self.external_id.is_some() || self.tags.is_some() || self.contacts.is_none()
    }

    /// Returns the addresses of all contacts, checked; `None` if they stay as they are.
    pub fn contacts(&self) -> Result<Option<Vec<String>>, Problem> {
        let Some(contacts) = &self.contacts else { return Ok(None) };
        let checked = contact_addresses(contacts.iter().map(String::as_str));
        checked.map(Some).ok_or_else(|| Problem::invalid_argument(CONTACTS_RULE))
    }

    /// Returns `labels` with the changes.
    pub fn apply(self, labels: Labels) -> Result<Labels, Problem> {
        let mut changed = labels;
        if let Some(external_id) = self.external_id {
            if external_id.as_deref().is_some_and(|id| !is_external_id(id)) {
                return Err(Problem::invalid_argument(&format!("{EXTERNAL_ID_RULE}, or null.")));
            }
            changed.external_id = external_id;
        }
        if let Some(tags) = self.tags {
            changed.tags = sorted_tags(tags).ok_or_else(|| Problem::invalid_argument(TAGS_RULE))?;
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(body: &str) -> Option<(Option<String>, Vec<String>)> {
        let before = Labels { external_id: Some("old".into()), tags: vec!["a".into()], version: 3 };
        let after = read_patch(body.as_bytes()).ok()?.apply(before).ok()?;
        assert_eq!(after.version, 3);
        Some((after.external_id, after.tags))
    }

    #[test]
    fn missing_fields_stay_and_null_removes() {
        let (old, tags) = (Some("old".to_owned()), vec!["a".to_owned()]);
        assert_eq!(patched("{}"), Some((old.clone(), tags.clone())));
        assert_eq!(patched(r#"{"externalId":null}"#), Some((None, tags.clone())));
        assert_eq!(patched(r#"{"externalId":"Kunde 1"}"#), Some((Some("Kunde 1".to_owned()), tags)));
        assert_eq!(patched(r#"{"tags":["z","b","z"]}"#), Some((old.clone(), vec!["b".to_owned(), "z".to_owned()])));
        assert_eq!(patched(r#"{"tags":[]}"#), Some((old, vec![])));
        let long = format!(r#"{{"externalId":"{}"}}"#, "x".repeat(256));
        let many = format!(r#"{{"tags":[{}"b"]}}"#, r#""a","#.repeat(20));
        for wrong in ["", "[]", r#"{"externalID":"x"}"#, r#"{"externalId":""}"#, r#"{"externalId":7}"#, &long, &many] {
            assert_eq!(patched(wrong), None, "{wrong}");
        }
        for wrong in ["", "A", "a b", "\u{e9}", "a\nb"] {
            assert_eq!(patched(&serde_json::json!({ "tags": [wrong] }).to_string()), None, "{wrong:?}");
        }
    }
}
