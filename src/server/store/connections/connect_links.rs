//! Connect links: created and cancelled by members and programs, and found by their secret.

use crate::server::store::live::changes::ChangeTx;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::link_creators::LinkCreator;
use super::open_links::count_open;
use crate::model::{
    Action, ApiKeyId, BindingId, BindingStatus, ConnectLinkId, LinkOutcome, LinkStatus, MAX_LINK_LIFETIME, OrgId,
    UserId,
};
use crate::server::domain::return_url::allowed_return_url;
use crate::server::domain::{AuditEvent, is_plausible};
use crate::server::store::text_values::optional_text_value;
use crate::server::store::{RowChange, Store, StoreError, new_id};

/// The most open links of an organization.
pub(super) const MAX_OPEN_LINKS: i64 = 500;
/// How long a link is kept after its end, in seconds, so that its page can say what became of it.
const LINK_RETENTION: i64 = 90 * 24 * 60 * 60;

/// A link to create.
#[derive(Clone, Copy, Debug)]
pub struct NewConnectLink<'a> {
    /// The hash of the link's secret.
    pub secret_hash: &'a str,
    /// The connection to reconnect; `None` for a new one.
    pub binding: Option<&'a BindingId>,
    /// Who asks.
    pub requested_by: &'a str,
    /// What for.
    pub note: &'a str,
    /// The program's own id of the connection.
    pub external_id: Option<&'a str>,
    /// Tags of the connection, sorted.
    pub tags: &'a [String],
    /// Where the browser goes afterwards.
    pub return_url: Option<&'a str>,
    /// How long it lives, in seconds.
    pub lifetime: i64,
    /// Where it is sent, in lower case; `None` if its creator sends it.
    pub email: Option<&'a str>,
    /// Whoever creates it; `None` if the link ends with nobody's right to.
    pub created_by: Option<LinkCreator<'a>>,
}

/// A link, without its secret.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectLink {
    /// Its id.
    pub id: ConnectLinkId,
    /// The organization that asks.
    pub org: OrgId,
    /// The organization's name.
    pub org_name: String,
    /// The hash of its secret.
    pub secret_hash: String,
    /// The hash of the secret in the mail that was sent last.
    pub mail_secret_hash: Option<String>,
    /// Where it is sent; `None` if its creator sends it.
    pub email: Option<String>,
    /// The connection to reconnect; `None` for a new one.
    pub binding: Option<BindingId>,
    /// Xero's id and name of that connection's tenant.
    pub tenant: Option<(String, String)>,
    /// Whether that connection works now.
    pub works: bool,
    /// Who asks.
    pub requested_by: String,
    /// What for.
    pub note: String,
    /// The program's own id of the connection.
    pub external_id: Option<String>,
    /// Tags of the connection.
    pub tags: Vec<String>,
    /// Where the browser goes afterwards.
    pub return_url: Option<String>,
    /// The email address of the person, or the name of the key, that created it.
    pub created_by: String,
    /// When it was created.
    pub created_at: i64,
    /// When it expires.
    pub expires_at: i64,
    /// Whether it can be used.
    pub status: LinkStatus,
    /// What became of the last consent.
    pub outcome: Option<LinkOutcome>,
    /// The names of the tenants that were chosen.
    pub chosen: Vec<String>,
}

/// Why a link was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateLinkError {
    /// The organization has no such connection.
    #[error("no such connection")]
    NoSuchConnection,
    /// The person who creates it may no longer create any, or the key is revoked.
    #[error("the creator may not create connect links")]
    NotAllowed,
    /// The return address begins with none of the organization's.
    #[error("the return address is not allowed")]
    ReturnUrlNotAllowed,
    /// Another connection of the organization has this id.
    #[error("another connection has this id")]
    ExternalIdTaken,
    /// The organization has too many open links.
    #[error("the organization already has {MAX_OPEN_LINKS} open connect links")]
    TooMany,
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for CreateLinkError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Selects what `link_from` reads. `$rest` is the end of the statement.
macro_rules! select_link {
    ($rest:literal) => {
        concat!(
            "SELECT l.id, l.org_id, o.name AS org_name, l.secret_hash, l.mail_secret_hash, l.email, l.binding_id, \
             b.tenant_id, b.tenant_name, b.status AS binding_status, l.requested_by, l.note, l.external_id, l.tags, l.return_url, l.created_by, l.created_at, l.expires_at, \
             l.cancelled_at, l.used_at, l.outcome, l.outcome_names FROM connect_links l \
             JOIN organizations o ON o.id = l.org_id \
             LEFT JOIN integration_tenant_bindings b ON b.id = l.binding_id ",
            $rest
        )
    };
}

