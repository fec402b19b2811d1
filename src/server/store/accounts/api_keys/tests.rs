//! Tests of API keys: isolation between organizations, their maximum number, last use, and revocation.

use super::*;
use crate::model::Role;
use crate::server::domain::Secret;
use crate::server::store::testing::{START, each_store};
use crate::server::store::{ClerkEvent, ClerkOrg, ClerkUser, IdentityClaims, NewUser, OrgClaims, UserOrg};

fn new_key<'a>(hash: &'a str, by: Option<&'a UserId>) -> NewApiKeyRow<'a> {
    NewApiKeyRow {
        name: "Nightly export",
        hash,
        prefix: "egk_12345678",
        scopes: &[Scope::TokensRead],
        expires_at: Some(START + 9),
        created_by: by,
    }
}

#[apply(each_store!)]
async fn organization_lists_and_revokes_only_its_own_keys(store: Store) {
    let hash = Secret::new("hash");
    let ann = NewUser { email: "ann@example.com", password_hash: &hash, org: Some(UserOrg::New("Harbour Group")) };
    let ann = store.add_user(ann).await.unwrap();
    let (org, _) = ann.org.unwrap();
    let other = store.add_org("Southerly Studio").await.unwrap();
    let id = store.add_api_key(&org, new_key("h1", Some(&ann.user))).await.unwrap();
    let expected = ApiKeyView {
        id: id.clone(),
        name: "Nightly export".into(),
        prefix: "egk_12345678".into(),
        scopes: vec![Scope::TokensRead],
        status: ApiKeyStatus::Active,
        created_by: Some("ann@example.com".into()),
        created_at: START,
        expires_at: Some(START + 9),
        last_used_at: None,
        revoked_at: None,
    };
    assert_eq!(store.api_keys(&org).await.unwrap(), std::slice::from_ref(&expected));
    assert!(store.api_keys(&other).await.unwrap().is_empty());
    assert_eq!(store.all_api_keys().await.unwrap(), [("Harbour Group".to_owned(), expected)]);
    for called in [id.as_str(), "egk_12345678"] {
        assert_eq!(store.find_api_keys_by_id_or_prefix(called).await.unwrap(), [(org.clone(), id.clone())]);
    }

    assert_eq!(store.revoke_api_key(&other, &id).await.unwrap(), RowChange::NotFound, "another organization's key");
    assert_eq!(store.revoke_api_key(&org, &id).await.unwrap(), RowChange::Applied);
    assert_eq!(store.revoke_api_key(&org, &id).await.unwrap(), RowChange::NotFound, "a key is revoked once");
    let listed = store.api_keys(&org).await.unwrap();
    assert_eq!((listed[0].status, listed[0].revoked_at), (ApiKeyStatus::Revoked, Some(START)));
    store.clock().advance(REVOKED_KEY_LISTED_FOR);
    assert!(store.api_keys(&org).await.unwrap().is_empty());
    assert!(store.find_api_keys_by_id_or_prefix("egk_12345678").await.unwrap().is_empty());
}

#[apply(each_store!)]
async fn number_of_keys_per_organization_is_limited(store: Store) {
    let org = store.add_org("Harbour Group").await.unwrap();
    let mut last = None;
    for number in 0..MAX_API_KEYS {
        last = Some(store.add_api_key(&org, new_key(&format!("h{number}"), None)).await.unwrap());
    }
    let refused = store.add_api_key(&org, new_key("more", None)).await;
    assert!(matches!(refused, Err(AddApiKeyError::TooMany)), "{refused:?}");
    _ = store.revoke_api_key(&org, &last.unwrap()).await.unwrap();
    store.add_api_key(&org, new_key("more", None)).await.unwrap();
}

#[apply(each_store!)]
async fn last_use_of_a_key_is_recorded_to_the_minute(store: Store) {
    let org = store.add_org("Harbour Group").await.unwrap();
    store.add_api_key(&org, new_key("h1", None)).await.unwrap();
    let read = async || store.api_key("h1").await.unwrap().unwrap();
    for (wait, noted) in [(0, START), (60, START), (1, START + 61)] {
        store.clock().advance(wait);
        store.record_key_use(&read().await).await.unwrap();
        assert_eq!(read().await.last_used_at, Some(noted));
    }
}

#[apply(each_store!)]
async fn binding_is_read_only_with_a_key_of_its_organization(store: Store) {
    let org = store.add_org("Harbour Group").await.unwrap();
    store.add_api_key(&org, new_key("h1", None)).await.unwrap();
    let (key, bound) = store.api_key_and_binding("h1", &"nothing".into()).await.unwrap().unwrap();
    assert_eq!((key, bound.map(|_| ())), (store.api_key("h1").await.unwrap().unwrap(), None));
    assert!(store.api_key_and_binding("h2", &"nothing".into()).await.unwrap().is_none());
}

#[apply(each_store!)]
async fn keys_are_revoked_with_their_creators_membership_and_their_organization(store: Store) {
    let org = OrgClaims { id: "org_1", slug: Some("harbour"), role: Role::Admin };
    let claim = IdentityClaims { user: "user_1", email: None, org: Some(org), issued_at: START };
    let known = store.sync_identity(&claim).await.unwrap();
    let (org, ann) = (known.org.unwrap().id, known.user);
    store.add_api_key(&org, new_key("anns", Some(&ann))).await.unwrap();
    store.add_api_key(&org, new_key("an operators", None)).await.unwrap();
    let counts = async |hash| store.api_key(hash).await.unwrap().is_some_and(|key| key.revoked_at.is_none());

    let external = ClerkOrg { id: "org_1".into(), name: "Harbour Group".into(), slug: None };
    let user = ClerkUser { id: "user_1".into(), email: None };
    store.receive_clerk_event("1", START + 5, &ClerkEvent::MembershipDeleted { org: external, user }).await.unwrap();
    assert!(!counts("anns").await && counts("an operators").await);

    store.receive_clerk_event("2", START + 6, &ClerkEvent::OrganizationDeleted { id: "org_1".into() }).await.unwrap();
    assert_eq!(store.api_key("an operators").await.unwrap(), None);
    store.add_api_key(&org, new_key("afterwards", None)).await.unwrap();
    assert_eq!(store.api_key("afterwards").await.unwrap(), None, "a key of a deleted organization is never found");
}
