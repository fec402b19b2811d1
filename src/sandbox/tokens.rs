//! The rules of codes and rotation, on plain state: what a code or a refresh token still buys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::options::{ReplayMode, Settings};
use super::state::{RefreshToken, Rotated, State, random_token};

/// What a refresh token bought.
pub(super) struct Rotation {
    pub auth_event_id: String,
    pub refresh_token: String,
    /// The presented token had been used before and was honoured within the grace window.
    pub replayed: bool,
}

/// Exchanges a refresh token. `None` is `invalid_grant`: unknown, unused for too long, past its grace, or its
/// successor has been used (then it is no longer in the state).
pub(super) fn rotate(state: &mut State, presented: &str, settings: &Settings, now: i64) -> Option<Rotation> {
    let token = state.refresh_tokens.get(presented)?;
    let auth_event_id = token.auth_event_id.clone();
    match token.rotated.clone() {
        None if now - token.issued_at >= settings.refresh_ttl => None,
        None => {
            if let Some(predecessor) = token.predecessor.clone() {
                state.refresh_tokens.remove(&predecessor);
            }
            let successor = issue(state, &auth_event_id, Some(presented), now);
            if let Some(token) = state.refresh_tokens.get_mut(presented) {
                token.rotated = Some(Rotated { at: now, successor: successor.clone() });
            }
            Some(Rotation { auth_event_id, refresh_token: successor, replayed: false })
        }
        Some(rotated) if now - rotated.at >= settings.grace => None,
        Some(rotated) => {
            let refresh_token = match settings.replay {
                ReplayMode::Same => rotated.successor,
                ReplayMode::Sibling => issue(state, &auth_event_id, Some(presented), now),
            };
            Some(Rotation { auth_event_id, refresh_token, replayed: true })
        }
    }
}

/// What a code bought; no refresh token without `offline_access`.
pub(super) struct Redemption {
    pub auth_event_id: String,
    pub refresh_token: Option<String>,
}

/// Redeems a code. It is gone after the first try, right or wrong. `None` is `invalid_grant`.
pub(super) fn redeem(
    state: &mut State,
    code: &str,
    redirect_uri: &str,
    verifier: Option<&str>,
    now: i64,
) -> Option<Redemption> {
    let code = state.codes.remove(code)?;
    let proven = match &code.code_challenge {
        None => true,
        Some(challenge) => verifier.is_some_and(|verifier| s256(verifier) == *challenge),
    };
    if now >= code.expires_at || code.redirect_uri != redirect_uri || !proven {
        return None;
    }
    let offline = state.grants.get(&code.auth_event_id)?.has_scope("offline_access");
    let refresh_token = offline.then(|| issue(state, &code.auth_event_id, None, now));
    Some(Redemption { auth_event_id: code.auth_event_id, refresh_token })
}

/// Makes a refresh token for a consent.
pub(super) fn issue(state: &mut State, auth_event_id: &str, predecessor: Option<&str>, now: i64) -> String {
    let token = random_token();
    let row = RefreshToken {
        auth_event_id: auth_event_id.to_owned(),
        issued_at: now,
        predecessor: predecessor.map(str::to_owned),
        rotated: None,
    };
    state.refresh_tokens.insert(token.clone(), row);
    token
}

