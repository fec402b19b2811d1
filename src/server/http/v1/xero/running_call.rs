//! A call that was begun: its turn, its size, and the stream of its response. However it ends, it is counted.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use reqwest::Response;
use tokio::time::timeout;

use crate::server::domain::Binding;
use crate::server::http::state::XeroProxy;
use crate::server::proxy::{CallSize, Turn};
use crate::server::store::ApiKeyRow;
use crate::server::telemetry::metrics::ProxiedCall;

/// How long Xero may take between two parts of a response.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A call that was begun. It is counted when it is dropped.
pub struct RunningCall {
    /// `None` once Xero has ended the call.
    turn: Option<Turn>,
    proxy: XeroProxy,
    key: ApiKeyRow,
    binding: Binding,
    from: IpAddr,
    sent: Arc<AtomicU64>,
    received: u64,
    outcome: ProxiedCall,
}

impl RunningCall {
    /// Begins a call in its turn. `sent` counts the bytes of its body.
    pub fn new(
        turn: Turn,
        proxy: &XeroProxy,
        (key, binding, from): (&ApiKeyRow, &Binding, IpAddr),
        sent: Arc<AtomicU64>,
    ) -> Self {
        let (turn, proxy, key, binding) = (Some(turn), proxy.clone(), key.clone(), binding.clone());
        Self { turn, proxy, key, binding, from, sent, received: 0, outcome: ProxiedCall::NoAnswer }
    }

    /// Returns the call's turn, until Xero has ended the call.
    pub fn turn(&self) -> Option<&Turn> {
        self.turn.as_ref()
    }

    /// Notes that Xero was not reached.
    pub fn not_sent(mut self) {
        self.outcome = ProxiedCall::Unreachable;
        self.end();
    }

    /// Notes that Xero has answered with `bytes`, all of which were read.
    pub fn answered(mut self, bytes: usize) {
        self.outcome = ProxiedCall::Answered;
        self.received = bytes as u64;
        self.end();
    }

    /// Returns the response's body, of which `begun` was read. It ends the call with its last byte.
    pub fn stream(mut self, begun: Bytes, response: Response) -> Body {
        self.outcome = ProxiedCall::Answered;
        // A body of known length is not asked for more than that.
        let length = response.content_length();
        self.received = begun.len() as u64;
        self.end_if_received(length);
        let rest = stream::try_unfold((self, response), move |(mut call, mut response)| async move {
            let chunk = timeout(STALL_TIMEOUT, response.chunk()).await.map_err(|_| io::ErrorKind::TimedOut)?;
            let chunk: Option<Bytes> = chunk.map_err(|error| io::Error::other(error.without_url()))?;
            let Some(chunk) = chunk else {
                call.end();
                return Ok(None);
            };
            call.received += chunk.len() as u64;
            call.end_if_received(length);
            Ok::<_, io::Error>(Some((chunk, (call, response))))
        });
        if begun.is_empty() {
            return Body::from_stream(rest);
        }
        Body::from_stream(stream::iter([Ok(begun)]).chain(rest))
    }

    fn end_if_received(&mut self, length: Option<u64>) {
        if length.is_some_and(|length| self.received >= length) {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(turn) = self.turn.take() {
            turn.finish();
        }
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        let size = CallSize { sent: self.sent.load(Ordering::Relaxed), received: self.received };
        self.proxy.metrics.count_proxied_call(self.outcome, size.sent, size.received);
        if self.outcome != ProxiedCall::Unreachable {
            self.proxy.usage.record(&self.key, &self.binding, self.from, size);
        }
    }
}
