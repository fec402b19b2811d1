//! Takes over refresh tokens of other systems. A row that is imported again goes on where it stopped.
//!
//! A token is stored before it is sent, so that a crash or a lost reply does not lose it: the sweeper sends it again
//! within Xero's replay window.

use super::connections::ConnectionError;
use super::exchange::exchange_imported;
use super::service::TokenService;
use super::tenants;
use crate::model::{BindingStatus, ImportOutcome, OrgId, UserId};
use crate::server::crypto::random::hash_secret;
use crate::server::domain::{AccessToken, Actor, Grant, ImportReport, ImportRow, Secret, Tenant};
use crate::server::store::{BindingFilter, BindingWithGrant, LabelError, Labels, StoreError, TokenImport};
use crate::server::xero::{ErrorKind, Transient, XeroError, parse_claims};

/// Why the labels of a row were left out.
const LABELS_NOT_SET: &str = "externalId and tags were not set, because they are for one connection";
const EXTERNAL_ID_TAKEN: &str = "externalId and tags were not set, because another connection has this externalId";

/// Whether to connect a Xero user's tenants although the user connects another organization, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedUsers {
    /// No: the token opens what is another organization's.
    Refuse,
    /// Yes: an operator says so.
    Allow,
}

/// For whom tokens are imported, and by whom.
#[derive(Clone, Debug)]
pub struct ImportTarget {
    /// The organization.
    pub org: OrgId,
    /// Who is audited.
    pub actor: Actor,
    /// The user who is shown as the one who connected it; `None` for a program or an operator.
    pub user: Option<UserId>,
    /// Whether Xero users of other organizations are accepted.
    pub shared_users: SharedUsers,
}

impl TokenService {
    /// Imports one token: exchanges it, reads its tenants and binds them. Runs in its own task, which a caller that goes
    /// away does not end.
    ///
    /// # Errors
    /// Fails if the database does, or if the task is ended by a shutdown. The row can be imported again.
    pub async fn import(&self, target: &ImportTarget, row: ImportRow) -> Result<ImportReport, ConnectionError> {
        let (service, target) = (self.clone(), target.clone());
        let work = async move { service.import_now(&target, row).await };
        let work = self.shared.lifecycle.spawn_in_request(work);
        Ok(work.await.map_err(|_| ConnectionError::Interrupted)??)
    }

    async fn import_now(&self, target: &ImportTarget, mut row: ImportRow) -> Result<ImportReport, StoreError> {
        if let Err(problem) = row.normalize() {
            return Ok(ImportReport::invalid(problem));
        }
        let store = &self.shared.store;
        if row.client_id.as_deref().is_some_and(|id| id != store.app().client_id) {
            return Ok(ImportReport::of(ImportOutcome::OtherClient));
        }
        let hash = hash_secret(&Secret::new(row.refresh_token.expose()));
        let import = match store.token_import(&hash).await? {
            Some(import) => import,
            None => match self.unsent_outcome(target, &row).await? {
                Some(report) => return Ok(report),
                None => store.begin_token_import(&target.org, &hash, &row.refresh_token).await?,
            },
        };
        if import.org_id != target.org {
            return Ok(ImportReport::of(ImportOutcome::OtherOrganization));
        }
        if import.is_finished && !self.names_further_tenant(target, &row, &import).await? {
            let bindings = store.bindings_of_grant(&target.org, &import.grant_id).await?;
            return Ok(ImportReport { bindings, ..ImportReport::of(ImportOutcome::AlreadyImported) });
        }
        let report = match exchange_imported(self.shared.clone(), import.grant_id.clone()).await? {
            None => self.bind_imported(target, &row, &import).await?,
            Some(outcome) => ImportReport::of(outcome),
        };
        match report.outcome {
            // Its grant serves the tenant of an earlier row.
            _ if import.is_finished => {}
            ImportOutcome::Refused => store.discard_token_import(&hash, &import.grant_id).await?,
            outcome if outcome.is_success() => store.finish_token_import(&hash).await?,
            _ => {}
        }
        let outcome = report.outcome.as_str();
        tracing::info!(org = %target.org, grant = %import.grant_id, outcome, "refresh token imported");
        Ok(report)
    }

