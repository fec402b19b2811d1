//! Flash messages: one-time messages that a redirect carries to the next page.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::status::str_enum;
use super::{AddressProblem, ApiKeyFlash, BindingId, MembersFlash, RefreshReport, RefreshSummary, WebhookFlash};

str_enum!(
    /// Tone of a message or a badge. The stylesheet gives each a color; an icon and a label say the same.
    Tone {
        Good = "good",
        Warn = "warn",
        Bad = "bad",
        Info = "info",
        Quiet = "quiet",
    }
);

/// What a form's page shows about the form's result.
pub trait FlashMessage {
    /// Returns the tone: `Good` if the form succeeded.
    fn tone(&self) -> Tone;

    /// Returns the sentence.
    fn text(&self) -> Cow<'static, str>;
}

str_enum!(
    /// Result of a form about connections that needs no further value.
    ConnectionFlash {
        Disconnected = "disconnected",
        /// The person declined on Xero's consent page.
        ConsentRefused = "consent-refused",
        /// Xero redirected to the callback with another error.
        ConsentFailed = "consent-failed",
        /// The `state` was unknown, used or expired.
        StateExpired = "state-expired",
        /// The `state` belonged to another session.
        StateOfOtherSession = "state-foreign",
        /// `offline_access` wasn't granted, so there is no refresh token.
        NoRefreshToken = "no-refresh-token",
        /// The consent covers no tenant.
        NoTenants = "no-tenants",
        /// Exchanging the authorization code failed: Xero refused it or did not respond.
        ExchangeFailed = "exchange-failed",
        /// The exchange succeeded, but the list of connections could not be read.
        ConnectionListFailed = "connections-unread",
        /// A tenant is bound through another Xero user: the page asks which one to use.
        ConfirmXeroUser = "confirm",
        /// The current Xero user or connection is kept.
        Kept = "kept",
        /// Members may not change connections.
        NotAllowed = "not-allowed",
        /// The connection belongs to another organization or no longer exists.
        NotFound = "not-found",
        /// The question about the Xero user was answered already, or a newer consent replaced it.
        ConfirmationOver = "confirmation-over",
        /// Test connection succeeded.
        TestPassed = "test-passed",
    }
);

/// A message for the page that a redirect leads to, encoded in a cookie. The cookie holds only codes, numbers and ids,
/// and `text` supplies the words, so text that a visitor writes into the cookie is never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flash {
    /// A consent connected this many tenants, of which `first` is one.
    Connected {
        /// How many tenants were connected.
        count: u32,
        /// The binding of one of these tenants.
        first: BindingId,
    },
    /// The bindings of this many tenants got a new grant; `first` is one of them.
    Reconnected {
        /// How many bindings got a new grant.
        count: u32,
        /// One of these bindings.
        first: BindingId,
    },
    /// Result of a refresh.
    Refreshed(RefreshSummary),
    /// A form's action failed. If the log has the cause, it is there under this id.
    Failed {
        /// The id of the log entry; `None` if nothing was logged.
        id: Option<String>,
    },
    /// Result of a form about connections.
    Connection(ConnectionFlash),
    /// Result of a form on the notifications page.
    Notification(WebhookFlash),
    /// Result of a form about members or the organization.
    Members(MembersFlash),
    /// Result of a form about API keys.
    ApiKeys(ApiKeyFlash),
    /// A webhook address was refused.
    Address(AddressProblem),
}

impl From<ConnectionFlash> for Flash {
    fn from(flash: ConnectionFlash) -> Self {
        Self::Connection(flash)
    }
}

impl From<WebhookFlash> for Flash {
    fn from(flash: WebhookFlash) -> Self {
        Self::Notification(flash)
    }
}

impl From<ApiKeyFlash> for Flash {
    fn from(flash: ApiKeyFlash) -> Self {
        Self::ApiKeys(flash)
    }
}

impl From<MembersFlash> for Flash {
    fn from(flash: MembersFlash) -> Self {
        Self::Members(flash)
    }
}

impl FlashMessage for Flash {
    fn tone(&self) -> Tone {
        match self {
            Self::Connected { .. } | Self::Reconnected { .. } => Tone::Good,
            Self::Refreshed(summary) if summary.failed() == 0 => Tone::Good,
            Self::Refreshed(_) | Self::Failed { .. } => Tone::Warn,
            Self::Connection(flash) => flash.tone(),
            Self::Notification(flash) => flash.tone(),
            Self::Members(flash) => flash.tone(),
            Self::ApiKeys(flash) => flash.tone(),
            Self::Address(problem) => problem.tone(),
        }
    }

