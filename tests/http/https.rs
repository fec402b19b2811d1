//! A public https origin behind a trusted proxy: HSTS, `Secure` cookies, and the caller's address and origin.

use evergrant::model::Action;
use evergrant::server::store::AuditFilter;
use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE, STRICT_TRANSPORT_SECURITY};
use reqwest::{Response, StatusCode};

use crate::support::browser::HTML;
use crate::support::databases::TestDatabase;
use crate::support::http::test_client;
use crate::support::test_server::{PASSWORD, TestServer};

const PUBLIC_URL: &str = "https://evergrant.example.com";
const EMAIL: &str = "ana@example.com";

/// Sends a request as a proxy passes it on that ends TLS.
async fn sign_in(server: &TestServer, origin: &str) -> Response {
    sign_in_at(server, "evergrant.example.com", origin).await
}

async fn sign_in_at(server: &TestServer, host: &str, origin: &str) -> Response {
    let request = test_client().post(format!("{}/api/session/login", server.base)).header("accept", HTML);
    let request = request.header("host", host).header(ORIGIN, origin);
    let request = request.header("x-forwarded-for", "192.0.2.7").header("x-forwarded-proto", "https");
    request.form(&[("email", EMAIL), ("password", PASSWORD)]).send().await.unwrap()
}

#[tokio::test]
async fn https_behind_a_trusted_proxy_has_hsts_and_secure_cookies() {
    let flags = [("--public-url", PUBLIC_URL), ("--trusted-proxies", "127.0.0.1")];
    let server = TestServer::with_flags(TestDatabase::sqlite(), &flags).await;
    let org = server.add_user(EMAIL, "Harbour").await.org.unwrap().0;
    for path in ["/login", "/healthz", "/api/v1/bindings", "/api/events", "/no-such-page"] {
        let response = test_client().get(format!("{}{path}", server.base)).send().await.unwrap();
        assert_eq!(response.headers()[STRICT_TRANSPORT_SECURITY], "max-age=31536000", "{path}");
    }
    // Of another site, of a page that was read over plain http, and of another port.
    for origin in ["https://example.com", "http://evergrant.example.com", "https://evergrant.example.com:8443"] {
        let refused = sign_in(&server, origin).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{origin}");
        assert!(refused.text().await.unwrap().contains(PUBLIC_URL), "{origin}: it says where to go");
    }

    let signed_in = sign_in(&server, PUBLIC_URL).await;
    assert_eq!(signed_in.status(), StatusCode::SEE_OTHER);
    let cookies: Vec<&str> = signed_in.headers().get_all(SET_COOKIE).iter().map(|one| one.to_str().unwrap()).collect();
    assert!(!cookies.is_empty());
    for cookie in &cookies {
        // Browsers accept such a name only of a cookie of this host, with `Secure` and the path `/`.
        assert!(cookie.starts_with("__Host-evergrant_") && cookie.contains("; Secure"), "{cookie}");
        assert!(cookie.contains("; Path=/;") && !cookie.contains("Domain"), "{cookie}");
    }
    let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-evergrant_session=")).unwrap();
    let connect = test_client().post(format!("{}/api/integrations/xero/connect", server.base)).header("accept", HTML);
    let connect = connect.header(ORIGIN, PUBLIC_URL).header(COOKIE, session.split(';').next().unwrap());
    let consent = connect.form::<[(&str, &str); 0]>(&[]).send().await.unwrap();
    assert_eq!(consent.status(), StatusCode::SEE_OTHER);
    let consent = url::Url::parse(consent.headers()["location"].to_str().unwrap()).unwrap();
    let (_, callback) = consent.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap();
    assert_eq!(callback, format!("{PUBLIC_URL}/api/integrations/xero/callback"));

    let filter = AuditFilter { action: Action::SignedIn.as_str(), ..AuditFilter::default() };
    let events = server.store.audit_events(Some(&org), filter, None, 9).await.unwrap();
    let address = events.first().and_then(|event| event.address.as_deref());
    assert_eq!(address, Some("192.0.2.7"), "the caller's address is the one that the proxy names");
}

#[tokio::test]
async fn http_on_this_machine_has_neither_hsts_nor_secure_cookies() {
    let server = TestServer::start().await;
    server.add_user(EMAIL, "Harbour").await;
    let signed_in = sign_in(&server, &server.base).await;
    assert_eq!(signed_in.status(), StatusCode::SEE_OTHER);
    assert!(!signed_in.headers().contains_key(STRICT_TRANSPORT_SECURITY));
    for cookie in signed_in.headers().get_all(SET_COOKIE) {
        assert!(!cookie.to_str().unwrap().contains("Secure"), "{cookie:?}");
    }
}

#[tokio::test]
async fn pages_of_this_machine_send_forms_only_to_where_they_came_from() {
    let server = TestServer::start().await;
    server.add_user(EMAIL, "Harbour").await;
    let port = server.base.rsplit(':').next().unwrap();
    let (address, name) = (format!("127.0.0.1:{port}"), format!("localhost:{port}"));
    for (host, origin, status) in [
        (&address, format!("http://{address}"), StatusCode::SEE_OTHER),
        (&name, format!("http://{name}"), StatusCode::SEE_OTHER),
        (&address, format!("https://{address}"), StatusCode::FORBIDDEN),
        (&address, format!("http://{name}"), StatusCode::FORBIDDEN),
        (&address, "http://127.0.0.1".to_owned(), StatusCode::FORBIDDEN),
        // Another site's name that resolves to this machine (DNS rebinding).
        (&"rebound.example".to_owned(), "http://rebound.example".to_owned(), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(sign_in_at(&server, host, &origin).await.status(), status, "{origin} to {host}");
    }
}
