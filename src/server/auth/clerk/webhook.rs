//! Verifies and parses Clerk's webhooks, which Svix delivers and signs.

use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::claims::map_role;
use crate::server::crypto::webhook_key::WebhookKey;
use crate::server::store::{ClerkEvent, ClerkOrg, ClerkUser};

/// How far a delivery's timestamp may be from now, before or after, in seconds.
const TOLERANCE: i64 = 5 * 60;

/// A verified delivery.
pub struct VerifiedWebhook {
    pub id: String,
    /// When the change happened, in unix seconds.
    pub occurred_at: i64,
    /// `None` for events that Evergrant doesn't use.
    pub event: Option<ClerkEvent>,
}

/// Why a delivery is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRejection {
    /// A signature header is missing or unusable.
    #[error("not signed: svix-id, svix-timestamp or svix-signature is missing")]
    Unsigned,
    /// The timestamp is too far from now, so it may be a replay.
    #[error("the timestamp is more than five minutes from now")]
    Stale,
    /// No signature matches the configured secret.
    #[error("no signature matches CLERK_WEBHOOK_SECRET")]
    Signature,
    /// The signature is valid, but the payload can't be parsed.
    #[error("the payload can't be parsed")]
    Malformed,
}

/// Verifies and parses a delivery.
pub fn verify_and_parse(
    key: &WebhookKey,
    headers: &HeaderMap,
    body: &[u8],
    now: i64,
) -> Result<VerifiedWebhook, WebhookRejection> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).ok_or(WebhookRejection::Unsigned);
    let (id, sent, signatures) = (header("svix-id")?, header("svix-timestamp")?, header("svix-signature")?);
    let sent_at: i64 = sent.parse().map_err(|_| WebhookRejection::Unsigned)?;
    if sent_at.abs_diff(now) > TOLERANCE.unsigned_abs() {
        return Err(WebhookRejection::Stale);
    }
    if !key.verify(id, sent, body, signatures) {
        return Err(WebhookRejection::Signature);
    }
    let event: RawEvent = serde_json::from_slice(body).map_err(|_| WebhookRejection::Malformed)?;
    let (at, news) = event.parse(sent_at)?;
    Ok(VerifiedWebhook { id: id.to_owned(), occurred_at: at, event: news })
}

#[derive(Deserialize)]
struct RawEvent {
    #[serde(rename = "type")]
    kind: String,
    data: Value,
    /// When it happened, in unix milliseconds, if given.
    timestamp: Option<i64>,
}

#[derive(Deserialize)]
struct OrgData {
    id: String,
    name: String,
    slug: Option<String>,
    updated_at: Option<i64>,
}

#[derive(Deserialize)]
struct MembershipData {
    organization: OrgData,
    public_user_data: UserData,
    role: Option<String>,
    updated_at: Option<i64>,
}

#[derive(Deserialize)]
struct UserData {
    user_id: String,
    identifier: Option<String>,
}

#[derive(Deserialize)]
struct DeletedData {
    id: String,
}

impl RawEvent {
    /// Returns when the change happened, and the change. A deletion has the event's time, or else the time of the
    /// delivery, which may be late.
    fn parse(self, sent_at: i64) -> Result<(i64, Option<ClerkEvent>), WebhookRejection> {
        let ended_at = self.timestamp.map_or(sent_at, |milliseconds| (milliseconds / 1000).min(sent_at));
        let updated = |at: Option<i64>| at.map_or(sent_at, |milliseconds| milliseconds / 1000);
        Ok(match self.kind.as_str() {
            "organization.created" | "organization.updated" => {
                let org: OrgData = parse_data(self.data)?;
                (updated(org.updated_at), Some(ClerkEvent::OrganizationChanged(org.into())))
            }
            "organization.deleted" => {
                let DeletedData { id } = parse_data(self.data)?;
                (ended_at, Some(ClerkEvent::OrganizationDeleted { id }))
            }
            "organizationMembership.created" | "organizationMembership.updated" => {
                let MembershipData { organization, public_user_data, role, updated_at } = parse_data(self.data)?;
                let (org, user, role) = (organization.into(), public_user_data.into(), map_role(role.as_deref()));
                (updated(updated_at), Some(ClerkEvent::MembershipChanged { org, user, role }))
            }
            "organizationMembership.deleted" => {
                let MembershipData { organization, public_user_data, .. } = parse_data(self.data)?;
                let (org, user) = (organization.into(), public_user_data.into());
                (ended_at, Some(ClerkEvent::MembershipDeleted { org, user }))
            }
            _ => (sent_at, None),
        })
    }
}

fn parse_data<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, WebhookRejection> {
    serde_json::from_value(value).map_err(|_| WebhookRejection::Malformed)
}

impl From<OrgData> for ClerkOrg {
    fn from(OrgData { id, name, slug, .. }: OrgData) -> Self {
        Self { id, name, slug }
    }
}

