//! The rules of authorization codes and of refresh token rotation, on plain state.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::options::{ReplayMode, Settings};
use crate::state::{RefreshToken, Rotation, State, random_token};

/// The result of exchanging a refresh token.
pub(crate) struct Refreshed {
    pub auth_event_id: String,
    pub refresh_token: String,
    /// The presented token had been used before and was accepted within the replay window.
    pub is_replay: bool,
}

/// Whether a first use exchanges the refresh token for another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstUse {
    Rotates,
    /// The token stays, as RFC 6749 section 6 allows. Its age counts on.
    Keeps,
}

/// Exchanges a refresh token.
///
/// `None` means `invalid_grant`: the token is unknown, was unused for too long, is past its replay window, or its
/// successor has been used (which removed it from the state). It is refused to another app than its own, too.
pub(crate) fn rotate(
    state: &mut State,
    presented: &str,
    client_id: &str,
    first_use: FirstUse,
    settings: &Settings,
    now: i64,
) -> Option<Refreshed> {
    let token = state.refresh_tokens.get(presented)?;
    let auth_event_id = token.auth_event_id.clone();
    if state.grants.get(&auth_event_id)?.client_id != client_id {
        return None;
    }
    match token.rotated.clone() {
        None if now - token.issued_at >= settings.refresh_ttl => None,
        None => {
            if let Some(predecessor) = token.predecessor.clone() {
                state.refresh_tokens.remove(&predecessor);
            }
            if first_use == FirstUse::Keeps {
                return Some(Refreshed { auth_event_id, refresh_token: presented.to_owned(), is_replay: false });
            }
            let successor = issue_refresh_token(state, &auth_event_id, Some(presented), now);
            if let Some(token) = state.refresh_tokens.get_mut(presented) {
                token.rotated = Some(Rotation { at: now, successor: successor.clone() });
            }
            Some(Refreshed { auth_event_id, refresh_token: successor, is_replay: false })
        }
        Some(rotation) if now - rotation.at >= settings.replay_window => None,
        Some(rotation) => {
            let refresh_token = match settings.replay_mode {
                ReplayMode::Same => rotation.successor,
                ReplayMode::Sibling => issue_refresh_token(state, &auth_event_id, Some(presented), now),
                ReplayMode::Newest => {
                    state.refresh_tokens.retain(|_, token| token.predecessor.as_deref() != Some(presented));
                    issue_refresh_token(state, &auth_event_id, Some(presented), now)
                }
            };
            Some(Refreshed { auth_event_id, refresh_token, is_replay: true })
        }
    }
}

/// The result of redeeming a code. Without the `offline_access` scope there is no refresh token.
pub(crate) struct Redeemed {
    pub auth_event_id: String,
    pub refresh_token: Option<String>,
    pub nonce: Option<String>,
}

/// Redeems a code, which is removed whether or not the attempt succeeds. `None` means `invalid_grant`.
pub(crate) fn redeem_code(
    state: &mut State,
    code: &str,
    client_id: &str,
    redirect_uri: &str,
    verifier: Option<&str>,
    now: i64,
) -> Option<Redeemed> {
    let code = state.codes.remove(code)?;
    let is_verified = match &code.code_challenge {
        None => true,
        Some(challenge) => verifier.is_some_and(|verifier| s256(verifier) == *challenge),
    };
    if now >= code.expires_at || code.redirect_uri != redirect_uri || !is_verified {
        return None;
    }
    let grant = state.grants.get(&code.auth_event_id).filter(|grant| grant.client_id == client_id)?;
    let is_offline = grant.has_scope("offline_access");
    let refresh_token = is_offline.then(|| issue_refresh_token(state, &code.auth_event_id, None, now));
    Some(Redeemed { auth_event_id: code.auth_event_id, refresh_token, nonce: code.nonce })
}

