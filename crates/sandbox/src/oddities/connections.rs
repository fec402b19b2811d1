//! The odd forms of a list of connections.

use serde_json::{Value, json};

use super::OddityKind;

/// The fields that Xero is known to leave out or to set to null.
const OPTIONAL_FIELDS: [&str; 5] = ["authEventId", "tenantName", "tenantType", "createdDateUtc", "updatedDateUtc"];

/// Returns the list in the form that the oddities ask for.
pub(crate) fn list(mut list: Vec<Value>, kinds: &[OddityKind]) -> Vec<Value> {
    for kind in kinds {
        match kind {
            OddityKind::Nulls => each_field(&mut list, |entry, field| _ = entry.insert(field.to_owned(), Value::Null)),
            OddityKind::MissingFields => each_field(&mut list, |entry, field| _ = entry.remove(field)),
            OddityKind::UnreadableEntry => list.insert(0, json!({ "id": 7, "tenantId": null })),
            OddityKind::Empty => list.clear(),
            OddityKind::FirstMissing if !list.is_empty() => _ = list.remove(0),
            _ => {}
        }
    }
    list
}

fn each_field(list: &mut [Value], change: impl Fn(&mut serde_json::Map<String, Value>, &str)) {
    for entry in list.iter_mut().filter_map(Value::as_object_mut) {
        OPTIONAL_FIELDS.iter().for_each(|field| change(entry, field));
    }
}
