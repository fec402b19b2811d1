//! Commands and servers that are started with another database or another provider than the grants' own.

use sqlx::AssertSqlSafe;

use super::OperatorEnv;
use crate::support::databases::TestDatabase;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_other_than_serve_migrate_and_add_create_no_database() {
    let env = OperatorEnv::on(TestDatabase::sqlite()).await;
    let missing = [("DATABASE_URL", "sqlite://elsewhere/evergrant.db"), ("EVERGRANT_DATA_DIR", "elsewhere")];
    for arguments in [
        &["grants", "list"][..],
        &["grants", "refresh", "--all-due"],
        &["grants", "retry", "--all"],
        &["api-key", "list", "--org", "A"],
        &["encryption-key", "rotate"],
        &["doctor"],
    ] {
        let output = env.run_with_settings(arguments, &missing).await;
        assert!(
            output.code.is_some_and(|code| code > 0) || arguments == ["doctor"],
            "{arguments:?}: {}",
            output.combined
        );
        assert!(!env.folder.path().join("elsewhere").exists(), "{arguments:?} created a folder: {}", output.combined);
        let advice =
            output.combined.contains("there is no database at") || output.combined.contains("There is none yet");
        assert!(advice, "{arguments:?}: {}", output.combined);
    }
    let created = env.run_with_settings(&["org", "add", "--name", "A"], &missing).await;
    assert_eq!(created.code, Some(0), "{}", created.combined);
    assert!(created.combined.contains("creating the database"), "{}", created.combined);
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_refuses_a_database_with_grants_of_another_kind_of_provider(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 60).await;
    let before = env.store.grant(&shop.grant).await.unwrap();
    let real = [
        ("XERO_LOGIN_URL", "https://login.xero.com"),
        ("XERO_IDENTITY_URL", "https://identity.xero.com"),
        ("XERO_API_URL", "https://api.xero.com"),
    ];
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["grants", "refresh", "--all-due"]] {
        let output = env.run_with_settings(arguments, &real).await;
        assert_eq!(output.code, Some(1), "{arguments:?}: {}", output.combined);
        assert!(output.combined.contains("1 grant of the sandbox"), "{arguments:?}: {}", output.combined);
        assert!(output.combined.contains("EVERGRANT_DATA_DIR=xero-data"), "{arguments:?}: {}", output.combined);
    }

    // The reverse: a real app's grants, and no app is set.
    let change = "UPDATE integration_grants SET issuer = 'https://identity.xero.com', client_id = 'ours'";
    sqlx::query(AssertSqlSafe(change)).execute(env.store.database().pool()).await.unwrap();
    let sandbox = [("XERO_CLIENT_ID", ""), ("XERO_CLIENT_SECRET", "")];
    let output = env.run_with_settings(&["serve", "--listen", "127.0.0.1:0"], &sandbox).await;
    assert_eq!(output.code, Some(1), "{}", output.combined);
    assert!(
        output.combined.contains("1 grant of the Xero app ours at https://identity.xero.com")
            && output.combined.contains("Set both")
            && output.combined.contains("EVERGRANT_DATA_DIR=sandbox-data"),
        "{}",
        output.combined
    );
    let after = env.store.grant(&shop.grant).await.unwrap();
    assert_eq!(after.unwrap().generation, before.unwrap().generation);
    assert_eq!(env.provider.exchange_count().await, 0);
}