    /// Returns whether the row of a token that was imported names a tenant that no connection of the organization has had
    /// by this token: a file has one row for each tenant of a consent.
    async fn names_further_tenant(
        &self,
        target: &ImportTarget,
        row: &ImportRow,
        import: &TokenImport,
    ) -> Result<bool, StoreError> {
        let Some(tenant) = &row.tenant_id else { return Ok(false) };
        let store = &self.shared.store;
        let (served, bound) =
            (store.bindings_of_grant(&target.org, &import.grant_id).await?, store.bindings_of_org(&target.org).await?);
        let is_served = |bound: &BindingWithGrant| {
            bound.binding.tenant.id == *tenant && (served.contains(&bound.binding.id) || is_working(bound))
        };
        Ok(!bound.iter().any(is_served))
    }

    /// Returns the outcome of a row whose token need not or must not be sent.
    async fn unsent_outcome(&self, target: &ImportTarget, row: &ImportRow) -> Result<Option<ImportReport>, StoreError> {
        let store = &self.shared.store;
        if let Some(id) = &row.external_id {
            let filter = BindingFilter { external_id: Some(id.clone()), ..BindingFilter::default() };
            let named = store.labeled_bindings(&target.org, &filter, (0, ""), 1).await?;
            if named.iter().any(|one| row.tenant_id.as_ref() != Some(&one.binding.tenant.id)) {
                return Ok(Some(ImportReport::of(ImportOutcome::ExternalIdTaken)));
            }
        }
        let Some(tenant) = &row.tenant_id else { return Ok(None) };
        let bound = store.bindings_of_org(&target.org).await?;
        let working = bound.iter().find(|bound| bound.binding.tenant.id == *tenant && is_working(bound));
        Ok(working.map(|bound| ImportReport {
            bindings: vec![bound.binding.id.clone()],
            ..ImportReport::of(ImportOutcome::AlreadyBound)
        }))
    }

    /// Binds the tenants of a token that Xero has accepted.
    async fn bind_imported(
        &self,
        target: &ImportTarget,
        row: &ImportRow,
        import: &TokenImport,
    ) -> Result<ImportReport, StoreError> {
        let store = &self.shared.store.as_actor(target.actor.clone());
        let Some(grant) = store.grant(&import.grant_id).await? else {
            return Ok(ImportReport::of(ImportOutcome::Refused));
        };
        let grant = match self.with_valid_access_token(&grant).await {
            Ok(Some(grant)) => grant,
            Ok(None) => return Ok(ImportReport::of(ImportOutcome::Refused)),
            Err(error) => {
                tracing::warn!(grant = %grant.id, %error, "an imported grant has no access token");
                return Ok(ImportReport::of(ImportOutcome::NotAnswering));
            }
        };
        let (access, bound) = (store.open_access(&grant)?, store.bindings_of_org(&target.org).await?);
        let tenants = match self.tenants_to_bind(row, &access, &bound).await {
            Ok(tenants) => tenants,
            Err(error) => {
                tracing::warn!(grant = %grant.id, code = error.evidence_code(), "failed to list the connections of an imported grant");
                return Ok(ImportReport::of(match error.kind {
                    ErrorKind::Transient(Transient::RateLimited) => ImportOutcome::RateLimited,
                    _ => ImportOutcome::NotAnswering,
                }));
            }
        };
        if tenants.is_empty() {
            let named = row.tenant_id.is_some();
            return Ok(ImportReport::of(if named { ImportOutcome::TenantNotListed } else { ImportOutcome::NoTenants }));
        }
        if target.shared_users == SharedUsers::Refuse && self.is_shared(target, &grant, &tenants).await? {
            return Ok(ImportReport::of(ImportOutcome::SharedXeroUser));
        }
        let working = |tenant: &Tenant| {
            bound.iter().any(|bound| {
                bound.binding.tenant.id == tenant.id
                    && is_working(bound)
                    && bound.binding.active_grant_id.as_ref() != Some(&grant.id)
            })
        };
        let free: Vec<Tenant> = tenants.iter().filter(|tenant| !working(tenant)).cloned().collect();
        if free.is_empty() {
            // Its own consent stays as it is at Xero: the working connection stands on it.
            if !import.is_finished {
                store.mark_grant_revoked(&grant.id).await?;
            }
            return Ok(ImportReport::of(ImportOutcome::AlreadyBound));
        }
        let bound_now = store.bind(&target.org, &grant.id, &free, target.user.as_ref()).await?;
        let mut bindings = store.bindings_of_grant(&target.org, &grant.id).await?;
        if import.is_finished {
            // Those of the token's earlier rows are not this row's.
            bindings.retain(|id| bound_now.iter().any(|bound| bound.binding_id == *id));
        }
        let mut report = ImportReport { bindings, ..ImportReport::of(ImportOutcome::Imported) };
        report.detail = self.label(target, row, &report).await?;
        Ok(report)
    }

