//! The list of columns with sealed values. They are checked at startup and by `evergrant doctor`, counted by key, and
//! resealed when a key is rotated.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};

use crate::model::{EndpointId, GrantId, OrgId, UserId};
use crate::server::crypto::key_ring::KeyRing;
use crate::server::crypto::sealed::{CipherError, SealContext, TokenField};
use crate::server::domain::Secret;
use crate::server::store::{Database, StoreError};

/// A column of sealed values. Its fields become parts of SQL statements and are all constants.
pub(in crate::server::store) struct SealedColumn {
    /// Names the value in messages, before the row's id.
    label: &'static str,
    table: &'static str,
    id: &'static str,
    /// SQL of the organization that the value is bound to, or of an empty text if it is bound to none.
    org: &'static str,
    /// SQL of the generation that the value is bound to, or of 0 if it is bound to none.
    generation: &'static str,
    name: &'static str,
    /// SQL condition of the rows whose value is needed.
    needed_if: &'static str,
    /// The column that says until when the value is needed.
    needed_until: Option<&'static str>,
    /// Whether a server must be able to open the values. Other values are short-lived and can be replaced.
    pub must_open: bool,
    kind: ColumnKind,
}

enum ColumnKind {
    Token(TokenField),
    Verifier,
    Webhook,
    SecondFactor,
    IdempotentAnswer,
}

pub(in crate::server::store) const SEALED_COLUMNS: [SealedColumn; 9] = [
    SealedColumn {
        label: "the refresh token of grant",
        table: "integration_grants",
        id: "id",
        org: "org_id",
        generation: "generation",
        name: "refresh_token_enc",
        needed_if: "refresh_token_enc <> ''",
        needed_until: None,
        must_open: true,
        kind: ColumnKind::Token(TokenField::Refresh),
    },
    SealedColumn {
        label: "the previous refresh token of grant",
        table: "integration_grants",
        id: "id",
        org: "org_id",
        generation: "previous_generation",
        name: "previous_token_enc",
        needed_if: "previous_token_enc IS NOT NULL",
        needed_until: None,
        must_open: false,
        kind: ColumnKind::Token(TokenField::Refresh),
    },
    SealedColumn {
        label: "the access token of grant",
        table: "integration_grants",
        id: "id",
        org: "org_id",
        generation: "generation",
        name: "access_token_enc",
        needed_if: "access_token_enc <> ''",
        needed_until: None,
        must_open: true,
        kind: ColumnKind::Token(TokenField::Access),
    },
    SealedColumn {
        label: "the verifier of consent",
        table: "oauth_states",
        id: "id_hash",
        org: "org_id",
        generation: "CAST(0 AS BIGINT)",
        name: "code_verifier_enc",
        needed_if: "consumed_at IS NULL",
        needed_until: Some("expires_at"),
        must_open: false,
        kind: ColumnKind::Verifier,
    },
    SealedColumn {
        label: "the verifier of a connect link's consent",
        table: "connect_link_states",
        id: "id_hash",
        org: "org_id",
        generation: "CAST(0 AS BIGINT)",
        name: "code_verifier_enc",
        needed_if: "consumed_at IS NULL",
        needed_until: Some("expires_at"),
        must_open: false,
        kind: ColumnKind::Verifier,
    },
    SealedColumn {
        label: "the secret of webhook endpoint",
        table: "webhook_endpoints",
        id: "id",
        org: "org_id",
        generation: "CAST(0 AS BIGINT)",
        name: "secret_enc",
        needed_if: "secret_enc <> ''",
        needed_until: None,
        must_open: true,
        kind: ColumnKind::Webhook,
    },
    SealedColumn {
        label: "the previous secret of webhook endpoint",
        table: "webhook_endpoints",
        id: "id",
        org: "org_id",
        generation: "CAST(0 AS BIGINT)",
        name: "previous_secret_enc",
        needed_if: "previous_secret_enc IS NOT NULL",
        needed_until: Some("previous_until"),
        must_open: false,
        kind: ColumnKind::Webhook,
    },
    SealedColumn {
        label: "the second factor of user",
        table: "second_factors",
        id: "user_id",
        org: "CAST('' AS TEXT)",
        generation: "CAST(0 AS BIGINT)",
        name: "secret_enc",
        needed_if: "secret_enc <> ''",
        needed_until: None,
        must_open: true,
        kind: ColumnKind::SecondFactor,
    },
    SealedColumn {
        label: "the answer of call",
        table: "idempotent_calls",
        id: "id",
        org: "CAST('' AS TEXT)",
        generation: "CAST(0 AS BIGINT)",
        name: "answer_enc",
        needed_if: "answer_enc <> ''",
        needed_until: Some("expires_at"),
        must_open: false,
        kind: ColumnKind::IdempotentAnswer,
    },
];

/// A sealed value and its row.
pub(in crate::server::store) struct SealedValue {
    pub column: &'static SealedColumn,
    pub id: String,
    org: OrgId,
    generation: i64,
    pub sealed: String,
}

