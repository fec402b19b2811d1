//! Scans bytes for secrets in the encodings in which they could leak.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::form_urlencoded::byte_serialize;

/// The number of leading bytes of an encoding that the filter uses.
const WINDOW: usize = 8;
/// The minimum length: shorter encodings would match by chance.
const MIN_LENGTH: usize = 12;
const FILTER_SIZE: usize = 1 << 20;

pub struct SecretScanner {
    names: Vec<String>,
    /// The encodings, each with the index of its secret.
    encodings: Vec<(Vec<u8>, usize)>,
    /// A filter on the first bytes of the encodings. It excludes most positions.
    prefix_filter: Vec<bool>,
}

impl SecretScanner {
    /// Builds a scanner for secrets, each with a name that may be printed.
    pub fn new(secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut all = Self { names: Vec::new(), encodings: Vec::new(), prefix_filter: vec![false; FILTER_SIZE] };
        for (name, text) in secrets {
            assert!(text.len() >= MIN_LENGTH, "{name} is too short to look for");
            for form in encodings_of(&text) {
                all.prefix_filter[filter_slot(&form)] = true;
                all.encodings.push((form, all.names.len()));
            }
            all.names.push(name);
        }
        all
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns a description of each match, with the text before it, which shows its origin.
    pub fn find_in(&self, place: &str, text: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for (at, window) in text.windows(WINDOW).enumerate() {
            if !self.prefix_filter[filter_slot(window)] {
                continue;
            }
            for (form, whose) in self.encodings.iter().filter(|(form, _)| text[at..].starts_with(form)) {
                let before = String::from_utf8_lossy(&text[at.saturating_sub(160)..at]).replace('\n', " ");
                found.push(format!("{} ({} bytes) in {place}, after: {before}", self.names[*whose], form.len()));
            }
        }
        found
    }
}

fn filter_slot(bytes: &[u8]) -> usize {
    let window: [u8; WINDOW] = bytes[..WINDOW].try_into().expect("encodings and windows have at least WINDOW bytes");
    (u64::from_le_bytes(window).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as usize
}

/// Returns the encodings of a secret:
///
/// - verbatim and percent-encoded;
/// - in base64 of either alphabet, at every offset within the encoded text (as in a `Basic` header);
/// - in hex, and as a list of bytes in the format of `Debug`;
/// - a JWT's signature alone.
fn encodings_of(text: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![text.to_owned(), byte_serialize(text.as_bytes()).collect()];
    for shift in 0..3 {
        let shifted = [vec![0; shift], text.as_bytes().to_vec()].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            // Characters that depend on the neighboring bytes are left out.
            let encoded = engine.encode(&shifted);
            let whole = shifted.len() * 8 / 6;
            forms.push(encoded[(shift * 8).div_ceil(6)..whole].to_owned());
        }
    }
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    forms.extend([hex.to_uppercase(), hex]);
    let list = format!("{:?}", text.as_bytes());
    forms.push(list.trim_matches(['[', ']']).to_owned());
    if let [_, _, signature] = text.split('.').collect::<Vec<_>>()[..] {
        forms.push(signature.to_owned());
    }
    forms.sort();
    forms.dedup();
    forms.into_iter().filter(|form| form.len() >= MIN_LENGTH).map(String::into_bytes).collect()
}

#[test]
fn every_encoding_is_found_and_near_misses_are_not() {
    let secret = "sEcret/with+odd?bytes&more";
    let secrets = SecretScanner::new([("it".to_owned(), secret.to_owned())]);
    let basic = STANDARD_NO_PAD.encode(format!("client:{secret}"));
    let basic_longer = STANDARD_NO_PAD.encode(format!("a-client:{secret}:"));
    let json = URL_SAFE_NO_PAD.encode(format!("{{\"a\":\"{secret}\"}}"));
    let form: String = byte_serialize(secret.as_bytes()).collect();
    let debug = format!("body: {:?}", secret.as_bytes());
    let hex: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
    for text in [secret, &basic, &basic_longer, &json, &form, &debug, &hex] {
        let line = format!("Authorization: {text} and so on");
        assert_eq!(secrets.find_in("a log", line.as_bytes()).len(), 1, "{line}");
        let changed = line.replace(&text[text.len() / 2..=text.len() / 2], "~");
        assert!(secrets.find_in("a log", changed.as_bytes()).is_empty(), "{changed}");
    }
}
