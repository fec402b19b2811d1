//! Flash messages: one-time messages that a redirect carries to the next page.

use super::{AddressProblem, ApiKeyFlash, BindingId, MembersFlash, RefreshReport, WebhookFlash};

/// Tone of a message: success, or something that needs attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Attention,
}

/// A message for the page that a redirect leads to, encoded in a cookie. The cookie holds only codes, numbers and ids,
/// and `text` supplies the words, so text that a visitor writes into the cookie is never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flash {
    /// Number of tenants that a consent connected.
    Connected {
        count: u32,
    },
    /// Number of tenants whose binding got a new grant.
    Reconnected {
        count: u32,
    },
    Disconnected,
    /// The person declined on Xero's consent page.
    ConsentRefused,
    /// Xero redirected to the callback with another error.
    ConsentFailed,
    /// The `state` was unknown, used or expired.
    StateExpired,
    /// The `state` belonged to another session.
    StateOfOtherSession,
    /// `offline_access` wasn't granted, so there is no refresh token.
    NoRefreshToken,
    /// The consent covers no tenant.
    NoTenants,
    /// Exchanging the authorization code failed: Xero refused it or did not respond.
    ExchangeFailed,
    /// The exchange succeeded, but the list of connections could not be read.
    ConnectionListFailed,
    /// A tenant is bound through another Xero user: the page asks which one to use.
    ConfirmXeroUser,
    /// The current Xero user or connection is kept.
    ConnectionKept,
    /// Members may not change connections.
    NotAllowed,
    /// Result of a refresh: grants exchanged, bindings that failed, and whether there were active bindings at all.
    Refreshed {
        refreshed: u32,
        failed: u32,
        has_active_bindings: bool,
    },
    /// A form's action failed; the log has the cause under this id.
    Failed {
        id: String,
    },
    /// The form's target belongs to another organization or no longer exists.
    NotFound,
    /// The row's Test connection action succeeded, submitted without wasm.
    TestPassed {
        binding: BindingId,
    },
    /// Result of a form on the notifications page.
    Notification(WebhookFlash),
    /// Result of a form about members or the organization.
    Members(MembersFlash),
    /// Result of a form about API keys.
    ApiKeys(ApiKeyFlash),
    /// A webhook address was refused.
    Address(AddressProblem),
}

impl From<WebhookFlash> for Flash {
    fn from(notice: WebhookFlash) -> Self {
        Self::Notification(notice)
    }
}

impl From<ApiKeyFlash> for Flash {
    fn from(notice: ApiKeyFlash) -> Self {
        Self::ApiKeys(notice)
    }
}

impl From<MembersFlash> for Flash {
    fn from(notice: MembersFlash) -> Self {
        Self::Members(notice)
    }
}

impl Flash {
    /// Summarizes a refresh.
    pub fn from_refresh_report(report: &RefreshReport) -> Self {
        let failed = u32::try_from(report.errors.len()).unwrap_or(u32::MAX);
        Self::Refreshed { refreshed: report.refreshed_count, failed, has_active_bindings: report.has_active_bindings }
    }

    /// Returns the message's tone.
    pub fn tone(&self) -> Tone {
        match self {
            Self::Connected { .. }
            | Self::Reconnected { .. }
            | Self::Disconnected
            | Self::ConnectionKept
            | Self::TestPassed { .. }
            | Self::Refreshed { failed: 0, .. } => Tone::Good,
            Self::Notification(notice) if notice.is_success() => Tone::Good,
            Self::Members(notice) if notice.is_success() => Tone::Good,
            Self::ApiKeys(notice) if notice.is_success() => Tone::Good,
            _ => Tone::Attention,
        }
    }

    /// Returns the sentence shown on the page.
    pub fn text(&self) -> String {
        match self {
            Self::Connected { count: 1 } => "Connected to Xero.".into(),
            Self::Connected { count } => format!("{count} organisations connected to Xero."),
            Self::Reconnected { count: 1 } => "Reconnected to Xero.".into(),
            Self::Reconnected { count } => format!("{count} organisations reconnected to Xero."),
            Self::Disconnected => "Disconnected from Xero.".into(),
            Self::ConsentRefused => "Nothing was connected: the request was declined at Xero.".into(),
            Self::ConsentFailed => "Nothing was connected: Xero reported an error. Try again in a moment.".into(),
            Self::StateExpired => {
                "Nothing was connected: this Xero sign-in has expired or has already been used. Start again with Connect to Xero.".into()
            }
            Self::StateOfOtherSession => {
                "Nothing was connected: this Xero sign-in was started in another session. Start again with Connect to Xero.".into()
            }
            Self::NoRefreshToken => {
                "Nothing was connected: Xero granted no offline access. Your Evergrant administrator needs to add offline_access to XERO_SCOPES.".into()
            }
            Self::NoTenants => {
                "Nothing was connected: no organisation was chosen at Xero. Connect again and choose one.".into()
            }
            Self::ExchangeFailed => "Nothing was connected: Xero didn't accept the sign-in. Try again in a moment.".into(),
            Self::ConnectionListFailed => {
                "Signed in to Xero, but its list of organisations couldn't be read. Connect again in a moment.".into()
            }
            Self::ConfirmXeroUser => "Check which Xero user to use.".into(),
            Self::ConnectionKept => "The connection stays as it was.".into(),
            Self::NotAllowed => "Only owners and admins can change connections. Ask one of them.".into(),
            Self::Refreshed { refreshed: 0, failed: 0, has_active_bindings: true } => "All tokens are fresh".into(),
            Self::Refreshed { refreshed, failed, .. } => RefreshReport::summary(*refreshed, *failed, 0),
            Self::Failed { id } => format!("That didn't work. Try again in a moment. If this keeps happening, give your administrator this reference: {id}."),
            Self::NotFound => "That connection isn't in this organisation any more.".into(),
            Self::TestPassed { .. } => "Xero answered: the connection works.".into(),
            Self::Notification(notice) => notice.text().into(),
            Self::Members(notice) => notice.text().into(),
            Self::ApiKeys(notice) => notice.text().into(),
            Self::Address(problem) => format!("No webhook was added. {problem}"),
        }
    }