/// RFC 7636: the challenge that belongs to a verifier.
fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::options::{DEFAULT_SCOPES, Options};
    use super::super::people::{PEOPLE, TENANTS};
    use super::super::state::Code;
    use super::*;

    const START: i64 = 1_700_000_000;
    const VERIFIER: &str = "a-verifier-that-is-long-enough-for-rfc-7636-43ch";

    fn settings(replay: ReplayMode) -> Settings {
        let mut settings = Settings::of(&Options::new("http://localhost", Arc::new(|| START)));
        settings.replay = replay;
        settings
    }

    fn consented(scopes: &str) -> (State, String) {
        let mut state = State::default();
        let event = state.consent(&PEOPLE[0], &[&TENANTS[0]], scopes, START);
        (state, event)
    }

    fn with_token() -> (State, String) {
        let (mut state, event) = consented(DEFAULT_SCOPES);
        let token = issue(&mut state, &event, None, START);
        (state, token)
    }

    fn with_code(scopes: &str) -> State {
        let (mut state, event) = consented(scopes);
        let code = Code {
            auth_event_id: event,
            redirect_uri: "http://localhost/cb".to_owned(),
            code_challenge: Some(s256(VERIFIER)),
            expires_at: START + 300,
        };
        state.codes.insert("code".to_owned(), code);
        state
    }

    fn next(state: &mut State, token: &str, settings: &Settings, now: i64) -> Option<String> {
        rotate(state, token, settings, now).map(|rotation| rotation.refresh_token)
    }

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        assert_eq!(s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_replay_in_same_mode_returns_the_successor_again() {
        let (mut state, first) = with_token();
        let same = settings(ReplayMode::Same);
        let second = next(&mut state, &first, &same, START).unwrap();
        assert_ne!(first, second);
        for later in [0, 1, 900, 1799] {
            let again = rotate(&mut state, &first, &same, START + later).unwrap();
            assert!(again.replayed);
            assert_eq!(again.refresh_token, second);
        }
    }

    #[test]
    fn a_replay_in_sibling_mode_returns_another_that_works() {
        let (mut state, first) = with_token();
        let sibling = settings(ReplayMode::Sibling);
        let second = next(&mut state, &first, &sibling, START).unwrap();
        let other = next(&mut state, &first, &sibling, START + 5).unwrap();
        assert_ne!(second, other);
        assert!(next(&mut state, &other, &sibling, START + 6).is_some());
        assert!(next(&mut state, &second, &sibling, START + 7).is_some());
    }

    #[test]
    fn the_grace_ends_after_thirty_minutes_from_the_first_use() {
        for mode in [ReplayMode::Same, ReplayMode::Sibling] {
            let (mut state, first) = with_token();
            let settings = settings(mode);
            let second = next(&mut state, &first, &settings, START).unwrap();
            assert!(next(&mut state, &first, &settings, START + 1799).is_some());
            assert!(next(&mut state, &first, &settings, START + 1800).is_none());
            assert!(next(&mut state, &second, &settings, START + 1801).is_some(), "the successor goes on");
        }
    }

    #[test]
    fn a_used_successor_ends_its_predecessor_within_the_grace() {
        for mode in [ReplayMode::Same, ReplayMode::Sibling] {
            let (mut state, first) = with_token();
            let settings = settings(mode);
            let second = next(&mut state, &first, &settings, START).unwrap();
            let third = next(&mut state, &second, &settings, START + 1).unwrap();
            assert!(next(&mut state, &first, &settings, START + 2).is_none());
            assert!(next(&mut state, &second, &settings, START + 2).is_some());
            assert!(next(&mut state, &third, &settings, START + 3).is_some());
        }
    }

    #[test]
    fn old_tokens_do_not_pile_up() {
        let (mut state, mut token) = with_token();
        let same = settings(ReplayMode::Same);
        for round in 0..50 {
            token = next(&mut state, &token, &same, START + round).unwrap();
        }
        assert_eq!(state.refresh_tokens.len(), 2);
    }

    #[test]
    fn sixty_days_unused_end_a_token_and_each_use_starts_them_anew() {
        const DAY: i64 = 86_400;
        let same = settings(ReplayMode::Same);
        let (mut state, first) = with_token();
        assert!(next(&mut state, &first, &same, START + 60 * DAY).is_none());
        let second = next(&mut state, &first, &same, START + 60 * DAY - 1).unwrap();
        assert!(next(&mut state, &second, &same, START + 119 * DAY).is_some());
    }

    #[test]
    fn a_code_buys_once_and_only_with_its_verifier_and_address() {
        let address = "http://localhost/cb";
        let mut state = with_code(DEFAULT_SCOPES);
        let bought = redeem(&mut state, "code", address, Some(VERIFIER), START + 299).unwrap();
        assert!(bought.refresh_token.is_some());
        assert!(redeem(&mut state, "code", address, Some(VERIFIER), START + 299).is_none(), "used before");

        assert!(redeem(&mut with_code(DEFAULT_SCOPES), "code", address, Some("another"), START).is_none());
        assert!(redeem(&mut with_code(DEFAULT_SCOPES), "code", address, None, START).is_none());
        assert!(redeem(&mut with_code(DEFAULT_SCOPES), "code", "http://localhost/x", Some(VERIFIER), START).is_none());
        assert!(redeem(&mut with_code(DEFAULT_SCOPES), "code", address, Some(VERIFIER), START + 300).is_none());
    }

    #[test]
    fn a_failed_try_uses_the_code_up() {
        let mut state = with_code(DEFAULT_SCOPES);
        assert!(redeem(&mut state, "code", "http://localhost/cb", Some("another"), START).is_none());
        assert!(redeem(&mut state, "code", "http://localhost/cb", Some(VERIFIER), START).is_none());
    }

    #[test]
    fn without_offline_access_there_is_no_refresh_token() {
        let mut state = with_code("openid accounting.settings.read");
        let bought = redeem(&mut state, "code", "http://localhost/cb", Some(VERIFIER), START).unwrap();
        assert!(bought.refresh_token.is_none());
    }

    #[test]
    fn a_reconnect_keeps_the_connection_and_moves_its_event() {
        let (mut state, event) = consented(DEFAULT_SCOPES);
        let before = state.connections[0].clone();
        let again = state.consent(&PEOPLE[0], &[&TENANTS[0]], DEFAULT_SCOPES, START + 60);
        assert_ne!(event, again);
        assert_eq!(state.connections.len(), 1);
        let after = &state.connections[0];
        assert_eq!((&after.id, after.created_at), (&before.id, before.created_at));
        assert_eq!((&after.auth_event_id, after.updated_at), (&again, START + 60));
    }

    #[test]
    fn a_revocation_ends_all_of_that_person_and_nothing_of_others() {
        let (mut state, token) = with_token();
        let other_event = state.consent(&PEOPLE[1], &[&TENANTS[0]], DEFAULT_SCOPES, START);
        let other = issue(&mut state, &other_event, None, START);
        state.revoke_person(PEOPLE[0].xero_user_id);
        let same = settings(ReplayMode::Same);
        assert!(next(&mut state, &token, &same, START).is_none());
        assert!(next(&mut state, &other, &same, START).is_some());
        assert_eq!(state.connections.len(), 1);
    }
}
