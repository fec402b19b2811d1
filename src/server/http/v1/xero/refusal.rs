//! A 401 or 403 of Xero's: read, because it says whether the token, a scope or the tenant is refused.

use std::io::Read as _;

use axum::body::Bytes;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::model::ProblemCode;

/// The largest body of a refusal that is read to find out what was refused, also after it was decompressed.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// A 401 or 403 of Xero's, with its whole body.
pub struct Refusal {
    status: StatusCode,
    detail: String,
    /// As Xero sent it.
    pub body: Bytes,
}

/// What a response is.
pub enum Seen {
    /// A refusal.
    Refusal(Refusal),
    /// Anything else. These first bytes of its body were read.
    Other(Bytes),
}

/// The body of a refusal did not arrive.
pub struct Incomplete;

/// The body of Xero's refusals; keys are seen in either case.
#[derive(Deserialize)]
struct RefusalBody {
    #[serde(alias = "Detail", default)]
    detail: String,
}

impl Refusal {
    /// Reads the body of a 401 or 403 until `deadline`. A body that is too long for a refusal is passed on like any
    /// other. Fails if the body ends before its time.
    pub async fn read(response: &mut reqwest::Response, deadline: Instant) -> Result<Seen, Incomplete> {
        let status = response.status();
        let is_short = response.content_length().is_none_or(|length| length <= MAX_REFUSAL_BYTES as u64);
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) || !is_short {
            return Ok(Seen::Other(Bytes::new()));
        }
        let mut body = Vec::new();
        loop {
            let chunk = timeout_at(deadline, response.chunk()).await.map_err(|_| Incomplete)?;
            let Some(chunk) = chunk.map_err(|_| Incomplete)? else { break };
            body.extend_from_slice(&chunk);
            if body.len() > MAX_REFUSAL_BYTES {
                return Ok(Seen::Other(body.into()));
            }
        }
        let detail = detail_of(&body, response.headers());
        Ok(Seen::Refusal(Self { status, detail, body: body.into() }))
    }

    /// Returns whether the token has expired. Xero has processed nothing then.
    pub fn is_expired_token(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED && self.detail.starts_with("TokenExpired")
    }

    /// Returns the problem that concerns the connection. `None` for what concerns the call alone.
    pub fn problem(&self) -> Option<ProblemCode> {
        match (self.status, self.detail.as_str()) {
            (StatusCode::UNAUTHORIZED, "AuthorizationUnsuccessful") => Some(ProblemCode::XeroScopeMissing),
            (StatusCode::FORBIDDEN, "AuthenticationUnsuccessful") => Some(ProblemCode::XeroTenantGone),
            _ => None,
        }
    }
}

/// Returns what a refusal says. It is compressed if the program accepts that; gzip is the only coding that we pass on.
fn detail_of(body: &[u8], headers: &HeaderMap) -> String {
    let coding = headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parsed = if coding.trim().eq_ignore_ascii_case("gzip") {
        let mut plain = Vec::new();
        let limited = MultiGzDecoder::new(body).take(MAX_REFUSAL_BYTES as u64).read_to_end(&mut plain);
        limited.ok().and_then(|_| serde_json::from_slice::<RefusalBody>(&plain).ok())
    } else {
        serde_json::from_slice(body).ok()
    };
    parsed.map(|body| body.detail).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn refusal_is_understood_plain_and_compressed() {
        let body = br#"{"Type":null,"Title":"Forbidden","Status":403,"Detail":"AuthenticationUnsuccessful"}"#;
        assert_eq!(detail_of(body, &HeaderMap::new()), "AuthenticationUnsuccessful");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        let compressed = encoder.finish().unwrap();
        let gzip = HeaderMap::from_iter([(CONTENT_ENCODING, "gzip".parse().unwrap())]);
        assert_eq!(detail_of(&compressed, &gzip), "AuthenticationUnsuccessful");
        assert_eq!(detail_of(b"not gzip", &gzip), "");
        assert_eq!(detail_of(br#"{"detail":"lower case"}"#, &HeaderMap::new()), "lower case");
    }
}
