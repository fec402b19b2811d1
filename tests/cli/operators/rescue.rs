//! `evergrant grants rescue`: an operator's token in a grant's place.

use evergrant::model::{BindingStatus, GrantStatus};
use evergrant::server::domain::Grant;
use serde_json::{Value, json};

use super::grants::rename;
use super::{Place, Said};
use crate::support::databases::TestDatabase;
use crate::support::keeper::Connected;

/// Another consent's refresh token, as an operator might have it from elsewhere.
async fn token_of(place: &Place, person: &'static str, tenant: &'static str) -> String {
    let sandbox = place.provider.sandbox.clone();
    let minted = tokio::task::spawn_blocking(move || sandbox.mint(person, &[tenant], 1800).unwrap()).await.unwrap();
    minted.refresh_token
}

/// A grant that Xero has ended.
async fn dead(place: &Place) -> Connected {
    let shop = place.connect("Corner Shop", &["southerly"], 60).await;
    let (sandbox, token) = (place.provider.sandbox.clone(), shop.minted.refresh_token.clone());
    assert!(tokio::task::spawn_blocking(move || sandbox.forget_grant(&token)).await.unwrap().unwrap());
    assert_eq!(place.run(&["grants", "refresh", "--all-due"]).await.code, Some(1));
    assert_eq!(read(place, &shop).await.status, GrantStatus::RefreshFailed);
    shop
}

async fn read(place: &Place, connected: &Connected) -> Grant {
    place.store.grant(&connected.grant).await.unwrap().unwrap()
}

async fn rescue(place: &Place, connected: &Connected, more: &[&str], token: &str) -> Said {
    let arguments = [&["grants", "rescue", "--grant", connected.grant.as_str()], more].concat();
    let said = place.run_with_input(&arguments, &format!("{token}\n")).await;
    assert!(!said.all.contains(token), "{}", said.all);
    said
}

