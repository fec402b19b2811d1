//! Pages that listen, thousands of them, each on a connection of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::house::House;
use crate::server::cli::Failed;

/// How many are being opened at a time.
const AT_ONCE: usize = 100;
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Crowd {
    open: Arc<AtomicUsize>,
    /// The moment at which each of them hears of an exchange.
    heard: UnboundedReceiver<Instant>,
    _listening: JoinSet<()>,
}

impl Crowd {
    pub async fn gather(house: &House, streams: usize) -> Result<Self, Failed> {
        let opened: Vec<TcpStream> =
            stream::iter(0..streams).map(|number| open(house, number)).buffer_unordered(AT_ONCE).try_collect().await?;
        let (hears, heard) = unbounded_channel();
        let count = Arc::new(AtomicUsize::new(opened.len()));
        let mut listening = JoinSet::new();
        for stream in opened {
            listening.spawn(listen(stream, hears.clone(), Arc::clone(&count)));
        }
        Ok(Self { open: count, heard, _listening: listening })
    }

    /// Milliseconds until half of them and all of them know what was just caused.
    pub async fn told(&mut self, house: &House) -> Result<(f64, f64), Failed> {
        let (streams, begun) = (self.left(), Instant::now());
        house.cause_an_event().await?;
        let mut after = Vec::with_capacity(streams);
        while after.len() < streams {
            let heard = timeout(PATIENCE, self.heard.recv()).await;
            let heard = heard.map_err(|_| format!("{} of {streams} streams were told", after.len()))?;
            after.push(heard.ok_or("nobody listens any more")?.duration_since(begun).as_secs_f64() * 1000.0);
        }
        after.sort_unstable_by(f64::total_cmp);
        Ok((after[streams / 2], after[streams - 1]))
    }

    /// How many still listen.
    pub fn left(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

async fn open(house: &House, number: usize) -> Result<TcpStream, Failed> {
    let mut stream = TcpStream::connect(house.address).await?;
    let (host, cookie) = (house.address, house.cookie(number));
    let ask =
        format!("GET /api/events HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\naccept: text/event-stream\r\n\r\n");
    stream.write_all(ask.as_bytes()).await?;
    let mut answer = Vec::new();
    // The first event says how to come back: from then on the stream stands.
    while !answer.windows(6).any(|six| six == b"retry:") {
        if timeout(PATIENCE, stream.read_buf(&mut answer)).await?? == 0 {
            return Err(format!("stream {number} was refused: {}", String::from_utf8_lossy(&answer)).into());
        }
    }
    Ok(stream)
}

async fn listen(mut stream: TcpStream, hears: UnboundedSender<Instant>, open: Arc<AtomicUsize>) {
    let mut part = [0; 1024];
    // An event is short and comes in one piece; signs of life are shorter.
    while let Ok(length @ 1..) = stream.read(&mut part).await {
        if part[..length].windows(14).any(|text| text == b"event: refresh") {
            // Nobody waits for it at the end.
            _ = hears.send(Instant::now());
        }
    }
    open.fetch_sub(1, Ordering::SeqCst);
}
