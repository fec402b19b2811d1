//! How far a delivery has come, in a hue, a word and its evidence.

use leptos::prelude::*;

use crate::model::{DeliveryStatus, DeliveryView};
use crate::ui::icons::{CHECK, CLOCK, SLASH, WARNING, icon};

/// The state in a badge.
pub fn state(one: &DeliveryView) -> impl IntoView + use<> {
    let (tone, path, word) = match (one.status, one.attempts) {
        (DeliveryStatus::Delivered, _) => ("good", CHECK, "Delivered"),
        (DeliveryStatus::Pending, 0) => ("info", CLOCK, "On its way"),
        (DeliveryStatus::Pending, _) => ("warn", CLOCK, "Tried again"),
        (DeliveryStatus::GivenUp, _) => ("bad", WARNING, "Not delivered"),
        (DeliveryStatus::Cancelled, _) => ("quiet", SLASH, "Cancelled"),
    };
    view! {
        <span class="badge" data-tone=tone>
            {icon(path)} {word}
        </span>
    }
}

/// What the receiver said, and how often it was asked: `answered 204`, `no answer in time, 3 tries`.
pub fn evidence(one: &DeliveryView) -> Option<String> {
    let said = match (&one.error, one.http_status) {
        (Some(error), _) => error.clone(),
        (None, Some(status)) => format!("answered {status}"),
        (None, None) => return None,
    };
    Some(if one.attempts > 1 { format!("{said}, {} tries", one.attempts) } else { said })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Channel;

    #[test]
    fn what_the_receiver_said_stands_beside_its_tries() {
        let mut one = DeliveryView {
            channel: Channel::Webhook,
            receiver: None,
            status: DeliveryStatus::Pending,
            attempts: 0,
            last_attempt_at: None,
            next_attempt_at: Some(0),
            http_status: None,
            error: None,
        };
        assert_eq!(evidence(&one), None);
        one.attempts = 3;
        one.error = Some("no answer in time".into());
        assert_eq!(evidence(&one).as_deref(), Some("no answer in time, 3 tries"));
        one = DeliveryView { attempts: 1, error: None, http_status: Some(204), ..one };
        assert_eq!(evidence(&one).as_deref(), Some("answered 204"));
    }
}