impl From<UserData> for ClerkUser {
    fn from(UserData { user_id, identifier }: UserData) -> Self {
        // The identifier may also be a phone number or a name.
        Self { id: user_id, email: identifier.filter(|text| text.contains('@')) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Role;
    use crate::server::domain::Secret;

    /// The example in Svix's documentation.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SENT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn headers(id: &str, sent: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("svix-id", id.parse().unwrap());
        headers.insert("svix-timestamp", sent.parse().unwrap());
        headers.insert("svix-signature", signature.parse().unwrap());
        headers
    }

    fn rejection(headers: &HeaderMap, body: &[u8], now: i64) -> Option<WebhookRejection> {
        let key = WebhookKey::parse(&Secret::new(SECRET)).unwrap();
        verify_and_parse(&key, headers, body, now).err()
    }

    #[test]
    fn signed_delivery_is_accepted_within_the_tolerance() {
        let sent = SENT.to_string();
        // The example's signature is valid, but its body isn't a Clerk event.
        let good = Some(WebhookRejection::Malformed);
        assert_eq!(rejection(&headers(ID, &sent, SIGNATURE), BODY, SENT), good);
        assert_eq!(rejection(&headers(ID, &sent, SIGNATURE), BODY, SENT + TOLERANCE), good);
    }

    #[test]
    fn unsigned_or_stale_deliveries_are_refused() {
        let sent = SENT.to_string();
        let refused = Some(WebhookRejection::Signature);
        assert_eq!(rejection(&headers(ID, &sent, SIGNATURE), b"{}", SENT), refused);
        assert_eq!(rejection(&headers("msg_2", &sent, SIGNATURE), BODY, SENT), refused);
        assert_eq!(rejection(&headers(ID, &(SENT + 1).to_string(), SIGNATURE), BODY, SENT), refused);
        assert_eq!(rejection(&headers(ID, &sent, "v1,AAAA"), BODY, SENT), refused);
        for now in [SENT + TOLERANCE + 1, SENT - TOLERANCE - 1, i64::MIN] {
            assert_eq!(rejection(&headers(ID, &sent, SIGNATURE), BODY, now), Some(WebhookRejection::Stale));
        }
        assert_eq!(rejection(&headers(ID, "soon", SIGNATURE), BODY, SENT), Some(WebhookRejection::Unsigned));
        assert_eq!(rejection(&HeaderMap::new(), BODY, SENT), Some(WebhookRejection::Unsigned));
    }

    fn parse_event(kind: &str, data: Value) -> Result<(i64, Option<ClerkEvent>), WebhookRejection> {
        RawEvent { kind: kind.to_owned(), data, timestamp: None }.parse(SENT)
    }

    #[test]
    fn a_late_deletion_keeps_the_time_of_its_event() {
        let sent_at = |timestamp| {
            let data = json!({ "id": "org_1" });
            RawEvent { kind: "organization.deleted".into(), data, timestamp: Some(timestamp) }.parse(SENT).unwrap().0
        };
        assert_eq!(sent_at((SENT - 3600) * 1000 + 999), SENT - 3600);
        assert_eq!(sent_at((SENT + 3600) * 1000), SENT, "never later than the delivery");
    }

    #[test]
    fn events_are_parsed() {
        let organization = json!({ "id": "org_1", "name": "Harbour Group", "slug": "harbour", "object": "organization", "updated_at": 1_614_265_000_977_i64 });
        let org = ClerkOrg { id: "org_1".into(), name: "Harbour Group".into(), slug: Some("harbour".into()) };
        let renamed = parse_event("organization.updated", organization.clone()).unwrap();
        assert_eq!(renamed, (1_614_265_000, Some(ClerkEvent::OrganizationChanged(org.clone()))));
        let ended =
            parse_event("organization.deleted", json!({ "deleted": true, "id": "org_1", "object": "organization" }));
        assert_eq!(ended.unwrap(), (SENT, Some(ClerkEvent::OrganizationDeleted { id: "org_1".into() })));

        let person = json!({ "user_id": "user_1", "identifier": "ann@example.com", "first_name": null });
        let user = ClerkUser { id: "user_1".into(), email: Some("ann@example.com".into()) };
        let membership = json!({
            "id": "orgmem_1", "organization": organization, "public_user_data": person, "role": "org:admin",
            "updated_at": 1_614_265_100_000_i64,
        });
        let joined = parse_event("organizationMembership.created", membership.clone()).unwrap();
        let news = ClerkEvent::MembershipChanged { org: org.clone(), user: user.clone(), role: Role::Admin };
        assert_eq!(joined, (1_614_265_100, Some(news)));
        let left = parse_event("organizationMembership.deleted", membership).unwrap();
        assert_eq!(left, (SENT, Some(ClerkEvent::MembershipDeleted { org, user })), "as old as its delivery");
    }

    #[test]
    fn unknown_events_are_ignored_and_malformed_ones_refused() {
        assert_eq!(parse_event("user.created", json!({ "id": "user_1" })), Ok((SENT, None)));
        assert_eq!(parse_event("organization.updated", json!({ "id": "org_1" })), Err(WebhookRejection::Malformed));
        assert_eq!(parse_event("organizationMembership.deleted", json!([])), Err(WebhookRejection::Malformed));
    }
}
