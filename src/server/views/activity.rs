//! What the activity page and its export show, from the journal.

use std::collections::HashMap;

use crate::model::{
    Action, ActivityFilter, ActivityView, ActorKind, AuditView, ChangesFilter, ChangesView, ConnectionName, Cursor,
    Entry, GrantId, OrgId, OrgView, Permission,
};
use crate::server::store::{AuditFilter, Connected, Store, StoreError};

/// How many entries a page has.
const PAGE: usize = 50;

/// The connections that each grant has served, by name.
pub struct Names(HashMap<GrantId, Vec<String>>);

/// Everything on `/activity`.
pub async fn activity(
    store: &Store,
    org: &OrgId,
    filter: ActivityFilter,
    after: Option<Cursor>,
) -> Result<ActivityView, StoreError> {
    let connected = store.connected(org).await?;
    let names = Names::of(&connected);
    let (entries, older) = entries(store, org, &names, &filter, after.as_ref(), PAGE).await?;
    let name = |one: Connected| ConnectionName { id: one.binding_id, name: one.tenant_name };
    let connections = connected.into_iter().map(name).collect();
    Ok(ActivityView { entries, connections, filter, older, as_of: store.clock().now() })
}

/// Some entries, newest first, and the place after which there are more.
pub async fn entries(
    store: &Store,
    org: &OrgId,
    names: &Names,
    filter: &ActivityFilter,
    after: Option<&Cursor>,
    at_most: usize,
) -> Result<(Vec<Entry>, Option<Cursor>), StoreError> {
    // One more than wanted tells whether there are any.
    let limit = i64::try_from(at_most + 1).unwrap_or(i64::MAX);
    let journalled = store.activity(org, filter, after, limit).await?;
    let more = journalled.len() > at_most;
    let entry = |one: crate::server::store::Journalled| Entry::Attempt {
        connections: names.of_grant(&one.grant_id),
        attempt: one.attempt,
    };
    let entries: Vec<Entry> = journalled.into_iter().take(at_most).map(entry).collect();
    let older = entries.last().filter(|_| more).map(Entry::cursor);
    Ok((entries, older))
}

/// Everything on `/activity?show=changes`.
pub async fn changes(
    store: &Store,
    org: &OrgView,
    filter: ChangesFilter,
    after: Option<Cursor>,
) -> Result<ChangesView, StoreError> {
    let (events, older) = audit(store, org, filter, after.as_ref(), PAGE).await?;
    Ok(ChangesView { events, filter, older, as_of: store.clock().now() })
}

/// Some of what was done, newest first, and the place after which there is more. What concerns the whole app is there
/// for those alone who may know it.
pub async fn audit(
    store: &Store,
    org: &OrgView,
    filter: ChangesFilter,
    after: Option<&Cursor>,
    at_most: usize,
) -> Result<(Vec<AuditView>, Option<Cursor>), StoreError> {
    let limit = i64::try_from(at_most + 1).unwrap_or(i64::MAX);
    let wanted = AuditFilter {
        action: filter.action.map_or("", Action::as_str),
        actor_kind: filter.actor.map_or("", ActorKind::as_str),
    };
    let mut events = store.audit_events(Some(&org.id), wanted, after, limit).await?;
    if org.role.may(Permission::SeeTheApp) {
        events.extend(store.audit_events(None, wanted, after, limit).await?);
        events.sort_by(|one, other| (other.at, &other.id).cmp(&(one.at, &one.id)));
    }
    let more = events.len() > at_most;
    events.truncate(at_most);
    let older = events.last().filter(|_| more).map(AuditView::cursor);
    Ok((events, older))
}

impl Names {
    pub fn of(connected: &[Connected]) -> Self {
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
