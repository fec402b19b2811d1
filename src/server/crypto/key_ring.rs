//! The key ring: all of its keys open, and one of them seals.
//!
//! A process's ring only grows: a key added to the key file is loaded when a value needs it, and a removed key still
//! opens what it sealed. The servers agree on the sealing key (`store/sealed/instances.rs`), so that none seals what
//! another can't open yet.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::{Mutex, RwLock};

use super::random::random_bytes;
use super::sealed::{CipherError, NONCE_BYTES, SealContext, SealedParts, is_valid_kid};
use crate::server::domain::Secret;

const KEY_BYTES: usize = 32;

/// Returns the ring's current text; `None` if it hasn't changed since the last call.
pub type KeyRingSource = Box<dyn FnMut() -> Option<Secret> + Send>;

/// The keys, in order of preference for sealing. Shared by everything that seals and opens.
pub struct KeyRing {
    keys: RwLock<Arc<KeySet>>,
    /// Locked while it is read, so that a caller that needs a new key waits for the one that is loading it.
    source: Option<Mutex<KeyRingSource>>,
    /// How many values each key has sealed since the last [`Self::take_uses`].
    uses: Mutex<BTreeMap<String, i64>>,
}

#[derive(Clone)]
struct KeySet {
    all: Vec<(String, Aes256Gcm)>,
    sealing: String,
}

impl KeyRing {
    /// Parses `kid:base64key[,kid:base64key…]`; newlines count as commas, for files. The first key seals.
    pub fn parse(text: &Secret) -> Result<Self, CipherError> {
        Ok(Self { keys: RwLock::new(Arc::new(KeySet::parse(text)?)), source: None, uses: Mutex::default() })
    }

    /// Sets the source from which the ring is reloaded.
    pub fn with_source(self, source: KeyRingSource) -> Self {
        Self { source: Some(Mutex::new(source)), ..self }
    }

    /// Generates a key with a random id, in the format of [`Self::parse`].
    pub fn generate() -> Result<Secret, CipherError> {
        let mut kid = String::from("k");
        for byte in random_bytes::<4>()? {
            // Writing to a string can't fail.
            let _ = write!(kid, "{byte:02x}");
        }
        Ok(Secret::new(format!("{kid}:{}", STANDARD.encode(random_bytes::<KEY_BYTES>()?))))
    }

    /// Returns the ids of the keys, the preferred one for sealing first.
    pub fn kids(&self) -> Vec<String> {
        self.keys().all.iter().map(|(kid, _)| kid.clone()).collect()
    }

    /// Returns the id of the key that seals.
    pub fn sealing_kid(&self) -> String {
        self.keys().sealing.clone()
    }

    /// Seals with this key from now on. Does nothing if the ring lacks it.
    pub fn set_sealing_key(&self, kid: &str) {
        let mut keys = self.keys.write();
        if keys.sealing != kid && keys.find(kid).is_some() {
            tracing::info!(kid, "sealing key changed");
            *keys = Arc::new(KeySet { sealing: kid.to_owned(), ..KeySet::clone(&keys) });
        }
    }

    /// Adds new keys from the source. If they can't be parsed, the ring stays as it is.
    pub fn reload(&self) {
        let Some(source) = &self.source else { return };
        let mut source = source.lock();
        let Some(text) = source() else { return };
        match KeySet::parse(&text) {
            Ok(new) => {
                let mut keys = self.keys.write();
                *keys = Arc::new(keys.merged_with(new));
                tracing::info!(keys = keys.kids(), "key ring reloaded");
            }
            Err(error) => tracing::error!(%error, "failed to reload key ring, keeping the old one"),
        }
    }

