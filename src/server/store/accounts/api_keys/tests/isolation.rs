//! Tests that what is done to one key concerns no other, of its organization or another.

use futures::future::join_all;

use super::*;
use crate::server::store::BindingWithGrant;
use crate::server::store::testing::each_store;
use crate::server::store::testing::grants::TestGrant;

#[apply(each_store!)]
async fn keys_beside_each_other_keep_their_own_limits_and_secrets(store: Store) {
    let (org, other) = (store.add_org("Harbour Group").await.unwrap(), store.add_org("Elsewhere").await.unwrap());
    TestGrant::of(&store, &org).bound_to(&["Bakery", "Coffee"]).insert().await;
    TestGrant::of(&store, &other).bound_to(&["Joinery"]).insert().await;
    let of = async |org| {
        let bindings = store.bindings_of_org(org).await.unwrap();
        bindings.into_iter().map(|one| one.binding.id).collect::<Vec<BindingId>>()
    };
    let (ours, theirs) = (of(&org).await, of(&other).await);
    let limited = |hash, binding| NewApiKeyRow { bindings: std::slice::from_ref(binding), ..new_key(hash, None) };
    let first = store.add_api_key(&org, limited("first", &ours[0])).await.unwrap();
    let second = store.add_api_key(&org, limited("second", &ours[1])).await.unwrap();
    store.add_api_key(&org, new_key("all", None)).await.unwrap();
    store.add_api_key(&other, new_key("foreign", None)).await.unwrap();
    let opens = async |hash, binding| {
        let (key, bound) = store.api_key_and_binding(hash, binding).await.unwrap()?;
        assert!(bound.is_none() || store.key_opens(&key, binding).await.unwrap(), "{hash}");
        bound.map(|bound| bound.binding.id)
    };
    for (hash, opened) in
        [("first", [true, false, false]), ("second", [false, true, false]), ("all", [true, true, false])]
    {
        for (binding, is_opened) in [&ours[0], &ours[1], &theirs[0]].into_iter().zip(opened) {
            assert_eq!(opens(hash, binding).await.as_ref(), is_opened.then_some(binding), "{hash}");
        }
    }
    let key = store.api_key("first").await.unwrap().unwrap();
    assert!(!store.key_opens(&key, &ours[1]).await.unwrap(), "the second key opens it");

    store.limit_api_key(&org, &first, None).await.unwrap();
    assert_eq!(opens("second", &ours[1]).await.as_ref(), Some(&ours[1]), "its limit stays");
    let found = store.find_api_keys_by_id_or_prefix(second.as_str()).await.unwrap();
    assert_eq!(found, [(org.clone(), second.clone())], "by its id alone");

    let new = NewSecret { hash: "third", prefix: "egk_87654321", overlap: 5, by: None };
    store.rotate_api_key(&org, &second, new).await.unwrap();
    assert_eq!(opens("second", &ours[1]).await.as_ref(), Some(&ours[1]), "the secret before still opens it");
    assert_eq!(opens("third", &ours[1]).await.as_ref(), Some(&ours[1]));
    sqlx::query("UPDATE organizations SET external_deleted_at = 1 WHERE id = $1")
        .bind(org.as_str())
        .execute(store.pool())
        .await
        .unwrap();
    assert_eq!(opens("all", &ours[0]).await, None, "its organization was deleted");
    assert!(store.api_key("foreign").await.unwrap().is_some());
}

/// Returns every key's columns, by its id.
async fn rows(store: &Store) -> Vec<(String, String)> {
    let sql = "SELECT id, name || '|' || key_hash || '|' || COALESCE(previous_key_hash, '') || '|' || \
               COALESCE(revoked_at, 0) || '|' || COALESCE(limited_at, 0) || '|' || COALESCE(last_used_at, 0) || '|' || \
               COALESCE(previous_last_used_at, 0) || '|' || COALESCE(previous_ends_at, 0) FROM api_keys ORDER BY id";
    let rows = sqlx::query(sql).fetch_all(store.pool()).await.unwrap();
    rows.iter().map(|row| (row.try_get(0).unwrap(), row.try_get(1).unwrap())).collect()
}

