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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_id_is_text_of_limited_length_without_control_characters() {
        for valid in ["7", "Küche 7, \"Nord\"", &"x".repeat(255)] {
            assert!(is_external_id(valid), "{valid:?}");
        }
        for wrong in ["", "two\nlines", &"x".repeat(256)] {
            assert!(!is_external_id(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn tags_are_limited_in_number_length_and_characters() {
        let tags = |tags: &[&str]| sorted_tags(tags.iter().map(|tag| (*tag).to_owned()).collect());
        assert_eq!(tags(&["b", "a-z_0.9:/", "b"]).unwrap(), ["a-z_0.9:/", "b"]);
        let longest = "x".repeat(64);
        assert_eq!(tags(&[&longest]).unwrap(), [longest.as_str()]);
        for wrong in ["", "Upper", "two words", "caf\u{e9}", &"x".repeat(65)] {
            assert_eq!(tags(&["a", wrong]), None, "{wrong:?}");
        }
        assert!(tags(&["a"; 20]).is_some());
        assert_eq!(tags(&["a"; 21]), None);
    }
}
