//! The ring: several keys, all of which open and one of which seals.
//!
//! While a process lives its ring only grows: a key that was added to the ring's file is found when a text needs it,
//! and one that was taken out still opens what it sealed. Which key seals is agreed upon with the other servers
//! (`store/instances.rs`), so that nobody seals what another can't open yet.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{CipherError, NONCE_BYTES, Parts, Place, is_kid, random};
use crate::server::domain::Secret;

const KEY_BYTES: usize = 32;

/// Says what the place that the ring came from holds now; `None` where that hasn't changed since it was last asked.
pub type Source = Box<dyn FnMut() -> Option<Secret> + Send>;

/// Several keys, in the order in which they are wanted for sealing. Shared by everything that seals and opens.
pub struct KeyRing {
    keys: RwLock<Arc<Keys>>,
    /// Asked by one at a time, so that nobody who needs a new key overtakes whoever is reading it.
    source: Option<Mutex<Source>>,
}

#[derive(Clone)]
struct Keys {
    all: Vec<(String, Aes256Gcm)>,
    sealing: String,
}

impl KeyRing {
    /// Reads `kid:base64key[,kid:base64key…]`; line ends count as commas, as in a file. The first key seals.
    pub fn parse(text: &Secret) -> Result<Self, CipherError> {
        Ok(Self { keys: RwLock::new(Arc::new(Keys::parse(text)?)), source: None })
    }

    /// Makes a ring that is read again where it comes from.
    pub fn follow(self, source: Source) -> Self {
        Self { source: Some(Mutex::new(source)), ..self }
    }

    /// A fresh key with a kid of its own, as `parse` reads it.
    pub fn generate() -> Result<Secret, CipherError> {
        let mut kid = String::from("k");
        for byte in random::<4>()? {
            // Writing to a String can't fail.
            let _ = write!(kid, "{byte:02x}");
        }
        Ok(Secret::new(format!("{kid}:{}", STANDARD.encode(random::<KEY_BYTES>()?))))
    }

    /// The ids of the keys, the one that is wanted for sealing first.
    pub fn kids(&self) -> Vec<String> {
        self.keys().all.iter().map(|(kid, _)| kid.clone()).collect()
    }

    /// The id of the key that seals.
    pub fn sealing_kid(&self) -> String {
        self.keys().sealing.clone()
    }

