//! Clients that read event streams, each on its own connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::test_server::TestServer;
use crate::BenchError;

/// How many streams are opened at once.
const CONNECT_CONCURRENCY: usize = 100;
/// How long a stream has to open, or to receive an event.
const STREAM_TIMEOUT: Duration = Duration::from_secs(30);

/// Open event streams.
pub struct LoadClients {
    open: Arc<AtomicUsize>,
    /// When each stream received a refresh event.
    received: UnboundedReceiver<Instant>,
    _readers: JoinSet<()>,
}

impl LoadClients {
    /// Opens the streams. Fails if the server refuses one.
    pub async fn connect(server: &TestServer, streams: usize) -> Result<Self, BenchError> {
        let opened: Vec<TcpStream> = stream::iter(0..streams)
            .map(|number| open_stream(server, number))
            .buffer_unordered(CONNECT_CONCURRENCY)
            .try_collect()
            .await?;
        let (sender, received) = unbounded_channel();
        let count = Arc::new(AtomicUsize::new(opened.len()));
        let mut readers = JoinSet::new();
        for stream in opened {
            readers.spawn(read_events(stream, sender.clone(), Arc::clone(&count)));
        }
        Ok(Self { open: count, received, _readers: readers })
    }

    /// Causes an event. Returns the milliseconds until half of the streams and all of them have received it.
    pub async fn measure_event_latency(&mut self, server: &TestServer) -> Result<(f64, f64), BenchError> {
        let (streams, begun) = (self.open_streams(), Instant::now());
        server.trigger_event().await?;
        let mut after = Vec::with_capacity(streams);
        while after.len() < streams {
            let received = timeout(STREAM_TIMEOUT, self.received.recv()).await;
            let received =
                received.map_err(|_| format!("only {} of {streams} streams received the event", after.len()))?;
            after.push(received.ok_or("all streams are closed")?.duration_since(begun).as_secs_f64() * 1000.0);
        }
        after.sort_unstable_by(f64::total_cmp);
        Ok((after[streams / 2], after[streams - 1]))
    }

    /// Returns how many streams are still open.
    pub fn open_streams(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

async fn open_stream(server: &TestServer, number: usize) -> Result<TcpStream, BenchError> {
    let mut stream = TcpStream::connect(server.address).await?;
    let (host, cookie) = (server.address, server.session_cookie(number));
    let request =
        format!("GET /api/events HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\naccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    // The first event sets the retry interval: from then on the stream is established.
    while !response.windows(6).any(|six| six == b"retry:") {
        if timeout(STREAM_TIMEOUT, stream.read_buf(&mut response)).await?? == 0 {
            return Err(format!("stream {number} was refused: {}", String::from_utf8_lossy(&response)).into());
        }
    }
    Ok(stream)
}

async fn read_events(mut stream: TcpStream, sender: UnboundedSender<Instant>, open: Arc<AtomicUsize>) {
    let mut part = [0; 1024];
    // An event is short and arrives in one read; keep-alives are shorter.
    while let Ok(length @ 1..) = stream.read(&mut part).await {
        if part[..length].windows(14).any(|text| text == b"event: refresh") {
            // The receiver is gone at the end of the run.
            _ = sender.send(Instant::now());
        }
    }
    open.fetch_sub(1, Ordering::SeqCst);
}