/// Returns the ids of the keys that have changed since.
async fn changed(store: &Store, before: &[(String, String)]) -> Vec<ApiKeyId> {
    let now = rows(store).await;
    assert_eq!(now.len(), before.len());
    now.into_iter().zip(before).filter(|(now, before)| now != *before).map(|((id, _), _)| ApiKeyId(id)).collect()
}

fn rotated(hash: &str) -> NewSecret<'_> {
    NewSecret { hash, prefix: "egk_87654321", overlap: 3600, by: None }
}

#[apply(each_store!)]
async fn change_of_a_key_concerns_it_alone_and_only_in_its_organization(store: Store) {
    let (org, other) = (store.add_org("Harbour Group").await.unwrap(), store.add_org("Elsewhere").await.unwrap());
    TestGrant::of(&store, &org).bound_to(&["Bakery"]).insert().await;
    let binding = store.bindings_of_org(&org).await.unwrap().remove(0).binding.id;
    let add = async |org, hash| {
        let new = NewApiKeyRow { expires_at: None, ..new_key(hash, None) };
        store.add_api_key(org, new).await.unwrap()
    };
    let (own, beside, foreign) = (add(&org, "own").await, add(&org, "beside").await, add(&other, "foreign").await);
    store.rotate_api_key(&org, &beside, rotated("beside 2")).await.unwrap();
    store.rotate_api_key(&other, &foreign, rotated("foreign 2")).await.unwrap();
    let key = async |hash| store.api_key(hash).await.unwrap().unwrap();
    let only = Some(std::slice::from_ref(&binding));

    for done in 0..7 {
        let before = rows(&store).await;
        // By another organization's hand, and to a key of another organization: nothing.
        assert_eq!(store.rename_api_key(&other, &own, "Taken").await.unwrap(), RowChange::NotFound);
        assert_eq!(store.revoke_api_key(&other, &own).await.unwrap(), RowChange::NotFound);
        assert_eq!(store.end_previous_secret(&other, &own).await.unwrap(), RowChange::NotFound);
        assert!(matches!(store.limit_api_key(&other, &own, None).await, Err(LimitKeyError::NotFound)));
        let refused = store.rotate_api_key(&other, &own, rotated("taken")).await;
        assert!(matches!(refused, Err(RotateKeyError::NotFound)), "{refused:?}");
        assert!(changed(&store, &before).await.is_empty(), "{done}");

        store.clock().advance(61);
        match done {
            0 => store.record_key_use(&key("own").await, &by("203.0.113.7")).await.unwrap(),
            1 => assert_eq!(store.rename_api_key(&org, &own, "Export").await.unwrap(), RowChange::Applied),
            2 => store.limit_api_key(&org, &own, only).await.unwrap(),
            3 => _ = store.rotate_api_key(&org, &own, rotated("own 2")).await.unwrap(),
            4 => store.record_key_use(&key("own").await, &by("203.0.113.7")).await.unwrap(),
            5 => assert_eq!(store.end_previous_secret(&org, &own).await.unwrap(), RowChange::Applied),
            _ => assert_eq!(store.revoke_api_key(&org, &own).await.unwrap(), RowChange::Applied),
        }
        assert_eq!(changed(&store, &before).await, std::slice::from_ref(&own), "{done}");
    }
}

#[apply(each_store!)]
async fn revoked_and_expired_keys_change_no_more(store: Store) {
    let org = store.add_org("Harbour Group").await.unwrap();
    let forever = NewApiKeyRow { expires_at: None, ..new_key("revoked", None) };
    let revoked = store.add_api_key(&org, forever).await.unwrap();
    store.rotate_api_key(&org, &revoked, rotated("revoked 2")).await.unwrap();
    assert_eq!(store.revoke_api_key(&org, &revoked).await.unwrap(), RowChange::Applied);
    let expired = store.add_api_key(&org, new_key("expired", None)).await.unwrap();
    store.clock().advance(9);
    let before = rows(&store).await;
    for id in [&revoked, &expired] {
        let refused = store.rotate_api_key(&org, id, rotated("new")).await;
        assert!(matches!(refused, Err(RotateKeyError::NotFound)), "{refused:?}");
        assert_eq!(store.end_previous_secret(&org, id).await.unwrap(), RowChange::NotFound);
    }
    assert_eq!(store.rename_api_key(&org, &revoked, "Export").await.unwrap(), RowChange::NotFound);
    assert!(matches!(store.limit_api_key(&org, &revoked, None).await, Err(LimitKeyError::NotFound)));
    assert!(changed(&store, &before).await.is_empty());
}

