//! The doors: connections come in, so many at a time; each has a while to say what it wants, and to take what it asked
//! for; and at the end everybody who is in is answered and nobody else gets in.

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

/// How long a request's head may take, and how long a connection stays open on which nothing is asked.
const HEAD: Duration = Duration::from_secs(30);
/// How long an answer waits of which nobody takes anything. Who reads slowly has as long for each part of it.
const UNREAD: Duration = Duration::from_secs(60);
/// The longest head, and the most that is kept of a connection's bytes either way. A head has to be kept until it is
/// whole, and as many may be on their way as there are places.
const HEAD_BYTES: usize = 64 * 1024;
/// How long who came in without a word is waited for at the end.
const LAST_WORD: Duration = Duration::from_secs(2);
/// Where no connection can be taken in, as with too many open files: until the next try.
const REST: Duration = Duration::from_secs(1);

/// How many may be in at a time, and how many are. Cheap to clone.
#[derive(Clone)]
pub struct Doors {
    places: Arc<Semaphore>,
    most: usize,
    patience: Patience,
    leaving: CancellationToken,
}

/// How long a guest may be slow: in saying what they want, and in taking it.
#[derive(Clone, Copy)]
struct Patience {
    head: Duration,
    unread: Duration,
}

/// Who came in, and their place.
type Guest = (TcpStream, SocketAddr, OwnedSemaphorePermit);

impl Doors {
    pub fn new(most: usize) -> Self {
        let patience = Patience { head: HEAD, unread: UNREAD };
        Self { places: Arc::new(Semaphore::new(most)), most, patience, leaving: CancellationToken::new() }
    }

    /// From now on each answer is its connection's last, so that a proxy that keeps connections lets go of them one by
    /// one, with nothing lost; whoever comes is still let in.
    pub fn leave(&self) {
        self.leaving.cancel();
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.most.saturating_sub(self.places.available_permits())
    }

    /// How many of them may be streams that stay: the others are for who wants something.
    pub fn streams(&self) -> usize {
        self.most / 4 * 3
    }

