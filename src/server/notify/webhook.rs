//! Posts a signed event to a webhook URL.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};

use super::egress::{DnsLookup, EgressPolicy, GuardedResolver, Transport, system_lookup};
use crate::model::AddressProblem;
use crate::server::crypto::webhook_key::WebhookKey;
use crate::server::domain::{Secret, parse_retry_after};
use crate::server::outbound::with_shared_roots;

/// The timeout from connecting to the end of the response (Standard Webhooks recommends 15 to 30 seconds).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of the response's body is read and discarded. Only the status matters.
const MAX_RESPONSE_BYTES: usize = 8 * 1024;

/// Sends webhooks. Cheap to clone.
#[derive(Clone)]
pub struct WebhookClient {
    egress_policy: EgressPolicy,
    /// One client for https and one for plain http, because the policy permits them different addresses.
    https_client: Client,
    http_client: Client,
}

/// The request to send.
pub struct WebhookMessage<'a> {
    pub url: &'a str,
    pub id: &'a str,
    pub timestamp: i64,
    pub body: &'a str,
    pub secrets: &'a [Secret],
}

/// The result of a post.
#[derive(Clone, Debug, PartialEq)]
pub enum PostOutcome {
    /// A 2xx status.
    Accepted(u16),
    /// Status 410: the receiver wants no more events.
    Gone,
    /// Any other status.
    Rejected { status: u16, retry_after: Option<Duration> },
    /// No valid response, with a short description that does not contain the address.
    NoResponse(&'static str),
}

impl WebhookClient {
    /// Builds a client that uses the system's resolver.
    pub fn new(reach: EgressPolicy) -> Result<Self, reqwest::Error> {
        Self::with_lookup(reach, system_lookup())
    }

    /// Builds a client with the given resolver.
    pub fn with_lookup(reach: EgressPolicy, lookup: DnsLookup) -> Result<Self, reqwest::Error> {
        let client = |transport| {
            let checked = GuardedResolver { policy: reach.clone(), lookup: lookup.clone(), transport };
            with_shared_roots(Client::builder())
                .user_agent(concat!("evergrant/", env!("CARGO_PKG_VERSION")))
                .timeout(REQUEST_TIMEOUT)
                .connect_timeout(CONNECT_TIMEOUT)
                // A redirect would bypass the check of the URL, and a proxy would resolve names itself.
                .redirect(Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .no_proxy()
                .dns_resolver(checked)
                // No connection is reused, so every delivery resolves and checks the name again.
                .pool_max_idle_per_host(0)
                .https_only(transport == Transport::Https)
                .build()
        };
        Ok(Self {
            https_client: client(Transport::Https)?,
            http_client: client(Transport::Http)?,
            egress_policy: reach,
        })
    }

    /// Returns the policy that URLs are checked against.
    pub fn egress_policy(&self) -> &EgressPolicy {
        &self.egress_policy
    }

    /// Signs and posts an event, without retries.
    pub async fn post(&self, message: WebhookMessage<'_>) -> PostOutcome {
        // The policy may have changed since the URL was added, and a literal IP address never reaches the resolver.
        let url = match self.egress_policy.check_url(message.url) {
            Ok(url) => url,
            Err(error) => return PostOutcome::NoResponse(address_problem_text(error)),
        };
        let client = if url.scheme() == "http" { &self.http_client } else { &self.https_client };
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", signatures(&message))
            .body(message.body.to_owned());
        match request.send().await {
            Ok(response) => read_response(response, message.timestamp).await,
            Err(error) => PostOutcome::NoResponse(request_error_text(&error)),
        }
    }
}

/// Returns the value of the header `webhook-signature`: one signature per secret, separated by spaces. A secret of
/// another format is skipped.
fn signatures(WebhookMessage { id, timestamp, body, secrets, .. }: &WebhookMessage<'_>) -> String {
    let keys = secrets.iter().filter_map(WebhookKey::parse);
    let signatures: Vec<String> = keys.map(|key| key.sign(id, &timestamp.to_string(), body.as_bytes())).collect();
    signatures.join(" ")
}

async fn read_response(mut response: Response, sent_at: i64) -> PostOutcome {
    let status = response.status();
    let asked = response.headers().get(RETRY_AFTER);
    let retry_after = asked.and_then(|value| parse_retry_after(value.to_str().ok()?, sent_at));
    let mut seen = 0;
    while let Ok(Some(part)) = response.chunk().await {
        seen += part.len();
        if seen >= MAX_RESPONSE_BYTES {
            break;
        }
    }
    match status {
        StatusCode::GONE => PostOutcome::Gone,
        status if status.is_success() => PostOutcome::Accepted(status.as_u16()),
        status => PostOutcome::Rejected { status: status.as_u16(), retry_after },
    }
}

/// Describes an HTTP client's error without its URL, which may contain a key.
fn request_error_text(error: &reqwest::Error) -> &'static str {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<AddressProblem>() {
            return address_problem_text(*error);
        }
        cause = error.source();
    }
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "could not connect"
    } else {
        "the response was cut off"
    }
}

fn address_problem_text(error: AddressProblem) -> &'static str {
    match error {
        AddressProblem::Private => "the address is in a private network",
        AddressProblem::OnlyThisMachine => "the address isn't on this machine",
        AddressProblem::NotHttps => "the address isn't https",
        AddressProblem::Malformed | AddressProblem::Credentials => "the address can't be used",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usable_secret_signs() {
        let secrets = [WebhookKey::new_secret().unwrap(), Secret::new("other"), WebhookKey::new_secret().unwrap()];
        let message = |secrets| WebhookMessage { url: "", id: "e", timestamp: 1, body: "{}", secrets };
        let (all, last) = (signatures(&message(&secrets)), signatures(&message(&secrets[2..])));
        assert_eq!(all.split(' ').count(), 2);
        assert_eq!(all.split(' ').nth(1), Some(last.as_str()));
        assert_eq!(signatures(&message(&secrets[1..2])), "");
    }
}