    /// Returns the tenant that the row names if Xero lists it, else those of the token's own consent.
    async fn tenants_to_bind(
        &self,
        row: &ImportRow,
        access: &AccessToken,
        bound: &[BindingWithGrant],
    ) -> Result<Vec<Tenant>, XeroError> {
        let xero = &self.shared.xero;
        match (&row.tenant_id, parse_claims(access)) {
            (Some(wanted), _) => {
                let list = xero.connections(access, None).await?;
                let named = list.into_iter().filter(|seen| seen.is_bindable() && seen.tenant.id == *wanted);
                Ok(named.map(|seen| seen.tenant).collect())
            }
            (None, Some(claims)) => Ok(tenants::of_consent(xero, access, &claims, bound).await?),
            // Nothing tells the consent's tenants from another organization's.
            (None, None) => Ok(Vec::new()),
        }
    }

    /// Returns whether the token's Xero user, or one of the tenants, is connected by another organization, and the
    /// user is new in this one.
    async fn is_shared(&self, target: &ImportTarget, grant: &Grant, tenants: &[Tenant]) -> Result<bool, StoreError> {
        let store = &self.shared.store;
        for tenant in tenants {
            if store.is_tenant_bound_elsewhere(&target.org, &tenant.id).await? {
                return Ok(true);
            }
        }
        store.is_shared_user_new_here(&grant.id).await
    }

    /// Sets the row's labels if one connection was imported. Returns why not, if they were left out.
    async fn label(
        &self,
        target: &ImportTarget,
        row: &ImportRow,
        report: &ImportReport,
    ) -> Result<Option<&'static str>, StoreError> {
        if row.external_id.is_none() && row.tags.is_empty() {
            return Ok(None);
        }
        let [binding] = report.bindings.as_slice() else { return Ok(Some(LABELS_NOT_SET)) };
        let store = self.shared.store.as_actor(target.actor.clone());
        let Some(known) = store.labeled_binding(&target.org, binding).await? else { return Ok(Some(LABELS_NOT_SET)) };
        let Labels { external_id, tags, version } = known.labels;
        let external_id = row.external_id.clone().or(external_id);
        let tags = if row.tags.is_empty() { tags } else { row.tags.clone() };
        match store.set_labels(&target.org, binding, &Labels { external_id, tags, version }).await {
            Ok(()) => Ok(None),
            Err(LabelError::Store(error)) => Err(error),
            Err(LabelError::ExternalIdTaken) => Ok(Some(EXTERNAL_ID_TAKEN)),
            Err(LabelError::NotFound | LabelError::Changed) => Ok(Some(LABELS_NOT_SET)),
        }
    }
}

/// Returns whether the binding has tokens.
fn is_working(bound: &BindingWithGrant) -> bool {
    bound.binding.status == BindingStatus::Active
}
