//! A key's rotation, as far as rows go: how many texts each key has sealed, and sealing them anew beside whoever
//! writes them.

use super::texts::{COLUMNS, Text, Which};
use super::{Store, StoreError};

/// How many texts are read at a time.
const BATCH: i64 = 100;

/// One walk over all sealed texts.
#[derive(Debug, Default)]
pub struct Pass {
    /// Now sealed with the key that seals.
    pub resealed: u64,
    /// Changed meanwhile by somebody else, and left to them: the next walk looks again.
    pub moved: u64,
    /// Texts that don't open, each with its row and the reason.
    pub refused: Vec<StoreError>,
}

/// How many texts each of the ring's keys has sealed, in the ring's order, and how many are of none of them.
#[derive(Debug, PartialEq)]
pub struct TextsByKey {
    pub known: Vec<(String, i64)>,
    pub others: i64,
}

impl Store {
    /// Seals anew what another key than the ring's sealing one has sealed. Each text is replaced only where it is still
    /// the one that was read, so a token set that was committed meanwhile stays. No lock spans two rows.
    pub async fn reseal(&self, mut progress: impl FnMut(&Pass)) -> Result<Pass, StoreError> {
        let done_already = [self.ring.sealing_kid()];
        let which = Which::NotBy(&done_already);
        let mut pass = Pass::default();
        for column in &COLUMNS {
            let mut after = String::new();
            loop {
                let texts = column.texts(&self.database, &which, &after, BATCH, self.clock.now()).await?;
                let Some(last) = texts.last() else { break };
                after.clone_from(&last.id);
                for text in &texts {
                    self.reseal_one(text, &mut pass).await?;
                }
                progress(&pass);
            }
        }
        Ok(pass)
    }

    async fn reseal_one(&self, text: &Text, pass: &mut Pass) -> Result<(), StoreError> {
        match text.reseal(&self.ring) {
            Ok(sealed) if text.column.replace(&self.database, text, &sealed).await? => pass.resealed += 1,
            Ok(_) => pass.moved += 1,
            Err(refused) => pass.refused.push(refused),
        }
        Ok(())
    }

    /// How many texts each key has sealed.
    pub async fn texts_by_key(&self) -> Result<TextsByKey, StoreError> {
        let kids = self.ring.kids();
        let others = self.count(&Which::NotBy(&kids)).await?;
        let mut known = Vec::new();
        for kid in kids {
            let texts = self.count(&Which::By(&kid)).await?;
            known.push((kid, texts));
        }
        Ok(TextsByKey { known, others })
    }

    /// Opens every sealed text and returns how many there are, and those that don't open.
    pub async fn try_texts(&self) -> Result<(u64, Vec<StoreError>), StoreError> {
        let (mut number, mut refused) = (0, Vec::new());
        for column in &COLUMNS {
            let mut after = String::new();
            loop {
                let texts = column.texts(&self.database, &Which::All, &after, BATCH, self.clock.now()).await?;
                let Some(last) = texts.last() else { break };
                after.clone_from(&last.id);
                number += texts.len() as u64;
                refused.extend(texts.iter().filter_map(|text| text.open(&self.ring).err()));
            }
        }
        Ok((number, refused))
    }

