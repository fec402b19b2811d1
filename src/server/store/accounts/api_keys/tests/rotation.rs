//! Tests of rotations: why one is refused, what is audited when an old secret ends, and what the list says of both secrets.

use sqlx::any::AnyRow;

use super::*;
use crate::model::Action;
use crate::server::store::testing::each_store;

/// A key that does not expire.
fn lasting<'a>(hash: &'a str, by: Option<&'a UserId>) -> NewApiKeyRow<'a> {
    NewApiKeyRow { expires_at: None, ..new_key(hash, by) }
}

fn secret<'a>(hash: &'a str, by: Option<&'a UserId>) -> NewSecret<'a> {
    NewSecret { hash, prefix: "egk_87654321", overlap: 3600, by }
}

/// Adds Ann, who owns Harbour Group, and Bob, who is one of its people.
async fn ann_and_bob(store: &Store) -> (OrgId, UserId, UserId) {
    let hash = Secret::new("hash");
    let ann = NewUser { email: "ann@example.com", password_hash: &hash, org: Some(UserOrg::New("Harbour Group")) };
    let ann = store.add_user(ann).await.unwrap();
    let org = ann.org.unwrap().0;
    let bob = NewUser { email: "bob@example.com", password_hash: &hash, org: Some(UserOrg::Existing(&org)) };
    (org.clone(), ann.user, store.add_user(bob).await.unwrap().user)
}

#[apply(each_store!)]
async fn second_rotation_is_refused_as_too_early_and_that_of_an_ended_or_unknown_key_as_not_found(store: Store) {
    let (org, other) = (store.add_org("Harbour Group").await.unwrap(), store.add_org("Elsewhere").await.unwrap());
    let id = store.add_api_key(&org, lasting("first", None)).await.unwrap();
    store.rotate_api_key(&org, &id, secret("second", None)).await.unwrap();
    let refused =
        async |org: &OrgId, id: &ApiKeyId| store.rotate_api_key(org, id, secret("third", None)).await.unwrap_err();
    let error = refused(&org, &id).await;
    let until = START + 3600;
    assert!(
        matches!(error, RotateKeyError::StillReplacing { previous_ends_at } if previous_ends_at == until),
        "{error}"
    );
    for (org, id) in [(&other, &id), (&org, &"unknown".into())] {
        let error = refused(org, id).await;
        assert!(matches!(error, RotateKeyError::NotFound), "{error}");
    }
    for ended in ["expires_at = 1", "expires_at = NULL, revoked_at = 1"] {
        let sql = format!("UPDATE api_keys SET {ended}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(store.pool()).await.unwrap();
        let error = refused(&org, &id).await;
        assert!(matches!(error, RotateKeyError::NotFound), "{ended}: {error}");
    }
}

#[apply(each_store!)]
async fn end_of_an_old_secret_is_audited_once_and_only_if_it_still_worked(store: Store) {
    let (org, ann, bob) = ann_and_bob(&store).await;
    let other = store.add_org("Elsewhere").await.unwrap();
    let add = async |org: &OrgId, hash: &str| {
        let id = store.add_api_key(org, lasting(hash, Some(&ann))).await.unwrap();
        store.rotate_api_key(org, &id, secret(&format!("{hash} 2"), Some(&bob))).await.unwrap();
        id
    };
    let works = add(&org, "works").await;
    let (over, revoked) = (add(&org, "over").await, add(&org, "revoked").await);
    let bobs = store.add_api_key(&org, lasting("bobs", Some(&bob))).await.unwrap();
    store.rotate_api_key(&org, &bobs, secret("bobs 2", Some(&bob))).await.unwrap();
    let elsewhere = store.add_api_key(&other, lasting("elsewhere", None)).await.unwrap();
    store.rotate_api_key(&other, &elsewhere, secret("elsewhere 2", None)).await.unwrap();
    let made = "UPDATE api_keys SET previous_created_by = $1 WHERE id = $2";
    let made = sqlx::query(made).bind(ann.as_str()).bind(elsewhere.as_str());
    made.execute(store.pool()).await.unwrap();
    assert_eq!(store.end_previous_secret(&org, &over).await.unwrap(), RowChange::Applied);
    assert_eq!(store.revoke_api_key(&org, &revoked).await.unwrap(), RowChange::Applied);

    let audited = async || {
        let sql = "SELECT subject_id, org_id, detail FROM audit_events WHERE action = $1 ORDER BY at, id";
        let query = sqlx::query(sql).bind(Action::ApiKeyPreviousEnded.as_str());
        let rows = query.fetch_all(store.pool()).await.unwrap();
        let text = |row: &AnyRow, column: &str| row.try_get::<String, _>(column).unwrap();
        rows.iter().map(|row| (text(row, "subject_id"), text(row, "org_id"), text(row, "detail"))).collect::<Vec<_>>()
    };
    let by_hand = (over.0.clone(), org.0.clone(), r#"{"key":"egk_12345678","name":"Nightly export"}"#.to_owned());
    assert_eq!(audited().await, std::slice::from_ref(&by_hand));

    store.clock().advance(5);
    let mut transaction = store.begin_change_tx().await.unwrap();
    store.revoke_api_keys(&mut transaction, &org, KeyEnd::CreatorLeft(&ann), START + 5).await.unwrap();
    transaction.commit().await.unwrap();
    let events = audited().await;
    assert_eq!((events.len(), &events[0]), (2, &by_hand), "{events:?}");
    assert_eq!((&events[1].0, &events[1].1), (&works.0, &org.0));
    let detail: serde_json::Value = serde_json::from_str(&events[1].2).unwrap();
    assert!(detail["name"] == "Nightly export" && detail["because"].is_string(), "{detail}");
}

#[apply(each_store!)]
async fn list_names_each_keys_creator_and_tells_the_uses_of_both_secrets_apart(store: Store) {
    let (org, ann, bob) = ann_and_bob(&store).await;
    let id = store.add_api_key(&org, lasting("anns", Some(&ann))).await.unwrap();
    store.clock().advance(1);
    store.add_api_key(&org, lasting("bobs", Some(&bob))).await.unwrap();
    store.clock().advance(1);
    store.add_api_key(&org, lasting("an operators", None)).await.unwrap();
    let creators = async || {
        let listed = store.api_keys(&org).await.unwrap();
        listed.into_iter().map(|view| view.created_by.unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(creators().await, ["", "bob@example.com", "ann@example.com"]);

    let used = async |hash: &str, agent: &str| {
        let key = store.api_key(hash).await.unwrap().unwrap();
        let by = KeyUse { address: "203.0.113.7".into(), agent: Some(agent.into()) };
        store.record_key_use(&key, &by).await.unwrap();
    };
    used("anns", "curl/8").await;
    store.rotate_api_key(&org, &id, secret("bobs now", Some(&bob))).await.unwrap();
    assert_eq!(creators().await, ["", "bob@example.com", "bob@example.com"]);
    let view = async || store.api_keys(&org).await.unwrap().into_iter().find(|view| view.id == id).unwrap();
    let agents = async || {
        let view = view().await;
        (view.previous.unwrap().last_use.agent.unwrap_or_default(), view.last_use.agent.unwrap_or_default())
    };
    assert_eq!((view().await.created_at, view().await.rotated_at), (START, Some(START + 2)));
    assert_eq!(agents().await, ("curl/8".to_owned(), String::new()), "the use moves with the secret");
    used("bobs now", "python/3").await;
    store.clock().advance(61);
    used("anns", "wget/1").await;
    assert_eq!(agents().await, ("wget/1".to_owned(), "python/3".to_owned()));
}