    fn text(&self) -> Cow<'static, str> {
        match self {
            Self::Connected { count: 1, .. } => "Connected to Xero.".into(),
            Self::Connected { count, .. } => format!("{count} organisations are connected.").into(),
            Self::Reconnected { count: 1, .. } => "Reconnected to Xero.".into(),
            Self::Reconnected { count, .. } => format!("{count} organisations are reconnected.").into(),
            Self::Refreshed(summary) => summary.text(None).into(),
            Self::Failed { id: None } => "That didn't work. Try again in a moment.".into(),
            Self::Failed { id: Some(id) } => format!("That didn't work. Try again in a moment. If this keeps happening, give your administrator this reference: {id}.").into(),
            Self::Connection(flash) => flash.text(),
            Self::Notification(flash) => flash.text(),
            Self::Members(flash) => flash.text(),
            Self::ApiKeys(flash) => flash.text(),
            Self::Address(problem) => problem.text(),
        }
    }
}

impl Flash {
    /// Summarizes a refresh.
    pub fn from_refresh_report(report: &RefreshReport) -> Self {
        Self::Refreshed(report.summary())
    }

    /// Returns the binding whose tenant the message is about, if it is about one.
    pub fn binding(&self) -> Option<&BindingId> {
        match self {
            Self::Connected { count: 1, first } | Self::Reconnected { count: 1, first } => Some(first),
            _ => None,
        }
    }

    /// Returns the sentence with the name of the tenant that the message is about.
    pub fn text_about(&self, tenant: &str) -> Cow<'static, str> {
        match self {
            Self::Connected { count: 1, .. } => format!("{tenant} is connected.").into(),
            Self::Reconnected { count: 1, .. } => format!("{tenant} is reconnected.").into(),
            _ => self.text(),
        }
    }

    /// Returns when Evergrant tries again by itself, if nobody has to act until then.
    pub fn retry_at(&self) -> Option<i64> {
        match self {
            Self::Refreshed(summary) => summary.retry_at(),
            _ => None,
        }
    }

    /// Encodes the message for the cookie: a code and its values, separated by dots.
    pub fn encode(&self) -> String {
        match self {
            Self::Connected { count, first } => format!("connected.{count}.{first}"),
            Self::Reconnected { count, first } => format!("reconnected.{count}.{first}"),
            Self::Refreshed(summary) => {
                let RefreshSummary { refreshed, needs_action, retrying, next_attempt_at, has_active_bindings } =
                    summary;
                let (next, any) = (next_attempt_at.unwrap_or_default(), u32::from(*has_active_bindings));
                format!("refreshed.{refreshed}.{needs_action}.{retrying}.{next}.{any}")
            }
            Self::Failed { id: None } => "failed".into(),
            Self::Failed { id: Some(id) } => format!("failed.{id}"),
            Self::Connection(flash) => flash.as_str().into(),
            Self::Notification(flash) => flash.as_str().into(),
            Self::Members(flash) => flash.as_str().into(),
            Self::ApiKeys(flash) => flash.as_str().into(),
            Self::Address(problem) => problem.as_str().into(),
        }
    }

    /// Parses a cookie's value. Returns `None` if it is unknown or malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let (code, values) =
            text.split_once('.').map_or((text, Vec::new()), |(code, values)| (code, values.split('.').collect()));
        match (code, values.as_slice()) {
            ("connected", [count, first]) => {
                Some(Self::Connected { count: count.parse().ok()?, first: BindingId(parse_id(first)?) })
            }
            ("reconnected", [count, first]) => {
                Some(Self::Reconnected { count: count.parse().ok()?, first: BindingId(parse_id(first)?) })
            }
            ("refreshed", [refreshed, needs_action, retrying, next, any]) => Some(Self::Refreshed(RefreshSummary {
                refreshed: refreshed.parse().ok()?,
                needs_action: needs_action.parse().ok()?,
                retrying: retrying.parse().ok()?,
                next_attempt_at: Some(next.parse().ok()?).filter(|at| *at != 0),
                has_active_bindings: any.parse::<u32>().ok()? > 0,
            })),
            ("failed", []) => Some(Self::Failed { id: None }),
            ("failed", [id]) => Some(Self::Failed { id: Some(parse_id(id)?) }),
            (code, []) => ConnectionFlash::parse(code)
                .map(Self::Connection)
                .or_else(|| WebhookFlash::parse(code).map(Self::Notification))
                .or_else(|| MembersFlash::parse(code).map(Self::Members))
                .or_else(|| ApiKeyFlash::parse(code).map(Self::ApiKeys))
                .or_else(|| AddressProblem::parse(code).map(Self::Address)),
            _ => None,
        }
    }
}