#[apply(each_store!)]
async fn person_who_leaves_takes_only_their_own_keys_and_secrets_of_that_organization(store: Store) {
    let hash = Secret::new("hash");
    let user = NewUser { email: "ann@example.com", password_hash: &hash, org: Some(UserOrg::New("Harbour Group")) };
    let ann = store.add_user(user).await.unwrap();
    let (org, ann) = (ann.org.unwrap().0, ann.user);
    let user = NewUser { email: "bob@example.com", password_hash: &hash, org: Some(UserOrg::Existing(&org)) };
    let bob = store.add_user(user).await.unwrap().user;
    let other = store.add_org("Elsewhere").await.unwrap();
    // Who made each key's secret before, and the one that it has now.
    let add = async |org, hash: &str, before: &UserId, now: &UserId| {
        let new = NewApiKeyRow { expires_at: None, ..new_key(hash, None) };
        let id = store.add_api_key(org, new).await.unwrap();
        store.rotate_api_key(org, &id, rotated(&format!("{hash} 2"))).await.unwrap();
        let made = "UPDATE api_keys SET previous_created_by = $1, created_by = $2 WHERE id = $3";
        let made = sqlx::query(made).bind(before.as_str()).bind(now.as_str()).bind(id.as_str());
        made.execute(store.pool()).await.unwrap();
        id
    };
    let (both, old) = (add(&org, "both", &ann, &ann).await, add(&org, "old", &ann, &bob).await);
    add(&org, "none", &bob, &bob).await;
    add(&other, "elsewhere", &ann, &ann).await;
    store.clock().advance(5);
    let before = rows(&store).await;
    let mut transaction = store.begin_change_tx().await.unwrap();
    store.revoke_api_keys(&mut transaction, &org, KeyEnd::CreatorLeft(&ann), START + 5).await.unwrap();
    transaction.commit().await.unwrap();
    let mut expected = [both.clone(), old.clone()];
    expected.sort();
    assert_eq!(changed(&store, &before).await, expected);
    let read = async |hash| store.api_key(hash).await.unwrap().unwrap();
    assert_eq!(read("both 2").await.revoked_at, Some(START + 5));
    let (replaced, current) = (read("old").await, read("old 2").await);
    assert_eq!((replaced.expires_at, current.expires_at, current.revoked_at), (Some(START + 5), None, None));
}

#[apply(each_store!)]
async fn calls_that_share_a_statement_get_what_their_own_would_return(store: Store) {
    let (org, other) = (store.add_org("Harbour Group").await.unwrap(), store.add_org("Elsewhere").await.unwrap());
    let names: Vec<String> = (0..20).map(|number| format!("Bakery {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    TestGrant::of(&store, &org).bound_to(&names).insert().await;
    TestGrant::of(&store, &other).bound_to(&["Joinery"]).insert().await;
    let of = async |org| store.bindings_of_org(org).await.unwrap().into_iter().map(|one| one.binding.id);
    let asked: Vec<BindingId> =
        of(&org).await.chain(of(&other).await).chain(["nothing".into()]).flat_map(|id| [id.clone(), id]).collect();
    store.add_api_key(&org, new_key("all", None)).await.unwrap();
    let first = NewApiKeyRow { bindings: &asked[..1], ..new_key("first", None) };
    store.add_api_key(&org, first).await.unwrap();
    for hash in ["all", "first", "unknown"] {
        let together = join_all(asked.iter().map(|id| store.api_key_and_binding(hash, id))).await;
        for (id, together) in asked.iter().zip(together) {
            let told = |row: Option<(ApiKeyRow, Option<BindingWithGrant>)>| format!("{row:?}");
            let alone = store.api_key_and_binding(hash, id).await.unwrap();
            let opens = alone.as_ref().is_some_and(|(_, bound)| bound.is_some());
            assert_eq!(
                opens,
                hash == "all" && asked[..40].contains(id) || hash == "first" && asked[0] == *id,
                "{hash}"
            );
            assert_eq!(told(together.unwrap()), told(alone), "{hash} {id}");
        }
    }
}
