//! Webhooks from Clerk, delivered and signed by Svix: whether one is genuine, and what it tells.

use aws_lc_rs::hmac;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::claims::role_of;
use crate::server::domain::Secret;
use crate::server::store::{ExternalOrg, ExternalUser, News};

/// A signature counts for five minutes, before and after, in seconds.
const TOLERANCE: i64 = 5 * 60;

/// What a delivery tells, under its id.
pub struct Delivery {
    pub id: String,
    /// How old the news is.
    pub at: i64,
    /// `None` for events that nothing here depends on.
    pub news: Option<News>,
}

/// Why a delivery isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("it isn't signed: svix-id, svix-timestamp or svix-signature is missing")]
    Unsigned,
    #[error("its time is more than five minutes from ours")]
    Stale,
    #[error("none of its signatures is by CLERK_WEBHOOK_SECRET")]
    Signature,
    #[error("it can't be read")]
    Unreadable,
}

/// Checks a delivery and reads it. `key` is in base64.
pub fn read(key: &Secret, headers: &HeaderMap, body: &[u8], now: i64) -> Result<Delivery, NotTaken> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).ok_or(NotTaken::Unsigned);
    let (id, sent, signatures) = (header("svix-id")?, header("svix-timestamp")?, header("svix-signature")?);
    let sent_at: i64 = sent.parse().map_err(|_| NotTaken::Unsigned)?;
    if sent_at.abs_diff(now) > TOLERANCE.unsigned_abs() {
        return Err(NotTaken::Stale);
    }
    if !is_signed(key, &[id.as_bytes(), b".", sent.as_bytes(), b".", body].concat(), signatures) {
        return Err(NotTaken::Signature);
    }
    let event: Event = serde_json::from_slice(body).map_err(|_| NotTaken::Unreadable)?;
    let (at, news) = event.read(sent_at)?;
    Ok(Delivery { id: id.to_owned(), at, news })
}