    /// Serves until `shutdown`, and then until everybody who is in has been answered.
    pub async fn serve(
        self,
        listener: TcpListener,
        router: Router,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let (closing, inside) = (CancellationToken::new(), TaskTracker::new());
        let welcome = |guest: Guest| inside.spawn(attend(guest, router.clone(), self.clone(), closing.clone()));
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                guest = self.next(&listener) => welcome(guest),
            };
        }
        // The kernel has let some in that we haven't seen yet.
        let listener = listener.into_std()?;
        while let Some(guest) = self.last(&listener) {
            welcome(guest);
        }
        drop(listener);
        closing.cancel();
        inside.close();
        inside.wait().await;
        Ok(())
    }

    async fn next(&self, listener: &TcpListener) -> Guest {
        loop {
            // Never closed.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { continue };
            match listener.accept().await {
                Ok((stream, address)) => return (stream, address, place),
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be taken in; trying again");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    fn last(&self, listener: &StdListener) -> Option<Guest> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let (stream, address) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, address, place))
    }
}

/// Answers one connection's requests, one after the other.
async fn attend((stream, address, place): Guest, router: Router, doors: Doors, closing: CancellationToken) {
    let spoke = CancellationToken::new();
    let service = service_fn(|mut request: Request<Incoming>| {
        spoke.cancel();
        request.extensions_mut().insert(ConnectInfo(address));
        let (answer, leaving) = (router.clone().oneshot(request), &doors.leaving);
        async move {
            let mut answer = answer.await?;
            if leaving.is_cancelled() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    // Without it an event waits for the acknowledgement of the one before; where it can't be had, so be it.
    _ = stream.set_nodelay(true);
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(doors.patience.unread));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(doors.patience.head).max_buf_size(HEAD_BYTES);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(Box::pin(stream)), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = closing.cancelled() => {
            // hyper would turn away whom it hasn't read a word of, though the word may be on its way.
            let before_a_word = tokio::select! {
                biased;
                () = spoke.cancelled() => None,
                ended = serving.as_mut() => Some(ended),
                () = tokio::time::sleep(LAST_WORD) => Some(Ok(())),
            };
            match before_a_word {
                Some(ended) => ended,
                None => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            }
        }
    };
    if let Err(error) = ended {
        // The other side's business: it went away, didn't say what it wanted, or didn't take it.
        tracing::debug!(%error, "a connection ended");
    }
    drop(place);
}

fn is_the_clients(error: &io::Error) -> bool {
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

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

    /// Doors of a house whose one answer waits until it is let go.
    struct House {
        address: SocketAddr,
        doors: Doors,
        asked: Arc<Notify>,
        go: Arc<Notify>,
        shut: CancellationToken,
        running: JoinHandle<io::Result<()>>,
    }

    async fn house(doors: Doors) -> House {
        let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (hears, waits) = (Arc::clone(&asked), Arc::clone(&go));
        let answer = async move || {
            hears.notify_one();
            waits.notified().await;
            "here you are"
        };
        House { asked, go, ..inhabited(doors, Router::new().route("/", get(answer))).await }
    }

    /// The same with other answers.
    async fn inhabited(doors: Doors, router: Router) -> House {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shut) = (listener.local_addr().unwrap(), CancellationToken::new());
        let told = shut.clone().cancelled_owned();
        let running = tokio::spawn(doors.clone().serve(listener, router, told));
        House { address, doors, asked: Arc::default(), go: Arc::default(), shut, running }
    }

    async fn rest_of(mut stream: TcpStream) -> String {
        let mut said = Vec::new();
        // A reset is an end too.
        _ = stream.read_to_end(&mut said).await;
        String::from_utf8(said).unwrap()
    }

    async fn knock(house: &House, words: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        stream.write_all(words).await.unwrap();
        stream
    }

    fn impatient(patience: Patience) -> Doors {
        Doors { patience, ..Doors::new(8) }
    }

    /// Says when it is dropped.
    struct Dropped(Arc<Notify>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_is_sent_away_and_who_reads_on_is_served() {
        let given_up = Arc::new(Notify::new());
        let told = Arc::clone(&given_up);
        let endless = async move || {
            let guard = Dropped(told);
            Body::from_stream(stream::repeat_with(move || {
                _ = &guard;
                Ok::<_, io::Error>("x".repeat(16 * 1024))
            }))
        };
        let doors = impatient(Patience { head: HEAD, unread: Duration::from_millis(100) });
        let house = inhabited(doors, Router::new().route("/", get(endless))).await;
        let (_silent, mut reader) = (knock(&house, ASK).await, knock(&house, ASK).await);
        let mut part = vec![0; 64 * 1024];
        let reads_on = async {
            loop {
                reader.read_exact(&mut part).await.expect("who reads is served");
            }
        };
        tokio::select! {
            () = given_up.notified() => {}
            () = reads_on => {}
        }
        reader.read_exact(&mut part).await.expect("the one who was silent was given up");
    }

    #[tokio::test]
    async fn a_head_longer_than_anybody_needs_is_refused() {
        let house = house(Doors::new(8)).await;
        // As much as is kept, and still no end: nothing is left unread that would turn the answer into a reset.
        let mut long = format!("GET / HTTP/1.1\r\nhost: here\r\nx-long: {}", "x".repeat(HEAD_BYTES));
        long.truncate(HEAD_BYTES);
        let said = rest_of(knock(&house, long.as_bytes()).await).await;
        assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
    }

    #[tokio::test]
    async fn who_does_not_finish_a_head_is_sent_away_and_so_is_who_asks_nothing_more() {
        let doors = impatient(Patience { head: Duration::from_millis(30), unread: UNREAD });
        let house = house(doors).await;
        for words in [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nhost: here\r\nx-slow: "] {
            let said = rest_of(knock(&house, words).await).await;
            assert!(!said.contains("here you are"), "{said}");
        }
        house.go.notify_one();
        let said = rest_of(knock(&house, ASK).await).await;
        assert!(said.ends_with("here you are"), "{said}");
    }

    #[tokio::test]
    async fn whoever_comes_when_the_house_is_full_waits_until_somebody_leaves() {
        let house = house(Doors::new(1)).await;
        let first = knock(&house, ASK).await;
        house.asked.notified().await;
        let second = knock(&house, b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await;
        assert_eq!(house.doors.open(), 1);
        drop(first);
        house.asked.notified().await;
        house.go.notify_waiters();
        house.go.notify_one();
        assert!(rest_of(second).await.ends_with("here you are"));
    }

    #[tokio::test]
    async fn who_leaves_lets_everybody_in_and_keeps_no_connection() {
        let house = inhabited(Doors::new(8), Router::new().route("/", get(async || "here you are"))).await;
        let (mut before, mut answer) = (knock(&house, ASK).await, String::new());
        while !answer.ends_with("here you are") {
            answer.push(char::from(before.read_u8().await.unwrap()));
        }
        assert!(!answer.contains("connection:"), "it may ask again: {answer}");
        house.doors.leave();
        before.write_all(ASK).await.unwrap();
        for guest in [before, knock(&house, ASK).await] {
            let said = rest_of(guest).await;
            assert!(said.contains("connection: close") && said.ends_with("here you are"), "{said}");
        }
        assert!(!house.running.is_finished());
    }

    #[tokio::test]
    async fn at_the_end_nobody_is_waited_for_who_says_nothing() {
        let house = house(Doors::new(8)).await;
        let silent = knock(&house, b"").await;
        house.shut.cancel();
        // Half a minute would be the head's time.
        tokio::time::timeout(HEAD / 2, house.running).await.unwrap().unwrap().unwrap();
        assert_eq!(rest_of(silent).await, "");
    }

    #[tokio::test]
    async fn at_the_end_who_is_in_is_answered_and_nobody_else_gets_in() {
        let house = house(Doors::new(8)).await;
        let inside = knock(&house, ASK).await;
        house.asked.notified().await;
        // Known to the kernel alone, perhaps, when the end comes.
        let late = knock(&house, ASK).await;
        house.shut.cancel();
        house.asked.notified().await;
        assert!(TcpStream::connect(house.address).await.is_err(), "still open");
        assert!(!house.running.is_finished());
        house.go.notify_waiters();
        for guest in [inside, late] {
            assert!(rest_of(guest).await.ends_with("here you are"));
        }
        house.running.await.unwrap().unwrap();
        assert_eq!(house.doors.open(), 0);
    }
}
