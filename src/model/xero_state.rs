//! What Xero does for Evergrant at the moment, as the overview and `/xero` say it. Times are unix seconds.

use serde::{Deserialize, Serialize};

/// Whether Xero renews tokens, and who has to act if it doesn't.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XeroCondition {
    /// Xero renews tokens. What failed before is tried again.
    #[default]
    Answering,
    /// Xero limits the app's requests. Nobody has to act.
    Limiting,
    /// Xero refuses Evergrant's requests, or Evergrant can't send them. The operator has to act.
    NeedsOperator,
    /// The tokens belong to another app than the configured one, so they are not sent. The operator has to act.
    AnotherApp,
    /// Xero doesn't answer, or has a problem of its own. Nobody has to act.
    NotAnswering,
    /// Xero refuses the app's own credentials. The operator has to act.
    RefusesApp,
    /// Xero refuses several connections at once, which is not believed yet. Nobody has to act.
    RefusesMany,
    /// Xero refuses some connections, which is checked before it is believed. Somebody may have to reconnect later.
    RefusesSome,
}

/// Xero's condition, and what it means for an organization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct XeroTroubleView {
    /// Whether Xero renews tokens.
    pub condition: XeroCondition,
    /// Since when it does not, if that is known.
    pub since: Option<i64>,
    /// How many connections wait for Xero.
    pub affected: i64,
    /// How many connections are active.
    pub active: i64,
    /// When Evergrant tries again, if anything waits.
    pub next_attempt_at: Option<i64>,
}

/// What `/xero` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct XeroStateView {
    /// Xero's condition.
    pub trouble: XeroTroubleView,
    /// The details; `None` if the viewer may not see what concerns the whole app.
    pub details: Option<XeroDetailsView>,
    /// The server's time of creating the view.
    pub as_of: i64,
}

/// What an administrator looks at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct XeroDetailsView {
    /// Xero's error code while it refuses the app's credentials.
    pub refusal_code: Option<String>,
    /// How many of the organization's connections Xero refuses without being believed yet.
    pub held_refusals: i64,
    /// Xero's endpoints, as the server that rendered the page sees them.
    pub endpoints: Vec<XeroEndpointView>,
}

/// One of Xero's endpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct XeroEndpointView {
    /// What it is for.
    pub name: String,
    /// The pause in which nothing is sent to it; `None` if requests are sent.
    pub pause: Option<XeroPauseView>,
}

/// A pause in which nothing is sent to an endpoint, because it kept failing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct XeroPauseView {
    /// When the pause began.
    pub since: i64,
    /// When the next request is sent to see whether it works again.
    pub next_try_at: i64,
    /// The code of the failure.
    pub code: String,
}
