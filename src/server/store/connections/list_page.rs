//! What the page with an organization's connections shows: the connections, and what it says beside them. One statement
//! reads both.

use sqlx::Row;

use super::listed::{ConnectionList, detail_columns, key_columns, list_source};
use super::open_links::count_open_links;
use super::scope_refusals::{ScopeRefusal, refusal_from};
use super::shared_connections::reaches_other_orgs;
use crate::model::{CONNECTIONS_PER_PAGE, OrgId};
use crate::server::store::accounts::members::rows::count;
use crate::server::store::json_rows::json_rows_sql;
use crate::server::store::{Store, StoreError};

/// What the page shows.
pub struct ConnectionListPage {
    /// The organization's connections.
    pub list: ConnectionList,
    /// Xero's refusal of the scopes, unless it has granted them since.
    pub refusal: Option<ScopeRefusal>,
    /// How many connect links are open, without those in letters to contacts.
    pub open_links: u32,
    /// Whether a consent waits for a decision.
    pub has_pending: bool,
}

impl Store {
    /// Returns what the page shows, with the refusal of exactly these scopes, and with tags only for a search. The
    /// connections have details if they all fit on a page.
    pub async fn connection_list_page(
        &self,
        org: &OrgId,
        scopes: &str,
        with_tags: bool,
    ) -> Result<ConnectionListPage, StoreError> {
        let row = sqlx::query(json_rows_sql!(
            self.database.kind(),
            concat!(
                "SELECT ",
                count_open_links!("$1", "$4"),
                " AS open_links, \
                 (SELECT COUNT(*) FROM oauth_states s WHERE s.org_id = $1 AND s.pending_grant_id IS NOT NULL) \
                 + (SELECT COUNT(*) FROM connect_link_states s WHERE s.org_id = $1 AND s.pending_grant_id IS NOT NULL) \
                 AS pending, f.scopes, f.named, f.cause, f.refused_at, f.accepted_at, (SELECT "
            ),
            key_columns!(
                "$5 = 1",
                "page.removals > 0",
                "CASE WHEN g.client_id = $2 AND g.issuer = $7 THEN 1 ELSE 0 END"
            ),
            detail_columns!(),
            if "page.connections <= $6",
            concat!(
                list_source!("integration_tenant_bindings b"),
                ") AS list FROM (SELECT (SELECT COUNT(*) FROM integration_tenant_bindings WHERE org_id = $1) AS connections, \
                 (SELECT COUNT(*) FROM membership_removals WHERE org_id = $1) AS removals) page LEFT JOIN scope_refusals f \
                 ON f.org_id = $1 AND f.client_id = $2 AND f.scopes = $3 AND f.accepted_at IS NULL"
            )
        ))
        .bind(org.as_str())
        .bind(&self.app.client_id)
        .bind(scopes)
        .bind(self.clock.now())
        .bind(i64::from(with_tags))
        // No list has that many.
        .bind(i64::try_from(CONNECTIONS_PER_PAGE).unwrap_or(i64::MAX))
        .bind(&self.app.issuer)
        .fetch_one(self.pool())
        .await?;
        let is_refused = row.try_get::<Option<i64>, _>("refused_at")?.is_some();
        Ok(ConnectionListPage {
            list: ConnectionList::of(&row)?,
            refusal: is_refused.then(|| refusal_from(&row)).transpose()?,
            open_links: count(row.try_get("open_links")?),
            has_pending: row.try_get::<i64, _>("pending")? > 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ScopeRefusalCause;
    use crate::server::domain::Secret;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;
    use crate::server::store::{ListedConnection, NewOauthState, NewUser, UserOrg};

    const SCOPES: &str = "openid files";

    fn sorted(mut connections: Vec<ListedConnection>) -> Vec<ListedConnection> {
        connections.sort_by(|one, other| one.shown.id.cmp(&other.shown.id));
        connections
    }

    #[apply(each_store!)]
    async fn page_has_the_organizations_connections_and_says_that_a_consent_waits(store: Store) {
        let new = NewUser {
            email: "ann@example.com",
            password_hash: &Secret::new("hash"),
            org: Some(UserOrg::New("Harbour")),
        };
        let ann = store.add_user(new).await.unwrap();
        let (org, other) = (ann.org.unwrap().0, store.add_org("Southerly").await.unwrap());
        TestGrant::of(&store, &other).bound_to(&["elsewhere"]).insert().await;
        let grant = TestGrant::of(&store, &org).bound_to(&["one", "two"]).connected_by(&ann.user).insert().await;
        let (verifier, session_hash) = (Secret::new("the verifier"), "mine");
        let state =
            NewOauthState { hash: "a", org: &org, user: &ann.user, session_hash, verifier: &verifier, scopes: SCOPES };
        store.insert_oauth_state(state).await.unwrap();
        let page = async |org| store.connection_list_page(org, SCOPES, false).await.unwrap();

        let before = page(&org).await;
        assert!(!before.has_pending);
        let read = before.list.rows().unwrap().iter().filter_map(|row| row.listed(store.clock.now())).collect();
        let whole = sorted(store.listed_connections(&org).await.unwrap());
        assert_eq!((sorted(read), whole.len()), (whole.clone(), 2));
        assert_eq!(whole[0].shown.connected_by_email.as_deref(), Some("ann@example.com"));
        store.store_pending_consent("a", &grant, &[]).await.unwrap();
        assert!(page(&org).await.has_pending && !page(&other).await.has_pending);
    }

    #[apply(each_store!)]
    async fn refusal_is_that_of_exactly_these_scopes(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let page = async |scopes| store.connection_list_page(&org, scopes, false).await.unwrap();
        let first = page(SCOPES).await;
        assert!(first.refusal.is_none() && first.list.rows().unwrap().is_empty() && first.open_links == 0);
        store.record_scope_refusal(&org, SCOPES, ScopeRefusalCause::Other, &["files".into()]).await.unwrap();
        assert_eq!(page(SCOPES).await.refusal, store.standing_scope_refusal(&org, SCOPES).await.unwrap());
        assert_eq!(page(SCOPES).await.refusal.unwrap().named, ["files"]);
        assert!(page("openid").await.refusal.is_none());
        store.note_scopes_accepted(&org, SCOPES).await.unwrap();
        assert!(page(SCOPES).await.refusal.is_none());
    }
}
