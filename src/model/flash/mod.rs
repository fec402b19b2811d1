//! Flash messages: one-time messages that a redirect carries to the next page.

mod account;
mod api_keys;
mod connections;
mod cookie;
mod field;
mod members;
mod notifications;

use std::borrow::Cow;

use super::{BindingId, RefreshReport, RefreshSummary, Tone};
pub use account::AccountFlash;
pub use api_keys::ApiKeyFlash;
pub use connections::ConnectionFlash;
pub use members::MembersFlash;
pub use notifications::{AddressProblem, NotificationFlash};

/// What a form's page shows about the form's result.
pub trait FlashMessage {
    /// Returns the tone: `Good` if the form succeeded.
    fn tone(&self) -> Tone;

    /// Returns the sentence.
    fn text(&self) -> Cow<'static, str>;
}

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
    /// Links for all connections that lack access were created.
    LinksCreated {
        /// How many links.
        created: u32,
        /// How many connections have an open one already.
        already_open: u32,
    },
    /// A form's action failed. If the log has the cause, it is there under this id.
    Failed {
        /// The id of the log entry; `None` if nothing was logged.
        id: Option<String>,
    },
    /// The form was rendered for another organization than the one that the person works in now.
    OtherOrganization,
    /// Result of a form about connections.
    Connection(ConnectionFlash),
    /// Result of a form on the notifications page.
    Notification(NotificationFlash),
    /// Result of a form about members or the organization.
    Members(MembersFlash),
    /// Result of a form about API keys.
    ApiKeys(ApiKeyFlash),
    /// Result of a form about a person's own account.
    Account(AccountFlash),
    /// A webhook address was refused.
    Address(AddressProblem),
}

impl From<ConnectionFlash> for Flash {
    fn from(flash: ConnectionFlash) -> Self {
        Self::Connection(flash)
    }
}

impl From<NotificationFlash> for Flash {
    fn from(flash: NotificationFlash) -> Self {
        Self::Notification(flash)
    }
}

impl From<ApiKeyFlash> for Flash {
    fn from(flash: ApiKeyFlash) -> Self {
        Self::ApiKeys(flash)
    }
}

impl From<AccountFlash> for Flash {
    fn from(flash: AccountFlash) -> Self {
        Self::Account(flash)
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
            Self::LinksCreated { created: 1.., .. } => Tone::Good,
            Self::LinksCreated { .. } => Tone::Warn,
            Self::Refreshed(summary) if summary.failed() == 0 => Tone::Good,
            Self::Refreshed(_) | Self::Failed { .. } | Self::OtherOrganization => Tone::Warn,
            Self::Connection(flash) => flash.tone(),
            Self::Notification(flash) => flash.tone(),
            Self::Members(flash) => flash.tone(),
            Self::ApiKeys(flash) => flash.tone(),
            Self::Account(flash) => flash.tone(),
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
            Self::LinksCreated { created, already_open } => links_created_text(*created, *already_open).into(),
            Self::Failed { id: None } => "That didn't work. Try again in a moment.".into(),
            Self::Failed { id: Some(id) } => format!("That didn't work. Try again in a moment. If this keeps happening, give your administrator this reference: {id}.").into(),
            Self::OtherOrganization => "Nothing was changed: this page was for another organisation than the one you are working in now. Check the organisation at the top of the page, then try again.".into(),
            Self::Connection(flash) => flash.text(),
            Self::Notification(flash) => flash.text(),
            Self::Members(flash) => flash.text(),
            Self::ApiKeys(flash) => flash.text(),
            Self::Account(flash) => flash.text(),
            Self::Address(problem) => problem.text(),
        }
    }
}

