//! A locked database keeps no valid token from a program.

use evergrant::model::Scope;
use evergrant::server::store::AuditFilter;
use reqwest::StatusCode;

use super::api_v1::ApiClient;
use crate::support::databases::TestDatabase;
use crate::support::demo_server::DemoServer;
use crate::support::locks::HeldLock;
use crate::support::wait::{MAX_WAIT, eventually, within};

/// So many calls that a wait for the lock in each of them would take longer than `MAX_WAIT`, and fewer than the key's
/// rate limit.
const CALLS: usize = 20;

#[apply(each_database!)]
async fn valid_token_is_vended_while_the_audit_log_is_locked_and_recorded_later(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let program = ApiClient::for_org(&app, "Harbour Group", Scope::ALL).await;
    assert_eq!(program.get_token("?min_ttl=900").await.status(), StatusCode::OK, "{db}");
    let recorded = async || {
        let filter = AuditFilter { action: "token.vended", ..AuditFilter::default() };
        program.store.audit_events(Some(&program.org), filter, None, 99).await.unwrap().len()
    };
    assert_eq!(recorded().await, 1, "{db}");

    let lock = HeldLock::on(app.database(), "audit_events").await;
    let calls = async {
        for _ in 0..CALLS {
            assert_eq!(program.get_token("?min_ttl=60").await.status(), StatusCode::OK, "{db}");
        }
    };
    within("the tokens", MAX_WAIT, calls).await;
    assert_eq!(recorded().await, 1, "{db}");
    lock.release().await;
    eventually("the audit events", MAX_WAIT, async || recorded().await == 1 + CALLS).await;
}