    /// Encodes the message for the cookie: a code and its values, separated by dots.
    pub fn encode(&self) -> String {
        match self {
            Self::Connected { count } => format!("connected.{count}"),
            Self::Reconnected { count } => format!("reconnected.{count}"),
            Self::Disconnected => "disconnected".into(),
            Self::ConsentRefused => "consent-refused".into(),
            Self::ConsentFailed => "consent-failed".into(),
            Self::StateExpired => "state-expired".into(),
            Self::StateOfOtherSession => "state-foreign".into(),
            Self::NoRefreshToken => "no-refresh-token".into(),
            Self::NoTenants => "no-tenants".into(),
            Self::ExchangeFailed => "exchange-failed".into(),
            Self::ConnectionListFailed => "connections-unread".into(),
            Self::ConfirmXeroUser => "confirm".into(),
            Self::ConnectionKept => "kept".into(),
            Self::NotAllowed => "not-allowed".into(),
            Self::Refreshed { refreshed, failed, has_active_bindings: any } => {
                format!("refreshed.{refreshed}.{failed}.{}", u32::from(*any))
            }
            Self::Failed { id } => format!("failed.{id}"),
            Self::NotFound => "not-found".into(),
            Self::TestPassed { binding } => format!("test-passed.{binding}"),
            Self::Notification(notice) => notice.as_str().into(),
            Self::Members(notice) => notice.as_str().into(),
            Self::ApiKeys(notice) => notice.as_str().into(),
            Self::Address(problem) => problem.as_str().into(),
        }
    }

    /// Parses a cookie's value. Returns `None` if it is unknown or malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let word = parts.next()?;
        let mut number = || parts.next()?.parse::<u32>().ok();
        Some(match word {
            "connected" => Self::Connected { count: number()? },
            "reconnected" => Self::Reconnected { count: number()? },
            "disconnected" => Self::Disconnected,
            "consent-refused" => Self::ConsentRefused,
            "consent-failed" => Self::ConsentFailed,
            "state-expired" => Self::StateExpired,
            "state-foreign" => Self::StateOfOtherSession,
            "no-refresh-token" => Self::NoRefreshToken,
            "no-tenants" => Self::NoTenants,
            "exchange-failed" => Self::ExchangeFailed,
            "connections-unread" => Self::ConnectionListFailed,
            "confirm" => Self::ConfirmXeroUser,
            "kept" => Self::ConnectionKept,
            "not-allowed" => Self::NotAllowed,
            "refreshed" => {
                Self::Refreshed { refreshed: number()?, failed: number()?, has_active_bindings: number()? > 0 }
            }
            "failed" => Self::Failed { id: parse_id(parts.next()?)? },
            "not-found" => Self::NotFound,
            "test-passed" => Self::TestPassed { binding: BindingId(parse_id(parts.next()?)?) },
            word => {
                let notification = WebhookFlash::parse(word).map(Self::Notification);
                let members = || MembersFlash::parse(word).map(Self::Members);
                let keys = || ApiKeyFlash::parse(word).map(Self::ApiKeys);
                let address = || AddressProblem::parse(word).map(Self::Address);
                return notification.or_else(members).or_else(keys).or_else(address);
            }
        })
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
        for notice in [
            Flash::Connected { count: 2 },
            Flash::Refreshed { refreshed: 3, failed: 1, has_active_bindings: true },
            Flash::Failed { id: "ab-12".into() },
            Flash::ConsentRefused,
            Flash::Notification(WebhookFlash::TestFailed),
            Flash::Address(AddressProblem::Private),
            Flash::Members(MembersFlash::LastOwner),
            Flash::ApiKeys(ApiKeyFlash::TooMany),
        ] {
            assert_eq!(Flash::parse(&notice.encode()), Some(notice));
        }
    }

    #[test]
    fn visitor_text_in_the_cookie_is_never_parsed() {
        for text in ["failed.<b>hello</b>", "failed.", "connected.many", "hello", "", "refreshed.1.2"] {
            assert_eq!(Flash::parse(text), None, "{text}");
        }
    }
}
