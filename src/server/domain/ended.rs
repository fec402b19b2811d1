//! Why Xero no longer takes a refresh token, as far as our journal can tell. Xero itself says `invalid_grant` and no more.

use super::grant::{GRACE, Grant, REFRESH_TOKEN_LIFE};

/// What ended a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No answer of Xero's is missing, so it was ended there: by whoever consented, or by Xero.
    There,
    /// An earlier try with the same token got no answer, and the token was sent again only after Xero's grace.
    /// The answer that was lost held its successor.
    LostReply,
    /// The token was left unused for longer than it lives.
    Unused,
}

impl Ended {
    /// `sent_at`: when the token was sent that Xero refused. `unanswered_since`: when the same token was first sent
    /// without an answer that counts; absent where each try got one.
    pub fn judge(held: &Grant, sent_at: i64, unanswered_since: Option<i64>) -> Self {
        if unanswered_since.is_some_and(|since| sent_at - since > GRACE) {
            Self::LostReply
        } else if sent_at - held.refresh_token_issued_at > REFRESH_TOKEN_LIFE {
            Self::Unused
        } else {
            // Inside the grace Xero would have sent the successor again.
            Self::There
        }
    }

    /// The journal's word: Xero's own, and what we know beyond it.
    pub fn code(self) -> &'static str {
        match self {
            Self::There => "invalid_grant",
            Self::LostReply => "invalid_grant_after_lost_reply",
            Self::Unused => "invalid_grant_after_sixty_days",
        }
    }

    /// What a person is told.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::There => {
                "Xero no longer accepts this connection: the person who made it, or Xero, ended it. Your data in \
                 Xero is untouched; reconnect to go on."
            }
            Self::LostReply => {
                "Xero no longer accepts this connection: a reply of Xero's was lost, and the 30 minutes in which it \
                 can be had again were over before it could be asked for. Your data in Xero is untouched; reconnect \
                 to go on."
            }
            Self::Unused => {
                "Xero no longer accepts this connection: its token was not used for sixty days. Your data in Xero is \
                 untouched; reconnect to go on."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GrantStatus;
    use crate::server::domain::SealedTokens;

    const ISSUED: i64 = 1_800_000_000;

    #[test]
    fn a_lost_reply_and_an_unused_token_are_told_apart_from_a_revocation() {
        let held = Grant {
            id: "g".into(),
            org_id: "o".into(),
            xero_user_id: String::new(),
            auth_event_id: String::new(),
            scopes: String::new(),
            sealed: SealedTokens { access: String::new(), refresh: String::new() },
            expires_at: ISSUED + 1800,
            refresh_token_issued_at: ISSUED,
            status: GrantStatus::Active,
            generation: 0,
            lease: None,
            failure_count: 0,
            next_attempt_at: None,
            last_error: None,
            last_refreshed_at: None,
            last_used_at: None,
            reply_lost_at: None,
        };
        let (sent, life) = (ISSUED + 1700, REFRESH_TOKEN_LIFE);
        let cases = [
            (sent, None, Ended::There),
            (sent, Some(sent - GRACE), Ended::There),
            (sent, Some(sent - GRACE - 1), Ended::LostReply),
            (ISSUED + life, None, Ended::There),
            (ISSUED + life + 1, None, Ended::Unused),
            (ISSUED + life + 1, Some(ISSUED + life - GRACE), Ended::LostReply),
            (ISSUED + life + 1, Some(ISSUED + life), Ended::Unused),
        ];
        for (sent_at, unanswered_since, ended) in cases {
            assert_eq!(Ended::judge(&held, sent_at, unanswered_since), ended, "{sent_at} {unanswered_since:?}");
        }
    }
}
