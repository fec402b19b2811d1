//! One-time messages that a form's answer carries to the next page.

use super::{AddressProblem, ApiKeyNotice, BindingId, MembersNotice, NotificationNotice, RefreshReport};

/// How a notice is meant: good news goes by itself, what needs action stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Attention,
}

/// What a redirect tells the page it leads to, short enough for a cookie: words are put in by `text`, so
/// nothing that a visitor writes into the cookie is ever shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Tenants newly bound by a consent.
    Connected {
        count: u32,
    },
    /// Tenants whose binding got a new grant.
    Reconnected {
        count: u32,
    },
    Disconnected,
    /// The person said no on Xero's consent page.
    ConsentRefused,
    /// Xero answered the callback with another error.
    ConsentFailed,
    /// The `state` was unknown, used or too old.
    StateExpired,
    /// The `state` belonged to another session.
    StateForeign,
    /// `offline_access` wasn't granted, so nothing could be kept alive.
    NoRefreshToken,
    /// The consent named no organisation.
    NoTenants,
    /// Xero refused the code, or didn't answer, when it was exchanged.
    ExchangeFailed,
    /// Xero answered the exchange, but not the question which tenants it was for.
    ConnectionsUnread,
    /// A tenant is bound through another Xero user: the page asks first.
    ConfirmReplacement,
    ReplacementKept,
    /// Members may not change connections.
    NotAllowed,
    /// A form's refresh: grants exchanged, bindings in trouble, and whether there were any to look after.
    Refreshed {
        refreshed: u32,
        failed: u32,
        any: bool,
    },
    /// A form's action failed; the log has the reason under this id.
    Failed {
        id: String,
    },
    /// Something on the page was another organisation's, or is gone.
    NotFound,
    /// A row's action for a program that has no wasm.
    TestPassed {
        binding: BindingId,
    },
    TestFailed {
        binding: BindingId,
    },
    /// A form on the notifications page.
    Notification(NotificationNotice),
    /// A form about members or the organisation.
    Members(MembersNotice),
    /// A form about API keys.
    ApiKeys(ApiKeyNotice),
    /// An address that events can't be posted to.
    Address(AddressProblem),
}

impl From<NotificationNotice> for Notice {
    fn from(notice: NotificationNotice) -> Self {
        Self::Notification(notice)
    }
}

impl From<ApiKeyNotice> for Notice {
    fn from(notice: ApiKeyNotice) -> Self {
        Self::ApiKeys(notice)
    }
}

impl From<MembersNotice> for Notice {
    fn from(notice: MembersNotice) -> Self {
        Self::Members(notice)
    }
}

impl Notice {
    pub fn of_refresh(report: &RefreshReport) -> Self {
        let failed = u32::try_from(report.errors.len()).unwrap_or(u32::MAX);
        Self::Refreshed { refreshed: report.refreshed_count, failed, any: report.has_active_bindings }
    }

    pub fn tone(&self) -> Tone {
        match self {
            Self::Connected { .. }
            | Self::Reconnected { .. }
            | Self::Disconnected
            | Self::ReplacementKept
            | Self::TestPassed { .. }
            | Self::Refreshed { failed: 0, .. } => Tone::Good,
            Self::Notification(notice) if notice.is_good() => Tone::Good,
            Self::Members(notice) if notice.is_good() => Tone::Good,
            Self::ApiKeys(notice) if notice.is_good() => Tone::Good,
            _ => Tone::Attention,
        }
    }

