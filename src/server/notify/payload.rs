//! An event as programs get it, in a webhook's body and in the feed: ids, names, times and what to do. It holds nothing
//! secret and is the same whenever it is sent.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};

use crate::model::{EventKind, OrgId, paths};
use crate::server::domain::GrantEnd;
use crate::server::store::Event;

/// An event in the form of the Standard Webhooks specification: `type`, `timestamp`, `data`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub struct EventBody {
    /// Identifies the event. It is the webhook-id of its deliveries.
    id: String,
    #[schema(schema_with = kind_schema)]
    r#type: EventKind,
    /// When it happened, as RFC 3339 in UTC.
    timestamp: String,
    #[schema(inline)]
    data: EventData,
}

/// What happened, and to what.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventData {
    #[schema(inline)]
    organization: EventOrganization,
    // Without a comment of its own, so that the schema is that of the struct.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline, value_type = EventConnection, required = false)]
    connection: Option<EventConnection>,
    /// What happened, for people.
    message: String,
    /// What to do, for people.
    what_to_do: &'static str,
    /// The cause, for programs, if one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When the connection's refresh token ends, for connection.will_expire_soon.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// The page where a person can act.
    url: String,
}

/// The organization that an event belongs to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventOrganization {
    id: String,
    name: String,
}

/// The connection that the event is about, as it was then. Absent if the event is about the whole app.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventConnection {
    /// The connection's id in this API.
    id: String,
    /// Your own id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// Your tags, sorted.
    tags: Vec<String>,
    /// Xero's id of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    /// The tenant's name in Xero.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_name: Option<String>,
    /// Identifies the consent that served it.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_id: Option<String>,
}

/// Returns the schema of `EventKind`, which the browser shares and which can't derive one.
fn kind_schema() -> Object {
    let words = EventKind::ALL.iter().map(|kind| kind.as_str());
    let what = "What happened.";
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).description(Some(what)).build()
}

impl EventBody {
    /// Returns the event as an organization's programs get it. `public_url` has no trailing slash.
    pub fn new(event: &Event, org: &OrgId, org_name: &str, public_url: &str) -> Self {
        let about = &event.about;
        let connection = about.binding.as_ref().map(|binding| EventConnection {
            id: binding.to_string(),
            external_id: event.external_id.clone(),
            tags: event.tags.clone(),
            tenant_id: about.tenant_id.clone(),
            tenant_name: about.tenant_name.clone(),
            grant_id: about.grant.as_ref().map(ToString::to_string),
        });
        let was_moved =
            event.kind == EventKind::Disconnected && event.reason.as_deref() == Some(GrantEnd::Exported.code());
        let (message, what_to_do) = if was_moved {
            let tenant = about.tenant_name.as_deref().unwrap_or("A connection");
            (format!("{tenant} was moved to another system."), "Get its tokens there from now on.")
        } else {
            (event.kind.sentence(about.tenant_name.as_deref()), event.kind.advice())
        };
        let data = EventData {
            organization: EventOrganization { id: org.to_string(), name: org_name.to_owned() },
            connection,
            message,
            what_to_do,
            reason: event.reason.clone(),
            expires_at: event.ends_at.map(rfc3339),
            url: action_url(event, org, public_url),
        };
        Self { id: event.id.to_string(), r#type: event.kind, timestamp: rfc3339(event.occurred_at), data }
    }
}

/// Returns the URL of the page where people of the organization can act on an event.
pub fn action_url(event: &Event, org: &OrgId, public_url: &str) -> String {
    let path = match &event.about.binding {
        _ if event.kind == EventKind::Test => paths::page_in(paths::NOTIFICATIONS, org),
        Some(connection) => paths::connection_in(org, connection),
        None => paths::page_in(paths::INTEGRATIONS, org),
    };
    format!("{public_url}{path}")
}

/// Formats unix seconds as RFC 3339 in UTC.
pub fn rfc3339(unix: i64) -> String {
    let time: DateTime<Utc> = DateTime::from_timestamp(unix, 0).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::server::store::EventSubject;

    fn expiring() -> Event {
        Event {
            id: "e".into(),
            org: Some("o".into()),
            kind: EventKind::WillExpireSoon,
            about: EventSubject {
                binding: Some("b".into()),
                grant: Some("g".into()),
                tenant_id: Some("t".into()),
                tenant_name: Some("Harbour \"Coffee\"".into()),
            },
            external_id: Some("customer-1".into()),
            tags: vec!["gold".into()],
            reason: None,
            ends_at: Some(1_800_000_000),
            occurred_at: 0,
        }
    }

    #[test]
    fn moved_connection_is_not_called_disconnected() {
        let reason = Some(GrantEnd::Exported.code().to_owned());
        let moved = Event { kind: EventKind::Disconnected, reason, ..expiring() };
        let body = json!(EventBody::new(&moved, &"o".into(), "Harbour", "https://e.example"));
        assert_eq!(body["data"]["message"], "Harbour \"Coffee\" was moved to another system.");
        assert_eq!(body["data"]["whatToDo"], "Get its tokens there from now on.");
    }

    #[test]
    fn body_describes_event_connection_and_action() {
        assert_eq!(
            json!(EventBody::new(&expiring(), &"o".into(), "Harbour", "https://e.example")),
            json!({
                "id": "e",
                "type": "connection.will_expire_soon",
                "timestamp": "1970-01-01T00:00:00Z",
                "data": {
                    "organization": { "id": "o", "name": "Harbour" },
                    "connection": { "id": "b", "externalId": "customer-1", "tags": ["gold"], "tenantId": "t",
                        "tenantName": "Harbour \"Coffee\"", "grantId": "g" },
                    "message": "Harbour \"Coffee\" will lose its connection to Xero soon.",
                    "whatToDo": EventKind::WillExpireSoon.advice(),
                    "url": "https://e.example/settings/integrations?org=o&connection=b#connection-b",
                    "expiresAt": "2027-01-15T08:00:00Z",
                },
            })
        );
    }
}
