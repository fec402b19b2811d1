//! Reseals all sealed values after a key rotation while other writers run, and counts the values of each key.

use super::columns::{KeyFilter, SEALED_COLUMNS, SealedValue};
use crate::server::store::{Store, StoreError};

/// How many values are read at a time.
const BATCH_SIZE: i64 = 100;

/// The result of one pass over all sealed values.
#[derive(Debug, Default)]
pub struct ResealPass {
    /// How many values were resealed.
    pub resealed: u64,
    /// How many values another writer changed meanwhile. The next pass checks them again.
    pub changed_meanwhile: u64,
    /// An error for each value that does not open.
    pub failures: Vec<StoreError>,
}

/// How many values each key of the ring has sealed, in the ring's order, and how many other keys have.
#[derive(Debug, PartialEq)]
pub struct SealedValuesByKey {
    /// Key id and number of values, for each key of the ring.
    pub by_key: Vec<(String, i64)>,
    /// Number of values sealed with keys that are not in the ring.
    pub unknown_keys: i64,
}

impl Store {
    /// Reseals every value that was not sealed with the ring's sealing key, and calls `progress` after each batch.
    ///
    /// Replaces a value only if it is unchanged since it was read, so tokens that were committed meanwhile stay. Locks
    /// one row at a time.
    pub async fn reseal(&self, mut progress: impl FnMut(&ResealPass)) -> Result<ResealPass, StoreError> {
        let done_already = [self.ring.sealing_kid()];
        let which = KeyFilter::NotSealedBy(&done_already);
        let mut pass = ResealPass::default();
        for column in &SEALED_COLUMNS {
            let mut after = String::new();
            loop {
                let texts = column.values(&self.database, &which, &after, BATCH_SIZE, self.clock.now()).await?;
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

    async fn reseal_one(&self, text: &SealedValue, pass: &mut ResealPass) -> Result<(), StoreError> {
        match text.reseal(&self.ring) {
            Ok(sealed) if text.column.replace(&self.database, text, &sealed).await? => pass.resealed += 1,
            Ok(_) => pass.changed_meanwhile += 1,
            Err(refused) => pass.failures.push(refused),
        }
        Ok(())
    }

    /// Counts the values that each key has sealed.
    pub async fn count_sealed_values_by_key(&self) -> Result<SealedValuesByKey, StoreError> {
        let kids = self.ring.kids();
        let others = self.count(&KeyFilter::NotSealedBy(&kids)).await?;
        let mut known = Vec::new();
        for kid in kids {
            let texts = self.count(&KeyFilter::SealedBy(&kid)).await?;
            known.push((kid, texts));
        }
        Ok(SealedValuesByKey { by_key: known, unknown_keys: others })
    }

    /// Opens every sealed value. Returns their number, and an error for each that does not open.
    pub async fn verify_sealed_values(&self) -> Result<(u64, Vec<StoreError>), StoreError> {
        let (mut number, mut refused) = (0, Vec::new());
        for column in &SEALED_COLUMNS {
            let mut after = String::new();
            loop {
                let texts =
                    column.values(&self.database, &KeyFilter::All, &after, BATCH_SIZE, self.clock.now()).await?;
                let Some(last) = texts.last() else { break };
                after.clone_from(&last.id);
                number += texts.len() as u64;
                refused.extend(texts.iter().filter_map(|text| text.open(&self.ring).err()));
            }
        }
        Ok((number, refused))
    }

    async fn count(&self, which: &KeyFilter<'_>) -> Result<i64, StoreError> {
        let mut sum = 0;
        for column in &SEALED_COLUMNS {
            sum += column.count(&self.database, which, self.clock.now()).await?;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OrgId, Role, UserId};
    use crate::server::crypto::key_ring::KeyRing;
    use crate::server::domain::Secret;
    use crate::server::store::testing::grants::{TestGrant, tokens};
    use crate::server::store::testing::{START, each_store};
    use crate::server::store::{ConsumedState, NewOauthState, NewWebhookEndpoint, RowChange, SpoolCommit};

    async fn org_and_user(store: &Store) -> (OrgId, UserId) {
        let org = store.add_org("Harbour Coffee").await.unwrap();
        sqlx::query("INSERT INTO users (id, email, password_hash, created_at) VALUES ('u', 'a@b.c', '', 0)")
            .execute(store.pool())
            .await
            .unwrap();
        store.add_member(&org, &"u".into(), Role::Owner).await.unwrap();
        (org, "u".into())
    }

    #[apply(each_store!)]
    async fn all_values_are_resealed_and_open_with_the_new_key_only(old: Store) {
        let (org, user) = org_and_user(&old).await;
        let grant = TestGrant::of(&old, &org).insert().await;
        let verifier = Secret::new("verifier");
        let (session_hash, scopes) = ("s", "openid");
        let state = NewOauthState { hash: "h", org: &org, user: &user, session_hash, verifier: &verifier, scopes };
        old.insert_oauth_state(state).await.unwrap();
        let secret = Secret::new("whsec");
        let new =
            NewWebhookEndpoint { url: "https://example.com", secret: &secret, created_by: &user, session_hash: "s" };
        let endpoint = old.add_endpoint(&org, new).await.unwrap();
        let rotated = old.rotate_secret(&org, &endpoint, &Secret::new("whsec2"), "s").await.unwrap();
        assert_eq!(rotated, RowChange::Applied);

        let ring = |keys: &str| KeyRing::parse(&Secret::new(keys)).unwrap();
        let (a, b) = (format!("test:{}=", "A".repeat(43)), format!("next:{}=", "I".repeat(43)));
        let both = Store::new(old.database().clone(), ring(&format!("{b},{a}")), old.clock().clone());
        assert_eq!(both.count_sealed_values_by_key().await.unwrap().by_key, [("next".into(), 0), ("test".into(), 5)]);
        let mut progress = 0;
        let pass = both.reseal(|_| progress += 1).await.unwrap();
        assert_eq!((pass.resealed, pass.changed_meanwhile, pass.failures.len(), progress), (5, 0, 0, 5));
        assert_eq!(both.reseal(|_| {}).await.unwrap().resealed, 0, "nothing is left to reseal");

        let alone = Store::new(old.database().clone(), ring(&b), old.clock().clone());
        let row = alone.grant(&grant).await.unwrap().unwrap();
        assert_eq!(alone.open_access(&row).unwrap().expose(), "access-first");
        assert_eq!(alone.open_refresh(&row).unwrap().expose(), "refresh-first");
        let ConsumedState::Valid { verifier, .. } = alone.consume_oauth_state("h", "s", &user).await.unwrap() else {
            panic!("the consent is lost")
        };
        assert_eq!(verifier.expose(), "verifier");
        let endpoint = alone.endpoint(&org, &endpoint).await.unwrap().unwrap();
        let secrets = alone.signing_secrets(&endpoint).await.unwrap();
        assert_eq!(secrets.iter().map(Secret::expose).collect::<Vec<_>>(), ["whsec2", "whsec"]);
        assert_eq!(alone.verify_sealed_values().await.unwrap().1.len(), 0);
    }

    #[apply(each_store!)]
    async fn reseal_keeps_a_value_written_meanwhile(store: Store) {
        let (org, _) = org_and_user(&store).await;
        let grant = TestGrant::of(&store, &org).insert().await;
        let column = &SEALED_COLUMNS[0];
        let read = column.values(store.database(), &KeyFilter::All, "", 1, START).await.unwrap().remove(0);

        let held = store.grant(&grant).await.unwrap().unwrap();
        let rotation = store.seal_rotation(&held, &tokens("two")).unwrap();
        assert_eq!(store.commit_spooled_rotation(&rotation, None).await.unwrap(), SpoolCommit::Applied);
        let resealed_text = read.reseal(store.ring()).unwrap();
        assert!(!column.replace(store.database(), &read, &resealed_text).await.unwrap());
        let row = store.grant(&grant).await.unwrap().unwrap();
        assert_eq!(store.open_refresh(&row).unwrap().expose(), "refresh-two", "a newer token was overwritten");
    }
}
