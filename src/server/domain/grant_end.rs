//! Why a grant ended. If Xero no longer accepts its refresh token, the journal tells why: Xero itself only answers
//! `invalid_grant`.

use super::grant::{Grant, XERO_REPLAY_WINDOW};
use super::token_times::REFRESH_TOKEN_LIFETIME;

/// Why a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantEnd {
    /// No reply is missing, so the user or Xero revoked it.
    RevokedAtXero,
    /// The reply with the next token was lost or unreadable, or a proxy replaced it, and the same token was sent again only
    /// after Xero's replay window.
    ReplyLost,
    /// The token was not rotated within its lifetime.
    Expired,
    /// An operator exported the token: another system refreshes it now.
    Exported,
}

impl GrantEnd {
    /// Classifies the end of `held`. `sent_at` is when the refused token was sent. `unanswered_since` is when the same
    /// token was first sent without a usable reply, or `None` if every attempt got one.
    pub fn classify(held: &Grant, sent_at: i64, first_unanswered_at: Option<i64>) -> Self {
        if first_unanswered_at.is_some_and(|since| sent_at - since > XERO_REPLAY_WINDOW) {
            Self::ReplyLost
        } else if sent_at - held.refresh_token_issued_at > REFRESH_TOKEN_LIFETIME {
            Self::Expired
        } else {
            // Within the replay window Xero would have replayed the reply.
            Self::RevokedAtXero
        }
    }

    /// Returns the code for programs. For the journal, it is Xero's code, extended by what the journal shows.
    pub fn code(self) -> &'static str {
        match self {
            Self::RevokedAtXero => "invalid_grant",
            Self::ReplyLost => "invalid_grant_after_lost_reply",
            Self::Expired => "invalid_grant_after_sixty_days",
            Self::Exported => "exported",
        }
    }

    /// Returns the message for people of an ended grant, by when it was exported and its last error.
    pub fn message_of(exported_at: Option<i64>, last_error: Option<&str>) -> &str {
        match exported_at {
            Some(_) => Self::Exported.message(),
            None => last_error.unwrap_or(Self::RevokedAtXero.message()),
        }
    }

    /// Returns the message for people.
    pub fn message(self) -> &'static str {
        match self {
            Self::RevokedAtXero => "Access was removed in Xero. Your Xero data is safe. Reconnect to continue.",
            Self::ReplyLost => {
                "Xero no longer accepts this connection: a reply from Xero was lost or unreadable and could not be \
                 fetched again within 30 minutes. Your Xero data is safe. Reconnect to continue."
            }
            Self::Expired => {
                "Xero no longer accepts this connection: it was not renewed for sixty days. Your Xero data is safe. \
                 Reconnect to continue."
            }
            Self::Exported => {
                "Moved to another system, which keeps this connection alive now. Evergrant has stopped. Reconnect here \
                 only once the other system has stopped."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUED: i64 = 1_800_000_000;

    #[test]
    fn lost_reply_and_expiry_are_distinguished_from_revocation() {
        let held = Grant::for_test(ISSUED + 1800, ISSUED);
        let (sent, life) = (ISSUED + 1700, REFRESH_TOKEN_LIFETIME);
        let cases = [
            (sent, None, GrantEnd::RevokedAtXero),
            (sent, Some(sent - XERO_REPLAY_WINDOW), GrantEnd::RevokedAtXero),
            (sent, Some(sent - XERO_REPLAY_WINDOW - 1), GrantEnd::ReplyLost),
            (ISSUED + life, None, GrantEnd::RevokedAtXero),
            (ISSUED + life + 1, None, GrantEnd::Expired),
            (ISSUED + life + 1, Some(ISSUED + life - XERO_REPLAY_WINDOW), GrantEnd::ReplyLost),
            (ISSUED + life + 1, Some(ISSUED + life), GrantEnd::Expired),
        ];
        for (sent_at, unanswered_since, ended) in cases {
            assert_eq!(GrantEnd::classify(&held, sent_at, unanswered_since), ended, "{sent_at} {unanswered_since:?}");
        }
    }

    #[test]
    fn ended_grant_says_its_last_error_unless_it_was_exported() {
        assert!(GrantEnd::message_of(Some(ISSUED), Some("timeout")).starts_with("Moved to another system"));
        assert_eq!(GrantEnd::message_of(None, Some("timeout")), "timeout");
        assert!(GrantEnd::message_of(None, None).starts_with("Access was removed in Xero."));
        let exported = Grant { exported_at: Some(ISSUED), ..Grant::for_test(ISSUED, ISSUED) };
        assert_eq!(exported.end_message(), GrantEnd::Exported.message());
    }

    #[test]
    fn journal_has_the_code_of_xero_extended_by_what_it_shows() {
        let ends = [GrantEnd::RevokedAtXero, GrantEnd::ReplyLost, GrantEnd::Expired];
        let codes = ["invalid_grant", "invalid_grant_after_lost_reply", "invalid_grant_after_sixty_days"];
        assert_eq!(ends.map(GrantEnd::code), codes);
        assert_eq!(GrantEnd::Exported.code(), "exported");
    }
}
