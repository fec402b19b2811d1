//! The JSON body of a webhook: ids, names, times and what to do. It holds nothing secret and is the same in every
//! attempt.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::model::{EventKind, OrgId, paths};
use crate::server::store::Event;

/// Returns the body in the form of the Standard Webhooks specification: `type`, `timestamp`, `data`.
pub fn body(event: &Event, org: &OrgId, org_name: &str, public_url: &str) -> String {
    let about = &event.about;
    let tenant = about.tenant_name.as_deref();
    let connection = about.binding.as_ref().map(
        |binding| json!({ "id": binding, "tenantId": about.tenant_id, "tenantName": tenant, "grantId": about.grant }),
    );
    let mut data = json!({
        "organization": { "id": org, "name": org_name },
        "message": event.kind.sentence(tenant),
        "whatToDo": event.kind.advice(),
        "url": action_url(event.kind, public_url),
    });
    let optional = [
        ("connection", connection),
        ("reason", event.reason.as_ref().map(|reason| json!(reason))),
        ("expiresAt", event.ends_at.map(|at| json!(rfc3339(at)))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            data[name] = value;
        }
    }
    let body: Value = json!({ "type": event.kind.as_str(), "timestamp": rfc3339(event.occurred_at), "data": data });
    body.to_string()
}

/// Returns the URL of the page where people can act on an event.
pub fn action_url(kind: EventKind, public_url: &str) -> String {
    let path = if kind == EventKind::Test { paths::NOTIFICATIONS } else { paths::INTEGRATIONS };
    format!("{public_url}{path}")
}

/// Formats unix seconds as RFC 3339 in UTC.
pub fn rfc3339(unix: i64) -> String {
    let time: DateTime<Utc> = DateTime::from_timestamp(unix, 0).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::EventSubject;

    #[test]
    fn body_describes_event_connection_and_action() {
        let event = Event {
            id: "e".into(),
            org: Some("o".into()),
            kind: EventKind::WillExpireSoon,
            about: EventSubject {
                binding: Some("b".into()),
                grant: Some("g".into()),
                tenant_id: Some("t".into()),
                tenant_name: Some("Harbour \"Coffee\"".into()),
            },
            reason: None,
            ends_at: Some(1_800_000_000),
            occurred_at: 0,
        };
        let said: Value = serde_json::from_str(&body(&event, &"o".into(), "Harbour", "https://e.example")).unwrap();
        assert_eq!(
            said,
            json!({
                "type": "connection.will_expire_soon",
                "timestamp": "1970-01-01T00:00:00Z",
                "data": {
                    "organization": { "id": "o", "name": "Harbour" },
                    "connection": { "id": "b", "tenantId": "t", "tenantName": "Harbour \"Coffee\"", "grantId": "g" },
                    "message": "Harbour \"Coffee\" will lose its connection to Xero soon.",
                    "whatToDo": EventKind::WillExpireSoon.advice(),
                    "url": "https://e.example/settings/integrations",
                    "expiresAt": "2027-01-15T08:00:00Z",
                },
            })
        );
    }
}
