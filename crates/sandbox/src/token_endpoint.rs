//! `/connect/token` and `/connect/revocation`: parses the forms, applies the rules of `rotation`, fills the ledger.

use std::collections::HashMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::error::SandboxError;
use crate::faults::{self, Endpoint, Fault};
use crate::ledger::{Exchange, OAuthError, Outcome, fingerprint};
use crate::oddities::{self, OddityKind};
use crate::responses::{internal_error, oauth_error};
use crate::rotation::{self, FirstUse};
use crate::sandbox::Sandbox;
use crate::state::Grant;

type Form = HashMap<String, String>;

/// Exchanges a code or a refresh token.
///
/// The work runs in a task of its own, because Xero rotates a token even if the client disconnects. Holds and faults
/// apply to the response afterwards.
pub(crate) async fn token(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    let form: Form = form_urlencoded::parse(&body).into_owned().collect();
    let worker = sandbox.clone();
    let work = tokio::spawn(async move {
        let grant_type = form.get("grant_type").map(String::as_str);
        let fault = worker.next_fault(Endpoint::Token, grant_type).await;
        let response = worker.exchange(&headers, &form, fault.as_ref()).await;
        (fault, response)
    });
    let Ok((fault, response)) = work.await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    sandbox.hold().wait_while_held().await;
    match (fault, response) {
        (Some(fault), response) => faults::inject::inject(sandbox.hold(), &fault, response).await,
        (None, Some(response)) => response,
        (None, None) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Revokes everything that the refresh token's person granted. Returns 200 for an unknown token, or one
/// of another app, too.
pub(crate) async fn revoke(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    let form: Form = form_urlencoded::parse(&body).into_owned().collect();
    let work = async {
        let Some(client) = sandbox.authenticate(&headers, &form) else {
            return oauth_error(OAuthError::InvalidClient);
        };
        let Some(token) = form.get("token") else { return oauth_error(OAuthError::InvalidRequest) };
        sandbox.update(|state, _, _| {
            let event = state.refresh_tokens.get(token).map(|token| token.auth_event_id.clone());
            let grant = event.and_then(|event| state.grants.get(&event)).filter(|grant| grant.client_id == client);
            if let Some(person) = grant.map(|grant| grant.xero_user_id.clone()) {
                state.revoke_person(&person, &client);
            }
        });
        match sandbox.persist().await {
            Ok(()) => StatusCode::OK.into_response(),
            Err(error) => internal_error(&error),
        }
    };
    sandbox.with_faults(Endpoint::Revocation, work).await
}

/// The result of a successful exchange, before the access token is signed.
struct IssuedTokens {
    outcome: Outcome,
    auth_event_id: String,
    refresh_token: Option<String>,
    /// What the authorize request sent, for the id token.
    nonce: Option<String>,
    grant: Grant,
    now: i64,
    access_ttl: i64,
}

impl Sandbox {
    /// Runs one exchange and records it in the ledger. Returns no response if a fault prevents the processing.
    async fn exchange(&self, headers: &HeaderMap, form: &Form, fault: Option<&Fault>) -> Option<Response> {
        let presented = form.get("refresh_token").or_else(|| form.get("code"));
        let mut record = Exchange {
            grant_type: form.get("grant_type").cloned(),
            xero_user_id: None,
            auth_event_id: None,
            token_fingerprint: presented.map(|token| fingerprint(token)),
            outcome: Outcome::NotProcessed,
            http_status: None,
            fault: fault.map(|fault| fault.kind),
        };
        if let Some(verifier) = form.get("code_verifier") {
            self.live().issued.record(verifier);
        }
        let response = if fault.is_some_and(|fault| fault.kind.prevents_processing()) {
            record.set_owner(self, presented);
            None
        } else {
            Some(self.process(headers, form, &mut record).await)
        };
        let processed = response.as_ref().map(Response::status);
        record.http_status = match fault {
            Some(fault) => fault.status_sent(processed),
            None => processed.map(|status| status.as_u16()),
        };
        let at = self.now();
        self.live().ledger.record(at, record);
        response
    }

    async fn process(&self, headers: &HeaderMap, form: &Form, record: &mut Exchange) -> Response {
        let oddities = {
            let mut live = self.live();
            oddities::take_for_tokens(&mut live.oddities, form.get("grant_type").map(String::as_str))
        };
        let issued = match self.issue(headers, form, &oddities) {
            Ok(issued) => issued,
            Err(error) => {
                record.outcome = Outcome::Refused(error);
                record.set_owner(self, form.get("refresh_token"));
                return oauth_error(error);
            }
        };
        record.outcome = issued.outcome;
        record.xero_user_id = Some(issued.grant.xero_user_id.clone());
        record.auth_event_id = Some(issued.auth_event_id.clone());
        let response = self.token_response(&issued, &oddities);
        match self.persist().await.and(response) {
            Ok(response) => response,
            Err(error) => {
                record.outcome = Outcome::Failed;
                internal_error(&error)
            }
        }
    }

    fn issue(&self, headers: &HeaderMap, form: &Form, oddities: &[OddityKind]) -> Result<IssuedTokens, OAuthError> {
        let client = self.authenticate(headers, form).ok_or(OAuthError::InvalidClient)?;
        let field = |name: &str| form.get(name).map(String::as_str).ok_or(OAuthError::InvalidRequest);
        match field("grant_type")? {
            "refresh_token" => {
                let presented = field("refresh_token")?;
                let first_use = match oddities.contains(&OddityKind::RefreshTokenKept) {
                    true => FirstUse::Keeps,
                    false => FirstUse::Rotates,
                };
                self.update(|state, settings, now| {
                    let refreshed = rotation::rotate(state, presented, &client, first_use, settings, now)?;
                    Some(IssuedTokens {
                        outcome: match (refreshed.is_replay, first_use) {
                            (true, _) => Outcome::Replayed,
                            (false, FirstUse::Keeps) => Outcome::Kept,
                            (false, FirstUse::Rotates) => Outcome::Rotated,
                        },
                        grant: state.grants.get(&refreshed.auth_event_id)?.clone(),
                        auth_event_id: refreshed.auth_event_id,
                        refresh_token: Some(refreshed.refresh_token),
                        nonce: None,
                        now,
                        access_ttl: settings.access_ttl,
                    })
                })
                .ok_or(OAuthError::InvalidGrant)
            }
            "authorization_code" => {
                let (code, redirect_uri) = (field("code")?, field("redirect_uri")?);
                let verifier = form.get("code_verifier").map(String::as_str);
                self.update(|state, settings, now| {
                    let redeemed = rotation::redeem_code(state, code, &client, redirect_uri, verifier, now)?;
                    Some(IssuedTokens {
                        outcome: Outcome::Issued,
                        grant: state.grants.get(&redeemed.auth_event_id)?.clone(),
                        auth_event_id: redeemed.auth_event_id,
                        refresh_token: redeemed.refresh_token,
                        nonce: redeemed.nonce,
                        now,
                        access_ttl: settings.access_ttl,
                    })
                })
                .ok_or(OAuthError::InvalidGrant)
            }
            _ => Err(OAuthError::UnsupportedGrantType),
        }
    }

    /// Signs the tokens and builds the response. Only a code yields an id token unless an oddity adds it;
    /// Xero promises none on a refresh.
    fn token_response(&self, issued: &IssuedTokens, oddities: &[OddityKind]) -> Result<Response, SandboxError> {
        let IssuedTokens { grant, now, access_ttl, .. } = issued;
        let mut body = json!({
            "access_token": self.access_token(&issued.auth_event_id, grant, *now, now + access_ttl)?,
            "expires_in": access_ttl,
            "token_type": "Bearer",
            "scope": grant.scopes,
        });
        if let Some(refresh_token) = &issued.refresh_token {
            body["refresh_token"] = json!(refresh_token);
        }
        if (issued.outcome == Outcome::Issued || oddities.contains(&OddityKind::IdToken))
            && let Some(id_token) = self.id_token(grant, issued.nonce.as_deref(), *now)?
        {
            body["id_token"] = json!(id_token);
        }
        for token in ["access_token", "refresh_token", "id_token"].iter().filter_map(|name| body[*name].as_str()) {
            self.live().issued.record(token);
        }
        let Value::Object(body) = body else { return Ok(Json(body).into_response()) };
        Ok(oddities::tokens::response(body, oddities))
    }

    /// Returns the id of the app whose credentials the request has: by basic authentication, else in the body.
    fn authenticate(&self, headers: &HeaderMap, form: &Form) -> Option<String> {
        let basic = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|value| STANDARD.decode(value).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let (id, secret) = match &basic {
            Some(pair) => pair.split_once(':')?,
            None => (form.get("client_id")?.as_str(), form.get("client_secret")?.as_str()),
        };
        let live = self.live();
        let client = live.clients.iter().find(|client| client.client_id == id && client.client_secret == secret);
        client.map(|client| client.client_id.clone())
    }
}

impl Exchange {
    /// Sets the owner of the presented refresh token, if the token is still known.
    fn set_owner(&mut self, sandbox: &Sandbox, presented: Option<&String>) {
        let live = sandbox.live();
        let event = presented.and_then(|token| live.state.refresh_tokens.get(token)).map(|token| &token.auth_event_id);
        self.auth_event_id = event.cloned();
        self.xero_user_id =
            event.and_then(|event| live.state.grants.get(event)).map(|grant| grant.xero_user_id.clone());
    }
}