/// The journal's last line: outcome and code.
async fn last_attempt(place: &Place, connected: &Connected) -> (Option<String>, Option<String>) {
    let attempts = place.store.attempts_of_binding(&connected.org, &connected.bindings[0], 50).await.unwrap();
    let outcomes: Vec<_> =
        attempts.iter().map(|attempt| (attempt.outcome.clone(), attempt.error_code.clone())).collect();
    assert!(attempts.iter().all(|attempt| attempt.trigger == "cli" && attempt.finished_at.is_some()), "{attempts:?}");
    outcomes.into_iter().find(|(outcome, _)| outcome.as_deref() != Some("reconnect")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_grant_and_its_bindings_live_again() {
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        let shop = dead(&place).await;
        let token = token_of(&place, "mere", "southerly").await;
        let said = rescue(&place, &shop, &["--json"], &token).await;
        let wanted = json!({"grantId": shop.grant, "outcome": "rescued", "generation": 1, "notConnected": []});
        assert_eq!((said.code, said.json()), (Some(0), wanted), "{}", said.all);
        let bound = place.store.binding(&shop.org, &shop.bindings[0]).await.unwrap().unwrap();
        let grant = bound.grant.unwrap();
        assert_eq!((bound.binding.status, grant.status), (BindingStatus::Active, GrantStatus::Active));
        assert_eq!((grant.generation, grant.failure_count, &grant.lease, &grant.last_error), (1, 0, &None, &None));
        assert_ne!(grant.auth_event_id, shop.minted.auth_event_id, "it is another consent's now");
        assert_eq!(last_attempt(&place, &shop).await, (Some("refreshed".to_owned()), None));
        // Xero replays its answer to the same token: the row has that already, and no new generation.
        let again = rescue(&place, &shop, &["--json"], &token).await;
        assert_eq!(
            (again.code, again.json(), read(&place, &shop).await),
            (Some(0), said.json(), grant),
            "{}",
            again.all
        );
        // What is in place is the successor, and it works.
        let refreshed = place.run(&["grants", "refresh", "--grant", shop.grant.as_str()]).await;
        assert!(refreshed.code == Some(0) && refreshed.out.contains("refreshed."), "{}", refreshed.all);
        said.assert_free_of_secrets(&[&shop]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_no_good_changes_nothing_and_says_why() {
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        let shop = dead(&place).await;
        let before = read(&place, &shop).await;
        let refused = rescue(&place, &shop, &[], "never-issued-to-anybody").await;
        assert!(
            refused.code == Some(1) && refused.all.contains("Xero refused this token (invalid_grant)"),
            "{}",
            refused.all
        );
        assert_eq!(last_attempt(&place, &shop).await, (Some("refused".into()), Some("invalid_grant".into())));

        place.provider.control("faults", json!({"endpoint": "token", "kind": "status", "status": 503})).await;
        let token = token_of(&place, "mere", "southerly").await;
        let away = rescue(&place, &shop, &[], &token).await;
        assert!(away.code == Some(1) && away.all.contains("again with the same one within 30 minutes"), "{}", away.all);

        let stranger = token_of(&place, "jonas", "southerly").await;
        let anothers = rescue(&place, &shop, &[], &stranger).await;
        assert!(anothers.code == Some(1) && anothers.all.contains("another Xero user's ("), "{}", anothers.all);
        assert_eq!(read(&place, &shop).await, before);

        // Meant after all: within its grace Xero takes the same token again.
        let meant = rescue(&place, &shop, &["--another-user"], &stranger).await;
        assert!(meant.code == Some(0) && meant.out.contains("its connections work again"), "{}", meant.all);
        let grant = read(&place, &shop).await;
        assert!(grant.status == GrantStatus::Active && grant.xero_user_id != before.xero_user_id);
        let bound = place.store.binding(&shop.org, &shop.bindings[0]).await.unwrap().unwrap();
        assert_ne!(bound.binding.connection_id, shop.minted.connections[0].id, "a disconnect names the new user's");

        for (arguments, words) in [
            (["grants", "rescue", "--grant", "no-such"], "there is no grant no-such"),
            (["grants", "rescue", "--grant", shop.grant.as_str()], "expected one line with nothing else on it"),
        ] {
            let input = if words.starts_with("there") { "a-token\n" } else { "two words\n" };
            let said = place.run_with_input(&arguments, input).await;
            assert!(said.code == Some(1) && said.all.contains(words), "{}", said.all);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_under_way_is_waited_for_and_a_newer_token_is_never_overwritten() {
    for database in TestDatabase::each().await {
        let place = Place::on(database).await;
        let shop = place.connect("Corner Shop", &["southerly"], 60).await;
        let token = token_of(&place, "mere", "southerly").await;
        place.provider.control("hold", json!({})).await;
        let refreshing = place.run(&["grants", "refresh", "--all-due"]);
        let rescuing = async {
            place.provider.waiting(1).await;
            let rescuing = rescue(&place, &shop, &[], &token);
            let release = async {
                // The other's lease is in the way, so nothing more reaches Xero until it is let go.
                assert_eq!(place.provider.waiting(1).await, 1);
                place.provider.control("release", json!({})).await;
            };
            tokio::join!(rescuing, release).0
        };
        let (refreshed, rescued) = tokio::join!(refreshing, rescuing);
        assert_eq!((refreshed.code, rescued.code), (Some(0), Some(0)), "{}{}", refreshed.all, rescued.all);
        assert_eq!(read(&place, &shop).await.generation, 2);

        // Whoever moves the row on meanwhile has the last word.
        let token = token_of(&place, "mere", "southerly").await;
        place.provider.control("hold", json!({})).await;
        let rescuing = rescue(&place, &shop, &[], &token);
        let moving = async {
            place.provider.waiting(1).await;
            let moved = "UPDATE integration_grants SET generation = generation + 1, access_token_enc = 'newer', \
                         lease_owner = NULL, lease_until = NULL";
            sqlx::query(moved).execute(place.store.database().pool()).await.unwrap();
            place.provider.control("release", json!({})).await;
        };
        let (said, ()) = tokio::join!(rescuing, moving);
        assert!(said.code == Some(1) && said.all.contains("refreshed by another process"), "{}", said.all);
        let grant = read(&place, &shop).await;
        assert_eq!((grant.generation, grant.sealed.access.as_str()), (3, "newer"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_xero_took_waits_in_the_spool_where_the_database_does_not_take_it() {
    let place = Place::on(TestDatabase::sqlite()).await;
    let shop = dead(&place).await;
    let token = token_of(&place, "mere", "southerly").await;
    place.provider.control("hold", json!({})).await;
    let rescuing = rescue(&place, &shop, &[], &token);
    let breaking = async {
        place.provider.waiting(1).await;
        rename(&place, "integration_grants", "gone").await;
        place.provider.control("release", json!({})).await;
    };
    let (said, ()) = tokio::join!(rescuing, breaking);
    assert!(said.code == Some(1) && said.all.contains("Xero took the token. a token set waits in"), "{}", said.all);
    rename(&place, "gone", "integration_grants").await;
    assert_eq!(read(&place, &shop).await.status, GrantStatus::RefreshFailed);

    let next = place.run(&["grants", "refresh", "--all-due"]).await;
    assert_eq!(next.code, Some(0), "{}", next.all);
    let grant = read(&place, &shop).await;
    assert_eq!((grant.status, grant.generation), (GrantStatus::Active, 1));
    let listed = place.run(&["grants", "list", "--json"]).await.json();
    assert_eq!(listed["grants"][0]["status"], Value::from("active"));
}
