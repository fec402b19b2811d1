//! Accepts TCP connections up to a limit, enforces read and write timeouts, and drains in-flight requests on shutdown.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// The time a client has to send a request's headers, and the time an idle connection stays open.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one write may block because the client does not read. A slow reader gets this long for each write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest request header block, and the most that is buffered per connection and direction. Bounds memory: each
/// open connection may hold one incomplete header block.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// At shutdown, how long a connection that has not sent a byte is kept open.
const FIRST_BYTE_GRACE: Duration = Duration::from_secs(2);
/// The pause after `accept` fails for a reason of our own, such as too many open files.
const ACCEPT_BACKOFF: Duration = Duration::from_secs(1);

/// Limits and counts open connections, and knows whether the server is draining. Cheap to clone.
#[derive(Clone)]
pub struct HttpListener {
    permits: Arc<Semaphore>,
    max_connections: usize,
    timeouts: Timeouts,
    draining: CancellationToken,
}

/// How long a client may take to send its headers, and to read what is written to it.
#[derive(Clone, Copy)]
struct Timeouts {
    header_read: Duration,
    write: Duration,
}

/// An accepted connection and its permit, which is held until the connection closes.
type AcceptedConnection = (TcpStream, SocketAddr, OwnedSemaphorePermit);

impl HttpListener {
    /// Allows at most `max_connections` open connections.
    pub fn new(max_connections: usize) -> Self {
        let timeouts = Timeouts { header_read: HEADER_READ_TIMEOUT, write: WRITE_TIMEOUT };
        Self {
            permits: Arc::new(Semaphore::new(max_connections)),
            max_connections,
            timeouts,
            draining: CancellationToken::new(),
        }
    }

    /// Starts draining: every further response carries `Connection: close`, so that a proxy with pooled connections
    /// gives them up without losing a request. New connections are still accepted.
    pub fn begin_drain(&self) {
        self.draining.cancel();
    }

    /// Returns whether draining has started.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Returns the number of open connections.
    pub fn open_connections(&self) -> usize {
        self.max_connections.saturating_sub(self.permits.available_permits())
    }

    /// Returns how many connections may be long-lived event streams; the rest is reserved for ordinary requests.
    pub fn max_streams(&self) -> usize {
        self.max_connections / 4 * 3
    }

    /// Serves until `shutdown` completes, then finishes the requests in flight. Fails if the socket can't be converted.
    pub async fn serve(
        self,
        listener: TcpListener,
        router: Router,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let (closing, connections) = (CancellationToken::new(), TaskTracker::new());
        let spawn_connection = |guest: AcceptedConnection| {
            connections.spawn(serve_connection(guest, router.clone(), self.clone(), closing.clone()))
        };
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                guest = self.accept(&listener) => spawn_connection(guest),
            };
        }
        // Connections that the kernel has completed but we have not accepted yet.
        let listener = listener.into_std()?;
        while let Some(guest) = self.try_accept(&listener) {
            spawn_connection(guest);
        }
        drop(listener);
        closing.cancel();
        connections.close();
        connections.wait().await;
        Ok(())
    }

    async fn accept(&self, listener: &TcpListener) -> AcceptedConnection {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { continue };
            match listener.accept().await {
                Ok((stream, address)) => return (stream, address, permit),
                Err(error) if is_client_error(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "failed to accept a connection, will retry");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    fn try_accept(&self, listener: &StdListener) -> Option<AcceptedConnection> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let (stream, address) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, address, permit))
    }
}

