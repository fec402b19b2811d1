//! Test data: organizations with connections, signed-in people and API keys.

use serde_json::json;

use crate::BenchError;
use crate::sandbox::BenchSandbox;
use crate::server::{add_api_key, add_session};
use evergrant::model::{BindingId, OrgId};
use evergrant::server::domain::{AccessToken, ApiKey, RefreshToken, Tenant, TokenSet};
use evergrant::server::store::{NewGrant, Store};

/// Seconds for which the access tokens that never reach the sandbox are valid.
const TOKEN_SECONDS: i64 = 1_800;
/// Bytes of such an access token; Xero's are about as long.
const TOKEN_BYTES: usize = 1_200;
/// What programs need for invoices and their attachments.
const SCOPES: &str = "openid profile email offline_access accounting.settings.read accounting.transactions \
                      accounting.attachments";

/// Three organizations, with an owner's session each.
pub struct Customers {
    /// The session of the organization with one connection, which is the sandbox's.
    pub one: String,
    /// The session of the organization with twenty.
    pub twenty: String,
    /// The session of the organization with two hundred.
    pub two_hundred: String,
    /// A key of the organization with one connection.
    pub key: ApiKey,
    /// That connection.
    pub binding: BindingId,
    /// A key of the organization with twenty.
    pub key_of_twenty: ApiKey,
    /// These connections.
    pub bindings_of_twenty: Vec<BindingId>,
}

impl Customers {
    /// Creates the organizations in a migrated database.
    pub async fn create(store: &Store, sandbox: &BenchSandbox) -> Result<Self, BenchError> {
        let org = store.add_org("One").await?;
        let binding = connect(store, &org, sandbox).await?;
        let (one, key) = (add_session(store, &org, "one@example.com").await?, add_api_key(store, &org).await?);
        let org = store.add_org("Twenty").await?;
        let bindings_of_twenty = connect_tenants(store, &org, 20).await?;
        let twenty = add_session(store, &org, "twenty@example.com").await?;
        let key_of_twenty = add_api_key(store, &org).await?;
        let org = store.add_org("Two Hundred").await?;
        connect_tenants(store, &org, 200).await?;
        let two_hundred = add_session(store, &org, "two.hundred@example.com").await?;
        Ok(Self { one, twenty, two_hundred, key, binding, key_of_twenty, bindings_of_twenty })
    }
}

/// Connects the organization to a tenant of the sandbox. Its access token is due for a refresh.
async fn connect(store: &Store, org: &OrgId, sandbox: &BenchSandbox) -> Result<BindingId, BenchError> {
    let minted =
        sandbox.control("mint", json!({ "user": "mere", "tenants": ["harbour"], "access_seconds_left": 60 })).await?;
    sandbox.control("scopes", json!({ "scopes": SCOPES })).await?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned).ok_or("the sandbox minted no text");
    let new = NewGrant {
        org_id: org.clone(),
        xero_user_id: text(&minted["xero_user_id"])?,
        auth_event_id: text(&minted["auth_event_id"])?,
        tokens: TokenSet {
            access_token: AccessToken::new(text(&minted["access_token"])?),
            refresh_token: RefreshToken::new(text(&minted["refresh_token"])?),
            expires_at: minted["expires_at"].as_i64().ok_or("the sandbox minted no time")?,
            scopes: text(&minted["scopes"])?,
        },
    };
    let connection = &minted["connections"][0];
    let tenant = Tenant {
        id: text(&connection["tenant_id"])?,
        name: text(&connection["tenant_name"])?,
        tenant_type: text(&connection["tenant_type"])?,
        connection_id: text(&connection["id"])?,
    };
    bind(store, org, new, tenant).await
}

/// Connects the organization to `count` tenants, each by a consent of its own of the same Xero user. Nothing is due.
async fn connect_tenants(store: &Store, org: &OrgId, count: usize) -> Result<Vec<BindingId>, BenchError> {
    let mut bindings = Vec::new();
    for number in 0..count {
        let new = NewGrant {
            org_id: org.clone(),
            xero_user_id: format!("{org}-user"),
            auth_event_id: format!("{org}-event-{number}"),
            tokens: TokenSet {
                access_token: AccessToken::new("a".repeat(TOKEN_BYTES)),
                refresh_token: RefreshToken::new("r".repeat(43)),
                expires_at: store.clock().now() + TOKEN_SECONDS,
                scopes: SCOPES.to_owned(),
            },
        };
        let tenant = Tenant {
            id: format!("{org}-tenant-{number}"),
            name: format!("Harbour Coffee {number} Limited"),
            tenant_type: "ORGANISATION".to_owned(),
            connection_id: format!("{org}-connection-{number}"),
        };
        bindings.push(bind(store, org, new, tenant).await?);
    }
    Ok(bindings)
}

async fn bind(store: &Store, org: &OrgId, new: NewGrant, tenant: Tenant) -> Result<BindingId, BenchError> {
    let grant = store.insert_grant(new).await?;
    let bound = store.bind(org, &grant, &[tenant], None).await?.pop();
    Ok(bound.ok_or("the tenant was not bound")?.binding_id)
}
