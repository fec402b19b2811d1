//! Loads what the overview and `/xero` say about Xero.

use crate::model::{
    OrgId, OrgView, Permission, XeroCondition, XeroDetailsView, XeroEndpointView, XeroStateView, XeroTroubleView,
};
use crate::server::store::{CredentialsAlarm, RetryingConnections, Store, StoreError};

/// Loads the view of `/xero`. `alarm` says that Xero refuses the app, and `endpoints` are as this server sees them. Only
/// members with `Permission::ViewAppStatus` see the code and the endpoints.
pub async fn xero_state(
    store: &Store,
    org: &OrgView,
    alarm: Option<CredentialsAlarm>,
    endpoints: Vec<XeroEndpointView>,
) -> Result<XeroStateView, StoreError> {
    let retrying = store.retrying_connections(&org.id).await?;
    let trouble = looked_up(store, trouble_of(&retrying, alarm.as_ref())).await?;
    let refusal_code = alarm.map(|alarm| alarm.code);
    let details = XeroDetailsView { refusal_code, held_refusals: retrying.held, endpoints };
    let details = org.role.may(Permission::ViewAppStatus).then_some(details);
    Ok(XeroStateView { trouble, details, as_of: store.clock().now() })
}

/// Loads Xero's condition, and what it means for the organization. `alarm` says that Xero refuses the app.
pub async fn xero_trouble(
    store: &Store,
    org: &OrgId,
    alarm: Option<&CredentialsAlarm>,
) -> Result<XeroTroubleView, StoreError> {
    looked_up(store, trouble_of(&store.retrying_connections(org).await?, alarm)).await
}

/// Tells refusals that are held, because they are of several organizations, from those that are only checked again.
async fn looked_up(store: &Store, trouble: XeroTroubleView) -> Result<XeroTroubleView, StoreError> {
    let now = store.clock().now();
    let may_be_held = trouble.condition == XeroCondition::RefusesMany;
    if may_be_held && !store.database().refused_grants(store.app(), now).await?.is_suspicious() {
        return Ok(XeroTroubleView { condition: XeroCondition::RefusesSome, ..trouble });
    }
    Ok(trouble)
}

/// Returns the condition that concerns the most, and first what somebody has to act on.
fn trouble_of(retrying: &RetryingConnections, alarm: Option<&CredentialsAlarm>) -> XeroTroubleView {
    let condition = match retrying {
        _ if alarm.is_some() => XeroCondition::RefusesApp,
        RetryingConnections { for_operator: 1.., .. } => XeroCondition::NeedsOperator,
        RetryingConnections { of_another_app: 1.., .. } => XeroCondition::AnotherApp,
        RetryingConnections { held: 1.., .. } => XeroCondition::RefusesMany,
        RetryingConnections { count, limited, .. } if *count > 0 && limited == count => XeroCondition::Limiting,
        // Since then Xero has accepted the app, so they only wait for their next attempt.
        RetryingConnections { count, app_refused, .. } if app_refused == count => XeroCondition::Answering,
        RetryingConnections { count: 1.., .. } => XeroCondition::NotAnswering,
        _ => XeroCondition::Answering,
    };
    let RetryingConnections { count, of_another_app, active, since, next_attempt_at, .. } = *retrying;
    let since = alarm.map(|alarm| alarm.raised_at).or(since);
    XeroTroubleView { condition, since, affected: count + of_another_app, active, next_attempt_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_is_what_somebody_has_to_act_on_and_otherwise_what_is_waited_for() {
        let all = RetryingConnections { active: 9, ..RetryingConnections::default() };
        let alarm = CredentialsAlarm { code: "invalid_client".into(), raised_at: 7 };
        for (retrying, condition) in [
            (all, XeroCondition::Answering),
            (RetryingConnections { count: 2, ..all }, XeroCondition::NotAnswering),
            (RetryingConnections { count: 2, limited: 1, ..all }, XeroCondition::NotAnswering),
            (RetryingConnections { count: 2, limited: 2, ..all }, XeroCondition::Limiting),
            (RetryingConnections { count: 2, held: 1, ..all }, XeroCondition::RefusesMany),
            (RetryingConnections { count: 2, for_operator: 1, ..all }, XeroCondition::NeedsOperator),
            (RetryingConnections { count: 2, app_refused: 2, ..all }, XeroCondition::Answering),
            (RetryingConnections { of_another_app: 1, ..all }, XeroCondition::AnotherApp),
        ] {
            assert_eq!(trouble_of(&retrying, None).condition, condition, "{retrying:?}");
            let refused = trouble_of(&retrying, Some(&alarm));
            assert_eq!((refused.condition, refused.since), (XeroCondition::RefusesApp, Some(7)));
        }
    }
}
