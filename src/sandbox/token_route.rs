//! `/connect/token` and `/connect/revocation`: reads the forms, applies the rules of `tokens`, keeps the ledger.

use std::collections::HashMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use url::form_urlencoded;

use super::faults::{self, Endpoint, Fault};
use super::ledger::{Exchange, Outcome, Refusal, fingerprint};
use super::reply::{broken, oauth_error};
use super::state::Grant;
use super::{Sandbox, SandboxError, tokens};

type Form = HashMap<String, String>;

/// Exchanges a code or a refresh token. The work runs in a task of its own: Xero rotates whether or not the client
/// stays for the answer. Holds and faults act on the answer, after it.
pub(super) async fn token(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    let form: Form = form_urlencoded::parse(&body).into_owned().collect();
    let worker = sandbox.clone();
    let work = tokio::spawn(async move {
        let grant_type = form.get("grant_type").map(String::as_str);
        let fault = faults::next(&worker, Endpoint::Token, grant_type).await;
        let answer = worker.exchange(&headers, &form, fault.as_ref()).await;
        (fault, answer)
    });
    let Ok((fault, answer)) = work.await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    sandbox.0.gate.pass().await;
    match (fault, answer) {
        (Some(fault), answer) => faults::strike(&sandbox, &fault, answer).await,
        (None, Some(answer)) => answer,
        (None, None) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Ends everything of the person whose refresh token it is. An unknown token answers the same.
pub(super) async fn revocation(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    let form: Form = form_urlencoded::parse(&body).into_owned().collect();
    let work = async {
        if !sandbox.knows_client(&headers, &form) {
            return oauth_error(Refusal::InvalidClient);
        }
        let Some(token) = form.get("token") else { return oauth_error(Refusal::InvalidRequest) };
        sandbox.change(|state, _, _| {
            let event = state.refresh_tokens.get(token).map(|token| token.auth_event_id.clone());
            let person = event.and_then(|event| state.grants.get(&event)).map(|grant| grant.xero_user_id.clone());
            if let Some(person) = person {
                state.revoke_person(&person);
            }
        });
        match sandbox.keep().await {
            Ok(()) => StatusCode::OK.into_response(),
            Err(error) => broken(&error),
        }
    };
    faults::around(&sandbox, Endpoint::Revocation, work).await
}

/// What an exchange bought.
struct Bought {
    outcome: Outcome,
    auth_event_id: String,
    refresh_token: Option<String>,
    grant: Grant,
    now: i64,
    access_ttl: i64,
}

impl Sandbox {
    /// One exchange and its line in the ledger. No answer where a fault strikes before.
    async fn exchange(&self, headers: &HeaderMap, form: &Form, fault: Option<&Fault>) -> Option<Response> {
        let grant_type = form.get("grant_type").cloned();
        let presented = form.get("refresh_token").or_else(|| form.get("code"));
        let mut line = Exchange {
            grant_type,
            xero_user_id: None,
            auth_event_id: None,
            token_fingerprint: presented.map(|token| fingerprint(token)),
            outcome: Outcome::NotProcessed,
            http_status: None,
            fault: fault.map(|fault| fault.kind),
        };
        if let Some(verifier) = form.get("code_verifier") {
            self.live().issued.note(verifier);
        }
        let answer = if fault.is_some_and(|fault| fault.kind.is_before()) {
            line.name_owner(self, presented);
            None
        } else {
            Some(self.process(headers, form, &mut line).await)
        };
        let answered = answer.as_ref().map(Response::status);
        line.http_status = match fault {
            Some(fault) => fault.status_sent(answered),
            None => answered.map(|status| status.as_u16()),
        };
        let at = self.now();
        self.live().ledger.record(at, line);
        answer
    }

    async fn process(&self, headers: &HeaderMap, form: &Form, line: &mut Exchange) -> Response {
        let bought = match self.buy(headers, form) {
            Ok(bought) => bought,
            Err(refusal) => {
                line.outcome = Outcome::Refused(refusal);
                line.name_owner(self, form.get("refresh_token"));
                return oauth_error(refusal);
            }
        };
        line.outcome = bought.outcome;
        line.xero_user_id = Some(bought.grant.xero_user_id.clone());
        line.auth_event_id = Some(bought.auth_event_id.clone());
        let signed = self.signed(&bought);
        match self.keep().await.and(signed) {
            Ok(answer) => answer,
            Err(error) => {
                line.outcome = Outcome::Failed;
                broken(&error)
            }
        }
    }

    fn buy(&self, headers: &HeaderMap, form: &Form) -> Result<Bought, Refusal> {
        if !self.knows_client(headers, form) {
            return Err(Refusal::InvalidClient);
        }
        let field = |name: &str| form.get(name).map(String::as_str).ok_or(Refusal::InvalidRequest);
        match field("grant_type")? {
            "refresh_token" => {
                let presented = field("refresh_token")?;
                self.change(|state, settings, now| {
                    let rotation = tokens::rotate(state, presented, settings, now)?;
                    Some(Bought {
                        outcome: if rotation.replayed { Outcome::Replayed } else { Outcome::Rotated },
                        grant: state.grants.get(&rotation.auth_event_id)?.clone(),
                        auth_event_id: rotation.auth_event_id,
                        refresh_token: Some(rotation.refresh_token),
                        now,
                        access_ttl: settings.access_ttl,
                    })
                })
                .ok_or(Refusal::InvalidGrant)
            }
            "authorization_code" => {
                let (code, redirect_uri) = (field("code")?, field("redirect_uri")?);
                let verifier = form.get("code_verifier").map(String::as_str);
                self.change(|state, settings, now| {
                    let redemption = tokens::redeem(state, code, redirect_uri, verifier, now)?;
                    Some(Bought {
                        outcome: Outcome::Issued,
                        grant: state.grants.get(&redemption.auth_event_id)?.clone(),
                        auth_event_id: redemption.auth_event_id,
                        refresh_token: redemption.refresh_token,
                        now,
                        access_ttl: settings.access_ttl,
                    })
                })
                .ok_or(Refusal::InvalidGrant)
            }
            _ => Err(Refusal::UnsupportedGrantType),
        }
    }

    /// An id token comes with a code only; Xero promises none on a refresh.
    fn signed(&self, bought: &Bought) -> Result<Response, SandboxError> {
        let Bought { grant, now, access_ttl, .. } = bought;
        let mut body = json!({
            "access_token": self.access_token(&bought.auth_event_id, grant, *now, now + access_ttl)?,
            "expires_in": access_ttl,
            "token_type": "Bearer",
            "scope": grant.scopes,
        });
        if let Some(refresh_token) = &bought.refresh_token {
            body["refresh_token"] = json!(refresh_token);
        }
        if bought.outcome == Outcome::Issued
            && let Some(id_token) = self.id_token(grant, *now)?
        {
            body["id_token"] = json!(id_token);
        }
        for token in ["access_token", "refresh_token", "id_token"].iter().filter_map(|name| body[*name].as_str()) {
            self.live().issued.note(token);
        }
        Ok(Json(body).into_response())
    }

    /// Basic authentication, or the credentials in the body.
    fn knows_client(&self, headers: &HeaderMap, form: &Form) -> bool {
        let basic = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|value| STANDARD.decode(value).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let options = &self.0.options;
        match basic {
            Some(pair) => pair.split_once(':') == Some((options.client_id.as_str(), options.client_secret.as_str())),
            None => {
                form.get("client_id") == Some(&options.client_id)
                    && form.get("client_secret") == Some(&options.client_secret)
            }
        }
    }
}

impl Exchange {
    /// Whose refresh token it was, where the sandbox still knows.
    fn name_owner(&mut self, sandbox: &Sandbox, presented: Option<&String>) {
        let live = sandbox.live();
        let event = presented.and_then(|token| live.state.refresh_tokens.get(token)).map(|token| &token.auth_event_id);
        self.auth_event_id = event.cloned();
        self.xero_user_id =
            event.and_then(|event| live.state.grants.get(event)).map(|grant| grant.xero_user_id.clone());
    }
}