/// Serves the requests of one connection in sequence.
async fn serve_connection(
    (stream, address, permit): AcceptedConnection,
    router: Router,
    listener: HttpListener,
    closing: CancellationToken,
) {
    let request_seen = CancellationToken::new();
    let service = service_fn(|mut request: Request<Incoming>| {
        request_seen.cancel();
        request.extensions_mut().insert(ConnectInfo(address));
        let (answer, leaving) = (router.clone().oneshot(request), &listener.draining);
        async move {
            let mut answer = answer.await?;
            if leaving.is_cancelled() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    // With Nagle's algorithm an event would wait for the acknowledgment of the previous one. Failure is harmless.
    _ = stream.set_nodelay(true);
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(listener.timeouts.write));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(listener.timeouts.header_read).max_buf_size(MAX_HEADER_BYTES);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(Box::pin(stream)), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = closing.cancelled() => {
            // hyper would close a connection on which it has read no byte, although a request may be on its way.
            let ended_before_request = tokio::select! {
                biased;
                () = request_seen.cancelled() => None,
                ended = serving.as_mut() => Some(ended),
                () = tokio::time::sleep(FIRST_BYTE_GRACE) => Some(Ok(())),
            };
            match ended_before_request {
                Some(ended) => ended,
                None => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            }
        }
    };
    if let Err(error) = ended {
        // Caused by the client: it disconnected, sent no complete request, or did not read the response.
        tracing::debug!(%error, "connection closed with an error");
    }
    drop(permit);
}

fn is_client_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
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

    async fn start_server(doors: HttpListener) -> TestServer {
        let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (received, released) = (Arc::clone(&asked), Arc::clone(&go));
        let answer = async move || {
            received.notify_one();
            released.notified().await;
            "here you are"
        };
        TestServer {
            request_received: asked,
            send_response: go,
            ..start_server_with(doors, Router::new().route("/", get(answer))).await
        }
    }

    /// Starts a listener in front of `router`.
    async fn start_server_with(doors: HttpListener, router: Router) -> TestServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shut) = (listener.local_addr().unwrap(), CancellationToken::new());
        let shut_down = shut.clone().cancelled_owned();
        let running = tokio::spawn(doors.clone().serve(listener, router, shut_down));
        TestServer {
            address,
            listener: doors,
            request_received: Arc::default(),
            send_response: Arc::default(),
            shutdown: shut,
            running,
        }
    }

    async fn read_all(mut stream: TcpStream) -> String {
        let mut said = Vec::new();
        // A reset ends the response as well.
        _ = stream.read_to_end(&mut said).await;
        String::from_utf8(said).unwrap()
    }

    async fn connect_and_send(server: &TestServer, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    fn listener_with_timeouts(timeouts: Timeouts) -> HttpListener {
        HttpListener { timeouts, ..HttpListener::new(8) }
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
        let told = Arc::clone(&given_up);
        let endless = async move || {
            let guard = NotifyOnDrop(told);
            Body::from_stream(stream::repeat_with(move || {
                _ = &guard;
                Ok::<_, io::Error>("x".repeat(16 * 1024))
            }))
        };
        let doors =
            listener_with_timeouts(Timeouts { header_read: HEADER_READ_TIMEOUT, write: Duration::from_millis(100) });
        let house = start_server_with(doors, Router::new().route("/", get(endless))).await;
        let (_silent, mut reader) = (connect_and_send(&house, REQUEST).await, connect_and_send(&house, REQUEST).await);
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
        let house = start_server(HttpListener::new(8)).await;
        // Fills the buffer exactly: no byte stays unread, which would turn the response into a reset.
        let mut long = format!("GET / HTTP/1.1\r\nhost: here\r\nx-long: {}", "x".repeat(MAX_HEADER_BYTES));
        long.truncate(MAX_HEADER_BYTES);
        let said = read_all(connect_and_send(&house, long.as_bytes()).await).await;
        assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
    }

    #[tokio::test]
    async fn incomplete_headers_and_idle_connections_time_out() {
        let doors = listener_with_timeouts(Timeouts { header_read: Duration::from_millis(30), write: WRITE_TIMEOUT });
        let house = start_server(doors).await;
        for words in [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nhost: here\r\nx-slow: "] {
            let said = read_all(connect_and_send(&house, words).await).await;
            assert!(!said.contains("here you are"), "{said}");
        }
        house.send_response.notify_one();
        let said = read_all(connect_and_send(&house, REQUEST).await).await;
        assert!(said.ends_with("here you are"), "{said}");
    }

    #[tokio::test]
    async fn connection_over_the_limit_waits_for_a_free_permit() {
        let house = start_server(HttpListener::new(1)).await;
        let first = connect_and_send(&house, REQUEST).await;
        house.request_received.notified().await;
        let second = connect_and_send(&house, b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await;
        assert_eq!(house.listener.open_connections(), 1);
        drop(first);
        house.request_received.notified().await;
        house.send_response.notify_waiters();
        house.send_response.notify_one();
        assert!(read_all(second).await.ends_with("here you are"));
    }

    #[tokio::test]
    async fn draining_accepts_connections_and_closes_each_after_its_response() {
        let house =
            start_server_with(HttpListener::new(8), Router::new().route("/", get(async || "here you are"))).await;
        let (mut before, mut answer) = (connect_and_send(&house, REQUEST).await, String::new());
        while !answer.ends_with("here you are") {
            answer.push(char::from(before.read_u8().await.unwrap()));
        }
        assert!(!answer.contains("connection:"), "closed before draining: {answer}");
        house.listener.begin_drain();
        before.write_all(REQUEST).await.unwrap();
        for guest in [before, connect_and_send(&house, REQUEST).await] {
            let said = read_all(guest).await;
            assert!(said.contains("connection: close") && said.ends_with("here you are"), "{said}");
        }
        assert!(!house.running.is_finished());
    }

    #[tokio::test]
    async fn shutdown_does_not_wait_for_silent_connections() {
        let house = start_server(HttpListener::new(8)).await;
        let silent = connect_and_send(&house, b"").await;
        house.shutdown.cancel();
        // Well below the header timeout, which would end the connection too.
        tokio::time::timeout(HEADER_READ_TIMEOUT / 2, house.running).await.unwrap().unwrap().unwrap();
        assert_eq!(read_all(silent).await, "");
    }

    #[tokio::test]
    async fn shutdown_answers_open_connections_and_accepts_no_new_ones() {
        let house = start_server(HttpListener::new(8)).await;
        let inside = connect_and_send(&house, REQUEST).await;
        house.request_received.notified().await;
        // Possibly not accepted yet when the shutdown starts.
        let late = connect_and_send(&house, REQUEST).await;
        house.shutdown.cancel();
        house.request_received.notified().await;
        assert!(TcpStream::connect(house.address).await.is_err(), "the listener is still open");
        assert!(!house.running.is_finished());
        house.send_response.notify_waiters();
        for guest in [inside, late] {
            assert!(read_all(guest).await.ends_with("here you are"));
        }
        house.running.await.unwrap().unwrap();
        assert_eq!(house.listener.open_connections(), 0);
    }
}