    /// The sentence that a person reads.
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
                "Nothing was connected: this sign-in at Xero was started too long ago or already used. Start again with Connect to Xero.".into()
            }
            Self::StateForeign => {
                "Nothing was connected: this sign-in at Xero was started in another session. Start again with Connect to Xero.".into()
            }
            Self::NoRefreshToken => {
                "Nothing was connected: Xero gave no lasting access. Ask whoever runs Evergrant to add offline_access to XERO_SCOPES.".into()
            }
            Self::NoTenants => {
                "Nothing was connected: no organisation was chosen at Xero. Connect again and choose one.".into()
            }
            Self::ExchangeFailed => "Nothing was connected: Xero didn't accept the sign-in. Try again in a moment.".into(),
            Self::ConnectionsUnread => {
                "Signed in at Xero, but its list of organisations couldn't be read. Connect again in a moment.".into()
            }
            Self::ConfirmReplacement => "One more question before this connection changes hands.".into(),
            Self::ReplacementKept => "The connection stays as it was.".into(),
            Self::NotAllowed => "Only owners and admins can change connections. Ask one of them.".into(),
            Self::Refreshed { refreshed: 0, failed: 0, any: true } => "Every token is fresh".into(),
            Self::Refreshed { refreshed, failed, .. } => RefreshReport::sentence(*refreshed, *failed, 0),
            Self::Failed { id } => format!("That didn't work. Try again in a moment; quote {id} if it goes on."),
            Self::NotFound => "That connection isn't in this organisation any more.".into(),
            Self::TestPassed { .. } => "Xero answered: the connection works.".into(),
            Self::TestFailed { .. } => "Xero didn't give the organisation's details. The row says more.".into(),
            Self::Notification(notice) => notice.text().into(),
            Self::Members(notice) => notice.text().into(),
            Self::ApiKeys(notice) => notice.text().into(),
            Self::Address(problem) => format!("Nothing was added. {problem}"),
        }
    }

    /// As the cookie carries it: a word and its numbers, separated by dots.
    pub fn encode(&self) -> String {
        match self {
            Self::Connected { count } => format!("connected.{count}"),
            Self::Reconnected { count } => format!("reconnected.{count}"),
            Self::Disconnected => "disconnected".into(),
            Self::ConsentRefused => "consent-refused".into(),
            Self::ConsentFailed => "consent-failed".into(),
            Self::StateExpired => "state-expired".into(),
            Self::StateForeign => "state-foreign".into(),
            Self::NoRefreshToken => "no-refresh-token".into(),
            Self::NoTenants => "no-tenants".into(),
            Self::ExchangeFailed => "exchange-failed".into(),
            Self::ConnectionsUnread => "connections-unread".into(),
            Self::ConfirmReplacement => "confirm".into(),
            Self::ReplacementKept => "kept".into(),
            Self::NotAllowed => "not-allowed".into(),
            Self::Refreshed { refreshed, failed, any } => format!("refreshed.{refreshed}.{failed}.{}", u32::from(*any)),
            Self::Failed { id } => format!("failed.{id}"),
            Self::NotFound => "not-found".into(),
            Self::TestPassed { binding } => format!("test-passed.{binding}"),
            Self::TestFailed { binding } => format!("test-failed.{binding}"),
            Self::Notification(notice) => notice.as_str().into(),
            Self::Members(notice) => notice.as_str().into(),
            Self::ApiKeys(notice) => notice.as_str().into(),
            Self::Address(problem) => problem.as_str().into(),
        }
    }

    /// Reads a cookie's value; anything unknown or malformed is no notice.
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
            "state-foreign" => Self::StateForeign,
            "no-refresh-token" => Self::NoRefreshToken,
            "no-tenants" => Self::NoTenants,
            "exchange-failed" => Self::ExchangeFailed,
            "connections-unread" => Self::ConnectionsUnread,
            "confirm" => Self::ConfirmReplacement,
            "kept" => Self::ReplacementKept,
            "not-allowed" => Self::NotAllowed,
            "refreshed" => Self::Refreshed { refreshed: number()?, failed: number()?, any: number()? > 0 },
            "failed" => Self::Failed { id: token(parts.next()?)? },
            "not-found" => Self::NotFound,
            "test-passed" => Self::TestPassed { binding: BindingId(token(parts.next()?)?) },
            "test-failed" => Self::TestFailed { binding: BindingId(token(parts.next()?)?) },
            word => {
                let notification = NotificationNotice::parse(word).map(Self::Notification);
                let members = || MembersNotice::parse(word).map(Self::Members);
                let keys = || ApiKeyNotice::parse(word).map(Self::ApiKeys);
                let address = || AddressProblem::parse(word).map(Self::Address);
                return notification.or_else(members).or_else(keys).or_else(address);
            }
        })
    }
}

/// An id as we make them: letters, digits and dashes only.
fn token(text: &str) -> Option<String> {
    let ours = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    ours.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_survives_the_cookie() {
        for notice in [
            Notice::Connected { count: 2 },
            Notice::Refreshed { refreshed: 3, failed: 1, any: true },
            Notice::Failed { id: "ab-12".into() },
            Notice::TestFailed { binding: "b-1".into() },
            Notice::ConsentRefused,
            Notice::Notification(NotificationNotice::TestFailed),
            Notice::Address(AddressProblem::Private),
            Notice::Members(MembersNotice::LastOwner),
            Notice::ApiKeys(ApiKeyNotice::TooMany),
        ] {
            assert_eq!(Notice::parse(&notice.encode()), Some(notice));
        }
    }

    #[test]
    fn a_visitor_cannot_put_words_into_a_notice() {
        for text in ["failed.<b>hello</b>", "failed.", "connected.many", "hello", "", "refreshed.1.2"] {
            assert_eq!(Notice::parse(text), None, "{text}");
        }
    }
}
