//! Databases for tests, on SQLite and on PostgreSQL. The first test that needs one migrates a template; every database
//! is a copy of it. Safe for tests in several processes: a template is complete before it has its name.

use std::path::Path;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;
use tokio::runtime;

/// The key of the advisory lock that is held while a template is created.
const TEMPLATE_LOCK: i64 = 0x6576_6572;

/// A test's database. It is removed when this is dropped.
pub struct TestDatabase {
    /// The name of the database system, for messages.
    pub name: &'static str,
    /// The URL to connect to.
    pub url: String,
    _cleanup: Cleanup,
}

enum Cleanup {
    Sqlite { _folder: TempDir },
    Postgres { server: String, database: String },
}

impl TestDatabase {
    /// Returns the URL of an SQLite file that does not exist, in a directory of its own.
    pub fn empty_sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}/test.db", folder.path().display());
        Self { name: "SQLite", url, _cleanup: Cleanup::Sqlite { _folder: folder } }
    }

    /// Copies the SQLite template. If there is none yet, `migrate` gets the URL of a new file; it must close all
    /// connections to it.
    pub fn sqlite(migrate: impl AsyncFn(&str) + Sync) -> Self {
        let folder = Path::new(env!("OUT_DIR"));
        let template = folder.join(concat!("template-", env!("MIGRATIONS_HASH"), ".db"));
        if !template.exists() {
            std::fs::create_dir_all(folder).unwrap();
            let scratch = TempDir::new_in(folder).unwrap();
            let file = scratch.path().join("new.db");
            block_on_new_thread(async || migrate(&format!("sqlite://{}", file.display())).await);
            std::fs::rename(file, &template).unwrap();
        }
        let copy = Self::empty_sqlite();
        std::fs::copy(template, copy.url.trim_start_matches("sqlite://")).unwrap();
        copy
    }

    /// Creates an empty database on the server that `EVERGRANT_TEST_POSTGRES` names (a URL without a database). Returns
    /// `None` if the variable is not set, and panics if `CI` or `EVERGRANT_REQUIRE_POSTGRES` requires PostgreSQL.
    pub async fn empty_postgres() -> Option<Self> {
        let server = postgres_server()?;
        let mut admin = connect(&server).await;
        Some(Self::create(server, &mut admin, "template1").await)
    }

    /// Copies the PostgreSQL template of the server, as `empty_postgres` creates a database. If there is no template yet,
    /// `migrate` gets the URL of a new database; it must close all connections to it.
    pub async fn postgres(migrate: impl AsyncFn(&str)) -> Option<Self> {
        let server = postgres_server()?;
        let mut admin = connect(&server).await;
        let template = concat!("evergrant_template_", env!("MIGRATIONS_HASH"));
        if !exists(&mut admin, template).await {
            execute(&mut admin, format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await;
            if !exists(&mut admin, template).await {
                let new = unique_name();
                execute(&mut admin, format!("CREATE DATABASE {new}")).await;
                migrate(&format!("{server}/{new}")).await;
                execute(&mut admin, format!("ALTER DATABASE {new} RENAME TO {template}")).await;
            }
            execute(&mut admin, format!("SELECT pg_advisory_unlock({TEMPLATE_LOCK})")).await;
        }
        Some(Self::create(server, &mut admin, template).await)
    }

    async fn create(server: String, admin: &mut PgConnection, template: &str) -> Self {
        let database = unique_name();
        execute(admin, format!("CREATE DATABASE {database} TEMPLATE {template} STRATEGY FILE_COPY")).await;
        let url = format!("{server}/{database}");
        Self { name: "PostgreSQL", url, _cleanup: Cleanup::Postgres { server, database } }
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Self::Postgres { server, database } = self {
            block_on_new_thread(async || {
                let statement = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
                execute(&mut connect(server).await, statement).await;
            });
        }
    }
}

fn postgres_server() -> Option<String> {
    let Ok(server) = std::env::var("EVERGRANT_TEST_POSTGRES") else {
        let needed = ["CI", "EVERGRANT_REQUIRE_POSTGRES"].iter().any(|name| std::env::var_os(name).is_some());
        assert!(!needed, "EVERGRANT_TEST_POSTGRES is not set: run `make test`, which starts a PostgreSQL server");
        return None;
    };
    Some(server.trim_end_matches('/').to_owned())
}

fn unique_name() -> String {
    format!("evergrant_{}", uuid::Uuid::new_v4().simple())
}

async fn connect(server: &str) -> PgConnection {
    PgConnection::connect(&format!("{server}/postgres")).await.unwrap()
}

async fn exists(admin: &mut PgConnection, database: &str) -> bool {
    let found = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1").bind(database);
    found.fetch_optional(admin).await.unwrap().is_some()
}

async fn execute(admin: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(admin).await.unwrap();
}

/// Runs a future to its end, also from within a runtime.
fn block_on_new_thread(run: impl AsyncFn() + Sync) {
    std::thread::scope(|scope| {
        let work = || runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run());
        scope.spawn(work).join().unwrap();
    });
}
