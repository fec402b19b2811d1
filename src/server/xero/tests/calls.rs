//! What each call sends, and what it reads from a successful response.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded;

use super::{
    ACCESS, CLIENT_SECRET, CODE, NOW, Provider, REFRESH, VERIFIER, access, error_of, exchange, json, refresh, respond,
};
use crate::server::domain::{RefreshToken, RemoteConnection, Secret, Tenant};
use crate::server::xero::{CodeExchange, Deletion, ErrorKind, Organization, RefreshTokenIssue, Transient};

const TOKENS: &str = r#"{"id_token":"i","access_token":"next-access","expires_in":1800,"token_type":"Bearer",
    "refresh_token":"next-refresh","scope":"openid offline_access"}"#;

fn form(body: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[tokio::test]
async fn authorize_url_requests_a_code_with_pkce() {
    let provider = Provider::start(|| json(200, "{}")).await;
    let url = provider.client().authorize_url("http://localhost/back?a=b", "openid email", &Secret::new("s&t"), "chal");
    assert!(url.as_str().starts_with(&format!("{}/login/identity/connect/authorize?", provider.address)));
    let asked = form(url.query().unwrap());
    let wanted = pairs(&[
        ("response_type", "code"),
        ("client_id", "client id"),
        ("redirect_uri", "http://localhost/back?a=b"),
        ("scope", "openid email"),
        ("state", "s&t"),
        ("code_challenge", "chal"),
        ("code_challenge_method", "S256"),
    ]);
    assert_eq!(asked, wanted);
}

#[tokio::test]
async fn refresh_sends_the_form_with_basic_auth_and_parses_the_tokens() {
    let provider = Provider::start(|| json(200, TOKENS)).await;
    let Ok(exchanged) = refresh(&provider.client()).await else { panic!("the refresh failed") };
    assert_eq!(exchanged.tokens.access_token.expose(), "next-access");
    assert_eq!(exchanged.tokens.refresh_token.expose(), "next-refresh");
    assert_eq!(exchanged.tokens.expires_at, NOW + 1800);
    assert_eq!(exchanged.tokens.scopes, "openid offline_access");
    assert_eq!(exchanged.correlation_id.as_deref(), Some("corr-1"));
    assert_eq!(exchanged.status, 200);
    assert!(exchanged.oddities.is_empty() && exchanged.refresh_token_issue == RefreshTokenIssue::New);

    let seen = provider.only_request();
    assert_eq!(seen.line, "POST /identity/connect/token");
    assert_eq!(form(&seen.body), pairs(&[("grant_type", "refresh_token"), ("refresh_token", REFRESH)]));
    assert_eq!(seen.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(seen.headers["accept"], "application/json");
    assert_eq!(seen.headers["user-agent"], concat!("evergrant/", env!("CARGO_PKG_VERSION")));
    let basic = seen.headers["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap();
    assert_eq!(STANDARD.decode(basic).unwrap(), b"client+id:sent+client%26secret");
    assert!(CLIENT_SECRET.contains(['&', ' ']), "the secret needs form encoding");
}

#[tokio::test]
async fn code_is_exchanged_with_its_verifier() {
    let provider = Provider::start(|| json(200, TOKENS)).await;
    let granted = exchange(&provider.client()).await;
    assert!(
        matches!(granted, Ok(CodeExchange::Refreshable(exchanged)) if exchanged.tokens.refresh_token.expose() == "next-refresh")
    );
    let seen = provider.only_request();
    assert_eq!(seen.line, "POST /identity/connect/token");
    let wanted = pairs(&[
        ("grant_type", "authorization_code"),
        ("code", CODE),
        ("redirect_uri", "http://localhost:3000/callback"),
        ("code_verifier", VERIFIER),
    ]);
    assert_eq!(form(&seen.body), wanted);
}

#[tokio::test]
async fn connections_are_listed_for_one_consent() {
    let body = r#"[
        {"id":"c-1","authEventId":"e-1","tenantId":"t-1","tenantType":"ORGANISATION","tenantName":"Demo Company (NZ)",
         "createdDateUtc":"2019-12-07T18:46:19.5165400","updatedDateUtc":"2019-12-07T18:46:19.5187840"},
        {"id":"c-2","authEventId":"e-1","tenantId":"t-2","tenantType":"PRACTICE","tenantName":null}]"#;
    let provider = Provider::start(move || respond(200, "application/json; charset=utf-8", body)).await;
    let list = provider.client().connections(&access(), Some("e 1&x")).await.unwrap();
    let connection = |id: &str, tenant: &str, kind: &str, name: &str| RemoteConnection {
        tenant: Tenant { id: tenant.into(), name: name.into(), tenant_type: kind.into(), connection_id: id.into() },
        auth_event_id: "e-1".into(),
    };
    let wanted =
        [connection("c-1", "t-1", "ORGANISATION", "Demo Company (NZ)"), connection("c-2", "t-2", "PRACTICE", "t-2")];
    assert_eq!(list, wanted);
    let seen = provider.only_request();
    assert_eq!(seen.line, "GET /api/connections?authEventId=e+1%26x");
    assert_eq!(seen.headers["authorization"], format!("Bearer {ACCESS}"));
}

#[tokio::test]
async fn connections_are_listed_for_all_consents() {
    let provider = Provider::start(|| json(200, "[]")).await;
    assert_eq!(provider.client().connections(&access(), None).await.unwrap(), []);
    assert_eq!(provider.only_request().line, "GET /api/connections");
}

#[tokio::test]
async fn entry_of_a_list_is_read_as_far_as_it_goes() {
    let full = r#"{"id":"c-9","authEventId":"e-9","tenantId":"t-9","tenantType":"PRACTICE","tenantName":"Kauri"}"#;
    let cases = [
        (r#"{"id":"c-1","tenantId":"t-1"}"#, ["c-1", "t-1", "t-1", "", ""]),
        (
            r#"{"id":"c-1","tenantId":"t-1","authEventId":null,"tenantName":null,"tenantType":null,"createdDateUtc":null}"#,
            ["c-1", "t-1", "t-1", "", ""],
        ),
        (r#"{"id":"c-1","tenantId":null,"tenantName":"Harbour"}"#, ["c-1", "", "Harbour", "", ""]),
        (r#"{"id":7,"tenantId":"t-1","tenantName":["x"]}"#, ["", "t-1", "t-1", "", ""]),
        (r#"{"id":"../..","tenantId":"a/b","authEventId":"a b"}"#, ["", "", "", "", ""]),
        ("{}", [""; 5]),
        ("null", [""; 5]),
        ("7", [""; 5]),
        (r#""text""#, [""; 5]),
    ];
    for (entry, [connection_id, id, name, tenant_type, auth_event_id]) in cases {
        let body = format!("[{entry},{full}]");
        let provider = Provider::start(move || respond(200, "application/json", body.clone())).await;
        let list = provider.client().connections(&access(), None).await.unwrap();
        let [connection_id, id, name, tenant_type, auth_event_id] =
            [connection_id, id, name, tenant_type, auth_event_id].map(str::to_owned);
        let read = RemoteConnection { tenant: Tenant { id, name, tenant_type, connection_id }, auth_event_id };
        assert_eq!(list[0], read, "{entry}");
        assert_eq!((list.len(), list[1].tenant.name.as_str()), (2, "Kauri"), "{entry}");
    }
    for body in ["{}", "null", "[", r#"{"connections":[]}"#] {
        let provider = Provider::start(move || json(200, body)).await;
        let error = error_of(provider.client().connections(&access(), None).await);
        assert_eq!(error.kind, ErrorKind::Transient(Transient::Malformed), "{body}");
    }
}

#[tokio::test]
async fn list_of_ten_thousand_connections_is_read() {
    let entry = |number: usize| {
        format!(
            r#"{{"id":"00000000-0000-4000-8001-{number:012}","authEventId":"00000000-0000-4000-8002-000000000000","tenantId":"00000000-0000-4000-8003-{number:012}","tenantType":"ORGANISATION","tenantName":"Generated Trading Company (New Zealand) Limited","createdDateUtc":"2019-12-07T18:46:19.5165400","updatedDateUtc":"2019-12-07T18:46:19.5187840"}}"#
        )
    };
    let body = format!("[{}]", (0..10_000).map(entry).collect::<Vec<_>>().join(","));
    let provider = Provider::start(move || respond(200, "application/json", body.clone())).await;
    assert_eq!(provider.client().connections(&access(), None).await.unwrap().len(), 10_000);
}

#[tokio::test]
async fn deleting_a_missing_connection_succeeds() {
    for (status, deletion) in [(204, Deletion::Deleted), (404, Deletion::AlreadyDeleted)] {
        let provider = Provider::start(move || json(status, "")).await;
        assert_eq!(provider.client().delete_connection(&access(), "c-1").await.unwrap(), deletion);
        assert_eq!(provider.only_request().line, "DELETE /api/connections/c-1");
    }
}

#[tokio::test]
async fn revocation_sends_the_refresh_token_with_basic_auth() {
    let provider = Provider::start(|| respond(200, "text/plain", "")).await;
    provider.client().revoke(&RefreshToken::new(REFRESH)).await.unwrap();
    let seen = provider.only_request();
    assert_eq!(seen.line, "POST /identity/connect/revocation");
    assert_eq!(form(&seen.body), pairs(&[("token", REFRESH)]));
    assert!(seen.headers["authorization"].to_str().unwrap().starts_with("Basic "));
}

#[tokio::test]
async fn organization_is_fetched_for_one_tenant() {
    let body = r#"{"Id":"x","Status":"OK","ProviderName":"p","DateTimeUTC":"/Date(1552404447003)/","Organisations":[
        {"Name":"Demo","LegalName":"Demo Ltd","OrganisationID":"o","CountryCode":"NZ","IsDemoCompany":true}]}"#;
    let provider = Provider::start(move || json(200, body)).await;
    let api = provider.client().api(access(), "t-1".into());
    let wanted = Organization {
        name: "Demo".into(),
        legal_name: Some("Demo Ltd".into()),
        country_code: Some("NZ".into()),
        base_currency: None,
    };
    assert_eq!(api.organization().await.unwrap(), wanted);
    let seen = provider.only_request();
    assert_eq!(seen.line, "GET /api/api.xro/2.0/Organisation");
    assert_eq!(seen.headers["xero-tenant-id"], "t-1");
    assert_eq!(seen.headers["authorization"], format!("Bearer {ACCESS}"));
    assert_eq!(seen.headers["accept"], "application/json");
}

const DISCOVERY: &str =
    r#"{"issuer":"https://identity.xero.com","token_endpoint":"https://identity.xero.com/connect/token"}"#;

#[tokio::test]
async fn probe_sends_no_credentials_and_returns_the_clock_offset() {
    for (offset, apart) in [(0, 0), (90, 90), (-600, -600)] {
        let date = chrono::DateTime::from_timestamp(NOW + offset, 0).unwrap().to_rfc2822();
        let provider = Provider::start(move || {
            let mut response = json(200, DISCOVERY);
            response.headers_mut().insert("date", date.parse().unwrap());
            response
        })
        .await;
        assert_eq!(provider.client().probe().await, Ok(Some(apart)));
        let seen = provider.only_request();
        assert_eq!(seen.line, "GET /identity/.well-known/openid-configuration");
        assert!(!seen.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn probe_fails_without_a_discovery_document() {
    let kind = async |status, content_type, body: &'static str| {
        let provider = Provider::start(move || respond(status, content_type, body)).await;
        error_of(provider.client().probe().await).kind
    };
    let (malformed, server_error) = (Transient::Malformed, Transient::ServerError);
    assert_eq!(kind(200, "text/html", DISCOVERY).await, ErrorKind::Transient(malformed));
    assert_eq!(kind(200, "application/json", r#"{"issuer":"x"}"#).await, ErrorKind::Transient(malformed));
    assert_eq!(kind(404, "text/html", "").await, ErrorKind::Transient(malformed));
    assert_eq!(kind(503, "text/html", "").await, ErrorKind::Transient(server_error));
}
