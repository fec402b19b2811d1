//! Calls Xero through Evergrant: no tokens, no refreshes.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

/// The time-out of a call. Evergrant ends a call to Xero before that.
const TIMEOUT: Duration = Duration::from_secs(150);
/// The header of Evergrant's problems. Xero has problem details of its own, with the same content type.
const PROBLEM: &str = "x-evergrant-problem";

/// A connection of your organization to a Xero tenant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Identifies the connection in Evergrant.
    pub id: String,
    /// Your own id of it.
    pub external_id: Option<String>,
    /// Your tags, sorted.
    pub tags: Vec<String>,
    /// The email addresses that get a letter with a link if it needs reconnecting.
    pub contacts: Vec<String>,
    /// Xero's id of the tenant.
    pub tenant_id: String,
    /// The tenant's name in Xero.
    pub tenant_name: String,
    /// `ORGANISATION` or `PRACTICE`.
    pub tenant_type: String,
    /// `active`, `needs_reauth` or `disconnected`.
    pub status: String,
    /// What its consent granted; empty if that is not known.
    pub granted_scopes: Vec<String>,
    /// What the app asks for and an active connection lacks.
    pub missing_scopes: Vec<String>,
    /// When it was connected, in unix seconds.
    pub connected_at: i64,
    /// When it was moved to another system, which keeps it alive now, in unix seconds.
    pub moved_at: Option<i64>,
}

/// An access token for one connection. Do not store it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// The token, for Xero's API.
    pub access_token: SecretString,
    /// The value of `xero-tenant-id`.
    pub tenant_id: String,
    /// When it expires, in unix seconds.
    pub expires_at: i64,
    /// What to know about it, such as that Xero does not answer at the moment.
    pub warning: Option<String>,
}

/// A page of events.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventPage {
    /// The oldest first, each as webhooks get it: an object with `id`, `type`, `timestamp` and `data`.
    pub events: Vec<Value>,
    /// From where to read on.
    pub next_cursor: String,
    /// Whether there are more events already.
    pub has_more: bool,
}

/// Which connections to list. All filters have to match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Status.
    pub status: Option<String>,
    /// Your own id.
    pub external_id: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// Only connections that lack a scope that the app asks for.
    pub missing_scopes: bool,
}

/// A link to make, by which a person without an account connects Xero, once.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewConnectLink {
    /// The connection to reconnect; `None` to make a new one.
    pub binding_id: Option<String>,
    /// Who asks, as the page says it.
    pub requested_by: String,
    /// What for, as the page says it.
    pub note: String,
    /// Your own id of the connection that the link makes.
    pub external_id: Option<String>,
    /// Your tags of the connection that the link makes.
    pub tags: Vec<String>,
    /// Where the browser goes afterwards.
    pub return_url: Option<String>,
    /// How long the link lives, in seconds; `None` for seven days.
    pub expires_in: Option<i64>,
    /// Where Evergrant sends the link; `None` to send it yourself.
    pub email: Option<String>,
}

/// A new link.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedConnectLink {
    /// Identifies the link.
    pub id: String,
    /// The URL to send, with its secret. It is not shown again.
    pub url: SecretString,
    /// When it expires, in unix seconds.
    pub expires_at: i64,
}

/// A link, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectLink {
    /// Identifies the link.
    pub id: String,
    /// `open`, `used`, `cancelled` or `expired`.
    pub status: String,
    /// What became of the last consent, such as `connected` or `declined`.
    pub outcome: Option<String>,
    /// The connection that it reconnects.
    pub binding_id: Option<String>,
    /// Your own id of the connection.
    pub external_id: Option<String>,
    /// When it expires, in unix seconds.
    pub expires_at: i64,
}

/// A refresh token of another system, and what it belongs to.
pub struct ImportRow {
    /// The token as the other system has it now.
    pub refresh_token: SecretString,
    /// Xero's id of the tenant to connect; `None` for all tenants of the token's own consent.
    pub tenant_id: Option<String>,
    /// Your own id of the connection.
    pub external_id: Option<String>,
    /// Your tags.
    pub tags: Vec<String>,
}