    /// Seals a text for where it belongs.
    pub fn seal(&self, place: &SealContext<'_>, text: &str) -> Result<String, CipherError> {
        let keys = self.keys();
        let cipher = keys.find(&keys.sealing).ok_or(CipherError::EmptyRing)?;
        let nonce = random_bytes::<NONCE_BYTES>()?;
        let body = cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: text.as_bytes(), aad: &place.aad() })
            .map_err(|_| CipherError::OpenFailed { kid: keys.sealing.clone() })?;
        self.return_uses([(keys.sealing.clone(), 1)]);
        Ok(SealedParts { kid: &keys.sealing, nonce, body }.encode())
    }

    /// Returns how many values each key has sealed since the last call.
    pub fn take_uses(&self) -> BTreeMap<String, i64> {
        std::mem::take(&mut *self.uses.lock())
    }

    /// Counts uses that could not be stored again.
    pub fn return_uses(&self, uses: impl IntoIterator<Item = (String, i64)>) {
        let mut counted = self.uses.lock();
        for (kid, number) in uses {
            *counted.entry(kid).or_default() += number;
        }
    }

    /// Opens a value. If the ring lacks its key, reloads the ring first.
    pub fn open(&self, place: &SealContext<'_>, sealed: &str) -> Result<Secret, CipherError> {
        let SealedParts { kid, nonce, body } = SealedParts::parse(sealed)?;
        let mut keys = self.keys();
        if keys.find(kid).is_none() {
            self.reload();
            keys = self.keys();
        }
        let cipher = keys.find(kid).ok_or_else(|| CipherError::UnknownKey { kid: kid.to_owned() })?;
        let refused = || CipherError::OpenFailed { kid: kid.to_owned() };
        let text =
            cipher.decrypt(&Nonce::from(nonce), Payload { msg: &body, aad: &place.aad() }).map_err(|_| refused())?;
        String::from_utf8(text).map(Secret::new).map_err(|_| refused())
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read())
    }
}

impl KeySet {
    fn parse(text: &Secret) -> Result<Self, CipherError> {
        let mut all: Vec<(String, Aes256Gcm)> = Vec::new();
        let entries = text.expose().split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        for (index, entry) in entries.enumerate() {
            let malformed = CipherError::MalformedKey { position: index + 1 };
            let Some((kid, key)) = entry.split_once(':') else { return Err(malformed) };
            let Ok(bytes) = STANDARD.decode(key.trim()) else { return Err(malformed) };
            let Ok(cipher) = Aes256Gcm::new_from_slice(&bytes) else { return Err(malformed) };
            if !is_valid_kid(kid) {
                return Err(malformed);
            }
            // SQLite's LIKE, which counts a key's values, is case-insensitive.
            if all.iter().any(|(known, _)| known.eq_ignore_ascii_case(kid)) {
                return Err(CipherError::DuplicateKey { kid: kid.to_owned() });
            }
            all.push((kid.to_owned(), cipher));
        }
        let sealing = all.first().map(|(kid, _)| kid.clone()).ok_or(CipherError::EmptyRing)?;
        Ok(Self { all, sealing })
    }

    fn find(&self, kid: &str) -> Option<&Aes256Gcm> {
        self.all.iter().find(|(known, _)| known == kid).map(|(_, cipher)| cipher)
    }

    /// Returns the new keys in their order, then the old ones that they lack. The sealing key stays the same.
    fn merged_with(&self, new: Self) -> Self {
        let mut all = new.all;
        for (kid, cipher) in &self.all {
            match all.iter_mut().find(|(known, _)| known == kid) {
                // Its values were sealed with the old key of this id.
                Some(same) => same.1 = cipher.clone(),
                None => all.push((kid.clone(), cipher.clone())),
            }
        }
        Self { all, sealing: self.sealing.clone() }
    }

    fn kids(&self) -> String {
        self.all.iter().map(|(kid, _)| kid.as_str()).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GrantId, OrgId};
    use crate::server::crypto::sealed::{TokenField, kid_of};

    fn ring(kids: &[&str]) -> KeyRing {
        let text: Vec<String> =
            kids.iter().map(|kid| format!("{kid}:{}", STANDARD.encode([kid.len() as u8; KEY_BYTES]))).collect();
        KeyRing::parse(&Secret::new(text.join(","))).unwrap()
    }

    fn place<'a>(org: &'a OrgId, grant: &'a GrantId, field: TokenField, generation: i64) -> SealContext<'a> {
        SealContext::Token { org, grant, field, generation }
    }

    #[test]
    fn a_sealed_value_opens_only_in_its_context() {
        let ring = ring(&["a"]);
        let (org, grant) = (OrgId::from("o1"), GrantId::from("g1"));
        let sealed = ring.seal(&place(&org, &grant, TokenField::Access, 3), "the token").unwrap();
        assert!(sealed.starts_with("v1.a.") && !sealed.contains("the token"));
        assert_eq!(ring.open(&place(&org, &grant, TokenField::Access, 3), &sealed).unwrap().expose(), "the token");

        let (other_org, other_grant) = (OrgId::from("o2"), GrantId::from("g2"));
        for elsewhere in [
            place(&other_org, &grant, TokenField::Access, 3),
            place(&org, &other_grant, TokenField::Access, 3),
            place(&org, &grant, TokenField::Refresh, 3),
            place(&org, &grant, TokenField::Access, 2),
            SealContext::PkceVerifier { state_hash: "o1" },
        ] {
            let refused = ring.open(&elsewhere, &sealed).err();
            assert_eq!(refused, Some(CipherError::OpenFailed { kid: "a".into() }));
        }
    }

