//! What is allowed as a program's own id of a connection and as a tag.

/// The longest externalId and the longest tag, in bytes.
const MAX_EXTERNAL_ID_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 64;
/// The most tags of a connection.
const MAX_TAGS: usize = 20;

/// What `is_external_id` requires.
pub const EXTERNAL_ID_RULE: &str = "externalId is text of 1 to 255 bytes without control characters";
/// What `sorted_tags` requires.
pub const TAGS_RULE: &str =
    "tags are at most 20 texts, each of 1 to 64 lower case letters, digits and the signs - _ . : /";

/// Returns whether a connection may have this externalId.
pub fn is_external_id(id: &str) -> bool {
    (1..=MAX_EXTERNAL_ID_BYTES).contains(&id.len()) && !id.chars().any(char::is_control)
}

/// Returns the tags sorted and each once; `None` if a connection can't have them.
pub fn sorted_tags(mut tags: Vec<String>) -> Option<Vec<String>> {
    if tags.len() > MAX_TAGS || !tags.iter().all(|tag| is_tag(tag)) {
        return None;
    }
    tags.sort();
    tags.dedup();
    Some(tags)
}

fn is_tag(tag: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.:/".contains(c);
    (1..=MAX_TAG_BYTES).contains(&tag.len()) && tag.chars().all(is_plain)
}