    async fn count(&self, which: &Which<'_>) -> Result<i64, StoreError> {
        let mut sum = 0;
        for column in &COLUMNS {
            sum += column.count(&self.database, which, self.clock.now()).await?;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OrgId, UserId};
    use crate::server::cipher::KeyRing;
    use crate::server::domain::{AccessToken, RefreshToken, Secret, TokenSet};
    use crate::server::store::testing::{START, stores};
    use crate::server::store::{Consumed, NewEndpoint, NewGrant, NewState};

    async fn somebody(store: &Store) -> (OrgId, UserId) {
        let org = store.add_org("Harbour Coffee").await.unwrap().unwrap();
        sqlx::query("INSERT INTO users (id, email, password_hash, created_at) VALUES ('u', 'a@b.c', '', 0)")
            .execute(store.pool())
            .await
            .unwrap();
        (org, "u".into())
    }

    #[tokio::test]
    async fn everything_that_is_sealed_is_sealed_anew_and_opens_with_the_new_key_alone() {
        for (db, old) in stores().await {
            let (org, user) = somebody(&old).await;
            let tokens = TokenSet {
                access_token: AccessToken::new("access"),
                refresh_token: RefreshToken::new("refresh"),
                expires_at: START + 1800,
                scopes: String::new(),
            };
            let new = NewGrant { org_id: org.clone(), xero_user_id: "x".into(), auth_event_id: "e".into(), tokens };
            let grant = old.insert_grant(new).await.unwrap();
            let verifier = Secret::new("verifier");
            let state = NewState { hash: "h", org: &org, user: &user, session_hash: "s", verifier: &verifier };
            old.add_state(state).await.unwrap();
            let secret = Secret::new("whsec");
            let new = NewEndpoint { url: "https://example.com", secret: &secret, by: &user, session_hash: "s" };
            let endpoint = old.add_endpoint(&org, new).await.unwrap().unwrap();
            assert!(old.rotate_secret(&org, &endpoint, &Secret::new("whsec2"), "s").await.unwrap(), "{db}");

            let ring = |keys: &str| KeyRing::parse(&Secret::new(keys)).unwrap();
            let (a, b) = (format!("test:{}=", "A".repeat(43)), format!("next:{}=", "I".repeat(43)));
            let both = Store::new(old.database().clone(), ring(&format!("{b},{a}")), old.clock().clone());
            assert_eq!(both.texts_by_key().await.unwrap().known, [("next".into(), 0), ("test".into(), 5)], "{db}");
            let mut told = 0;
            let pass = both.reseal(|_| told += 1).await.unwrap();
            assert_eq!((pass.resealed, pass.moved, pass.refused.len(), told), (5, 0, 0, 5), "{db}");
            assert_eq!(both.reseal(|_| {}).await.unwrap().resealed, 0, "{db}: once is enough");

            let alone = Store::new(old.database().clone(), ring(&b), old.clock().clone());
            let row = alone.grant(&grant).await.unwrap().unwrap();
            assert_eq!(alone.open_access(&row).unwrap().expose(), "access", "{db}");
            assert_eq!(alone.open_refresh(&row).unwrap().expose(), "refresh", "{db}");
            let Consumed::Fresh { verifier, .. } = alone.consume_state("h", "s").await.unwrap() else {
                panic!("{db}: the consent is lost")
            };
            assert_eq!(verifier.expose(), "verifier", "{db}");
            let endpoint = alone.endpoint(&org, &endpoint).await.unwrap().unwrap();
            let secrets = alone.signing_secrets(&endpoint).await.unwrap();
            assert_eq!(secrets.iter().map(Secret::expose).collect::<Vec<_>>(), ["whsec2", "whsec"], "{db}");
            assert_eq!(alone.try_texts().await.unwrap().1.len(), 0, "{db}");
        }
    }

    #[tokio::test]
    async fn a_text_that_was_written_meanwhile_stays() {
        for (db, store) in stores().await {
            let (org, _) = somebody(&store).await;
            let tokens = |name: &str| TokenSet {
                access_token: AccessToken::new(name),
                refresh_token: RefreshToken::new(name),
                expires_at: START + 1800,
                scopes: String::new(),
            };
            let new =
                NewGrant { org_id: org, xero_user_id: "x".into(), auth_event_id: "e".into(), tokens: tokens("one") };
            let grant = store.insert_grant(new).await.unwrap();
            let column = &COLUMNS[0];
            let read = column.texts(store.database(), &Which::All, "", 1, START).await.unwrap().remove(0);

            let held = store.grant(&grant).await.unwrap().unwrap();
            assert!(store.commit_kept(&store.seal_rotation(&held, &tokens("two")).unwrap()).await.unwrap(), "{db}");
            let anew = read.reseal(store.ring()).unwrap();
            assert!(!column.replace(store.database(), &read, &anew).await.unwrap(), "{db}");
            let row = store.grant(&grant).await.unwrap().unwrap();
            assert_eq!(store.open_refresh(&row).unwrap().expose(), "two", "{db}: a newer token was overwritten");
        }
    }
}
