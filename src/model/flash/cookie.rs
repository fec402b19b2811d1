//! The text form of a flash message, which a cookie carries to the next page.

use super::{AccountFlash, AddressProblem, ApiKeyFlash, ConnectionFlash, Flash, MembersFlash, NotificationFlash};
use crate::model::{BindingId, FailureCause, RefreshSummary};

impl Flash {
    /// Encodes the message for the cookie: a code and its values, separated by dots.
    pub fn encode(&self) -> String {
        match self {
            Self::Connected { count, first } => format!("connected.{count}.{first}"),
            Self::Reconnected { count, first } => format!("reconnected.{count}.{first}"),
            Self::Refreshed(summary) => {
                let RefreshSummary { refreshed, to_reconnect, for_operator, retrying, .. } = summary;
                let waits_for = summary.waits_for.map_or("", FailureCause::as_str);
                let (next, any) = (summary.next_attempt_at.unwrap_or_default(), u32::from(summary.has_active_bindings));
                format!("refreshed.{refreshed}.{to_reconnect}.{for_operator}.{retrying}.{waits_for}.{next}.{any}")
            }
            Self::LinksCreated { created, already_open } => format!("links-created.{created}.{already_open}"),
            Self::Failed { id: None } => "failed".into(),
            Self::Failed { id: Some(id) } => format!("failed.{id}"),
            Self::OtherOrganization => "other-organisation".into(),
            Self::Connection(flash) => flash.as_str().into(),
            Self::Notification(flash) => flash.as_str().into(),
            Self::Members(flash) => flash.as_str().into(),
            Self::ApiKeys(flash) => flash.as_str().into(),
            Self::Account(flash) => flash.as_str().into(),
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
            ("refreshed", [refreshed, to_reconnect, for_operator, retrying, waits_for, next, any]) => {
                Some(Self::Refreshed(RefreshSummary {
                    refreshed: refreshed.parse().ok()?,
                    to_reconnect: to_reconnect.parse().ok()?,
                    for_operator: for_operator.parse().ok()?,
                    retrying: retrying.parse().ok()?,
                    waits_for: FailureCause::parse(waits_for),
                    next_attempt_at: Some(next.parse().ok()?).filter(|at| *at != 0),
                    has_active_bindings: any.parse::<u32>().ok()? > 0,
                }))
            }
            ("links-created", [created, already_open]) => {
                Some(Self::LinksCreated { created: created.parse().ok()?, already_open: already_open.parse().ok()? })
            }
            ("failed", []) => Some(Self::Failed { id: None }),
            ("failed", [id]) => Some(Self::Failed { id: Some(parse_id(id)?) }),
            ("other-organisation", []) => Some(Self::OtherOrganization),
            (code, []) => ConnectionFlash::parse(code)
                .map(Self::Connection)
                .or_else(|| NotificationFlash::parse(code).map(Self::Notification))
                .or_else(|| MembersFlash::parse(code).map(Self::Members))
                .or_else(|| ApiKeyFlash::parse(code).map(Self::ApiKeys))
                .or_else(|| AccountFlash::parse(code).map(Self::Account))
                .or_else(|| AddressProblem::parse(code).map(Self::Address)),
            _ => None,
        }
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
            to_reconnect: 1,
            for_operator: 4,
            retrying: 2,
            waits_for: Some(FailureCause::Limited),
            next_attempt_at: Some(1_800_000_000),
            has_active_bindings: true,
        };
        let mut all = vec![
            Flash::Connected { count: 2, first: "b-1".into() },
            Flash::Reconnected { count: 1, first: "b-1".into() },
            Flash::Refreshed(summary),
            Flash::Refreshed(RefreshSummary { next_attempt_at: None, waits_for: None, ..summary }),
            Flash::Refreshed(RefreshSummary { has_active_bindings: false, ..summary }),
            Flash::LinksCreated { created: 12, already_open: 3 },
            Flash::Failed { id: Some("ab-12".into()) },
            Flash::Failed { id: None },
            Flash::OtherOrganization,
        ];
        all.extend(ConnectionFlash::ALL.iter().map(|&one| one.into()));
        all.extend(NotificationFlash::ALL.iter().map(|&one| one.into()));
        all.extend(MembersFlash::ALL.iter().map(|&one| one.into()));
        all.extend(AccountFlash::ALL.iter().map(|&one| one.into()));
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
}
