//! Imports of refresh tokens from another system: nothing is lost, and a row that is imported again goes on.

use evergrant::model::{BindingStatus, GrantStatus, ImportOutcome, OrgId, Trigger};
use evergrant::server::domain::{Actor, ImportReport, ImportRow, RefreshToken};
use evergrant::server::tokens::{ImportTarget, SharedUsers, TokenService};
use futures::future::join_all;
use serde_json::json;

use crate::support::databases::TestDatabase;
use crate::support::test_service::{PAST_REPLAY_WINDOW, TestService};

/// A consent that another system stored.
struct Foreign {
    token: String,
    tenant_ids: Vec<String>,
}

fn consent_elsewhere(harness: &TestService, person: &str, tenants: &[&str]) -> Foreign {
    let minted = harness.provider.sandbox.mint(person, tenants, 60).unwrap();
    let tenant_ids = minted.connections.iter().map(|connection| connection.tenant_id.clone()).collect();
    Foreign { token: minted.refresh_token, tenant_ids }
}

fn row(token: &str, tenant_id: Option<&str>) -> ImportRow {
    let tenant_id = tenant_id.map(str::to_owned);
    ImportRow { refresh_token: RefreshToken::new(token), client_id: None, tenant_id, external_id: None, tags: vec![] }
}

fn target(org: &OrgId, shared_users: SharedUsers) -> ImportTarget {
    ImportTarget { org: org.clone(), actor: Actor::operator(), user: None, shared_users }
}

async fn import_with(service: &TokenService, org: &OrgId, row: ImportRow) -> ImportReport {
    service.import(&target(org, SharedUsers::Refuse), row).await.unwrap()
}

async fn import(harness: &TestService, org: &OrgId, row: ImportRow) -> ImportReport {
    import_with(&harness.service, org, row).await
}

#[apply(each_database!)]
async fn token_is_exchanged_and_its_own_tenants_are_bound(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let org = harness.store.add_org("Harbour Group").await.unwrap();
    // The user's connections of other consents are not this token's.
    consent_elsewhere(&harness, "mere", &["southerly"]);
    let foreign = consent_elsewhere(&harness, "mere", &["harbour", "kauri"]);
    let report = import(&harness, &org, row(&foreign.token, None)).await;
    assert_eq!((report.outcome, report.bindings.len()), (ImportOutcome::Imported, 2));
    let bound = harness.store.bindings_of_org(&org).await.unwrap();
    let mut tenants: Vec<_> = bound.iter().map(|one| one.binding.tenant.id.clone()).collect();
    let mut expected = foreign.tenant_ids.clone();
    tenants.sort();
    expected.sort();
    assert_eq!(tenants, expected);
    let grant = bound[0].grant.clone().unwrap();
    assert_eq!((grant.status, grant.generation), (GrantStatus::Active, 1));
    assert!(!grant.xero_user_id.is_empty() && !grant.auth_event_id.is_empty());
    let attempts = harness.store.attempts_of_binding(&org, &report.bindings[0], 9).await.unwrap();
    let triggers: Vec<_> = attempts.iter().map(|one| one.trigger.as_str()).collect();
    assert_eq!(triggers, [Trigger::Import.as_str()]);
    let again = import(&harness, &org, row(&foreign.token, None)).await;
    assert_eq!((again.outcome, again.bindings.len()), (ImportOutcome::AlreadyImported, 2));
    assert_eq!(harness.exchange_count().await, 1);
    let other = harness.store.add_org("Southerly").await.unwrap();
    let elsewhere = import(&harness, &other, row(&foreign.token, None)).await;
    assert_eq!(elsewhere, ImportReport::of(ImportOutcome::OtherOrganization));
}