/// What became of one imported row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// The outcome, such as `imported`.
    pub outcome: String,
    /// What happened, and what to do.
    pub message: String,
    /// Whether the same row may succeed later.
    pub try_again: bool,
    /// The ids of the connections that the token serves.
    pub bindings: Vec<String>,
    /// What is wrong with an invalid row, or what was left out of a valid one.
    pub detail: Option<String>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Evergrant's address is not a URL, or the key can't be sent.
    #[error("the address or the key is not valid")]
    Settings,
    /// Evergrant can't be reached, or its response can't be read.
    #[error("Evergrant can't be reached")]
    Transport(#[from] reqwest::Error),
    /// Evergrant refused the call.
    #[error("{detail}")]
    Problem {
        /// The HTTP status.
        status: u16,
        /// The code, such as `not-connected`; `None` if something between us answered.
        code: Option<String>,
        /// What happened, and what to do.
        detail: String,
        /// After how long to try again, if that can help.
        retry_after: Option<Duration>,
    },
}

/// A program's access to the connections of its organization. Cheap to clone.
#[derive(Clone)]
pub struct Evergrant {
    base: Url,
    client: reqwest::Client,
}

impl Evergrant {
    /// Creates a client. `url` is Evergrant's address, `key` an API key (`egk_…`).
    ///
    /// # Errors
    /// Fails if one of them can't be valid.
    pub fn new(url: &str, key: &SecretString) -> Result<Self, Error> {
        let mut base = Url::parse(url).map_err(|_| Error::Settings)?;
        base.path_segments_mut().map_err(|()| Error::Settings)?.pop_if_empty().extend(["api", "v1"]);
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", key.expose_secret())).map_err(|_| Error::Settings)?;
        bearer.set_sensitive(true);
        let client = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
            // The key belongs to Evergrant alone.
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self { base, client })
    }

    /// Returns all connections that match, oldest first. Reads as many pages as there are.
    ///
    /// # Errors
    /// Fails if Evergrant can't be reached or refuses the call. The same holds for the other calls.
    pub async fn connections(&self, filter: &Filter) -> Result<Vec<Connection>, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            bindings: Vec<Connection>,
            next_cursor: Option<String>,
        }
        let missing = filter.missing_scopes.then(|| "true".to_owned());
        let given = [
            ("status", &filter.status),
            ("externalId", &filter.external_id),
            ("tag", &filter.tag),
            ("missingScopes", &missing),
        ];
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let mut url = self.url(&["bindings"]);
            let values = given.into_iter().chain([("cursor", &cursor)]);
            url.query_pairs_mut().extend_pairs(values.filter_map(|(name, value)| Some((name, value.as_ref()?))));
            let page: Page = read(self.client.get(url)).await?;
            all.extend(page.bindings);
            if page.next_cursor.is_none() {
                return Ok(all);
            }
            cursor = page.next_cursor;
        }
    }

    /// Returns one connection.
    pub async fn connection(&self, id: &str) -> Result<Connection, Error> {
        read(self.client.get(self.url(&["bindings", id]))).await
    }

    /// Sets the id and the tags that you give a connection.
    pub async fn label(&self, id: &str, external_id: Option<&str>, tags: &[&str]) -> Result<Connection, Error> {
        let labels = json!({ "externalId": external_id, "tags": tags });
        read(self.client.patch(self.url(&["bindings", id])).json(&labels)).await
    }

    /// Sets the email addresses that get a letter with a link if a connection needs reconnecting.
    pub async fn set_contacts(&self, id: &str, contacts: &[&str]) -> Result<Connection, Error> {
        read(self.client.patch(self.url(&["bindings", id])).json(&json!({ "contacts": contacts }))).await
    }

    /// Refreshes a connection's token now and returns when it expires, in unix seconds. Programs hardly ever need this.
    pub async fn refresh(&self, id: &str) -> Result<i64, Error> {
        let refreshed: Value = read(self.client.post(self.url(&["bindings", id, "refresh"]))).await?;
        Ok(refreshed["expiresAt"].as_i64().unwrap_or_default())
    }

    /// Disconnects a connection. Returns whether Xero no longer has it.
    pub async fn disconnect(&self, id: &str) -> Result<bool, Error> {
        let done: Value = read(self.client.delete(self.url(&["bindings", id]))).await?;
        Ok(done["removedAtXero"].as_bool().unwrap_or_default())
    }

    /// Returns an access token that is valid for at least `min_ttl`. Prefer `xero`.
    pub async fn token(&self, id: &str, min_ttl: Duration) -> Result<Token, Error> {
        let mut url = self.url(&["bindings", id, "token"]);
        url.query_pairs_mut().append_pair("min_ttl", &min_ttl.as_secs().to_string());
        read(self.client.get(url)).await
    }

    /// Returns the events after a cursor, the oldest first. Store `next_cursor`, and read on from there.
    pub async fn events(&self, cursor: Option<&str>) -> Result<EventPage, Error> {
        let mut url = self.url(&["events"]);
        url.query_pairs_mut().extend_pairs(cursor.map(|cursor| ("cursor", cursor)));
        read(self.client.get(url)).await
    }

    /// Begins a call of Xero's API as a connection. `path` begins with the API family, such as
    /// `api.xro/2.0/Invoices?page=1`. Send it with `send_to_xero`.
    pub fn xero(&self, method: Method, id: &str, path: &str) -> RequestBuilder {
        let (path, query) = path.trim_start_matches('/').split_once('?').unwrap_or((path.trim_start_matches('/'), ""));
        let mut url = self.url(&[&["bindings", id, "xero"][..], &path.split('/').collect::<Vec<_>>()].concat());
        url.set_query((!query.is_empty()).then_some(query));
        self.client.request(method, url)
    }

    /// Makes a connect link.
    pub async fn create_connect_link(&self, new: &NewConnectLink) -> Result<CreatedConnectLink, Error> {
        read(self.client.post(self.url(&["connect-links"])).json(new)).await
    }

    /// Returns a connect link and what became of it.
    pub async fn connect_link(&self, id: &str) -> Result<ConnectLink, Error> {
        read(self.client.get(self.url(&["connect-links", id]))).await
    }

    /// Cancels an open connect link.
    pub async fn cancel_connect_link(&self, id: &str) -> Result<(), Error> {
        let response = self.client.delete(self.url(&["connect-links", id])).send().await?;
        if response.status().is_success() { Ok(()) } else { Err(problem_of(response).await) }
    }

    /// Imports up to 20 refresh tokens of another system, which must have stopped. Reports are in the order of the rows.
    pub async fn import_tokens(
        &self,
        rows: &[ImportRow],
        old_system_stopped: bool,
    ) -> Result<Vec<ImportReport>, Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Row<'a> {
            refresh_token: &'a str,
            tenant_id: Option<&'a str>,
            external_id: Option<&'a str>,
            tags: &'a [String],
        }
        #[derive(Deserialize)]
        struct Reports {
            rows: Vec<ImportReport>,
        }
        let rows = rows.iter().map(|row| Row {
            refresh_token: row.refresh_token.expose_secret(),
            tenant_id: row.tenant_id.as_deref(),
            external_id: row.external_id.as_deref(),
            tags: &row.tags,
        });
        let body = json!({ "oldSystemStopped": old_system_stopped, "rows": rows.collect::<Vec<_>>() });
        Ok(read::<Reports>(self.client.post(self.url(&["import"])).json(&body)).await?.rows)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        url
    }
}

/// Sends a call that `Evergrant::xero` began. Every response of Xero's is returned, also 4xx and 5xx.
///
/// # Errors
/// Fails if Evergrant can't be reached or refuses the call.
pub async fn send_to_xero(request: RequestBuilder) -> Result<Response, Error> {
    let response = request.send().await?;
    if response.headers().contains_key(PROBLEM) { Err(problem_of(response).await) } else { Ok(response) }
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Error> {
    let response = request.send().await?;
    if response.status().is_success() { Ok(response.json().await?) } else { Err(problem_of(response).await) }
}

async fn problem_of(response: Response) -> Error {
    let status = response.status().as_u16();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    // If a proxy between us answered, its page says nothing to a program.
    let problem: Value = response.json().await.unwrap_or_default();
    let text = |name: &str| problem[name].as_str().map(str::to_owned);
    let detail = text("detail").unwrap_or_else(|| format!("Evergrant answered {status}"));
    Error::Problem { status, code: text("code"), detail, retry_after: seconds.map(Duration::from_secs) }
}
