//! Tests of `evergrant import`, which takes over the refresh tokens of another system.

use evergrant::server::store::DatabaseKind;
use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::{CommandOutput, OperatorEnv};
use crate::support::databases::TestDatabase;

async fn mint(env: &OperatorEnv, tenant: &'static str) -> String {
    let sandbox = env.provider.sandbox.clone();
    tokio::task::spawn_blocking(move || sandbox.mint("mere", &[tenant], 1_800).unwrap()).await.unwrap().refresh_token
}

async fn import(env: &OperatorEnv, file: &str, content: &str, arguments: &[&str]) -> CommandOutput {
    std::fs::write(env.folder.path().join(file), content).unwrap();
    env.run(&[&["import", file], arguments].concat()).await
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_is_imported_row_by_row_and_again_without_harm(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let (harbour, southerly) =
        (env.store.add_org("Harbour").await.unwrap(), env.store.add_org("Southerly").await.unwrap());
    let (first, second) = (mint(&env, "harbour").await, mint(&env, "kauri").await);
    let csv = format!(
        "refresh_token,org_id,external_id,tags\n{first},,cust-1,gold nz\n0123456789,,,\n{second},{southerly},,\n"
    );
    let arguments = ["--org-id", harbour.as_str(), "--old-system-stopped", "--json", "--allow-shared-users"];
    let output = import(&env, "tokens.csv", &csv, &arguments).await;
    let reports: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> =
        reports.iter().map(|row| (row["line"].as_u64().unwrap(), row["outcome"].as_str().unwrap())).collect();
    assert_eq!(told, [(2, "imported"), (3, "refused"), (4, "imported")], "{}", output.combined);
    assert!(output.code == Some(1) && output.combined.contains("1 of 3 rows"), "{}", output.combined);
    assert!(!output.combined.contains(&first) && !output.combined.contains(&second));
    for org in [&harbour, &southerly] {
        assert_eq!(env.store.bindings_of_org(org).await.unwrap().len(), 1);
    }
    let text = format!("{{\"refreshToken\":\"{first}\"}}\n");
    let again = import(&env, "tokens.jsonl", &text, &["--org", "Harbour", "--old-system-stopped"]).await;
    assert_eq!(again.code, Some(0), "{}", again.combined);
    assert!(again.stdout.contains("line 1: already_imported"), "{}", again.combined);
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_unless_the_whole_file_can_be_read(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    env.store.add_org("Harbour").await.unwrap();
    let token = mint(&env, "harbour").await;
    let csv = format!("refresh_token\n{token}\n");
    for (file, content, arguments, expected) in [
        ("t.csv", csv.clone(), &["--org", "Harbour"][..], "--old-system-stopped"),
        ("t.csv", csv.clone(), &["--old-system-stopped"], "line 2 names no organization"),
        ("t.csv", csv.clone(), &["--old-system-stopped", "--org", "Nobody's"], "there is no organization"),
        ("t.txt", csv.clone(), &["--old-system-stopped", "--org", "Harbour"], "--format"),
        ("t.csv", format!("{csv}{token},extra\n"), &["--old-system-stopped", "--org", "Harbour"], "line 3"),
        ("t.csv", format!("refresh_token,org_id\n{token},gone\n"), &["--old-system-stopped"], "line 2"),
        ("t.jsonl", format!("{{\"token\":\"{token}\"}}\n"), &["--old-system-stopped", "--org", "Harbour"], "line 1"),
    ] {
        let output = import(&env, file, &content, arguments).await;
        assert!(output.code == Some(1) && output.combined.contains(expected), "{expected}: {}", output.combined);
        assert!(!output.combined.contains(&token), "{expected}");
    }
    let missing = env.run(&["import", "no-such.csv", "--old-system-stopped"]).await;
    assert!(missing.code == Some(1) && missing.combined.contains("no-such.csv"), "{}", missing.combined);
    assert_eq!(env.provider.exchange_count().await, 0);
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_that_the_database_ends_says_what_is_done_and_can_be_repeated(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    env.store.add_org("Harbour").await.unwrap();
    let (first, second) = (mint(&env, "harbour").await, mint(&env, "kauri").await);
    let pool = env.store.database().pool();
    // The second row's token can't be stored.
    let refusal: &[&str] = match env.store.database().kind() {
        DatabaseKind::Sqlite => &["CREATE TRIGGER one_import BEFORE INSERT ON token_imports \
             WHEN (SELECT COUNT(*) FROM token_imports) > 0 BEGIN SELECT RAISE(ABORT, 'no further import'); END"],
        DatabaseKind::Postgres => &[
            "CREATE FUNCTION one_import() RETURNS trigger AS $$ BEGIN IF (SELECT COUNT(*) FROM token_imports) > 0 \
             THEN RAISE EXCEPTION 'no further import'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql",
            "CREATE TRIGGER one_import BEFORE INSERT ON token_imports FOR EACH ROW EXECUTE FUNCTION one_import()",
        ],
    };
    for statement in refusal {
        sqlx::query(*statement).execute(pool).await.unwrap();
    }
    let nango = |provider: &str, token: &str| {
        format!("{{\"provider\":\"{provider}\",\"credentials\":{{\"refresh_token\":\"{token}\"}}}}\n")
    };
    let file = [nango("xero", &first), nango("hubspot", "hubspots"), nango("xero", &second)].concat();
    let arguments = ["--org", "Harbour", "--old-system-stopped", "--format", "nango"];
    let stopped = import(&env, "tokens.json", &file, &arguments).await;
    for expected in
        ["line 1: imported", "another provider", "stopped at line 3", "Rows done before it: 1", "1 of 2 rows"]
    {
        assert!(stopped.combined.contains(expected), "{expected}: {}", stopped.combined);
    }
    assert_eq!((stopped.code, env.provider.exchange_count().await), (Some(1), 1), "{}", stopped.combined);
    let on_table = if env.store.database().kind() == DatabaseKind::Postgres { " ON token_imports" } else { "" };
    sqlx::query(AssertSqlSafe(format!("DROP TRIGGER one_import{on_table}"))).execute(pool).await.unwrap();
    let again = import(&env, "tokens.json", &file, &arguments).await;
    assert!(again.combined.contains("line 3: imported"), "{}", again.combined);
}