/// Issues a refresh token for a consent.
pub(crate) fn issue_refresh_token(
    state: &mut State,
    auth_event_id: &str,
    predecessor: Option<&str>,
    now: i64,
) -> String {
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

/// Returns the PKCE challenge of a verifier (RFC 7636, method S256).
fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::options::{DEFAULT_SCOPES, Options};
    use crate::people::{PEOPLE, Person, TENANTS, Tenant};
    use crate::state::{Code, Consent};

    const START: i64 = 1_700_000_000;
    const VERIFIER: &str = "a-verifier-that-is-long-enough-for-rfc-7636-43ch";

    fn settings(replay_mode: ReplayMode) -> Settings {
        let mut settings = Settings::from(&Options::new("http://localhost", Arc::new(|| START)));
        settings.replay_mode = replay_mode;
        settings
    }

    const CLIENT: &str = "client";
    const ONE_TENANT: &[&Tenant] = &[&TENANTS[0]];

    fn consent<'a>(person: &'static Person, scopes: &'a str, keep_auth_event_id: bool) -> Consent<'a> {
        Consent { person, tenants: ONE_TENANT, scopes, client_id: CLIENT, keep_auth_event_id }
    }

    fn state_with_consent(scopes: &str) -> (State, String) {
        let mut state = State::default();
        let event = state.record_consent(&consent(&PEOPLE[0], scopes, false), START);
        (state, event)
    }

    fn state_with_token() -> (State, String) {
        let (mut state, event) = state_with_consent(DEFAULT_SCOPES);
        let token = issue_refresh_token(&mut state, &event, None, START);
        (state, token)
    }

    fn state_with_code(scopes: &str) -> State {
        let (mut state, event) = state_with_consent(scopes);
        let code = Code {
            auth_event_id: event,
            redirect_uri: "http://localhost/cb".to_owned(),
            code_challenge: Some(s256(VERIFIER)),
            nonce: None,
            expires_at: START + 300,
        };
        state.codes.insert("code".to_owned(), code);
        state
    }

    fn next(state: &mut State, token: &str, settings: &Settings, now: i64) -> Option<String> {
        use_token(state, token, settings, now).map(|refreshed| refreshed.refresh_token)
    }

    fn use_token(state: &mut State, token: &str, settings: &Settings, now: i64) -> Option<Refreshed> {
        rotate(state, token, CLIENT, FirstUse::Rotates, settings, now)
    }

    fn redeem(state: &mut State, redirect_uri: &str, verifier: Option<&str>, now: i64) -> Option<Redeemed> {
        redeem_code(state, "code", CLIENT, redirect_uri, verifier, now)
    }

    #[test]
    fn challenge_matches_the_example_of_rfc_7636() {
        assert_eq!(s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn replay_in_same_mode_returns_the_same_successor() {
        let (mut state, first) = state_with_token();
        let same = settings(ReplayMode::Same);
        let second = next(&mut state, &first, &same, START).unwrap();
        assert_ne!(first, second);
        for later in [0, 1, 900, 1799] {
            let replay = use_token(&mut state, &first, &same, START + later).unwrap();
            assert!(replay.is_replay);
            assert_eq!(replay.refresh_token, second);
        }
    }

    #[test]
    fn replay_in_sibling_mode_returns_another_valid_token() {
        let (mut state, first) = state_with_token();
        let sibling = settings(ReplayMode::Sibling);
        let second = next(&mut state, &first, &sibling, START).unwrap();
        let other = next(&mut state, &first, &sibling, START + 5).unwrap();
        assert_ne!(second, other);
        assert!(next(&mut state, &other, &sibling, START + 6).is_some());
        assert!(next(&mut state, &second, &sibling, START + 7).is_some());
    }

    #[test]
    fn replay_in_newest_mode_ends_the_earlier_successors() {
        let (mut state, first) = state_with_token();
        let newest = settings(ReplayMode::Newest);
        let second = next(&mut state, &first, &newest, START).unwrap();
        let third = next(&mut state, &first, &newest, START + 5).unwrap();
        let fourth = next(&mut state, &first, &newest, START + 6).unwrap();
        assert!(next(&mut state, &second, &newest, START + 7).is_none());
        assert!(next(&mut state, &third, &newest, START + 7).is_none());
        assert!(next(&mut state, &fourth, &newest, START + 7).is_some());
        assert!(next(&mut state, &first, &newest, START + 8).is_none(), "the fourth was used");
    }

    #[test]
    fn token_of_another_app_is_refused_and_stays_valid_for_its_own() {
        let (mut state, first) = state_with_token();
        let same = settings(ReplayMode::Same);
        assert!(rotate(&mut state, &first, "another", FirstUse::Rotates, &same, START).is_none());
        assert!(next(&mut state, &first, &same, START).is_some());
        let mut state = state_with_code(DEFAULT_SCOPES);
        assert!(redeem_code(&mut state, "code", "another", "http://localhost/cb", Some(VERIFIER), START).is_none());
    }

    #[test]
    fn kept_token_stays_valid_and_its_age_counts_on() {
        const DAY: i64 = 86_400;
        let same = settings(ReplayMode::Same);
        let (mut state, first) = state_with_token();
        let kept = rotate(&mut state, &first, CLIENT, FirstUse::Keeps, &same, START + 59 * DAY).unwrap();
        assert!(kept.refresh_token == first && !kept.is_replay);
        assert!(next(&mut state, &first, &same, START + 60 * DAY).is_none());
    }

    #[test]
    fn replay_window_ends_thirty_minutes_after_the_first_use() {
        for mode in [ReplayMode::Same, ReplayMode::Sibling, ReplayMode::Newest] {
            let (mut state, first) = state_with_token();
            let settings = settings(mode);
            next(&mut state, &first, &settings, START).unwrap();
            let newest = next(&mut state, &first, &settings, START + 1799).unwrap();
            assert!(next(&mut state, &first, &settings, START + 1800).is_none());
            assert!(next(&mut state, &newest, &settings, START + 1801).is_some(), "the successor stays valid");
        }
    }

    #[test]
    fn using_a_successor_invalidates_its_predecessor_within_the_replay_window() {
        for mode in [ReplayMode::Same, ReplayMode::Sibling] {
            let (mut state, first) = state_with_token();
            let settings = settings(mode);
            let second = next(&mut state, &first, &settings, START).unwrap();
            let third = next(&mut state, &second, &settings, START + 1).unwrap();
            assert!(next(&mut state, &first, &settings, START + 2).is_none());
            assert!(next(&mut state, &second, &settings, START + 2).is_some());
            assert!(next(&mut state, &third, &settings, START + 3).is_some());
        }
    }

    #[test]
    fn old_tokens_are_removed() {
        let (mut state, mut token) = state_with_token();
        let same = settings(ReplayMode::Same);
        for round in 0..50 {
            token = next(&mut state, &token, &same, START + round).unwrap();
        }
        assert_eq!(state.refresh_tokens.len(), 2);
    }

    #[test]
    fn refresh_token_expires_after_sixty_unused_days_and_its_successor_has_sixty_again() {
        const DAY: i64 = 86_400;
        let same = settings(ReplayMode::Same);
        let (mut state, first) = state_with_token();
        assert!(next(&mut state, &first, &same, START + 60 * DAY).is_none());
        let second = next(&mut state, &first, &same, START + 60 * DAY - 1).unwrap();
        assert!(next(&mut state, &second, &same, START + 119 * DAY).is_some());
    }

    #[test]
    fn code_is_redeemed_once_and_only_with_its_verifier_and_redirect_uri() {
        let address = "http://localhost/cb";
        let mut state = state_with_code(DEFAULT_SCOPES);
        let redeemed = redeem(&mut state, address, Some(VERIFIER), START + 299).unwrap();
        assert!(redeemed.refresh_token.is_some());
        assert!(redeem(&mut state, address, Some(VERIFIER), START + 299).is_none(), "used before");

        assert!(redeem(&mut state_with_code(DEFAULT_SCOPES), address, Some("another"), START).is_none());
        assert!(redeem(&mut state_with_code(DEFAULT_SCOPES), address, None, START).is_none());
        assert!(redeem(&mut state_with_code(DEFAULT_SCOPES), "http://localhost/x", Some(VERIFIER), START).is_none());
        assert!(redeem(&mut state_with_code(DEFAULT_SCOPES), address, Some(VERIFIER), START + 300).is_none());
    }

    #[test]
    fn failed_attempt_consumes_the_code() {
        let mut state = state_with_code(DEFAULT_SCOPES);
        assert!(redeem(&mut state, "http://localhost/cb", Some("another"), START).is_none());
        assert!(redeem(&mut state, "http://localhost/cb", Some(VERIFIER), START).is_none());
    }

    #[test]
    fn no_refresh_token_without_offline_access() {
        let mut state = state_with_code("openid accounting.settings.read");
        let redeemed = redeem(&mut state, "http://localhost/cb", Some(VERIFIER), START).unwrap();
        assert!(redeemed.refresh_token.is_none());
    }

    #[test]
    fn reconnect_keeps_the_connection_and_updates_its_event_unless_it_is_kept() {
        let (mut state, event) = state_with_consent(DEFAULT_SCOPES);
        let before = state.connections[0].clone();
        let again = state.record_consent(&consent(&PEOPLE[0], DEFAULT_SCOPES, false), START + 60);
        assert_ne!(event, again);
        assert_eq!(state.connections.len(), 1);
        let after = &state.connections[0];
        assert_eq!((&after.id, after.created_at), (&before.id, before.created_at));
        assert_eq!((&after.auth_event_id, after.updated_at), (&again, START + 60));
        let third = state.record_consent(&consent(&PEOPLE[0], DEFAULT_SCOPES, true), START + 90);
        assert_eq!((&state.connections[0].auth_event_id, state.connections[0].updated_at), (&again, START + 90));
        assert!(state.grants.contains_key(&third));
    }

    #[test]
    fn revocation_removes_everything_of_one_person_only() {
        let (mut state, token) = state_with_token();
        let other_event = state.record_consent(&consent(&PEOPLE[1], DEFAULT_SCOPES, false), START);
        let other = issue_refresh_token(&mut state, &other_event, None, START);
        state.revoke_person(PEOPLE[0].xero_user_id, CLIENT);
        let same = settings(ReplayMode::Same);
        assert!(next(&mut state, &token, &same, START).is_none());
        assert!(next(&mut state, &other, &same, START).is_some());
        assert_eq!(state.connections.len(), 1);
    }
}