/// Says how many links were created, and for how many connections none was needed.
fn links_created_text(created: u32, already_open: u32) -> String {
    let open = match already_open {
        0 => String::new(),
        1 => "1 connection already has one.".to_owned(),
        many => format!("{many} connections already have one."),
    };
    let copy = "Copy them now: you won't be able to see them again.";
    match (created, already_open) {
        (0, _) => format!("No link was created: {open} Cancel a link to create a new one."),
        (1, 0) => "1 link was created. Copy it now: you won't be able to see it again.".to_owned(),
        (1, _) => format!("1 link was created; {open} Copy it now: you won't be able to see it again."),
        (_, 0) => format!("{created} links were created. {copy}"),
        _ => format!("{created} links were created; {open} {copy}"),
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

    /// Returns whether the message says what a consent connected.
    pub fn is_about_consent(&self) -> bool {
        matches!(self, Self::Connected { .. } | Self::Reconnected { .. })
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

    /// Returns whether the message reports a refusal, or a failure that requires action.
    pub fn is_alert(&self) -> bool {
        self.tone() != Tone::Good && self.retry_at().is_none()
    }
}

/// Says which connections still need reconnecting: the first by name, and how many others. Empty if there are none.
pub fn still_broken_text(tenants: &[String]) -> String {
    match tenants {
        [] => String::new(),
        [one] => format!("{one} still needs reconnecting."),
        [one, other] => format!("{one} and {other} still need reconnecting."),
        [one, rest @ ..] => format!("{one} and {} others still need reconnecting.", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_still_need_reconnecting_are_named() {
        let names: Vec<String> = ["Southerly Cycles", "Kauri Books", "Fernhill"].map(Into::into).into();
        assert_eq!(still_broken_text(&names[..0]), "");
        assert_eq!(still_broken_text(&names[..1]), "Southerly Cycles still needs reconnecting.");
        assert_eq!(still_broken_text(&names[..2]), "Southerly Cycles and Kauri Books still need reconnecting.");
        assert_eq!(still_broken_text(&names), "Southerly Cycles and 2 others still need reconnecting.");
    }

    #[test]
    fn message_about_one_connection_names_its_tenant() {
        let one = Flash::Connected { count: 1, first: "b-1".into() };
        assert_eq!(one.text_about("Harbour Coffee"), "Harbour Coffee is connected.");
        let many = Flash::Reconnected { count: 3, first: "b-1".into() };
        assert_eq!((many.binding(), many.text()), (None, "3 organisations are reconnected.".into()));
        let again = Flash::Reconnected { count: 1, first: "b-2".into() };
        assert_eq!(again.text_about("Kauri Books"), "Kauri Books is reconnected.");
        assert_eq!((one.binding(), again.binding()), (Some(&"b-1".into()), Some(&"b-2".into())));
        assert!([one, many, again].iter().all(Flash::is_about_consent) && !Flash::OtherOrganization.is_about_consent());
    }

    #[test]
    fn links_for_all_say_how_many_connections_have_one_already() {
        let text = |created, already_open| Flash::LinksCreated { created, already_open }.text().into_owned();
        assert!(text(12, 3).starts_with("12 links were created; 3 connections already have one. Copy them now"));
        assert!(text(1, 0).starts_with("1 link was created. Copy it now"));
        assert!(text(1, 2).starts_with("1 link was created; 2 connections already have one. Copy it now"));
        assert!(text(2, 0).starts_with("2 links were created. Copy them now"));
        assert!(text(0, 1).starts_with("No link was created: 1 connection already has one."));
        assert_eq!(Flash::LinksCreated { created: 0, already_open: 1 }.tone(), Tone::Warn);
    }

    #[test]
    fn refresh_is_good_news_unless_a_token_failed() {
        let all = RefreshSummary { refreshed: 2, ..RefreshSummary::default() };
        let some = RefreshSummary { retrying: 1, next_attempt_at: Some(60), ..all };
        let told = [all, some].map(Flash::Refreshed).map(|flash| (flash.tone(), flash.retry_at()));
        assert_eq!(told, [(Tone::Good, None), (Tone::Warn, Some(60))]);
        assert_eq!(Flash::OtherOrganization.retry_at(), None);
    }

    #[test]
    fn failure_without_a_log_entry_asks_for_no_reference() {
        assert_eq!(Flash::Failed { id: None }.text(), "That didn't work. Try again in a moment.");
    }
}