/// Selects a column's values by the key that sealed them.
pub(in crate::server::store) enum KeyFilter<'a> {
    All,
    SealedBy(&'a str),
    NotSealedBy(&'a [String]),
}

impl SealedValue {
    /// Opens the value.
    pub fn open(&self, ring: &KeyRing) -> Result<Secret, StoreError> {
        self.with_context(|place| ring.open(place, &self.sealed))
    }

    /// Opens the value and seals it with the ring's sealing key.
    pub fn reseal(&self, ring: &KeyRing) -> Result<String, StoreError> {
        let secret = self.open(ring)?;
        self.with_context(|place| ring.seal(place, secret.expose()))
    }

    fn with_context<T>(&self, act: impl FnOnce(&SealContext<'_>) -> Result<T, CipherError>) -> Result<T, StoreError> {
        let done = match self.column.kind {
            ColumnKind::Token(field) => {
                let grant = GrantId(self.id.clone());
                act(&SealContext::Token { org: &self.org, grant: &grant, field, generation: self.generation })
            }
            ColumnKind::Verifier => act(&SealContext::PkceVerifier { state_hash: &self.id }),
            ColumnKind::Webhook => {
                act(&SealContext::WebhookSecret { org: &self.org, endpoint: &EndpointId(self.id.clone()) })
            }
            ColumnKind::IdempotentAnswer => act(&SealContext::IdempotentAnswer { call: &self.id }),
            ColumnKind::SecondFactor => act(&SealContext::SecondFactor { user: &UserId(self.id.clone()) }),
        };
        done.map_err(|source| StoreError::Cipher { what: self.column.label, id: self.id.clone(), source })
    }

    fn read(column: &'static SealedColumn, row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            column,
            id: row.try_get("id")?,
            org: OrgId(row.try_get("org_id")?),
            generation: row.try_get("generation")?,
            sealed: row.try_get("sealed")?,
        })
    }
}

impl SealedColumn {
    /// Returns up to `limit` values whose row id is greater than `after`, in id order.
    pub async fn values(
        &'static self,
        database: &Database,
        which: &KeyFilter<'_>,
        after: &str,
        limit: i64,
        now: i64,
    ) -> Result<Vec<SealedValue>, StoreError> {
        let Self { table, id, org, generation, name: text, .. } = self;
        let sql = format!(
            "SELECT {id} AS id, {org} AS org_id, {generation} AS generation, {text} AS sealed FROM {table} \
             WHERE {id} > $1 AND {} ORDER BY {id} LIMIT $2",
            self.filter(which, 3)
        );
        // Safe: the SQL consists of this file's constants and placeholders. So do the statements below.
        let query = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(limit);
        let rows = self.bind_filter(query, which, now).fetch_all(database.pool()).await?;
        rows.iter().map(|row| SealedValue::read(self, row)).collect()
    }

    /// Counts the values that match `which`.
    pub async fn count(&self, database: &Database, which: &KeyFilter<'_>, now: i64) -> Result<i64, StoreError> {
        let sql = format!("SELECT COUNT(*) FROM {} WHERE {}", self.table, self.filter(which, 1));
        let query = self.bind_filter(sqlx::query(AssertSqlSafe(sql)), which, now);
        let row = query.fetch_one(database.pool()).await?;
        Ok(row.try_get(0)?)
    }

    /// Replaces `old` with `new`. Returns `false` and changes nothing if the row no longer holds `old`.
    pub async fn replace(&self, database: &Database, old: &SealedValue, new: &str) -> Result<bool, StoreError> {
        let Self { table, id, name: text, .. } = self;
        let sql = format!("UPDATE {table} SET {text} = $1 WHERE {id} = $2 AND {text} = $3");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(new).bind(&old.id).bind(&old.sealed);
        Ok(query.execute(database.pool()).await?.rows_affected() == 1)
    }

    /// Returns the SQL condition of `which`. Its placeholders start at `first`, and `bind_filter` binds them.
    fn filter(&self, which: &KeyFilter<'_>, first: usize) -> String {
        let until = self.needed_until.map(|column| format!("{column} >"));
        let (comparison, kids) = match which {
            KeyFilter::All => ("", 0),
            KeyFilter::SealedBy(_) => ("LIKE", 1),
            KeyFilter::NotSealedBy(kids) => ("NOT LIKE", kids.len()),
        };
        let sealed_by = std::iter::repeat_n(format!("{} {comparison}", self.name), kids);
        let bound = until.into_iter().chain(sealed_by).zip(first..);
        bound.fold(self.needed_if.to_owned(), |sql, (condition, position)| format!("{sql} AND {condition} ${position}"))
    }

    fn bind_filter<'q>(
        &self,
        query: Query<'q, Any, AnyArguments>,
        which: &KeyFilter<'_>,
        now: i64,
    ) -> Query<'q, Any, AnyArguments> {
        let query = if self.needed_until.is_some() { query.bind(now) } else { query };
        match which {
            KeyFilter::All => query,
            KeyFilter::SealedBy(kid) => query.bind(key_pattern(kid)),
            KeyFilter::NotSealedBy(kids) => kids.iter().fold(query, |query, kid| query.bind(key_pattern(kid))),
        }
    }
}

/// Returns the `LIKE` pattern of the values that this key sealed.
fn key_pattern(kid: &str) -> String {
    format!("v1.{kid}.%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::sqlite;

    #[tokio::test]
    async fn every_sealed_column_of_the_schema_is_listed() {
        let sqlite = sqlite().await;
        let columns = "SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
                       WHERE m.type = 'table' AND c.name LIKE '%\\_enc' ESCAPE '\\' ORDER BY 1";
        let rows = sqlx::query(columns).fetch_all(sqlite.pool()).await.unwrap();
        let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let mut named: Vec<String> =
            SEALED_COLUMNS.iter().map(|column| format!("{}.{}", column.table, column.name)).collect();
        named.sort();
        assert_eq!(found, named, "SEALED_COLUMNS must list every sealed column");
    }
}
