//! Tests of the listener with real connections.

use axum::body::Body;
use axum::routing::get;
use futures::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

/// A running listener whose only response is held back until `send_response` is notified.
struct TestServer {
    address: SocketAddr,
    listener: HttpListener,
    request_received: Arc<Notify>,
    send_response: Arc<Notify>,
    shutdown: CancellationToken,
    running: JoinHandle<io::Result<()>>,
}

fn new_listener(max_connections: usize) -> HttpListener {
    HttpListener::new(&ServingConfig { max_connections, drain: Duration::ZERO }, CancellationToken::new())
}

async fn start_server(listener: HttpListener) -> TestServer {
    let (request_received, send_response) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (received, released) = (Arc::clone(&request_received), Arc::clone(&send_response));
    let respond = async move || {
        received.notify_one();
        released.notified().await;
        "here you are"
    };
    TestServer {
        request_received,
        send_response,
        ..start_server_with(listener, Router::new().route("/", get(respond))).await
    }
}

/// Starts a listener in front of `router`.
async fn start_server_with(listener: HttpListener, router: Router) -> TestServer {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (socket.local_addr().unwrap(), CancellationToken::new());
    let (server, requested) = (listener.clone(), shutdown.clone().cancelled_owned());
    let running = tokio::spawn(async move { server.serve(socket, router, requested).await });
    TestServer { address, listener, request_received: Arc::default(), send_response: Arc::default(), shutdown, running }
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut response = Vec::new();
    // A reset ends the response as well.
    _ = stream.read_to_end(&mut response).await;
    String::from_utf8(response).unwrap()
}

async fn connect_and_send(server: &TestServer, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

fn listener_with_timeouts(timeouts: Timeouts) -> HttpListener {
    HttpListener { timeouts, ..new_listener(8) }
}

/// Notifies when it is dropped.
struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn client_that_stops_reading_is_disconnected_and_reading_client_is_served() {
    let given_up = Arc::new(Notify::new());
    let dropped = Arc::clone(&given_up);
    let endless = async move || {
        let guard = NotifyOnDrop(dropped);
        Body::from_stream(stream::repeat_with(move || {
            _ = &guard;
            Ok::<_, io::Error>("x".repeat(16 * 1024))
        }))
    };
    let listener =
        listener_with_timeouts(Timeouts { header_read: HEADER_READ_TIMEOUT, write: Duration::from_millis(100) });
    let server = start_server_with(listener, Router::new().route("/", get(endless))).await;
    let (_silent, mut reader) = (connect_and_send(&server, REQUEST).await, connect_and_send(&server, REQUEST).await);
    let mut part = vec![0; 64 * 1024];
    let reads_on = async {
        loop {
            reader.read_exact(&mut part).await.expect("a client that reads is served");
        }
    };
    tokio::select! {
        () = given_up.notified() => {}
        () = reads_on => {}
    }
    reader.read_exact(&mut part).await.expect("the reader is served after the silent client was dropped");
}

#[tokio::test]
async fn oversized_headers_are_rejected_with_431() {
    let server = start_server(new_listener(8)).await;
    // Fills the buffer exactly: no byte stays unread, which would turn the response into a reset.
    let mut long = format!("GET / HTTP/1.1\r\nhost: here\r\nx-long: {}", "x".repeat(MAX_HEADER_BYTES));
    long.truncate(MAX_HEADER_BYTES);
    let response = read_all(connect_and_send(&server, long.as_bytes()).await).await;
    assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
}

#[tokio::test]
async fn incomplete_headers_and_idle_connections_time_out() {
    let listener = listener_with_timeouts(Timeouts { header_read: Duration::from_millis(30), write: WRITE_TIMEOUT });
    let server = start_server(listener).await;
    for request in [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nhost: here\r\nx-slow: "] {
        let response = read_all(connect_and_send(&server, request).await).await;
        assert!(!response.contains("here you are"), "{response}");
    }
    server.send_response.notify_one();
    let response = read_all(connect_and_send(&server, REQUEST).await).await;
    assert!(response.ends_with("here you are"), "{response}");
}

#[tokio::test]
async fn connection_over_the_limit_waits_for_a_free_permit() {
    let server = start_server(new_listener(1)).await;
    let first = connect_and_send(&server, REQUEST).await;
    server.request_received.notified().await;
    let second = connect_and_send(&server, b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await;
    assert_eq!(server.listener.open_connections(), 1);
    drop(first);
    server.request_received.notified().await;
    server.send_response.notify_waiters();
    server.send_response.notify_one();
    assert!(read_all(second).await.ends_with("here you are"));
}

#[tokio::test]
async fn draining_accepts_connections_and_closes_each_after_its_response() {
    let server = start_server_with(new_listener(8), Router::new().route("/", get(async || "here you are"))).await;
    let (mut before, mut response) = (connect_and_send(&server, REQUEST).await, String::new());
    while !response.ends_with("here you are") {
        response.push(char::from(before.read_u8().await.unwrap()));
    }
    assert!(!response.contains("connection:"), "closed before draining: {response}");
    server.listener.begin_drain();
    before.write_all(REQUEST).await.unwrap();
    for connection in [before, connect_and_send(&server, REQUEST).await] {
        let response = read_all(connection).await;
        assert!(response.contains("connection: close") && response.ends_with("here you are"), "{response}");
    }
    assert!(!server.running.is_finished());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_silent_connections() {
    let server = start_server(new_listener(8)).await;
    let silent = connect_and_send(&server, b"").await;
    server.shutdown.cancel();
    // Well below the header timeout, which would end the connection too.
    tokio::time::timeout(HEADER_READ_TIMEOUT / 2, server.running).await.unwrap().unwrap().unwrap();
    assert_eq!(read_all(silent).await, "");
}

#[tokio::test]
async fn shutdown_answers_open_connections_and_accepts_no_new_ones() {
    let server = start_server(new_listener(8)).await;
    let inside = connect_and_send(&server, REQUEST).await;
    server.request_received.notified().await;
    // Possibly not accepted yet when the shutdown starts.
    let late = connect_and_send(&server, REQUEST).await;
    server.shutdown.cancel();
    server.listener.closing.cancelled().await;
    server.request_received.notified().await;
    assert!(TcpStream::connect(server.address).await.is_err(), "the listener is still open");
    assert!(!server.running.is_finished());
    server.send_response.notify_waiters();
    for connection in [inside, late] {
        assert!(read_all(connection).await.ends_with("here you are"));
    }
    server.running.await.unwrap().unwrap();
    assert_eq!(server.listener.open_connections(), 0);
}