#[apply(each_database!)]
async fn row_names_tenant_labels_and_app(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let org = harness.store.add_org("Harbour Group").await.unwrap();
    let foreign = consent_elsewhere(&harness, "mere", &["harbour", "kauri"]);
    let wrong = ImportRow { client_id: Some("0123456789ABCDEF0123456789ABCDEF".into()), ..row(&foreign.token, None) };
    assert_eq!(import(&harness, &org, wrong).await.outcome, ImportOutcome::OtherClient);
    assert_eq!(import(&harness, &org, row("", None)).await.outcome, ImportOutcome::Invalid);
    assert_eq!(harness.exchange_count().await, 0, "neither was sent");

    let unlisted = import(&harness, &org, row(&foreign.token, Some("no such tenant"))).await;
    assert_eq!(unlisted.outcome, ImportOutcome::TenantNotListed);
    let tenant = foreign.tenant_ids[1].as_str();
    let named = || ImportRow {
        external_id: Some("cust-1".into()),
        tags: vec!["nz".into()],
        ..row(&foreign.token, Some(tenant))
    };
    let report = import(&harness, &org, named()).await;
    assert_eq!((report.outcome, report.detail, report.bindings.len()), (ImportOutcome::Imported, None, 1));
    assert_eq!(harness.exchange_count().await, 1, "the corrected row goes on with the stored token");
    let labeled = harness.store.labeled_binding(&org, &report.bindings[0]).await.unwrap().unwrap();
    assert_eq!((labeled.labels.external_id.as_deref(), labeled.labels.tags), (Some("cust-1"), vec!["nz".to_owned()]));

    let second = consent_elsewhere(&harness, "mere", &["kauri"]);
    let bound = import(&harness, &org, row(&second.token, Some(tenant))).await;
    assert_eq!((bound.outcome, bound.bindings), (ImportOutcome::AlreadyBound, report.bindings.clone()));
    let taken = ImportRow { external_id: Some("cust-1".into()), ..row(&second.token, Some(&foreign.tenant_ids[0])) };
    assert_eq!(import(&harness, &org, taken).await.outcome, ImportOutcome::ExternalIdTaken);
    assert_eq!(harness.exchange_count().await, 1, "neither was sent");
    let unnamed = import(&harness, &org, row(&second.token, None)).await;
    assert_eq!(unnamed.outcome, ImportOutcome::AlreadyBound);
    let working = harness.store.binding(&org, &report.bindings[0]).await.unwrap().unwrap();
    assert_eq!(working.grant.unwrap().generation, 1, "the working connection is left as it was");
}

#[apply(each_database!)]
async fn token_that_xero_refuses_ends_nothing_and_can_be_tried_again(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let org = harness.store.add_org("Harbour Group").await.unwrap();
    let foreign = consent_elsewhere(&harness, "mere", &["harbour"]);
    // The other system used it.
    harness.provider.sandbox.revoke_grant(&foreign.token).unwrap();
    for _ in 0..12 {
        assert_eq!(import(&harness, &org, row(&foreign.token, None)).await, ImportReport::of(ImportOutcome::Refused));
    }
    assert_eq!(harness.service.circuit_open_until(), None, "refused rows say nothing about the app's own grants");
    let healthy = consent_elsewhere(&harness, "mere", &["harbour"]);
    assert_eq!(import(&harness, &org, row(&healthy.token, None)).await.outcome, ImportOutcome::Imported);
}

#[apply(each_database!)]
async fn dead_connection_is_revived_by_an_imported_token(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let dead = harness.connect("Harbour Group", &["harbour"], 60).await;
    harness.mark_dead_elsewhere().await;
    let foreign = consent_elsewhere(&harness, "mere", &["harbour"]);
    let report = import(&harness, &dead.org, row(&foreign.token, Some(&foreign.tenant_ids[0]))).await;
    assert_eq!((report.outcome, &report.bindings), (ImportOutcome::Imported, &dead.bindings));
    let bound = harness.store.binding(&dead.org, &dead.bindings[0]).await.unwrap().unwrap();
    assert_eq!(bound.binding.status, BindingStatus::Active);
}

#[apply(each_database!)]
async fn lost_reply_is_fetched_again_by_the_same_row_or_by_the_sweeper(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let org = harness.store.add_org("Harbour Group").await.unwrap();
    for by_sweeper in [false, true] {
        let tenant = if by_sweeper { "kauri" } else { "harbour" };
        let foreign = consent_elsewhere(&harness, "mere", &[tenant]);
        harness.provider.inject_fault(json!({"endpoint": "token", "kind": "reset_after"})).await;
        let lost = import(&harness, &org, row(&foreign.token, None)).await;
        assert_eq!(lost, ImportReport::of(ImportOutcome::NotAnswering));
        if by_sweeper {
            harness.advance(29 * 60);
            // A successor that is due at once may be of the same sweep or of the next.
            let refreshed = harness.sweep().await.refreshed + harness.sweep().await.refreshed;
            assert_eq!(refreshed, 3, "it is sent again within the replay window, and the successors of both are used");
            harness.advance(PAST_REPLAY_WINDOW);
            let users = "SELECT COUNT(*) FROM integration_grants WHERE xero_user_id = '' OR auth_event_id = ''";
            let users = sqlx::query_scalar::<_, i64>(users).fetch_one(harness.store.database().pool()).await.unwrap();
            assert_eq!(users, 0, "the sweep has learned whose consent it is");
        } else {
            harness.advance(60);
        }
        assert_eq!(import(&harness, &org, row(&foreign.token, None)).await.outcome, ImportOutcome::Imported);
    }
}