impl Store {
    /// Creates a link. Checks its connection, its return address and its external id.
    pub async fn create_connect_link(
        &self,
        org: &OrgId,
        new: NewConnectLink<'_>,
    ) -> Result<ConnectLinkId, CreateLinkError> {
        let id = new_id::<ConnectLinkId>();
        if let Some(url) = new.return_url {
            allowed_return_url(&self.return_urls(org).await?, url).ok_or(CreateLinkError::ReturnUrlNotAllowed)?;
        }
        let mut transaction = self.database.begin().await?;
        if let Some(creator) = new.created_by
            && !creator.lock_and_check(&mut transaction, org).await?
        {
            return Err(CreateLinkError::NotAllowed);
        }
        let count = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM integration_tenant_bindings \
             WHERE org_id = $1 AND id = $2) AS found, (SELECT COUNT(*) FROM integration_tenant_bindings \
             WHERE org_id = $1 AND id <> $2 AND external_id = $3) AS taken",
        )
        .bind(org.as_str())
        .bind(new.binding.map_or("", BindingId::as_str))
        .bind(new.external_id.unwrap_or_default())
        .fetch_one(&mut *transaction)
        .await?;
        if new.binding.is_some() && count.try_get::<i64, _>("found")? == 0 {
            return Err(CreateLinkError::NoSuchConnection);
        }
        if count.try_get::<i64, _>("taken")? > 0 {
            return Err(CreateLinkError::ExternalIdTaken);
        }
        if count_open(&mut transaction, org, self.clock.now()).await? >= MAX_OPEN_LINKS {
            return Err(CreateLinkError::TooMany);
        }
        self.insert_connect_link(&mut transaction, org, (&id, None), new).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Inserts and audits a link, within the caller's transaction, with the id of its batch if it has one.
    pub(super) async fn insert_connect_link(
        &self,
        transaction: &mut ChangeTx,
        org: &OrgId,
        (id, batch): (&ConnectLinkId, Option<&str>),
        new: NewConnectLink<'_>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (user, key) = new.created_by.map(LinkCreator::ids).unwrap_or_default();
        sqlx::query(
            "INSERT INTO connect_links (id, org_id, secret_hash, binding_id, requested_by, note, external_id, tags, \
             return_url, created_by, created_by_user, created_at, expires_at, email, mail_due_at, batch_id, \
             created_by_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        )
        .bind(id.as_str())
        .bind(org.as_str())
        .bind(new.secret_hash)
        .bind(new.binding.map(BindingId::as_str))
        .bind(new.requested_by)
        .bind(new.note)
        .bind(new.external_id)
        .bind(new.tags.join(" "))
        .bind(new.return_url)
        .bind(&self.actor().name)
        .bind(user.map(UserId::as_str))
        .bind(now)
        .bind(now + new.lifetime)
        .bind(new.email)
        .bind(new.email.map(|_| now))
        .bind(batch)
        .bind(key.map(ApiKeyId::as_str))
        .execute(&mut **transaction)
        .await?;
        let event = AuditEvent::new(self.actor(), Action::ConnectLinkCreated).in_org(org);
        let event = event.subject("connect_link", id).detail("link", id).detail("note", new.note);
        let event = event.detail("binding", new.binding.map_or("", BindingId::as_str));
        self.record(transaction, &event).await
    }

    /// Returns the organization's open links, newest first, without those in letters to contacts.
    pub async fn open_connect_links(&self, org: &OrgId) -> Result<Vec<ConnectLink>, StoreError> {
        self.select_open_links(org, "").await
    }

    /// Returns the open links of a connection of the organization, like `open_connect_links`.
    pub async fn open_connect_links_of(&self, org: &OrgId, id: &BindingId) -> Result<Vec<ConnectLink>, StoreError> {
        self.select_open_links(org, id.as_str()).await
    }

    /// Selects the open links, only those of `binding` if it is not empty.
    async fn select_open_links(&self, org: &OrgId, binding: &str) -> Result<Vec<ConnectLink>, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query(select_link!(
            "WHERE l.org_id = $1 AND l.used_at IS NULL AND l.cancelled_at IS NULL AND l.expires_at > $2 \
             AND l.contact_id IS NULL AND ($3 = '' OR l.binding_id = $3) ORDER BY l.created_at DESC, l.id"
        ))
        .bind(org.as_str())
        .bind(now)
        .bind(binding)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| link_from(row, now)).collect()
    }

    /// Returns a link of any organization. The caller compares the secret or the organization.
    pub async fn connect_link(&self, id: &ConnectLinkId) -> Result<Option<ConnectLink>, StoreError> {
        let row = sqlx::query(select_link!("WHERE l.id = $1")).bind(id.as_str()).fetch_optional(self.pool()).await?;
        row.map(|row| link_from(&row, self.clock.now())).transpose()
    }

    /// Cancels an open link.
    pub async fn cancel_connect_link(&self, org: &OrgId, id: &ConnectLinkId) -> Result<RowChange, StoreError> {
        let mut transaction = self.database.begin().await?;
        let cancelled = sqlx::query(
            "UPDATE connect_links SET cancelled_at = $1 WHERE id = $2 AND org_id = $3 AND used_at IS NULL \
             AND cancelled_at IS NULL AND expires_at > $1 RETURNING note",
        )
        .bind(self.clock.now())
        .bind(id.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = cancelled else { return Ok(RowChange::NotFound) };
        let event = AuditEvent::new(self.actor(), Action::ConnectLinkCancelled).in_org(org);
        let event = event.subject("connect_link", id).detail("link", id);
        self.record(&mut transaction, &event.detail("note", row.try_get::<String, _>("note")?)).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Deletes links that ended long ago, and their unfinished consents. Returns the number of links.
    pub(in crate::server::store) async fn delete_old_connect_links(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let done = sqlx::query(
            "DELETE FROM connect_links WHERE expires_at <= $1 AND NOT EXISTS (SELECT 1 FROM connect_link_states s \
             WHERE s.link_id = connect_links.id AND s.pending_grant_id IS NOT NULL)",
        )
        .bind(now - LINK_RETENTION)
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected())
    }
}

