//! The search itself: secrets in the forms that they can come out in.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::form_urlencoded::byte_serialize;

/// As many bytes of a form are looked up at once.
const WINDOW: usize = 8;
/// Shorter ones would be found by chance.
const SHORTEST: usize = 12;
const BITS: usize = 1 << 20;

pub struct Secrets {
    names: Vec<String>,
    /// A form, and whose it is.
    forms: Vec<(Vec<u8>, usize)>,
    /// Which windows a form may begin with: most places are passed over by this alone.
    beginnings: Vec<bool>,
}

impl Secrets {
    /// Secrets by a name that may be printed.
    pub fn of(secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut all = Self { names: Vec::new(), forms: Vec::new(), beginnings: vec![false; BITS] };
        for (name, text) in secrets {
            assert!(text.len() >= SHORTEST, "{name} is too short to look for");
            for form in forms(&text) {
                all.beginnings[slot(&form)] = true;
                all.forms.push((form, all.names.len()));
            }
            all.names.push(name);
        }
        all
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// What was found, with the words before it, which say how it came there.
    pub fn found_in(&self, place: &str, text: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for (at, window) in text.windows(WINDOW).enumerate() {
            if !self.beginnings[slot(window)] {
                continue;
            }
            for (form, whose) in self.forms.iter().filter(|(form, _)| text[at..].starts_with(form)) {
                let before = String::from_utf8_lossy(&text[at.saturating_sub(160)..at]).replace('\n', " ");
                found.push(format!("{} ({} letters) in {place}, after: {before}", self.names[*whose], form.len()));
            }
        }
        found
    }
}

fn slot(bytes: &[u8]) -> usize {
    let window: [u8; WINDOW] = bytes[..WINDOW].try_into().expect("forms and windows are as long as that");
    (u64::from_le_bytes(window).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as usize
}

/// As it is; percent-encoded; in base64 of either alphabet, wherever it begins within what was encoded (so also within
/// a `Basic` header); in hex; as a list of bytes, as `Debug` prints one; and a token's signature alone.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![text.to_owned(), byte_serialize(text.as_bytes()).collect()];
    for shift in 0..3 {
        let shifted = [vec![0; shift], text.as_bytes().to_vec()].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            // The letters that depend on the neighbours are left out.
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
    forms.into_iter().filter(|form| form.len() >= SHORTEST).map(String::into_bytes).collect()
}

#[test]
fn every_form_is_found_and_nothing_else() {
    let secret = "sEcret/with+odd?bytes&more";
    let secrets = Secrets::of([("it".to_owned(), secret.to_owned())]);
    let basic = STANDARD_NO_PAD.encode(format!("client:{secret}"));
    let basic_longer = STANDARD_NO_PAD.encode(format!("a-client:{secret}:"));
    let json = URL_SAFE_NO_PAD.encode(format!("{{\"a\":\"{secret}\"}}"));
    let form: String = byte_serialize(secret.as_bytes()).collect();
    let debug = format!("body: {:?}", secret.as_bytes());
    let hex: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
    for text in [secret, &basic, &basic_longer, &json, &form, &debug, &hex] {
        let line = format!("Authorization: {text} and so on");
        assert_eq!(secrets.found_in("a log", line.as_bytes()).len(), 1, "{line}");
        let changed = line.replace(&text[text.len() / 2..=text.len() / 2], "~");
        assert!(secrets.found_in("a log", changed.as_bytes()).is_empty(), "{changed}");
    }
}
