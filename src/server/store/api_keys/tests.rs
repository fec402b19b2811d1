//! What becomes of keys: whose they are, how many there may be, when they were used, and what ends them.

use super::*;
use crate::model::Role;
use crate::server::domain::Secret;
use crate::server::store::testing::{START, stores};
use crate::server::store::{Asserted, AssertedOrg, ExternalOrg, ExternalUser, NewUser, News};

fn new<'a>(hash: &'a str, by: Option<&'a UserId>) -> NewApiKey<'a> {
    NewApiKey {
        name: "Nightly export",
        hash,
        prefix: "egk_12345678",
        scopes: &[Scope::TokensRead],
        expires_at: Some(START + 9),
        by,
    }
}

#[tokio::test]
async fn an_organisation_sees_and_ends_its_own_keys_alone() {
    for (name, store) in stores().await {
        let hash = Secret::new("hash");
        let ann = NewUser { email: "ann@example.com", password_hash: &hash, org: Some("Harbour Group") };
        let ann = store.add_user(ann).await.unwrap().unwrap();
        let (org, _) = ann.org.unwrap();
        let other = store.add_org("Southerly Studio").await.unwrap().unwrap();
        let id = store.add_api_key(&org, new("h1", Some(&ann.user)), &Actor::system()).await.unwrap().unwrap();
        let expected = ApiKeyView {
            id: id.clone(),
            name: "Nightly export".into(),
            prefix: "egk_12345678".into(),
            scopes: vec![Scope::TokensRead],
            status: KeyStatus::Active,
            created_by: Some("ann@example.com".into()),
            created_at: START,
            expires_at: Some(START + 9),
            last_used_at: None,
            revoked_at: None,
        };
        assert_eq!(store.api_keys(&org).await.unwrap(), std::slice::from_ref(&expected), "{name}");
        assert!(store.api_keys(&other).await.unwrap().is_empty(), "{name}");
        assert_eq!(store.all_api_keys().await.unwrap(), [("Harbour Group".to_owned(), expected)], "{name}");
        for called in [id.as_str(), "egk_12345678"] {
            assert_eq!(store.api_keys_called(called).await.unwrap(), [(org.clone(), id.clone())], "{name}");
        }

        assert!(
            !store.revoke_api_key(&other, &id, &Actor::system()).await.unwrap(),
            "another organisation's, on {name}"
        );
        assert!(store.revoke_api_key(&org, &id, &Actor::system()).await.unwrap(), "{name}");
        assert!(!store.revoke_api_key(&org, &id, &Actor::system()).await.unwrap(), "once, on {name}");
        let listed = store.api_keys(&org).await.unwrap();
        assert_eq!((listed[0].status, listed[0].revoked_at), (KeyStatus::Revoked, Some(START)), "{name}");
        store.clock().advance(LISTED);
        assert!(store.api_keys(&org).await.unwrap().is_empty(), "{name}");
        assert!(store.api_keys_called("egk_12345678").await.unwrap().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn an_organisation_has_a_bounded_number_of_keys() {
    for (name, store) in stores().await {
        let org = store.add_org("Harbour Group").await.unwrap().unwrap();
        let mut last = None;
        for number in 0..MOST_KEYS {
            last = store.add_api_key(&org, new(&format!("h{number}"), None), &Actor::system()).await.unwrap();
            assert!(last.is_some(), "{name}: {number}");
        }
        assert_eq!(store.add_api_key(&org, new("more", None), &Actor::system()).await.unwrap(), None, "{name}");
        store.revoke_api_key(&org, &last.unwrap(), &Actor::system()).await.unwrap();
        assert!(store.add_api_key(&org, new("more", None), &Actor::system()).await.unwrap().is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_keys_last_use_is_known_to_the_minute() {
    for (name, store) in stores().await {
        let org = store.add_org("Harbour Group").await.unwrap().unwrap();
        store.add_api_key(&org, new("h1", None), &Actor::system()).await.unwrap();
        let read = async || store.api_key("h1").await.unwrap().unwrap();
        for (wait, noted) in [(0, START), (60, START), (1, START + 61)] {
            store.clock().advance(wait);
            store.note_key_use(&read().await).await.unwrap();
            assert_eq!(read().await.last_used_at, Some(noted), "{name}");
        }
    }
}

#[tokio::test]
async fn a_binding_is_read_with_the_key_of_its_own_organisation_alone() {
    for (name, store) in stores().await {
        let org = store.add_org("Harbour Group").await.unwrap().unwrap();
        store.add_api_key(&org, new("h1", None), &Actor::system()).await.unwrap();
        let (key, bound) = store.api_key_and_binding("h1", &"nothing".into()).await.unwrap().unwrap();
        assert_eq!((key, bound.map(|_| ())), (store.api_key("h1").await.unwrap().unwrap(), None), "{name}");
        assert!(store.api_key_and_binding("h2", &"nothing".into()).await.unwrap().is_none(), "{name}");
    }
}

#[tokio::test]
async fn keys_end_with_their_persons_membership_and_with_their_organisation() {
    for (name, store) in stores().await {
        let org = AssertedOrg { id: "org_1", slug: Some("harbour"), role: Role::Admin };
        let claim = Asserted { user: "user_1", email: None, org: Some(org), issued_at: START };
        let known = store.known(&claim).await.unwrap();
        let (org, ann) = (known.org.unwrap().id, known.user);
        store.add_api_key(&org, new("anns", Some(&ann)), &Actor::system()).await.unwrap();
        store.add_api_key(&org, new("an operators", None), &Actor::system()).await.unwrap();
        let counts = async |hash| store.api_key(hash).await.unwrap().is_some_and(|key| key.revoked_at.is_none());

        let external = ExternalOrg { id: "org_1".into(), name: "Harbour Group".into(), slug: None };
        let user = ExternalUser { id: "user_1".into(), email: None };
        store.take_news("1", START + 5, &News::MembershipEnded { org: external, user }).await.unwrap();
        assert!(!counts("anns").await && counts("an operators").await, "{name}");

        store.take_news("2", START + 6, &News::OrganisationEnded { id: "org_1".into() }).await.unwrap();
        assert_eq!(store.api_key("an operators").await.unwrap(), None, "{name}");
        store.add_api_key(&org, new("afterwards", None), &Actor::system()).await.unwrap();
        assert_eq!(store.api_key("afterwards").await.unwrap(), None, "whatever its row says, on {name}");
    }
}
