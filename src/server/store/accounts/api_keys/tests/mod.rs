//! Tests of API keys: isolation between organizations, their maximum number, last use, and revocation.

mod isolation;
mod rotation;

use super::list::REVOKED_KEY_LISTED_FOR;
use super::*;
use crate::model::{ApiKeyStatus, ApiKeyView, KeyConnection, KeyUseView, Role};
use crate::server::domain::Secret;
use crate::server::store::testing::grants::{TestGrant, set_row};
use crate::server::store::testing::{START, each_store};
use crate::server::store::{
    BindingFilter, ClerkEvent, ClerkOrg, ClerkUser, IdentityClaims, NewUser, OrgClaims, UserOrg,
};

fn new_key<'a>(hash: &'a str, by: Option<&'a UserId>) -> NewApiKeyRow<'a> {
    NewApiKeyRow {
        name: "Nightly export",
        hash,
        prefix: "egk_12345678",
        scopes: &[Scope::TokensRead],
        expires_at: Some(START + 9),
        created_by: by,
        bindings: &[],
    }
}

fn by(address: &str) -> KeyUse {
    KeyUse { address: address.into(), agent: Some("curl/8.5.0".into()) }
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
        connections: None,
        status: ApiKeyStatus::Active,
        created_by: Some("ann@example.com".into()),
        created_at: START,
        rotated_at: None,
        expires_at: Some(START + 9),
        last_use: KeyUseView::default(),
        previous: None,
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
    store.clock().advance(REVOKED_KEY_LISTED_FOR - 1);
    assert_eq!((store.api_keys(&org).await.unwrap().len(), store.all_api_keys().await.unwrap().len()), (1, 1));
    store.clock().advance(1);
    assert!(store.api_keys(&org).await.unwrap().is_empty() && store.all_api_keys().await.unwrap().is_empty());
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
    let other = store.add_org("Southerly Studio").await.unwrap();
    store.add_api_key(&other, new_key("another organization's", None)).await.unwrap();
}

