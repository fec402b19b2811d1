//! Responses that do not arrive, are truncated, never end or redirect.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Provider, assert_free_of_secrets, client, error_of, json, refresh, respond};
use crate::server::domain::{FailureClass, FaultScope, RequestSent, RotationRisk};
use crate::server::xero::transport::MAX_BODY_BYTES;
use crate::server::xero::{ErrorKind, Transient};

const TIMEOUT: ErrorKind = ErrorKind::Transient(Transient::Timeout);
const UNREACHABLE: ErrorKind = ErrorKind::Transient(Transient::Unreachable);
const MALFORMED: ErrorKind = ErrorKind::Transient(Transient::Malformed);

/// The timeout under test.
const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

/// Starts a server that reads a request, writes these bytes and closes the connection.
async fn raw_server(reply: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _read = stream.read(&mut request).await;
            let _written = stream.write_all(reply).await;
        }
    });
    address
}

#[tokio::test]
async fn missing_response_times_out() {
    // The kernel completes the connection although the listener never accepts it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let error = error_of(refresh(&client(&address, SHORT)).await);
    assert_eq!((error.kind, error.evidence_code(), error.status), (TIMEOUT, "timeout", None));
    assert_eq!((error.class.sent, error.class.rotation), (RequestSent::Yes, RotationRisk::Possible));
    assert_free_of_secrets(&error);
}

#[tokio::test]
async fn timeout_covers_an_endless_body() {
    let provider = Provider::start(|| {
        let start = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{\"error\":\"invalid_grant\"}"))]);
        respond(400, "application/json", Body::from_stream(start.chain(stream::pending())))
    })
    .await;
    // Long enough for the headers to arrive on a busy machine, and shorter than `SUSPENDED_AFTER`: a deadline in the past
    // would end the call at once.
    let timeout = Duration::from_millis(450);
    let error = error_of(refresh(&client(&provider.address, timeout)).await);
    assert_eq!((error.kind, error.status), (TIMEOUT, Some(400)));
    assert_eq!(error.correlation_id.as_deref(), Some("corr-1"));
}

#[tokio::test]
async fn refused_connection_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = error_of(refresh(&client(&address, LONG)).await);
    assert_eq!((error.kind, error.evidence_code()), (UNREACHABLE, "connect"));
    assert_eq!(error.class, FailureClass::unsent(FaultScope::Provider));
    assert_free_of_secrets(&error);
}

#[tokio::test]
async fn connection_lost_before_or_during_the_response_is_unreachable() {
    let cut = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"error\":\"invalid_grant\"}";
    for (reply, status) in [(&b""[..], None), (&cut[..], Some(400))] {
        let error = error_of(refresh(&client(&raw_server(reply).await, LONG)).await);
        assert_eq!((error.kind, error.evidence_code()), (UNREACHABLE, "connection_lost"));
        assert_eq!((error.class.sent, error.class.rotation), (RequestSent::Yes, RotationRisk::Possible));
        assert_eq!(error.status, status);
        assert_free_of_secrets(&error);
    }
}

#[tokio::test]
async fn response_that_is_not_http_is_unreachable() {
    let error = error_of(refresh(&client(&raw_server(b"SSH-2.0-OpenSSH\r\n").await, LONG)).await);
    assert_eq!(error.kind, UNREACHABLE);
}

#[tokio::test]
async fn body_over_the_limit_is_rejected() {
    for status in [200, 400] {
        let provider = Provider::start(move || {
            let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 8192])));
            respond(status, "application/json", Body::from_stream(endless))
        })
        .await;
        let error = error_of(refresh(&provider.client()).await);
        assert_eq!((error.kind, error.evidence_code()), (MALFORMED, "body_too_large"));
        let risk = if status == 200 { RotationRisk::Possible } else { RotationRisk::Unlikely };
        assert_eq!((error.status, error.class.rotation), (Some(status), risk));
    }
}

#[tokio::test]
async fn body_of_exactly_the_limit_is_read() {
    let provider = Provider::start(|| {
        let mut body = br#"{"error":"invalid_grant"}"#.to_vec();
        body.resize(MAX_BODY_BYTES, b' ');
        respond(400, "application/json", body)
    })
    .await;
    assert_eq!(error_of(refresh(&provider.client()).await).kind, ErrorKind::Reconnect);
}

#[tokio::test]
async fn redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let provider = Provider::start(move || {
            let mut response = json(status, "");
            response.headers_mut().insert("location", "/elsewhere".parse().unwrap());
            response
        })
        .await;
        let error = error_of(refresh(&provider.client()).await);
        assert_eq!((error.kind, error.status), (MALFORMED, Some(status)));
        assert_eq!(provider.only_request().line, "POST /identity/connect/token");
    }
}

#[tokio::test]
async fn failed_request_is_not_retried() {
    let provider = Provider::start(|| json(503, "")).await;
    error_of(refresh(&provider.client()).await);
    provider.only_request();
}
