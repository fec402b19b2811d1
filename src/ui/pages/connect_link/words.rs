//! The words of the page behind a connect link, for a person who knows nothing of Evergrant.

use leptos::prelude::*;

use crate::model::{ConnectLinkPage, LinkOutcome, LinkStatus};

pub const TITLE: &str = "Connect to Xero";

// An open link.
pub fn who_asks(link: &ConnectLinkPage) -> String {
    match &link.tenant_name {
        Some(tenant) => format!("{} asks you to reconnect {tenant} to Xero", link.organisation),
        None => format!("{} asks you to connect Xero", link.organisation),
    }
}
pub fn why(organization: &str) -> String {
    format!(
        "{organization} uses Evergrant to work with Xero, and needs your permission. You don't need an account here."
    )
}
pub const ASKED_BY: &str = "Asked by";
pub const WHAT_FOR: &str = "What for";
pub const ORGANIZATION_IN_XERO: &str = "Organisation in Xero";
pub const LINK_EXPIRES: &str = "Link expires";
pub fn in_utc(time: impl IntoView) -> impl IntoView {
    (time, " UTC")
}
pub fn what_it_may_do(organization: &str) -> String {
    format!("What {organization} may do")
}
pub const WHAT_HAPPENS_NEXT: &str = "What happens next";
pub const NEXT_STEPS: &str = "You sign in at Xero and choose the organisation. Then you come back here. Your Xero password stays with Xero, and you can end the access there at any time, under Connected apps.";
pub const CONNECT: &str = "Connect to Xero";
pub fn if_you_do_not_know(organization: &str) -> String {
    format!("If you don't know {organization}, close this page: nothing has happened yet.")
}

/// Says why the last consent connected nothing. `None` if there is nothing to say.
pub fn problem(link: &ConnectLinkPage) -> Option<String> {
    let text = match link.outcome? {
        LinkOutcome::Connected | LinkOutcome::Waiting | LinkOutcome::NotConfirmed => return None,
        LinkOutcome::Declined => {
            "Nothing was connected: the request was declined at Xero. You can try again.".to_owned()
        }
        LinkOutcome::WrongOrganization => format!(
            "Nothing was connected: this link is for {}, and {} was chosen at Xero. Try again and choose {}.",
            link.tenant_name.as_deref().unwrap_or("another organisation"),
            link.chosen.join(", "),
            link.tenant_name.as_deref().unwrap_or("that one"),
        ),
        LinkOutcome::ScopeRefused => format!(
            "Nothing was connected: Xero says that the app may not ask for these scopes. Trying again won't help. Tell {}, so that their Evergrant administrator can correct it.",
            link.organisation
        ),
        LinkOutcome::Expired => {
            "Nothing was connected: the Xero sign-in took longer than ten minutes. Try again.".to_owned()
        }
        LinkOutcome::NothingChosen => {
            "Nothing was connected: no organisation was chosen at Xero. Try again and choose one.".to_owned()
        }
        LinkOutcome::Failed => "Nothing was connected: Xero reported an error. Try again in a moment.".to_owned(),
    };
    Some(text)
}

/// Says how a link ended: the heading and the text.
pub fn ended(link: &ConnectLinkPage) -> (String, String) {
    let (organisation, chosen) = (&link.organisation, link.chosen.join(", "));
    let verb = if link.chosen.len() == 1 { "is" } else { "are" };
    if let Some(tenant) = link.tenant_name.as_ref().filter(|_| link.works && link.status != LinkStatus::Used) {
        return (
            format!("{tenant} is connected"),
            format!("{organisation} can work with it in Xero. You have nothing to do, and can close this page."),
        );
    }
    match (link.status, link.outcome) {
        (LinkStatus::Used, Some(LinkOutcome::Waiting)) => (
            "Almost done".to_owned(),
            format!(
                "{organisation} has to confirm the connection of {chosen}. You have nothing more to do, and can close this page."
            ),
        ),
        (LinkStatus::Used, Some(LinkOutcome::NotConfirmed)) => (
            "Nothing was connected".to_owned(),
            format!(
                "{organisation} did not confirm the connection of {chosen}. If you still expect to connect it, ask {organisation} for a new link."
            ),
        ),
        (LinkStatus::Used, Some(LinkOutcome::Failed)) => (
            "Nothing was connected".to_owned(),
            format!(
                "The access to {chosen} ended before {organisation} confirmed it. Ask {organisation} for a new link."
            ),
        ),
        (LinkStatus::Used, _) => (
            format!("{chosen} {verb} connected"),
            format!(
                "{organisation} can work with it in Xero now. This link can't be used again, and you can close this page."
            ),
        ),
        (LinkStatus::Cancelled, _) => (
            "This link was cancelled".to_owned(),
            format!("Nothing was connected. If you still expect to connect Xero, ask {organisation} for a new link."),
        ),
        (LinkStatus::Expired | LinkStatus::Open, _) => {
            ("This link has expired".to_owned(), format!("Nothing was connected. Ask {organisation} for a new link."))
        }
    }
}

// An address that is no link's.
pub const UNKNOWN_LINK: &str = "This link doesn't work here";
pub const OPEN_THE_WHOLE_LINK: &str = "Open the whole link again, as it was sent to you, in this browser. If that doesn't help, ask the person who sent it for a new one.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_organization_names_the_wanted_one_and_the_chosen_ones() {
        let link = ConnectLinkPage {
            id: "l".into(),
            status: LinkStatus::Open,
            organisation: "Harbour Group".into(),
            requested_by: String::new(),
            note: String::new(),
            tenant_name: Some("Harbour Coffee".into()),
            works: false,
            permissions: Vec::new(),
            expires_at: 0,
            outcome: Some(LinkOutcome::WrongOrganization),
            chosen: vec!["Kauri Joinery".into(), "Southerly Cycles".into()],
            least_access_lacks: None,
        };
        let text = problem(&link).unwrap();
        assert!(text.contains("for Harbour Coffee, and Kauri Joinery, Southerly Cycles was chosen"), "{text}");
        let used = ConnectLinkPage { status: LinkStatus::Used, outcome: Some(LinkOutcome::Connected), ..link };
        assert_eq!(ended(&used).0, "Kauri Joinery, Southerly Cycles are connected");
        for (outcome, expected) in [
            (LinkOutcome::Waiting, "has to confirm"),
            (LinkOutcome::NotConfirmed, "did not confirm"),
            (LinkOutcome::Failed, "ended before Harbour Group confirmed it"),
        ] {
            let text = ended(&ConnectLinkPage { outcome: Some(outcome), ..used.clone() }).1;
            assert!(text.contains(expected), "{text}");
        }
        let superseded = ConnectLinkPage { status: LinkStatus::Cancelled, works: true, ..used };
        assert_eq!(ended(&superseded).0, "Harbour Coffee is connected", "somebody else was faster");
    }
}
