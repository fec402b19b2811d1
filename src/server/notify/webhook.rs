//! Posts one signed event to one address, and says what came of it.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};

use super::address::{Checked, Lookup, Reach, system};
use super::signature::sign;
use crate::model::AddressProblem;
use crate::server::domain::{Secret, retry_after};

/// From connecting to the end of the answer (the scheme recommends 15 to 30 seconds).
const TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The status is the answer; of a body only so much is read, to be polite, and none of it is kept.
const BODY_BYTES: usize = 8 * 1024;

/// Sends webhooks. Cheap to clone.
#[derive(Clone)]
pub struct WebhookClient {
    reach: Reach,
    /// For https, and for what the operator allows without it: they may reach different addresses.
    tls: Client,
    plain: Client,
}

/// What is posted.
pub struct Message<'a> {
    pub url: &'a str,
    pub id: &'a str,
    pub timestamp: i64,
    pub body: &'a str,
    pub secrets: &'a [Secret],
}

/// What the receiver made of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Taken(u16),
    /// 410: it wants nothing more.
    Gone,
    Refused {
        status: u16,
        retry_after: Option<Duration>,
    },
    /// No answer that counts, in a few words without the address.
    None(&'static str),
}

impl WebhookClient {
    pub fn new(reach: Reach) -> Result<Self, reqwest::Error> {
        Self::with_lookup(reach, system())
    }

    /// The same with a resolver of one's own.
    pub fn with_lookup(reach: Reach, lookup: Lookup) -> Result<Self, reqwest::Error> {
        let client = |plain| {
            let checked = Checked { reach: reach.clone(), lookup: lookup.clone(), plain };
            Client::builder()
                .user_agent(concat!("evergrant/", env!("CARGO_PKG_VERSION")))
                .timeout(TIMEOUT)
                .connect_timeout(CONNECT_TIMEOUT)
                // A redirect would lead past the check, and a proxy would resolve names by itself.
                .redirect(Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .no_proxy()
                .dns_resolver(checked)
                // Each delivery resolves and checks anew.
                .pool_max_idle_per_host(0)
                .https_only(!plain)
                .build()
        };
        Ok(Self { tls: client(false)?, plain: client(true)?, reach })
    }

    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    pub async fn post(&self, message: Message<'_>) -> Answer {
        // The settings may have changed since the address was added; a literal address is resolved by nobody.
        let url = match self.reach.check(message.url) {
            Ok(url) => url,
            Err(error) => return Answer::None(refused(error)),
        };
        let client = if url.scheme() == "http" { &self.plain } else { &self.tls };
        let signature = sign(message.secrets, message.id, message.timestamp, message.body);
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", signature)
            .body(message.body.to_owned());
        match request.send().await {
            Ok(response) => read(response, message.timestamp).await,
            Err(error) => Answer::None(why(&error)),
        }
    }
}

async fn read(mut response: Response, sent_at: i64) -> Answer {
    let status = response.status();
    let asked = response.headers().get(RETRY_AFTER);
    let retry_after = asked.and_then(|value| retry_after(value.to_str().ok()?, sent_at));
    let mut seen = 0;
    while let Ok(Some(part)) = response.chunk().await {
        seen += part.len();
        if seen >= BODY_BYTES {
            break;
        }
    }
    match status {
        StatusCode::GONE => Answer::Gone,
        status if status.is_success() => Answer::Taken(status.as_u16()),
        status => Answer::Refused { status: status.as_u16(), retry_after },
    }
}

/// An error of the HTTP client names the address, which may carry somebody's key: what happened is told in words.
fn why(error: &reqwest::Error) -> &'static str {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<AddressProblem>() {
            return refused(*error);
        }
        cause = error.source();
    }
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the answer broke off"
    }
}

fn refused(error: AddressProblem) -> &'static str {
    match error {
        AddressProblem::Private => "the address is in a private network",
        AddressProblem::OnlyThisMachine => "the address isn't on this machine",
        AddressProblem::NotHttps => "the address isn't https",
        AddressProblem::Malformed | AddressProblem::Credentials => "the address can't be used",
    }
}