#[apply(each_database!)]
async fn shared_user_is_noticed_although_the_sweeper_fetched_the_lost_reply(database: TestDatabase) {
    let harness = TestService::start(database).await;
    harness.connect("Harbour Group", &["harbour"], 1_800).await;
    let org = harness.store.add_org("Southerly Studio").await.unwrap();
    let foreign = consent_elsewhere(&harness, "mere", &["kauri"]);
    harness.provider.inject_fault(json!({"endpoint": "token", "kind": "reset_after"})).await;
    let lost = import(&harness, &org, row(&foreign.token, None)).await;
    assert_eq!(lost, ImportReport::of(ImportOutcome::NotAnswering));
    harness.advance(5 * 60);
    harness.sweep().await;
    let refused = import(&harness, &org, row(&foreign.token, None)).await;
    assert_eq!(refused, ImportReport::of(ImportOutcome::SharedXeroUser));
}

#[apply(each_database!)]
async fn import_that_stopped_before_its_tenants_were_read_goes_on_without_another_exchange(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let org = harness.store.add_org("Harbour Group").await.unwrap();
    let foreign = consent_elsewhere(&harness, "mere", &["harbour"]);
    let down = json!({"endpoint": "connections", "kind": "status", "status": 503});
    harness.provider.inject_fault(down).await;
    let stopped = import(&harness, &org, row(&foreign.token, None)).await;
    assert_eq!(stopped, ImportReport::of(ImportOutcome::NotAnswering));
    harness.provider.clear_faults().await;
    harness.advance(60);
    assert_eq!(import(&harness, &org, row(&foreign.token, None)).await.outcome, ImportOutcome::Imported);
    assert_eq!(harness.exchange_count().await, 1);
}

#[apply(each_database!)]
async fn rate_limit_and_refused_app_are_told_apart(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let org = harness.store.add_org("Harbour Group").await.unwrap();
    let foreign = consent_elsewhere(&harness, "mere", &["harbour"]);
    let faults = [
        (json!({"endpoint": "token", "kind": "status", "status": 429, "retry_after": 7}), ImportOutcome::RateLimited),
        (json!({"endpoint": "token", "kind": "invalid_client"}), ImportOutcome::AppRefused),
    ];
    for (fault, expected) in faults {
        harness.provider.inject_fault(fault).await;
        assert_eq!(import(&harness, &org, row(&foreign.token, None)).await, ImportReport::of(expected));
        harness.provider.clear_faults().await;
        harness.advance(3 * 60);
    }
    assert_eq!(import(&harness, &org, row(&foreign.token, None)).await.outcome, ImportOutcome::Imported);
}

#[apply(each_database!)]
async fn row_that_several_instances_import_at_once_is_exchanged_once(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let org = harness.store.add_org("Harbour Group").await.unwrap();
    let foreign = consent_elsewhere(&harness, "mere", &["harbour"]);
    let services = [harness.service.clone(), harness.second_service().await, harness.second_service().await];
    let reports = join_all(services.iter().map(|service| import_with(service, &org, row(&foreign.token, None)))).await;
    for report in reports {
        let done = [ImportOutcome::Imported, ImportOutcome::AlreadyImported];
        assert!(done.contains(&report.outcome) && report.bindings.len() == 1, "{report:?}");
    }
    assert_eq!(harness.exchange_count().await, 1);
    assert_eq!(harness.store.bindings_of_org(&org).await.unwrap().len(), 1);
}

#[apply(each_database!)]
async fn token_of_a_user_of_another_organization_needs_an_operators_word(database: TestDatabase) {
    let harness = TestService::start(database).await;
    harness.connect("Harbour Group", &["harbour"], 1_800).await;
    let org = harness.store.add_org("Southerly Studio").await.unwrap();
    let foreign = consent_elsewhere(&harness, "mere", &["kauri"]);
    let refused = import(&harness, &org, row(&foreign.token, None)).await;
    assert_eq!(refused, ImportReport::of(ImportOutcome::SharedXeroUser));
    assert_eq!(harness.store.bindings_of_org(&org).await.unwrap().len(), 0);
    let allowed = harness.service.import(&target(&org, SharedUsers::Allow), row(&foreign.token, None)).await.unwrap();
    assert_eq!((allowed.outcome, allowed.bindings.len()), (ImportOutcome::Imported, 1));
    assert_eq!(harness.exchange_count().await, 1);
}
