//! Every column that keeps sealed texts. A column that is named here is looked at when a server starts, counted and
//! looked through by the doctor, and sealed anew when a key is rotated.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};

use super::{Database, StoreError};
use crate::model::{EndpointId, GrantId, OrgId};
use crate::server::cipher::{CipherError, Field, KeyRing, Place};
use crate::server::domain::Secret;

/// A column of sealed texts. Its words are parts of statements, and none comes from outside.
pub(super) struct Column {
    /// What a text of it is called before its row's id.
    what: &'static str,
    table: &'static str,
    id: &'static str,
    /// Part of what a text is bound to; nought where it isn't.
    generation: &'static str,
    text: &'static str,
    /// Which rows still need their text; `now` stands for unix seconds.
    needed: &'static str,
    /// Losing the key to it is worse than asking somebody to begin again.
    pub lasting: bool,
    belongs: Belongs,
}

enum Belongs {
    Token(Field),
    Verifier,
    Webhook,
}

pub(super) const COLUMNS: [Column; 5] = [
    Column {
        what: "the refresh token of grant",
        table: "integration_grants",
        id: "id",
        generation: "generation",
        text: "refresh_token_enc",
        needed: "refresh_token_enc <> ''",
        lasting: true,
        belongs: Belongs::Token(Field::Refresh),
    },
    Column {
        what: "the access token of grant",
        table: "integration_grants",
        id: "id",
        generation: "generation",
        text: "access_token_enc",
        needed: "access_token_enc <> ''",
        lasting: true,
        belongs: Belongs::Token(Field::Access),
    },
    Column {
        what: "the verifier of consent",
        table: "oauth_states",
        id: "id_hash",
        generation: "CAST(0 AS BIGINT)",
        text: "code_verifier_enc",
        needed: "consumed_at IS NULL AND expires_at > now",
        lasting: false,
        belongs: Belongs::Verifier,
    },
    Column {
        what: "the secret of webhook endpoint",
        table: "webhook_endpoints",
        id: "id",
        generation: "CAST(0 AS BIGINT)",
        text: "secret_enc",
        needed: "secret_enc <> ''",
        lasting: true,
        belongs: Belongs::Webhook,
    },
    Column {
        what: "the previous secret of webhook endpoint",
        table: "webhook_endpoints",
        id: "id",
        generation: "CAST(0 AS BIGINT)",
        text: "previous_secret_enc",
        needed: "previous_secret_enc IS NOT NULL AND previous_until > now",
        lasting: false,
        belongs: Belongs::Webhook,
    },
];

/// A sealed text and where it stands.
pub(super) struct Text {
    pub column: &'static Column,
    pub id: String,
    org: OrgId,
    generation: i64,
    pub sealed: String,
}

/// Which of a column's texts are meant.
pub(super) enum Which<'a> {
    All,
    By(&'a str),
    NotBy(&'a [String]),
}

impl Text {
    pub fn open(&self, ring: &KeyRing) -> Result<Secret, StoreError> {
        self.at(|place| ring.open(place, &self.sealed))
    }

    /// The same secret in the same place, sealed anew.
    pub fn reseal(&self, ring: &KeyRing) -> Result<String, StoreError> {
        let secret = self.open(ring)?;
        self.at(|place| ring.seal(place, secret.expose()))
    }

    fn at<T>(&self, act: impl FnOnce(&Place<'_>) -> Result<T, CipherError>) -> Result<T, StoreError> {
        let done = match self.column.belongs {
            Belongs::Token(field) => {
                let grant = GrantId(self.id.clone());
                act(&Place::Token { org: &self.org, grant: &grant, field, generation: self.generation })
            }
            Belongs::Verifier => act(&Place::Verifier { state_hash: &self.id }),
            Belongs::Webhook => act(&Place::Webhook { org: &self.org, endpoint: &EndpointId(self.id.clone()) }),
        };
        done.map_err(|source| StoreError::Sealed { what: self.column.what, id: self.id.clone(), source })
    }

    fn read(column: &'static Column, row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            column,
            id: row.try_get("id")?,
            org: OrgId(row.try_get("org_id")?),
            generation: row.try_get("generation")?,
            sealed: row.try_get("sealed")?,
        })
    }
}

impl Column {
    /// Texts whose row's id comes after this one, in order, up to so many.
    pub async fn texts(
        &'static self,
        database: &Database,
        which: &Which<'_>,
        after: &str,
        limit: i64,
        now: i64,
    ) -> Result<Vec<Text>, StoreError> {
        let Self { table, id, generation, text, .. } = self;
        let sql = format!(
            "SELECT {id} AS id, org_id, {generation} AS generation, {text} AS sealed FROM {table} \
             WHERE {id} > $1 AND {} ORDER BY {id} LIMIT $2",
            self.filter(which, 3, now)
        );
        // Safe to run: it is made of this file's words, a number and placeholders. So are those below.
        let query = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(limit);
        let rows = bind_kids(query, which).fetch_all(database.pool()).await?;
        rows.iter().map(|row| Text::read(self, row)).collect()
    }

    pub async fn count(&self, database: &Database, which: &Which<'_>, now: i64) -> Result<i64, StoreError> {
        let sql = format!("SELECT COUNT(*) FROM {} WHERE {}", self.table, self.filter(which, 1, now));
        let row = bind_kids(sqlx::query(AssertSqlSafe(sql)), which).fetch_one(database.pool()).await?;
        Ok(row.try_get(0)?)
    }

    /// Puts a text in the place of another. `false` when that one has gone: then its writer's counts.
    pub async fn replace(&self, database: &Database, old: &Text, new: &str) -> Result<bool, StoreError> {
        let Self { table, id, text, .. } = self;
        let sql = format!("UPDATE {table} SET {text} = $1 WHERE {id} = $2 AND {text} = $3");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(new).bind(&old.id).bind(&old.sealed);
        Ok(query.execute(database.pool()).await?.rows_affected() == 1)
    }

    fn filter(&self, which: &Which<'_>, first: usize, now: i64) -> String {
        let needed = self.needed.replace("now", &now.to_string());
        match which {
            Which::All => needed,
            Which::By(_) => format!("{needed} AND {} LIKE ${first}", self.text),
            Which::NotBy(kids) => (first..first + kids.len())
                .fold(needed, |sql, position| format!("{sql} AND {} NOT LIKE ${position}", self.text)),
        }
    }
}

fn bind_kids<'q>(query: Query<'q, Any, AnyArguments>, which: &Which<'_>) -> Query<'q, Any, AnyArguments> {
    match which {
        Which::All => query,
        Which::By(kid) => query.bind(pattern(kid)),
        Which::NotBy(kids) => kids.iter().fold(query, |query, kid| query.bind(pattern(kid))),
    }
}

fn pattern(kid: &str) -> String {
    format!("v1.{kid}.%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::databases;

    #[tokio::test]
    async fn every_sealed_column_of_the_schema_is_named() {
        let (_, sqlite) = databases().await.remove(0);
        let columns = "SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
                       WHERE m.type = 'table' AND c.name LIKE '%\\_enc' ESCAPE '\\' ORDER BY 1";
        let rows = sqlx::query(columns).fetch_all(sqlite.pool()).await.unwrap();
        let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let mut named: Vec<String> = COLUMNS.iter().map(|column| format!("{}.{}", column.table, column.text)).collect();
        named.sort();
        assert_eq!(found, named, "a column that isn't named is lost with its key");
    }
}
