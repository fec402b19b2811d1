//! A delivery's state badge and evidence.

use crate::model::{DeliveryStatus, DeliveryView, Tone};
use crate::ui::components::badge::Badge;
use crate::ui::shared::icons::{CHECK, CLOCK, SLASH, WARNING};

/// Returns the badge of a delivery's state.
pub fn status_badge(one: &DeliveryView) -> Badge {
    match (one.status, one.attempts) {
        (DeliveryStatus::Delivered, _) => Badge::new(Tone::Good, CHECK, "Delivered"),
        (DeliveryStatus::Pending, 0) => Badge::new(Tone::Info, CLOCK, "Queued"),
        (DeliveryStatus::Pending, _) => Badge::new(Tone::Warn, CLOCK, "Retrying"),
        (DeliveryStatus::GivenUp, _) => Badge::new(Tone::Bad, WARNING, "Not delivered"),
        (DeliveryStatus::Cancelled, _) => Badge::new(Tone::Quiet, SLASH, "Cancelled"),
    }
}

/// Describes the last response and the number of attempts: `answered 204`, `no answer in time, 3 attempts`.
pub fn evidence(one: &DeliveryView) -> Option<String> {
    let said = match (&one.error, one.http_status) {
        (Some(error), _) => error.clone(),
        (None, Some(status)) => format!("answered {status}"),
        (None, None) => return None,
    };
    Some(if one.attempts > 1 { format!("{said}, {} attempts", one.attempts) } else { said })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Channel;

    #[test]
    fn evidence_shows_the_response_and_the_number_of_attempts() {
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
        assert_eq!(evidence(&one).as_deref(), Some("no answer in time, 3 attempts"));
        one = DeliveryView { attempts: 1, error: None, http_status: Some(204), ..one };
        assert_eq!(evidence(&one).as_deref(), Some("answered 204"));
    }
}