fn link_from(row: &AnyRow, now: i64) -> Result<ConnectLink, StoreError> {
    let expires_at: i64 = row.try_get("expires_at")?;
    let is_set = |column: &str| row.try_get::<Option<i64>, _>(column).map(|at| at.is_some());
    let status = if is_set("used_at")? {
        LinkStatus::Used
    } else if is_set("cancelled_at")? {
        LinkStatus::Cancelled
    } else if expires_at <= now || !is_plausible(expires_at, MAX_LINK_LIFETIME, now) {
        LinkStatus::Expired
    } else {
        LinkStatus::Open
    };
    let tenant: Option<String> = row.try_get("tenant_id")?;
    let tenant_name: Option<String> = row.try_get("tenant_name")?;
    let binding_status: Option<String> = row.try_get("binding_status")?;
    let tags: String = row.try_get("tags")?;
    let chosen: Option<String> = row.try_get("outcome_names")?;
    Ok(ConnectLink {
        id: ConnectLinkId(row.try_get("id")?),
        org: OrgId(row.try_get("org_id")?),
        org_name: row.try_get("org_name")?,
        secret_hash: row.try_get("secret_hash")?,
        mail_secret_hash: row.try_get("mail_secret_hash")?,
        email: row.try_get("email")?,
        binding: row.try_get::<Option<String>, _>("binding_id")?.map(BindingId),
        tenant: tenant.zip(tenant_name),
        works: binding_status.as_deref() == Some(BindingStatus::Active.as_str()),
        requested_by: row.try_get("requested_by")?,
        note: row.try_get("note")?,
        external_id: row.try_get("external_id")?,
        tags: tags.split_whitespace().map(str::to_owned).collect(),
        return_url: row.try_get("return_url")?,
        created_by: row.try_get("created_by")?,
        created_at: row.try_get("created_at")?,
        expires_at,
        status,
        outcome: optional_text_value(row, "connect_links", "outcome")?,
        chosen: chosen.and_then(|names| serde_json::from_str(&names).ok()).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DEFAULT_LINK_LIFETIME;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;

    fn new<'a>() -> NewConnectLink<'a> {
        NewConnectLink {
            secret_hash: "hash",
            binding: None,
            requested_by: "Ann",
            note: "The books",
            external_id: None,
            tags: &[],
            return_url: None,
            lifetime: DEFAULT_LINK_LIFETIME,
            email: None,
            created_by: None,
        }
    }

    #[apply(each_store!)]
    async fn link_is_listed_until_it_is_cancelled_or_expires(store: Store) {
        let (org, other) = (store.add_org("Harbour").await.unwrap(), store.add_org("Southerly").await.unwrap());
        let id = store.create_connect_link(&org, new()).await.unwrap();
        let [listed] = &store.open_connect_links(&org).await.unwrap()[..] else { panic!("not listed") };
        assert_eq!((&listed.id, listed.org_name.as_str(), listed.status), (&id, "Harbour", LinkStatus::Open));
        assert_eq!(store.cancel_connect_link(&other, &id).await.unwrap(), RowChange::NotFound);
        assert_eq!(store.cancel_connect_link(&org, &id).await.unwrap(), RowChange::Applied);
        assert_eq!(store.cancel_connect_link(&org, &id).await.unwrap(), RowChange::NotFound);
        assert_eq!(store.connect_link(&id).await.unwrap().unwrap().status, LinkStatus::Cancelled);

        let id = store.create_connect_link(&org, new()).await.unwrap();
        store.clock().advance(DEFAULT_LINK_LIFETIME);
        assert_eq!(store.connect_link(&id).await.unwrap().unwrap().status, LinkStatus::Expired);
        assert_eq!(store.open_connect_links(&org).await.unwrap(), []);
        store.clock().advance(LINK_RETENTION);
        assert_eq!(store.delete_old_connect_links().await.unwrap(), 2);
    }

    #[apply(each_store!)]
    async fn link_of_a_clock_that_was_set_back_has_expired(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let id = store.create_connect_link(&org, new()).await.unwrap();
        store.clock().advance(-60 * 24 * 60 * 60);
        assert_eq!(store.connect_link(&id).await.unwrap().unwrap().status, LinkStatus::Expired);
    }

    #[apply(each_store!)]
    async fn connection_return_address_and_external_id_are_checked(store: Store) {
        let (org, other) = (store.add_org("Harbour").await.unwrap(), store.add_org("Southerly").await.unwrap());
        TestGrant::of(&store, &org).bound_to(&["Harbour Coffee"]).insert().await;
        let binding = store.bindings_of_org(&org).await.unwrap().remove(0).binding.id;
        let reconnect = NewConnectLink { binding: Some(&binding), ..new() };
        let foreign = store.create_connect_link(&other, reconnect).await;
        assert!(matches!(foreign, Err(CreateLinkError::NoSuchConnection)), "{foreign:?}");
        let id = store.create_connect_link(&org, reconnect).await.unwrap();
        let (_, name) = store.connect_link(&id).await.unwrap().unwrap().tenant.unwrap();
        assert_eq!(name, "Harbour Coffee");

        let returning = NewConnectLink { return_url: Some("https://books.example.com/done"), ..new() };
        let refused = store.create_connect_link(&org, returning).await;
        assert!(matches!(refused, Err(CreateLinkError::ReturnUrlNotAllowed)), "{refused:?}");
        store.set_return_urls(&org, &["https://books.example.com/".into()]).await.unwrap();
        assert_eq!(store.return_urls(&org).await.unwrap(), ["https://books.example.com/"]);
        store.create_connect_link(&org, returning).await.unwrap();
        assert!(store.create_connect_link(&other, returning).await.is_err(), "another organization's list");

        let labels = crate::server::store::Labels { external_id: Some("c-1".into()), ..Default::default() };
        store.set_labels(&org, &binding, &labels).await.unwrap();
        let labeled = NewConnectLink { external_id: Some("c-1"), ..new() };
        let taken = store.create_connect_link(&org, labeled).await;
        assert!(matches!(taken, Err(CreateLinkError::ExternalIdTaken)), "{taken:?}");
        store.create_connect_link(&org, NewConnectLink { binding: Some(&binding), ..labeled }).await.unwrap();
    }
}