impl FlashMessage for ConnectionFlash {
    fn tone(&self) -> Tone {
        match self {
            Self::Disconnected | Self::Kept | Self::TestPassed => Tone::Good,
            _ => Tone::Warn,
        }
    }

    fn text(&self) -> Cow<'static, str> {
        match self {
            Self::Disconnected => "Disconnected from Xero.",
            Self::ConsentRefused => "Nothing was connected: the request was declined at Xero.",
            Self::ConsentFailed => "Nothing was connected: Xero reported an error. Try again in a moment.",
            Self::StateExpired => {
                "Nothing was connected: this Xero sign-in has expired or has already been used. Start again with Connect to Xero."
            }
            Self::StateOfOtherSession => {
                "Nothing was connected: this Xero sign-in was started in another session. Start again with Connect to Xero."
            }
            Self::NoRefreshToken => {
                "Nothing was connected: Xero granted no offline access. Your Evergrant administrator needs to add offline_access to XERO_SCOPES."
            }
            Self::NoTenants => {
                "Nothing was connected: no organisation was chosen at Xero. Connect again and choose one."
            }
            Self::ExchangeFailed => "Nothing was connected: Xero didn't accept the sign-in. Try again in a moment.",
            Self::ConnectionListFailed => {
                "Signed in to Xero, but its list of organisations couldn't be read. Connect again in a moment."
            }
            Self::ConfirmXeroUser => "Check which Xero user to use.",
            Self::Kept => "The connection stays as it was.",
            Self::NotAllowed => "Only owners and admins can change connections. Ask one of them.",
            Self::NotFound => "That connection isn't in this organisation any more.",
            Self::ConfirmationOver => {
                "That question has already been answered, or a newer Xero sign-in replaced it. Nothing was changed."
            }
            Self::TestPassed => "Xero answered: the connection works.",
        }
        .into()
    }
}

/// Accepts an id: 1 to 64 letters, digits and dashes.
fn parse_id(text: &str) -> Option<String> {
    let ours = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    ours.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flash_survives_a_round_trip_through_the_cookie() {
        let summary = RefreshSummary {
            refreshed: 3,
            needs_action: 1,
            retrying: 2,
            next_attempt_at: Some(1_800_000_000),
            has_active_bindings: true,
        };
        let mut all = vec![
            Flash::Connected { count: 2, first: "b-1".into() },
            Flash::Reconnected { count: 1, first: "b-1".into() },
            Flash::Refreshed(summary),
            Flash::Refreshed(RefreshSummary { next_attempt_at: None, ..summary }),
            Flash::Failed { id: Some("ab-12".into()) },
            Flash::Failed { id: None },
        ];
        all.extend(ConnectionFlash::ALL.iter().map(|&one| one.into()));
        all.extend(WebhookFlash::ALL.iter().map(|&one| one.into()));
        all.extend(MembersFlash::ALL.iter().map(|&one| one.into()));
        all.extend(ApiKeyFlash::ALL.iter().map(|&one| one.into()));
        all.extend(AddressProblem::ALL.iter().map(|&one| Flash::Address(one)));
        for flash in all {
            assert_eq!(Flash::parse(&flash.encode()), Some(flash));
        }
    }

    #[test]
    fn visitor_text_in_the_cookie_is_never_parsed() {
        for text in
            ["failed.<b>hello</b>", "failed.", "connected.many.b-1", "connected.1.<b>", "hello", "", "refreshed.1.2"]
        {
            assert_eq!(Flash::parse(text), None, "{text}");
        }
    }

    #[test]
    fn message_about_one_connection_names_its_tenant() {
        let one = Flash::Connected { count: 1, first: "b-1".into() };
        assert_eq!(one.text_about("Harbour Coffee"), "Harbour Coffee is connected.");
        let many = Flash::Reconnected { count: 3, first: "b-1".into() };
        assert_eq!((many.binding(), many.text()), (None, "3 organisations are reconnected.".into()));
    }

    #[test]
    fn failure_without_a_log_entry_asks_for_no_reference() {
        assert_eq!(Flash::Failed { id: None }.text(), "That didn't work. Try again in a moment.");
    }
}
