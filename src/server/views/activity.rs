//! Loads the activity page and its CSV export from the journal and the audit log.

use std::collections::HashMap;

use super::{Viewer, days};
use crate::model::{
    Action, ActivityEntry, ActivityFilter, ActivityRange, ActivityView, ActorKind, AttemptView, AuditView,
    ChangesFilter, ChangesView, ConnectionName, Cursor, GrantId, OrgId, OrgView, Permission,
};
use crate::server::store::{AuditFilter, ConnectionGrants, Store, StoreError};

/// Entries per page.
const PAGE_SIZE: usize = 50;

/// The names of the connections that each grant has served.
pub struct ConnectionNamesByGrant(HashMap<GrantId, Vec<String>>);

/// Loads the view of `/activity`.
pub async fn activity(
    store: &Store,
    (org, viewer): (&OrgId, &Viewer),
    filter: ActivityFilter,
    range: ActivityRange,
    after: Option<Cursor>,
) -> Result<ActivityView, StoreError> {
    let connected = store.connections_with_grants(org).await?;
    let names = ConnectionNamesByGrant::of(&connected);
    let (filter, problem) = match days::span(&range) {
        Ok(span) => (ActivityFilter { span, person: range.person.clone(), ..filter }, None),
        Err(problem) => (filter, Some(problem)),
    };
    let (entries, older) = match problem {
        None => attempt_page(store, (org, viewer), &names, &filter, after.as_ref(), PAGE_SIZE).await?,
        Some(_) => (Vec::new(), None),
    };
    let name = |one: ConnectionGrants| ConnectionName { id: one.binding_id, name: one.tenant_name };
    let connections = connected.into_iter().map(name).collect();
    Ok(ActivityView { entries, connections, filter, range, problem, older, as_of: store.clock().now() })
}

/// Returns up to `at_most` attempts, newest first, and the cursor of the next page if there are more.
pub async fn attempt_page(
    store: &Store,
    (org, viewer): (&OrgId, &Viewer),
    names: &ConnectionNamesByGrant,
    filter: &ActivityFilter,
    after: Option<&Cursor>,
    at_most: usize,
) -> Result<(Vec<ActivityEntry>, Option<Cursor>), StoreError> {
    // One extra row shows whether there is a next page.
    let limit = i64::try_from(at_most + 1).unwrap_or(i64::MAX);
    let journaled = store.activity(org, filter, viewer.only_address(), after, limit).await?;
    let more = journaled.len() > at_most;
    let entry = |journaled: crate::server::store::JournalEntry| ActivityEntry::Attempt {
        connections: names.of_grant(&journaled.grant_id),
        attempt: masked_attempt(journaled.attempt, viewer),
    };
    let entries: Vec<ActivityEntry> = journaled.into_iter().take(at_most).map(entry).collect();
    let older = entries.last().filter(|_| more).map(ActivityEntry::cursor);
    Ok((entries, older))
}

/// Loads the view of `/activity?show=changes`.
pub async fn changes(
    store: &Store,
    (org, viewer): (&OrgView, &Viewer),
    filter: ChangesFilter,
    range: ActivityRange,
    after: Option<Cursor>,
) -> Result<ChangesView, StoreError> {
    let (filter, problem) = match days::span(&range) {
        Ok(span) => (ChangesFilter { span, person: range.person.clone(), ..filter }, None),
        Err(problem) => (filter, Some(problem)),
    };
    let (events, older) = match problem {
        None => audit_page(store, (org, viewer), &filter, after.as_ref(), PAGE_SIZE).await?,
        Some(_) => (Vec::new(), None),
    };
    Ok(ChangesView { events, filter, range, problem, older, as_of: store.clock().now() })
}

/// Returns up to `at_most` audit events, newest first, and the cursor of the next page if there are more. App-wide
/// events are included only for members with `Permission::ViewAppStatus`.
pub async fn audit_page(
    store: &Store,
    (org, viewer): (&OrgView, &Viewer),
    filter: &ChangesFilter,
    after: Option<&Cursor>,
    at_most: usize,
) -> Result<(Vec<AuditView>, Option<Cursor>), StoreError> {
    let limit = i64::try_from(at_most + 1).unwrap_or(i64::MAX);
    let audit_filter = AuditFilter {
        action: filter.action.map_or("", Action::as_str),
        actor_kind: filter.actor.map_or("", ActorKind::as_str),
        actor_name: &filter.person,
        only_address: viewer.only_address(),
        span: filter.span,
    };
    let mut events = store.audit_events(Some(&org.id), audit_filter, after, limit).await?;
    if org.role.may(Permission::ViewAppStatus) {
        events.extend(store.audit_events(None, audit_filter, after, limit).await?);
        events.sort_by(|one, other| (other.at, &other.id).cmp(&(one.at, &one.id)));
    }
    let more = events.len() > at_most;
    events.truncate(at_most);
    let older = events.last().filter(|_| more).map(AuditView::cursor);
    Ok((events.into_iter().map(|event| masked_event(event, viewer)).collect(), older))
}

/// Returns the attempt as its reader may see it.
fn masked_attempt(attempt: AttemptView, viewer: &Viewer) -> AttemptView {
    AttemptView { actor: attempt.actor.map(|actor| viewer.name(actor)), ..attempt }
}

/// Returns the event as its reader may see it: also without the IP addresses of others.
fn masked_event(event: AuditView, viewer: &Viewer) -> AuditView {
    let address = event.address.filter(|_| viewer.sees(&event.actor));
    let detail = event.detail.into_iter().map(|(name, value)| (name, viewer.name(value))).collect();
    AuditView { address, detail, actor: viewer.name(event.actor), ..event }
}

impl ConnectionNamesByGrant {
    /// Indexes the tenant names by grant.
    pub fn of(connected: &[ConnectionGrants]) -> Self {
        let mut names: HashMap<GrantId, Vec<String>> = HashMap::new();
        for one in connected {
            for grant in &one.grants {
                names.entry(grant.clone()).or_default().push(one.tenant_name.clone());
            }
        }
        Self(names)
    }

    fn of_grant(&self, grant: &GrantId) -> Vec<String> {
        self.0.get(grant).cloned().unwrap_or_default()
    }
}
