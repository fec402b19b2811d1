//! Tests of what `evergrant doctor` says of scopes.

use evergrant::model::ScopeRefusalCause;
use evergrant_sandbox::DEFAULT_SCOPES;

use super::OperatorEnv;
use super::doctor::{assert_only_finding, verdict_and_text};
use crate::support::databases::TestDatabase;

const DOCTOR: [&str; 2] = ["doctor", "--json"];

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_says_what_is_asked_for_and_what_xero_refused(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 1800).await;
    let (verdict, text) = verdict_and_text(&env.run(&DOCTOR).await.json(), "scopes");
    assert_eq!((verdict.as_str(), text.trim()), ("ok", format!("Consents ask for: {DEFAULT_SCOPES}.").as_str()));

    // A connection that has less is no reason to look.
    let wanted = format!("{DEFAULT_SCOPES} accounting.contacts.read");
    let wants_more = [("XERO_SCOPES", wanted.as_str())];
    let (verdict, text) = verdict_and_text(&env.run_with_settings(&DOCTOR, &wants_more).await.json(), "scopes");
    assert!(verdict == "ok" && text.contains("1 of 1 grant had consented to less"), "{text}");

    let cause = ScopeRefusalCause::WrongAppScopes;
    env.store.record_scope_refusal(&shop.org, &wanted, cause, &[]).await.unwrap();
    let words = [
        "Last refused on",
        "scopes of another kind of app, about accounting.settings.read, accounting.contacts.read.",
        "Take the scopes that the app may not ask for out of XERO_SCOPES",
        "XERO_SCOPES_FALLBACK=smallest lets people connect",
        "Test connection doesn't work",
    ];
    assert_only_finding(&env.run_with_settings(&DOCTOR, &wants_more).await, "scopes", "warn", &words);
    let allowed = [wants_more[0], ("XERO_SCOPES_FALLBACK", "smallest")];
    let (_, text) = verdict_and_text(&env.run_with_settings(&DOCTOR, &allowed).await.json(), "scopes");
    assert!(text.contains("Meanwhile people can connect with openid profile email offline_access"), "{text}");

    // With other settings it is only history.
    let (verdict, text) = verdict_and_text(&env.run(&DOCTOR).await.json(), "scopes");
    assert!(verdict == "ok" && text.contains("Last refused on"), "{text}");
    env.store.note_scopes_accepted(&shop.org, &wanted).await.unwrap();
    let (verdict, text) = verdict_and_text(&env.run_with_settings(&DOCTOR, &wants_more).await.json(), "scopes");
    assert!(verdict == "ok" && text.contains("Xero has granted the same since"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_warns_of_broad_scopes() {
    let env = OperatorEnv::on(TestDatabase::sqlite()).await;
    let broad = [("XERO_SCOPES", "openid offline_access accounting.transactions")];
    let output = env.run_with_settings(&DOCTOR, &broad).await;
    let words = ["Xero ends accounting.transactions on 13 September 2027", "Replace the broad scopes"];
    assert_only_finding(&output, "scopes", "warn", &words);
}