#[apply(each_store!)]
async fn last_use_of_a_key_is_recorded_to_the_minute(store: Store) {
    let org = store.add_org("Harbour Group").await.unwrap();
    store.add_api_key(&org, new_key("h1", None)).await.unwrap();
    let read = async || store.api_key("h1").await.unwrap().unwrap();
    assert!(store.is_key_use_due(&read().await), "never used");
    for (wait, is_due, noted) in [(0, true, START), (60, false, START), (1, true, START + 61)] {
        store.clock().advance(wait);
        assert_eq!(store.is_key_use_due(&read().await), is_due, "{wait}");
        store.record_key_use(&read().await, &by("203.0.113.7")).await.unwrap();
        assert_eq!(read().await.last_used_at, Some(noted));
        let listed = store.api_keys(&org).await.unwrap().remove(0).last_use;
        assert_eq!((listed.at, listed.by().as_str()), (Some(noted), "203.0.113.7, curl/8.5.0"));
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

#[apply(each_store!)]
async fn limited_key_opens_its_bindings_alone_and_nothing_once_they_are_gone(store: Store) {
    let org = store.add_org("Harbour Group").await.unwrap();
    let elsewhere = store.add_org("Elsewhere").await.unwrap();
    let ids = async |org: &OrgId| -> Vec<BindingId> {
        store.bindings_of_org(org).await.unwrap().into_iter().map(|one| one.binding.id).collect()
    };
    TestGrant::of(&store, &org).xero_user("mere").bound_to(&["Bakery", "Coffee"]).insert().await;
    TestGrant::of(&store, &elsewhere).xero_user("jonas").bound_to(&["Joinery"]).insert().await;
    let (ours, theirs) = (ids(&org).await, ids(&elsewhere).await);
    let foreign = NewApiKeyRow { bindings: &theirs, ..new_key("h0", None) };
    let refused = store.add_api_key(&org, foreign).await;
    assert!(matches!(refused, Err(AddApiKeyError::NoSuchBinding(_))), "{refused:?}");
    assert!(store.api_keys(&org).await.unwrap().is_empty(), "nothing is left of it");

    let id = store.add_api_key(&org, NewApiKeyRow { bindings: &ours[..1], ..new_key("h1", None) }).await.unwrap();
    let read = async |binding| store.api_key_and_binding("h1", binding).await.unwrap().unwrap();
    let (key, bound) = read(&ours[0]).await;
    assert_eq!((key.limited_by().as_ref(), bound.as_ref().map(|one| &one.binding.id)), (Some(&id), Some(&ours[0])));
    assert!(read(&ours[1]).await.1.is_none() && read(&theirs[0]).await.1.is_none());
    assert!(store.key_opens(&key, &ours[0]).await.unwrap() && !store.key_opens(&key, &ours[1]).await.unwrap());
    assert!(store.token_reaches_beyond(&key, &bound.unwrap().binding).await.unwrap(), "one user made both");
    let filter = BindingFilter { limited_by: key.limited_by(), ..Default::default() };
    let listed = async || store.labeled_bindings(&org, &filter, (0, ""), 9).await.unwrap().len();
    assert_eq!(listed().await, 1);
    let shown = store.api_keys(&org).await.unwrap().remove(0).connections;
    assert_eq!(shown, Some(vec![KeyConnection { id: ours[0].clone(), name: "Bakery".into() }]));

    store.disconnect_binding(&org, &ours[1]).await.unwrap();
    let (key, bound) = read(&ours[0]).await;
    assert!(!store.token_reaches_beyond(&key, &bound.unwrap().binding).await.unwrap());
    sqlx::query("DELETE FROM integration_tenant_bindings WHERE id = $1")
        .bind(ours[0].as_str())
        .execute(store.pool())
        .await
        .unwrap();
    assert!(read(&ours[0]).await.0.is_limited && read(&ours[1]).await.1.is_none());
    assert_eq!(listed().await, 0, "the key does not open all connections");
    assert_eq!(store.api_keys(&org).await.unwrap().remove(0).connections, Some(vec![]));
}

#[apply(each_store!)]
async fn uses_of_the_old_secret_are_told_apart_and_it_ends_with_its_creators_membership(store: Store) {
    let org = OrgClaims { id: "org_1", slug: Some("harbour"), role: Role::Admin };
    let claim = IdentityClaims { user: "user_1", email: None, org: Some(org), issued_at: START };
    let known = store.sync_identity(&claim).await.unwrap();
    let (org, ann) = (known.org.unwrap().id, known.user);
    let id = store.add_api_key(&org, new_key("old", Some(&ann))).await.unwrap();
    let bob = store.sync_identity(&IdentityClaims { user: "user_2", ..claim }).await.unwrap().user;
    let new = NewSecret { hash: "new", prefix: "egk_87654321", overlap: 3600, by: Some(&bob) };
    let replaced = store.rotate_api_key(&org, &id, new).await.unwrap();
    assert_eq!(replaced.previous_ends_at, START + 9, "no later than the old one would have expired");
    let (old, new) = (store.api_key("old").await.unwrap().unwrap(), store.api_key("new").await.unwrap().unwrap());
    assert_eq!((old.created_by.as_ref(), new.created_by.as_ref()), (Some(&ann), Some(&bob)));
    store.record_key_use(&old, &by("203.0.113.7")).await.unwrap();
    assert!(store.is_key_use_due(&new) && !store.is_key_use_due(&store.api_key("old").await.unwrap().unwrap()));
    let view = store.api_keys(&org).await.unwrap().remove(0);
    let previous = view.previous.unwrap();
    assert_eq!((view.last_use.at, view.prefix.as_str()), (None, "egk_87654321"));
    assert_eq!((previous.last_use.at, previous.prefix.as_str()), (Some(START), "egk_12345678"));

    let external = ClerkOrg { id: "org_1".into(), name: "Harbour Group".into(), slug: None };
    let user = ClerkUser { id: "user_1".into(), email: None };
    store.receive_clerk_event("1", START + 5, &ClerkEvent::MembershipDeleted { org: external, user }).await.unwrap();
    assert_eq!(store.api_key("old").await.unwrap().unwrap().expires_at, Some(START + 5), "it ended with the event");
    assert_eq!(store.api_key("new").await.unwrap().unwrap().revoked_at, None);
}

#[apply(each_store!)]
async fn old_secret_keeps_its_last_use_and_records_its_own_to_the_minute(store: Store) {
    let org = store.add_org("Harbour Group").await.unwrap();
    let id = store.add_api_key(&org, NewApiKeyRow { expires_at: None, ..new_key("old", None) }).await.unwrap();
    let read = async || store.api_key("old").await.unwrap().unwrap();
    store.record_key_use(&read().await, &by("198.51.100.1")).await.unwrap();
    let new = NewSecret { hash: "new", prefix: "egk_87654321", overlap: 3600, by: None };
    store.rotate_api_key(&org, &id, new).await.unwrap();
    let listed = async || {
        let view = store.api_keys(&org).await.unwrap().remove(0);
        assert_eq!(view.last_use, KeyUseView::default(), "the new secret was not used");
        let used = view.previous.unwrap().last_use;
        (used.at, used.by())
    };
    assert_eq!(listed().await, (Some(START), "198.51.100.1, curl/8.5.0".to_owned()));
    for (wait, is_due, noted) in [(61, true, START + 61), (60, false, START + 61), (1, true, START + 122)] {
        store.clock().advance(wait);
        assert_eq!(store.is_key_use_due(&read().await), is_due, "{wait}");
        store.record_key_use(&read().await, &by("203.0.113.7")).await.unwrap();
        assert_eq!(listed().await, (Some(noted), "203.0.113.7, curl/8.5.0".to_owned()));
    }
}

#[apply(each_store!)]
async fn key_of_a_disabled_account_is_not_found_whichever_secret_it_created(store: Store) {
    let hash = Secret::new("hash");
    let ann = NewUser { email: "ann@example.com", password_hash: &hash, org: Some(UserOrg::New("Harbour Group")) };
    let ann = store.add_user(ann).await.unwrap();
    let (org, _) = ann.org.unwrap();
    let id = store.add_api_key(&org, new_key("anns", Some(&ann.user))).await.unwrap();
    let bob = NewUser { email: "bob@example.com", password_hash: &hash, org: Some(UserOrg::Existing(&org)) };
    let bob = store.add_user(bob).await.unwrap().user;
    let new = NewSecret { hash: "bobs", prefix: "egk_87654321", overlap: 5, by: Some(&bob) };
    store.rotate_api_key(&org, &id, new).await.unwrap();
    let found = async || {
        let found = async |hash| store.api_key(hash).await.unwrap().is_some();
        (found("anns").await, found("bobs").await)
    };
    for (disabled, expected) in [(&ann.user, (false, true)), (&bob, (true, false))] {
        assert_eq!(found().await, (true, true));
        let disable = "UPDATE users SET disabled_at = CASE WHEN id = $1 THEN 1 END";
        sqlx::query(disable).bind(disabled.as_str()).execute(store.pool()).await.unwrap();
        assert_eq!(found().await, expected);
        sqlx::query("UPDATE users SET disabled_at = NULL").execute(store.pool()).await.unwrap();
    }
}

#[apply(each_store!)]
async fn token_reaches_what_its_xero_user_connected_with_this_app_and_the_key_does_not_open(store: Store) {
    let (org, other) = (store.add_org("Harbour Group").await.unwrap(), store.add_org("Elsewhere").await.unwrap());
    TestGrant::of(&store, &org).xero_user("mere").bound_to(&["Bakery"]).insert().await;
    let second = TestGrant::of(&store, &org).xero_user("mere").bound_to(&["Coffee"]).insert().await;
    let app = format!("client_id = '{}', issuer = '{}'", store.app().client_id, store.app().issuer);
    TestGrant::of(&store, &org).xero_user("jonas").bound_to(&["Joinery"]).insert().await;
    TestGrant::of(&store, &other).xero_user("mere").bound_to(&["Dairy"]).insert().await;
    let all = store.bindings_of_org(&org).await.unwrap();
    let of = |name: &str| all.iter().map(|one| &one.binding).find(|one| one.tenant.name == name).unwrap();
    let (bakery, coffee) = (of("Bakery"), of("Coffee"));
    let limited = NewApiKeyRow { bindings: std::slice::from_ref(&bakery.id), ..new_key("h1", None) };
    let id = store.add_api_key(&org, limited).await.unwrap();
    // What another key opens says nothing about this one.
    let beside = NewApiKeyRow { bindings: std::slice::from_ref(&coffee.id), ..new_key("h2", None) };
    store.add_api_key(&org, beside).await.unwrap();
    let reaches = async || {
        let key = store.api_key("h1").await.unwrap().unwrap();
        store.token_reaches_beyond(&key, bakery).await.unwrap()
    };
    assert!(reaches().await, "the other grant is the same Xero user's");
    for row in ["client_id = 'another'", "issuer = 'another'", "xero_user_id = ''"] {
        set_row(&store, &second, row).await;
        assert!(!reaches().await, "{row}");
        set_row(&store, &second, &format!("{app}, xero_user_id = 'mere'")).await;
    }
    // Users whose names are not known are not the same.
    sqlx::query("UPDATE integration_grants SET xero_user_id = ''").execute(store.pool()).await.unwrap();
    assert!(!reaches().await);
    sqlx::query("UPDATE integration_grants SET xero_user_id = 'mere'").execute(store.pool()).await.unwrap();
    assert!(reaches().await);
    store
        .limit_api_key(&org, &id, Some(&[bakery.id.clone(), coffee.id.clone(), of("Joinery").id.clone()]))
        .await
        .unwrap();
    assert!(!reaches().await, "what it reaches in another organization is not this key's affair");
    store.limit_api_key(&org, &id, None).await.unwrap();
    assert!(!reaches().await, "the key opens all");
}

#[apply(each_store!)]
async fn limit_of_a_key_is_replaced_and_removed_as_a_whole(store: Store) {
    let (org, other) = (store.add_org("Harbour Group").await.unwrap(), store.add_org("Elsewhere").await.unwrap());
    TestGrant::of(&store, &org).bound_to(&["Bakery", "Coffee"]).insert().await;
    TestGrant::of(&store, &other).bound_to(&["Joinery"]).insert().await;
    let ids = async |org: &OrgId| -> Vec<BindingId> {
        store.bindings_of_org(org).await.unwrap().into_iter().map(|one| one.binding.id).collect()
    };
    let (ours, theirs) = (ids(&org).await, ids(&other).await);
    let id = store.add_api_key(&org, new_key("h1", None)).await.unwrap();
    let shown = async || {
        let connections = store.api_keys(&org).await.unwrap().remove(0).connections;
        connections.map(|only| only.into_iter().map(|one| one.name).collect::<Vec<_>>())
    };
    store.limit_api_key(&org, &id, Some(&ours[1..])).await.unwrap();
    assert_eq!(shown().await, Some(vec!["Coffee".to_owned()]));
    store.limit_api_key(&org, &id, Some(&ours[..1])).await.unwrap();
    assert_eq!(shown().await, Some(vec!["Bakery".to_owned()]));
    let foreign = store.limit_api_key(&org, &id, Some(&[ours[1].clone(), theirs[0].clone()])).await;
    assert!(matches!(foreign, Err(LimitKeyError::NoSuchBinding(_))), "{foreign:?}");
    assert!(matches!(store.limit_api_key(&other, &id, None).await, Err(LimitKeyError::NotFound)));
    assert_eq!(shown().await, Some(vec!["Bakery".to_owned()]), "a refused change leaves the limit as it was");
    store.limit_api_key(&org, &id, None).await.unwrap();
    assert_eq!(shown().await, None);
    assert_eq!(store.revoke_api_key(&org, &id).await.unwrap(), RowChange::Applied);
    assert!(matches!(store.limit_api_key(&org, &id, None).await, Err(LimitKeyError::NotFound)));
}
