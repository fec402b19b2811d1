//! Slow clients: they send a header or a form byte by byte, or don't read the response.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::test_server::TestServer;
use crate::BenchError;

/// The time between two bytes.
const BYTE_INTERVAL: Duration = Duration::from_secs(1);
/// The longest that the server may keep a slow client.
const MAX_CONNECTION_TIME: Duration = Duration::from_secs(180);

/// How many clients are slow in which way.
pub struct SlowClientCounts {
    pub slow_headers: usize,
    pub slow_forms: usize,
    pub unread_pages: usize,
}

/// How a client's connection ended: after how many seconds, and with which response.
type ConnectionEnd = (f64, String);

/// Running slow clients, by kind.
pub struct SlowClients(Vec<(&'static str, JoinSet<Result<ConnectionEnd, BenchError>>)>);

impl SlowClients {
    /// Connects the clients and starts them.
    pub async fn start(server: &TestServer, counts: SlowClientCounts) -> Result<Self, BenchError> {
        let host = server.address;
        let head = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nx-slow: ");
        let form = format!(
            "POST /api/session/login HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: 4096\r\n\r\nemail="
        );
        let page = format!("GET /login HTTP/1.1\r\nhost: {host}\r\naccept: text/html\r\n\r\n");
        let (mut heads, mut forms, mut unread) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        for stream in connect_all(host, &head, counts.slow_headers).await? {
            heads.spawn(send_byte_by_byte(stream));
        }
        for stream in connect_all(host, &form, counts.slow_forms).await? {
            forms.spawn(send_byte_by_byte(stream));
        }
        for stream in connect_all(host, &page, counts.unread_pages).await? {
            unread.spawn(wait_without_reading(stream));
        }
        Ok(Self(vec![("headers byte by byte", heads), ("forms byte by byte", forms), ("unread pages", unread)]))
    }

    /// Waits until all connections have ended. Returns a summary per kind.
    pub async fn wait_for_ends(self) -> Result<Vec<(&'static str, String)>, BenchError> {
        let mut all = Vec::new();
        for (kind, mut clients) in self.0 {
            let mut ends: Vec<ConnectionEnd> = Vec::new();
            while let Some(end) = clients.join_next().await {
                ends.push(end??);
            }
            ends.sort_by(|one, other| one.0.total_cmp(&other.0));
            let Some(((first, _), (last, response))) = ends.first().zip(ends.last()) else { continue };
            let alike = ends.iter().filter(|end| end.1 == *response).count();
            let count = ends.len();
            all.push((kind, format!("{count} ended after {first:.1} to {last:.1} s, {alike} of them with {response}")));
        }
        Ok(all)
    }
}

async fn connect_all(host: SocketAddr, request: &str, count: usize) -> Result<Vec<TcpStream>, BenchError> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(request.as_bytes()).await?;
        streams.push(stream);
    }
    Ok(streams)
}

/// Sends a byte per interval until the server closes the connection.
async fn send_byte_by_byte(mut stream: TcpStream) -> Result<ConnectionEnd, BenchError> {
    let (begun, mut response) = (Instant::now(), Vec::new());
    let (mut reading, mut writing) = stream.split();
    let mut ended = std::pin::pin!(reading.read_to_end(&mut response));
    loop {
        tokio::select! {
            // A reset ends it too.
            _ = &mut ended => break,
            () = sleep(BYTE_INTERVAL) => {
                // A failed write shows on the read side.
                _ = writing.write_all(b"x").await;
            }
        }
        if begun.elapsed() > MAX_CONNECTION_TIME {
            return Err("a slow client was never disconnected".into());
        }
    }
    let response = String::from_utf8_lossy(&response);
    let status = response.split(' ').nth(1).unwrap_or("no response").to_owned();
    Ok((begun.elapsed().as_secs_f64(), status))
}

/// Leaves the response unread in the kernel's buffer until the server closes the connection.
async fn wait_without_reading(stream: TcpStream) -> Result<ConnectionEnd, BenchError> {
    let begun = Instant::now();
    let closed = async {
        while !stream.ready(Interest::READABLE).await?.is_read_closed() {
            sleep(Duration::from_millis(100)).await;
        }
        Ok::<_, BenchError>(())
    };
    timeout(MAX_CONNECTION_TIME, closed).await.map_err(|_| "a client that doesn't read was never disconnected")??;
    Ok((begun.elapsed().as_secs_f64(), "its page".to_owned()))
}
