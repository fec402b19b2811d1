//! Answers that don't arrive, arrive by halves, never end or point elsewhere.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Provider, answer, assert_free_of_secrets, client, error_of, json, refresh};
use crate::server::xero::answer::LARGEST_BODY;
use crate::server::xero::{ErrorKind, Transient};

const TIMEOUT: ErrorKind = ErrorKind::Transient(Transient::Timeout);
const UNREACHABLE: ErrorKind = ErrorKind::Transient(Transient::Unreachable);
const MALFORMED: ErrorKind = ErrorKind::Transient(Transient::Malformed);

/// The time-out under test.
const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

/// A server that reads a request, writes these bytes and hangs up.
async fn raw(reply: &'static [u8]) -> String {
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
async fn a_server_that_never_answers_times_out() {
    // The system accepts the connection for a listener that never asks for it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let error = error_of(refresh(&client(&address, SHORT)).await);
    assert_eq!((error.kind, error.evidence_code(), error.status), (TIMEOUT, "timeout", None));
    assert_free_of_secrets(&error);
}

#[tokio::test]
async fn the_time_out_covers_a_body_that_never_ends() {
    let provider = Provider::start(|| {
        let start = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{\"error\":\"invalid_grant\"}"))]);
        answer(400, "application/json", Body::from_stream(start.chain(stream::pending())))
    })
    .await;
    // Long enough for the headers to arrive on a busy machine.
    let timeout = Duration::from_millis(500);
    let error = error_of(refresh(&client(&provider.address, timeout)).await);
    assert_eq!((error.kind, error.status), (TIMEOUT, Some(400)));
    assert_eq!(error.correlation_id.as_deref(), Some("corr-1"));
}

#[tokio::test]
async fn a_refused_connection_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = error_of(refresh(&client(&address, LONG)).await);
    assert_eq!((error.kind, error.evidence_code()), (UNREACHABLE, "connect"));
    assert_free_of_secrets(&error);
}

#[tokio::test]
async fn a_connection_lost_before_or_within_the_answer_is_unreachable() {
    let cut = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"error\":\"invalid_grant\"}";
    for (reply, status) in [(&b""[..], None), (&cut[..], Some(400))] {
        let error = error_of(refresh(&client(&raw(reply).await, LONG)).await);
        assert_eq!((error.kind, error.evidence_code()), (UNREACHABLE, "connection_lost"));
        assert_eq!(error.status, status);
        assert_free_of_secrets(&error);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_unreachable() {
    let error = error_of(refresh(&client(&raw(b"SSH-2.0-OpenSSH\r\n").await, LONG)).await);
    assert_eq!(error.kind, UNREACHABLE);
}

#[tokio::test]
async fn a_body_past_the_bound_is_not_read_to_its_end() {
    for status in [200, 400] {
        let provider = Provider::start(move || {
            let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 8192])));
            answer(status, "application/json", Body::from_stream(endless))
        })
        .await;
        let error = error_of(refresh(&provider.client()).await);
        assert_eq!((error.kind, error.evidence_code()), (MALFORMED, "body_too_large"));
        assert_eq!(error.status, Some(status));
    }
}

#[tokio::test]
async fn a_body_of_just_the_bound_is_read() {
    let provider = Provider::start(|| {
        let mut body = br#"{"error":"invalid_grant"}"#.to_vec();
        body.resize(LARGEST_BODY, b' ');
        answer(400, "application/json", body)
    })
    .await;
    assert_eq!(error_of(refresh(&provider.client()).await).kind, ErrorKind::Reconnect);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
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
async fn a_failed_request_is_sent_once() {
    let provider = Provider::start(|| json(503, "")).await;
    error_of(refresh(&provider.client()).await);
    provider.only_request();
}
