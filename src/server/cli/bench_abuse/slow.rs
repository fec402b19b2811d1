//! Clients that hold a connection and are slow: in what they ask, in what they send, and in what they take.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::house::House;
use crate::server::cli::Failed;

/// From one letter to the next.
const LETTER: Duration = Duration::from_secs(1);
/// Longer than any of them may go on.
const PATIENCE: Duration = Duration::from_secs(180);

/// How many are slow in which way.
pub struct SlowWays {
    pub heads: usize,
    pub forms: usize,
    pub deaf: usize,
}

/// How one of them was ended: after how many seconds, and with which answer.
type End = (f64, String);

pub struct Slow(Vec<(&'static str, JoinSet<Result<End, Failed>>)>);

impl Slow {
    pub async fn begin(house: &House, ways: SlowWays) -> Result<Self, Failed> {
        let host = house.address;
        let head = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nx-slow: ");
        let form = format!(
            "POST /api/session/login HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: 4096\r\n\r\nemail="
        );
        let page = format!("GET /login HTTP/1.1\r\nhost: {host}\r\naccept: text/html\r\n\r\n");
        let (mut heads, mut forms, mut deaf) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        for stream in knock(host, &head, ways.heads).await? {
            heads.spawn(letter_by_letter(stream));
        }
        for stream in knock(host, &form, ways.forms).await? {
            forms.spawn(letter_by_letter(stream));
        }
        for stream in knock(host, &page, ways.deaf).await? {
            deaf.spawn(without_reading(stream));
        }
        Ok(Self(vec![("heads letter by letter", heads), ("forms letter by letter", forms), ("pages unread", deaf)]))
    }

    /// How each kind of them ended.
    pub async fn ends(self) -> Result<Vec<(&'static str, String)>, Failed> {
        let mut all = Vec::new();
        for (way, mut clients) in self.0 {
            let mut ends: Vec<End> = Vec::new();
            while let Some(end) = clients.join_next().await {
                ends.push(end??);
            }
            ends.sort_by(|one, other| one.0.total_cmp(&other.0));
            let Some(((first, _), (last, answer))) = ends.first().zip(ends.last()) else { continue };
            let alike = ends.iter().filter(|end| end.1 == *answer).count();
            let count = ends.len();
            all.push((way, format!("{count} ended after {first:.1} to {last:.1} s, {alike} of them with {answer}")));
        }
        Ok(all)
    }
}

async fn knock(host: SocketAddr, words: &str, count: usize) -> Result<Vec<TcpStream>, Failed> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(words.as_bytes()).await?;
        streams.push(stream);
    }
    Ok(streams)
}

/// Sends one letter after the other until the server has had enough.
async fn letter_by_letter(mut stream: TcpStream) -> Result<End, Failed> {
    let (begun, mut answer) = (Instant::now(), Vec::new());
    let (mut reading, mut writing) = stream.split();
    let mut ended = std::pin::pin!(reading.read_to_end(&mut answer));
    loop {
        tokio::select! {
            // A reset is an end too.
            _ = &mut ended => break,
            () = sleep(LETTER) => {
                // Where it can't be sent any more, the other side says so.
                _ = writing.write_all(b"x").await;
            }
        }
        if begun.elapsed() > PATIENCE {
            return Err("a slow client was never sent away".into());
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or("no answer").to_owned();
    Ok((begun.elapsed().as_secs_f64(), status))
}

/// Waits, with the answer in the kernel's hands, until the server closes.
async fn without_reading(stream: TcpStream) -> Result<End, Failed> {
    let begun = Instant::now();
    let closed = async {
        while !stream.ready(Interest::READABLE).await?.is_read_closed() {
            sleep(Duration::from_millis(100)).await;
        }
        Ok::<_, Failed>(())
    };
    timeout(PATIENCE, closed).await.map_err(|_| "a deaf client was never sent away")??;
    Ok((begun.elapsed().as_secs_f64(), "its page".to_owned()))
}