    #[test]
    fn a_tampered_value_is_refused_and_a_truncated_one_is_malformed() {
        let ring = ring(&["a"]);
        let place = SealContext::PkceVerifier { state_hash: "s" };
        let sealed = ring.seal(&place, "text").unwrap();
        let flipped = if sealed.ends_with('A') { "B" } else { "A" };
        let changed = format!("{}{flipped}", &sealed[..sealed.len() - 3]);
        assert!(ring.open(&place, &changed).is_err());
        for broken in ["", "v1", "v1.a.b", "v2.a.b.c", "v1.a.!.c", "v1.a.AAAA.AAAA", &format!("{sealed}.x")] {
            assert_eq!(ring.open(&place, broken).err(), Some(CipherError::Malformed), "{broken}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let place = SealContext::PkceVerifier { state_hash: "s" };
        let old = ring(&["a"]).seal(&place, "text").unwrap();
        let both = ring(&["bb", "a"]);
        assert_eq!(both.open(&place, &old).unwrap().expose(), "text");
        assert!(both.seal(&place, "text").unwrap().starts_with("v1.bb."));
        assert_eq!(ring(&["bb"]).open(&place, &old).err(), Some(CipherError::UnknownKey { kid: "a".into() }));
    }

    #[test]
    fn a_malformed_ring_error_names_the_position() {
        let key = STANDARD.encode([7; KEY_BYTES]);
        let parse = |text: String| KeyRing::parse(&Secret::new(text)).err();
        assert_eq!(parse(" , \n".into()), Some(CipherError::EmptyRing));
        assert_eq!(parse(format!("a:{key},b")), Some(CipherError::MalformedKey { position: 2 }));
        assert_eq!(parse("a:c2hvcnQ=".into()), Some(CipherError::MalformedKey { position: 1 }));
        assert_eq!(parse(format!("a.b:{key}")), Some(CipherError::MalformedKey { position: 1 }));
        assert_eq!(parse(format!("a:{key},a:{key}")), Some(CipherError::DuplicateKey { kid: "a".into() }));
        assert_eq!(parse(format!("a:{key},A:{key}")), Some(CipherError::DuplicateKey { kid: "A".into() }));
    }

    #[test]
    fn a_generated_key_parses() {
        let generated = KeyRing::generate().unwrap();
        let ring = KeyRing::parse(&generated).unwrap();
        assert_eq!(ring.kids(), [ring.sealing_kid()]);
    }

    #[test]
    fn a_key_added_to_the_source_is_loaded_when_a_value_needs_it() {
        let place = SealContext::PkceVerifier { state_hash: "s" };
        let text = |kids: &[&str]| {
            let keys = kids.iter().map(|kid| format!("{kid}:{}", STANDARD.encode([kid.len() as u8; KEY_BYTES])));
            Secret::new(keys.collect::<Vec<_>>().join("\n"))
        };
        let now = Arc::new(Mutex::new(None));
        let handed = Arc::clone(&now);
        let old = ring(&["a"]).with_source(Box::new(move || handed.lock().take()));
        let by_old = old.seal(&place, "text").unwrap();
        let by_new = ring(&["bb"]).seal(&place, "text").unwrap();
        assert_eq!(old.open(&place, &by_new).err(), Some(CipherError::UnknownKey { kid: "bb".into() }));

        *now.lock() = Some(text(&["bb", "a"]));
        assert_eq!(old.open(&place, &by_new).unwrap().expose(), "text");
        assert_eq!((old.kids(), old.sealing_kid()), (vec!["bb".to_owned(), "a".to_owned()], "a".to_owned()));
        old.set_sealing_key("nobody's");
        assert_eq!(old.sealing_kid(), "a");
        old.set_sealing_key("bb");
        assert_eq!(kid_of(&old.seal(&place, "text").unwrap()), Some("bb"));

        // The key was removed from the file, or the file was corrupted: its values still open.
        for later in [text(&["bb"]), Secret::new("nonsense")] {
            *now.lock() = Some(later);
            old.reload();
            assert_eq!(old.open(&place, &by_old).unwrap().expose(), "text");
        }
        assert_eq!(old.kids(), ["bb", "a"]);
    }
}