    /// Seals with this key from now on; one that the ring lacks changes nothing.
    pub fn seal_with(&self, kid: &str) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.sealing != kid && keys.find(kid).is_some() {
            tracing::info!(kid, "sealing with another key");
            *keys = Arc::new(Keys { sealing: kid.to_owned(), ..Keys::clone(&keys) });
        }
    }

    /// Takes in what has come to the ring's source. What can't be read leaves the ring as it is.
    pub fn reread(&self) {
        let Some(source) = &self.source else { return };
        let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(text) = source() else { return };
        match Keys::parse(&text) {
            Ok(new) => {
                let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
                *keys = Arc::new(keys.joined_by(new));
                tracing::info!(keys = keys.kids(), "the key ring was read again");
            }
            Err(error) => tracing::error!(%error, "the key ring was changed to something unusable; the old one stays"),
        }
    }

    pub fn seal(&self, place: &Place<'_>, text: &str) -> Result<String, CipherError> {
        let keys = self.keys();
        let cipher = keys.find(&keys.sealing).ok_or(CipherError::EmptyRing)?;
        let nonce = random::<NONCE_BYTES>()?;
        let body = cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: text.as_bytes(), aad: &place.bytes() })
            .map_err(|_| CipherError::Refused { kid: keys.sealing.clone() })?;
        Ok(Parts { kid: &keys.sealing, nonce, body }.join())
    }

    /// Opens a text; where its key is one that the ring lacks, the ring's source is asked first.
    pub fn open(&self, place: &Place<'_>, sealed: &str) -> Result<Secret, CipherError> {
        let Parts { kid, nonce, body } = Parts::of(sealed)?;
        let mut keys = self.keys();
        if keys.find(kid).is_none() {
            self.reread();
            keys = self.keys();
        }
        let cipher = keys.find(kid).ok_or_else(|| CipherError::UnknownKey { kid: kid.to_owned() })?;
        let refused = || CipherError::Refused { kid: kid.to_owned() };
        let text =
            cipher.decrypt(&Nonce::from(nonce), Payload { msg: &body, aad: &place.bytes() }).map_err(|_| refused())?;
        String::from_utf8(text).map(Secret::new).map_err(|_| refused())
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Keys {
    fn parse(text: &Secret) -> Result<Self, CipherError> {
        let mut all: Vec<(String, Aes256Gcm)> = Vec::new();
        let entries = text.expose().split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        for (index, entry) in entries.enumerate() {
            let malformed = CipherError::MalformedKey { position: index + 1 };
            let Some((kid, key)) = entry.split_once(':') else { return Err(malformed) };
            let Ok(bytes) = STANDARD.decode(key.trim()) else { return Err(malformed) };
            let Ok(cipher) = Aes256Gcm::new_from_slice(&bytes) else { return Err(malformed) };
            if !is_kid(kid) {
                return Err(malformed);
            }
            // SQLite's LIKE, by which a key's texts are counted, doesn't tell capitals apart.
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

    /// The new ones in their order; those that it lacks behind them. The key that seals stays the same.
    fn joined_by(&self, new: Self) -> Self {
        let mut all = new.all;
        for (kid, cipher) in &self.all {
            match all.iter_mut().find(|(known, _)| known == kid) {
                // Its texts were sealed with the one that has worked so far.
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
    use crate::server::cipher::{Field, kid_of};

    fn ring(kids: &[&str]) -> KeyRing {
        let text: Vec<String> =
            kids.iter().map(|kid| format!("{kid}:{}", STANDARD.encode([kid.len() as u8; KEY_BYTES]))).collect();
        KeyRing::parse(&Secret::new(text.join(","))).unwrap()
    }

    fn place<'a>(org: &'a OrgId, grant: &'a GrantId, field: Field, generation: i64) -> Place<'a> {
        Place::Token { org, grant, field, generation }
    }

    #[test]
    fn what_was_sealed_opens_only_where_it_belongs() {
        let ring = ring(&["a"]);
        let (org, grant) = (OrgId::from("o1"), GrantId::from("g1"));
        let sealed = ring.seal(&place(&org, &grant, Field::Access, 3), "the token").unwrap();
        assert!(sealed.starts_with("v1.a.") && !sealed.contains("the token"));
        assert_eq!(ring.open(&place(&org, &grant, Field::Access, 3), &sealed).unwrap().expose(), "the token");

        let (other_org, other_grant) = (OrgId::from("o2"), GrantId::from("g2"));
        for elsewhere in [
            place(&other_org, &grant, Field::Access, 3),
            place(&org, &other_grant, Field::Access, 3),
            place(&org, &grant, Field::Refresh, 3),
            place(&org, &grant, Field::Access, 2),
            Place::Verifier { state_hash: "o1" },
        ] {
            let refused = ring.open(&elsewhere, &sealed).err();
            assert_eq!(refused, Some(CipherError::Refused { kid: "a".into() }));
        }
    }

    #[test]
    fn a_changed_text_is_refused_and_a_broken_one_is_malformed() {
        let ring = ring(&["a"]);
        let place = Place::Verifier { state_hash: "s" };
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
        let place = Place::Verifier { state_hash: "s" };
        let old = ring(&["a"]).seal(&place, "text").unwrap();
        let both = ring(&["bb", "a"]);
        assert_eq!(both.open(&place, &old).unwrap().expose(), "text");
        assert!(both.seal(&place, "text").unwrap().starts_with("v1.bb."));
        assert_eq!(ring(&["bb"]).open(&place, &old).err(), Some(CipherError::UnknownKey { kid: "a".into() }));
    }

    #[test]
    fn a_ring_that_makes_no_sense_says_where() {
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
    fn a_generated_key_is_read_back() {
        let generated = KeyRing::generate().unwrap();
        let ring = KeyRing::parse(&generated).unwrap();
        assert_eq!(ring.kids(), [ring.sealing_kid()]);
    }

    #[test]
    fn a_key_that_came_to_the_source_is_found_when_a_text_needs_it() {
        let place = Place::Verifier { state_hash: "s" };
        let text = |kids: &[&str]| {
            let keys = kids.iter().map(|kid| format!("{kid}:{}", STANDARD.encode([kid.len() as u8; KEY_BYTES])));
            Secret::new(keys.collect::<Vec<_>>().join("\n"))
        };
        let now = Arc::new(Mutex::new(None));
        let handed = Arc::clone(&now);
        let old = ring(&["a"]).follow(Box::new(move || handed.lock().unwrap().take()));
        let by_old = old.seal(&place, "text").unwrap();
        let by_new = ring(&["bb"]).seal(&place, "text").unwrap();
        assert_eq!(old.open(&place, &by_new).err(), Some(CipherError::UnknownKey { kid: "bb".into() }));

        *now.lock().unwrap() = Some(text(&["bb", "a"]));
        assert_eq!(old.open(&place, &by_new).unwrap().expose(), "text");
        assert_eq!((old.kids(), old.sealing_kid()), (vec!["bb".to_owned(), "a".to_owned()], "a".to_owned()));
        old.seal_with("nobody's");
        assert_eq!(old.sealing_kid(), "a");
        old.seal_with("bb");
        assert_eq!(kid_of(&old.seal(&place, "text").unwrap()), Some("bb"));

        // Taken out of the file, or the file spoilt: what was sealed with it still opens.
        for later in [text(&["bb"]), Secret::new("nonsense")] {
            *now.lock().unwrap() = Some(later);
            old.reread();
            assert_eq!(old.open(&place, &by_old).unwrap().expose(), "text");
        }
        assert_eq!(old.kids(), ["bb", "a"]);
    }
}
