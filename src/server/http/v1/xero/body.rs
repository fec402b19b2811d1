//! The body of a program's call: kept if it is short, so that it can be sent again, else streamed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// The largest body that is kept.
const MAX_REPLAYED_BYTES: usize = 64 * 1024;

/// A call's body. Counts the bytes that are sent.
pub struct CallBody {
    source: Source,
    length: Option<u64>,
    sent: Arc<AtomicU64>,
}

enum Source {
    Kept(Bytes),
    /// What was read so far, and the rest. `None` once it was taken.
    Streamed(Option<(Bytes, BodyDataStream)>),
}

impl CallBody {
    /// Reads a body until it ends or is too long to be kept. `headers` are those of its request.
    pub async fn read(body: Body, headers: &HeaderMap) -> Result<Self, axum::Error> {
        let length = announced_length(headers);
        let mut rest = body.into_data_stream();
        let mut read = Vec::new();
        while let Some(chunk) = rest.next().await {
            read.extend_from_slice(&chunk?);
            if read.len() > MAX_REPLAYED_BYTES {
                return Ok(Self { source: Source::Streamed(Some((read.into(), rest))), length, sent: Arc::default() });
            }
        }
        Ok(Self { length: Some(read.len() as u64), source: Source::Kept(read.into()), sent: Arc::default() })
    }

    /// Returns the length of a streamed body, if the program has said it. Without `Content-Length` the body would be sent
    /// in chunks, which Xero refuses for attachments (411).
    pub fn streamed_length(&self) -> Option<u64> {
        self.length.filter(|_| !self.is_replayable())
    }

    /// Returns whether it can be sent again.
    pub fn is_replayable(&self) -> bool {
        matches!(self.source, Source::Kept(_))
    }

    /// Returns the count of the bytes that are sent.
    pub fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    /// Returns the body for one request; of a streamed one only once.
    pub fn take(&mut self) -> reqwest::Body {
        let sent = Arc::clone(&self.sent);
        match &mut self.source {
            Source::Kept(whole) => {
                sent.fetch_add(whole.len() as u64, Ordering::Relaxed);
                whole.clone().into()
            }
            Source::Streamed(unread) => match unread.take() {
                Some((read, rest)) => {
                    let whole = stream::iter([Ok(read)]).chain(rest);
                    let counted =
                        whole.inspect_ok(move |chunk| _ = sent.fetch_add(chunk.len() as u64, Ordering::Relaxed));
                    reqwest::Body::wrap_stream(counted)
                }
                None => reqwest::Body::from(Bytes::new()),
            },
        }
    }
}

/// Returns the length that the request's headers say. A body in chunks has none, whatever they say (RFC 9112, 6.3).
fn announced_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(CONTENT_LENGTH).filter(|_| !headers.contains_key(TRANSFER_ENCODING))?;
    length.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn short_body_is_kept_and_a_long_one_is_streamed() {
        let of_length = |length: u64| HeaderMap::from_iter([(CONTENT_LENGTH, length.into())]);
        let kept = vec![1; MAX_REPLAYED_BYTES];
        let mut short = CallBody::read(Body::from(kept), &of_length(MAX_REPLAYED_BYTES as u64)).await.unwrap();
        assert!(short.is_replayable() && short.streamed_length().is_none());
        drop((short.take(), short.take()));
        assert_eq!(short.sent().load(Ordering::Relaxed), 2 * MAX_REPLAYED_BYTES as u64);
        let chunks = stream::iter([40_000; 3]).map(|length| Ok::<_, std::io::Error>(vec![2; length]));
        let mut long = CallBody::read(Body::from_stream(chunks), &of_length(120_000)).await.unwrap();
        assert!(!long.is_replayable() && long.streamed_length() == Some(120_000));
        let sent = http_body_util::BodyExt::collect(long.take()).await.unwrap().to_bytes();
        assert_eq!((sent.len(), long.sent().load(Ordering::Relaxed)), (120_000, 120_000));
    }
    #[test]
    fn body_in_chunks_has_no_length() {
        let mut headers = HeaderMap::from_iter([(CONTENT_LENGTH, 5.into())]);
        assert_eq!(announced_length(&headers), Some(5));
        headers.insert(TRANSFER_ENCODING, "chunked".parse().unwrap());
        assert_eq!(announced_length(&headers), None);
        assert_eq!(announced_length(&HeaderMap::new()), None);
    }
}
