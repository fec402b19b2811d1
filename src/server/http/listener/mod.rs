//! Accepts TCP connections up to a limit, enforces read and write timeouts, and drains in-flight requests on shutdown.
//!
//! `axum::serve` has no write timeout, no limit on headers, and closes connections whose first request is on its way.

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

use crate::server::config::ServingConfig;

/// The time a client has to send a request's headers, and the time an idle connection stays open.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one write may block because the client does not read. A slow reader gets this long for each write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest request header block, and the most that is buffered per connection and direction. Bounds memory: each
/// open connection may hold one incomplete header block.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// At shutdown, how long a connection that has not sent a byte is kept open.
const FIRST_BYTE_GRACE: Duration = Duration::from_secs(2);
/// At shutdown, how long the requests in flight may take: as long as any request.
const REQUEST_DRAIN_TIMEOUT: Duration = Duration::from_secs(150);
/// The pause after `accept` fails for a reason of our own, such as too many open files.
const ACCEPT_BACKOFF: Duration = Duration::from_secs(1);

/// Limits and counts open connections, and knows whether the server is draining. Cheap to clone.
#[derive(Clone)]
pub struct HttpListener {
    permits: Arc<Semaphore>,
    max_connections: usize,
    timeouts: Timeouts,
    /// How long requests are accepted after the shutdown begins.
    drain: Duration,
    draining: CancellationToken,
    /// Canceled after the drain: endless responses end, and connections close after the request in flight.
    closing: CancellationToken,
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
    /// Creates a listener with these limits. Cancels `closing` at shutdown, once it has drained.
    pub fn new(serving: &ServingConfig, closing: CancellationToken) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(serving.max_connections)),
            max_connections: serving.max_connections,
            timeouts: Timeouts { header_read: HEADER_READ_TIMEOUT, write: WRITE_TIMEOUT },
            drain: serving.drain,
            draining: CancellationToken::new(),
            closing,
        }
    }

    /// Starts draining: every further response carries `Connection: close`, so that a proxy with pooled connections
    /// gives them up without losing a request. New connections are still accepted.
    fn begin_drain(&self) {
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

    /// Serves until `shutdown` completes, drains, then finishes the requests in flight. Fails if the socket can't be
    /// converted.
    pub async fn serve(
        &self,
        socket: TcpListener,
        router: Router,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let connections = TaskTracker::new();
        let spawn_connection =
            |accepted: AcceptedConnection| connections.spawn(serve_connection(accepted, router.clone(), self.clone()));
        let mut drained = pin!(async {
            shutdown.await;
            self.begin_drain();
            tokio::time::sleep(self.drain).await;
        });
        loop {
            tokio::select! {
                biased;
                () = &mut drained => break,
                accepted = self.accept(&socket) => spawn_connection(accepted),
            };
        }
        // Also if the rest fails: the event streams have to end.
        self.closing.cancel();
        // Connections that the kernel has completed but we have not accepted yet.
        let socket = socket.into_std()?;
        while let Some(accepted) = self.try_accept(&socket) {
            spawn_connection(accepted);
        }
        drop(socket);
        connections.close();
        if tokio::time::timeout(REQUEST_DRAIN_TIMEOUT, connections.wait()).await.is_err() {
            tracing::warn!(open = connections.len(), "closing connections whose requests did not end");
        }
        Ok(())
    }

    async fn accept(&self, socket: &TcpListener) -> AcceptedConnection {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { continue };
            match socket.accept().await {
                Ok((stream, address)) => return (stream, address, permit),
                Err(error) if is_client_error(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "failed to accept a connection, will retry");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    /// Accepts a connection that already waits, if the limit allows it.
    fn try_accept(&self, socket: &StdListener) -> Option<AcceptedConnection> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let accept = || -> io::Result<_> {
            let (stream, address) = socket.accept()?;
            stream.set_nonblocking(true)?;
            Ok((TcpStream::from_std(stream)?, address))
        };
        match accept() {
            Ok((stream, address)) => Some((stream, address, permit)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => {
                tracing::debug!(%error, "failed to accept a waiting connection");
                None
            }
        }
    }
}

/// Serves the requests of one connection in sequence.
async fn serve_connection((stream, address, permit): AcceptedConnection, router: Router, listener: HttpListener) {
    let request_seen = CancellationToken::new();
    let service = service_fn(|mut request: Request<Incoming>| {
        request_seen.cancel();
        request.extensions_mut().insert(ConnectInfo(address));
        let (responding, draining) = (router.clone().oneshot(request), &listener.draining);
        async move {
            let mut response = responding.await?;
            if draining.is_cancelled() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
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
        () = listener.closing.cancelled() => {
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
mod tests;