/// Several signatures come while a secret is being changed; one that fits is enough.
fn is_signed(key: &Secret, content: &[u8], signatures: &str) -> bool {
    // Checked with the settings.
    let Ok(key) = STANDARD.decode(key.expose()) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    signatures
        .split_whitespace()
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .any(|tag| hmac::verify(&key, content, &tag).is_ok())
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    data: Value,
    /// When it happened, in milliseconds, where it says so.
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
struct EndedData {
    id: String,
}

impl Event {
    /// What it tells and how old that is. An end is as old as the event says, or else as its delivery, which may be a
    /// late one.
    fn read(self, sent_at: i64) -> Result<(i64, Option<News>), NotTaken> {
        let ended_at = self.timestamp.map_or(sent_at, |milliseconds| (milliseconds / 1000).min(sent_at));
        let updated = |at: Option<i64>| at.map_or(sent_at, |milliseconds| milliseconds / 1000);
        Ok(match self.kind.as_str() {
            "organization.created" | "organization.updated" => {
                let org: OrgData = data(self.data)?;
                (updated(org.updated_at), Some(News::Organisation(org.into())))
            }
            "organization.deleted" => {
                let EndedData { id } = data(self.data)?;
                (ended_at, Some(News::OrganisationEnded { id }))
            }
            "organizationMembership.created" | "organizationMembership.updated" => {
                let MembershipData { organization, public_user_data, role, updated_at } = data(self.data)?;
                let (org, user, role) = (organization.into(), public_user_data.into(), role_of(role.as_deref()));
                (updated(updated_at), Some(News::Membership { org, user, role }))
            }
            "organizationMembership.deleted" => {
                let MembershipData { organization, public_user_data, .. } = data(self.data)?;
                let (org, user) = (organization.into(), public_user_data.into());
                (ended_at, Some(News::MembershipEnded { org, user }))
            }
            _ => (sent_at, None),
        })
    }
}

fn data<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, NotTaken> {
    serde_json::from_value(value).map_err(|_| NotTaken::Unreadable)
}

impl From<OrgData> for ExternalOrg {
    fn from(OrgData { id, name, slug, .. }: OrgData) -> Self {
        Self { id, name, slug }
    }
}

impl From<UserData> for ExternalUser {
    fn from(UserData { user_id, identifier }: UserData) -> Self {
        // It may be a telephone number or a name as well.
        Self { id: user_id, email: identifier.filter(|text| text.contains('@')) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Role;

    /// The example of Svix's documentation.
    const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
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

    fn why(headers: &HeaderMap, body: &[u8], now: i64) -> Option<NotTaken> {
        read(&Secret::new(KEY), headers, body, now).err()
    }

    #[test]
    fn one_good_signature_among_several_is_enough() {
        let sent = SENT.to_string();
        // The example's body is signed well and says nothing that Clerk would.
        let good = Some(NotTaken::Unreadable);
        assert_eq!(why(&headers(ID, &sent, SIGNATURE), BODY, SENT), good);
        let several = format!("v1,AAAA v2,{} {SIGNATURE}", &SIGNATURE[3..]);
        assert_eq!(why(&headers(ID, &sent, &several), BODY, SENT), good);
        assert_eq!(why(&headers(ID, &sent, SIGNATURE), BODY, SENT + TOLERANCE), good);
    }

    #[test]
    fn what_is_not_signed_by_the_secret_just_now_is_not_taken() {
        let sent = SENT.to_string();
        let refused = Some(NotTaken::Signature);
        assert_eq!(why(&headers(ID, &sent, SIGNATURE), b"{}", SENT), refused);
        assert_eq!(why(&headers("msg_2", &sent, SIGNATURE), BODY, SENT), refused);
        assert_eq!(why(&headers(ID, &(SENT + 1).to_string(), SIGNATURE), BODY, SENT), refused);
        for signature in ["", "v1,", "v1a,AAAA", &SIGNATURE[3..], &format!("v2{}", &SIGNATURE[2..])] {
            assert_eq!(why(&headers(ID, &sent, signature), BODY, SENT), refused, "{signature}");
        }
        assert!(read(&Secret::new("AAAA"), &headers(ID, &sent, SIGNATURE), BODY, SENT).is_err());
        for now in [SENT + TOLERANCE + 1, SENT - TOLERANCE - 1, i64::MIN] {
            assert_eq!(why(&headers(ID, &sent, SIGNATURE), BODY, now), Some(NotTaken::Stale));
        }
        assert_eq!(why(&headers(ID, "soon", SIGNATURE), BODY, SENT), Some(NotTaken::Unsigned));
        assert_eq!(why(&HeaderMap::new(), BODY, SENT), Some(NotTaken::Unsigned));
    }

    fn told(kind: &str, data: Value) -> Result<(i64, Option<News>), NotTaken> {
        Event { kind: kind.to_owned(), data, timestamp: None }.read(SENT)
    }

    #[test]
    fn an_end_that_is_told_late_is_as_old_as_it_says() {
        let told = |timestamp| {
            let data = json!({ "id": "org_1" });
            Event { kind: "organization.deleted".into(), data, timestamp: Some(timestamp) }.read(SENT).unwrap().0
        };
        assert_eq!(told((SENT - 3600) * 1000 + 999), SENT - 3600);
        assert_eq!(told((SENT + 3600) * 1000), SENT, "nothing is told before it is");
    }

    #[test]
    fn events_become_news() {
        let organization = json!({ "id": "org_1", "name": "Harbour Group", "slug": "harbour", "object": "organization", "updated_at": 1_614_265_000_977_i64 });
        let org = ExternalOrg { id: "org_1".into(), name: "Harbour Group".into(), slug: Some("harbour".into()) };
        let renamed = told("organization.updated", organization.clone()).unwrap();
        assert_eq!(renamed, (1_614_265_000, Some(News::Organisation(org.clone()))));
        let ended = told("organization.deleted", json!({ "deleted": true, "id": "org_1", "object": "organization" }));
        assert_eq!(ended.unwrap(), (SENT, Some(News::OrganisationEnded { id: "org_1".into() })));

        let person = json!({ "user_id": "user_1", "identifier": "ann@example.com", "first_name": null });
        let user = ExternalUser { id: "user_1".into(), email: Some("ann@example.com".into()) };
        let membership = json!({
            "id": "orgmem_1", "organization": organization, "public_user_data": person, "role": "org:admin",
            "updated_at": 1_614_265_100_000_i64,
        });
        let joined = told("organizationMembership.created", membership.clone()).unwrap();
        let news = News::Membership { org: org.clone(), user: user.clone(), role: Role::Admin };
        assert_eq!(joined, (1_614_265_100, Some(news)));
        let left = told("organizationMembership.deleted", membership).unwrap();
        assert_eq!(left, (SENT, Some(News::MembershipEnded { org, user })), "as old as its delivery");
    }

    #[test]
    fn other_events_pass_and_broken_ones_do_not() {
        assert_eq!(told("user.created", json!({ "id": "user_1" })), Ok((SENT, None)));
        assert_eq!(told("organization.updated", json!({ "id": "org_1" })), Err(NotTaken::Unreadable));
        assert_eq!(told("organizationMembership.deleted", json!([])), Err(NotTaken::Unreadable));
    }
}
