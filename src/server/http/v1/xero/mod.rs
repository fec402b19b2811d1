//! `ANY /api/v1/bindings/{id}/xero/{path}`: Xero's API, with this binding's token and tenant and no other.

mod body;
mod refusal;
mod running_call;

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use tokio::time::Instant;

use self::body::CallBody;
use self::refusal::{Incomplete, Refusal, Seen};
use self::running_call::RunningCall;
use super::call_origin::CallOrigin;
use super::plain_answers::FromXero;
use super::problem::Problem;
use super::problem_responses::XeroProblems;
use super::rate_limit::rate_limited;
use crate::model::{BindingId, ProblemCode, Scope};
use crate::server::auth::api_keys;
use crate::server::domain::AccessToken;
use crate::server::http::state::{AppState, Services};
use crate::server::proxy::headers::{request_headers, response_headers};
use crate::server::proxy::{ForbiddenPath, RemainingCalls, TurnError, parse_target};
use crate::server::store::{ApiKeyRow, BindingWithGrant, bounded};
use crate::server::telemetry::metrics::ProxiedCall;
use crate::server::telemetry::traces;
use crate::server::xero::{ApiPath, ForwardError, ForwardedCall};

/// The path in the API's description.
pub const DOCUMENTED_PATH: &str = "/api/v1/bindings/{id}/xero/{path}";
/// The operation's name in the API's description, which follows the method.
pub const OPERATION: &str = "Xero";
/// The shortest remaining lifetime of a token that is sent, in seconds.
const MIN_TTL: i64 = 30;
/// How long a call may take until the head of Xero's response, with everything before it: less than the router allows
/// any request, so that a lost response is told as such. Reports take Xero longer than other calls.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(140);

/// Passes a call on to Xero and its response back.
#[utoipa::path(
    method(get, post, put, patch, delete),
    path = DOCUMENTED_PATH,
    tag = "xero",
    operation_id = OPERATION,
    summary = "Call Xero",
    description = "Passes the call on to Xero's API with this connection's token and tenant. Method, query, body and the \
        headers Accept, Content-Type, If-Modified-Since and Idempotency-Key are Xero's; the response is Xero's, with its \
        status, body and limits. The call waits for its turn within Xero's limits. Nothing is sent twice, except once \
        more after Xero has said that the token has expired, if the body has at most 64 kB.",
    params(
        ("id" = String, Path, description = "The connection's id, from the list."),
        ("path" = String, Path, description = "The path at Xero, such as api.xro/2.0/Invoices, without the host. Its \
            first segment is api.xro, payroll.xro, files.xro, assets.xro, projects.xro, finance.xro or bankfeeds.xro."),
    ),
    responses((status = 200, description = "Xero's response, of any status."), XeroProblems),
)]
pub async fn forward(State(state): State<AppState>, origin: CallOrigin, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let (binding, path) = split_path(head.uri.path());
    let (key, bound) = api_keys::authenticate_with_binding(&state.store, &head.headers, &binding).await?;
    let scope = if is_read(&head.method) { Scope::XeroRead } else { Scope::XeroWrite };
    let work = async {
        let path = parse_target(path).map_err(|ForbiddenPath| Problem::of(ProblemCode::XeroPathForbidden))?;
        let bound = bound.ok_or_else(|| Problem::of(ProblemCode::NoSuchConnection))?;
        let deadline = Instant::now() + RESPONSE_TIMEOUT;
        Call { state: &state, key: &key, bound, from: origin.ip, head: &head, path, deadline }.run(body).await
    };
    let mut response = rate_limited(&state, &key, &origin, scope, work).await;
    if let Some(id) = traces::request_id().and_then(|id| HeaderValue::from_str(&id).ok()) {
        response.headers_mut().insert(HeaderName::from_static("x-evergrant-request-id"), id);
    }
    Ok(response)
}

/// Returns the binding's id and the encoded path at Xero. The router has matched
/// `/api/v1/bindings/{id}/xero/{path}`.
fn split_path(path: &str) -> (BindingId, &str) {
    let mut segments = path.splitn(7, '/').skip(4);
    let binding = segments.next().unwrap_or_default();
    (BindingId(binding.to_owned()), segments.nth(1).unwrap_or_default())
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

struct Call<'a> {
    state: &'a AppState,
    key: &'a ApiKeyRow,
    bound: BindingWithGrant,
    from: IpAddr,
    head: &'a Parts,
    path: ApiPath,
    deadline: Instant,
}

impl Call<'_> {
    async fn run(self, body: Body) -> Result<Response, Problem> {
        let Services { store, tokens, proxy, .. } = &**self.state;
        let of_token = |error| Problem::of_token_error(error, store.clock().now());
        let access = tokens.get_token_for(self.bound.clone(), MIN_TTL).await.map_err(of_token)?.access;
        let tenant = &self.bound.binding.tenant;
        // The call's turn is not spent on a program that sends slowly.
        let body = CallBody::read(body, &self.head.headers).await;
        let mut body = body.map_err(|_| Problem::of(ProblemCode::XeroBodyIncomplete))?;
        let turn = proxy.limiter.acquire(&tenant.id).await.map_err(|error| match error {
            TurnError::LimitReached(reached) => {
                proxy.metrics.count_proxied_call(ProxiedCall::Limited, 0, 0);
                Problem::xero_limit_reached(reached)
            }
            TurnError::Store(error) => error.into(),
        })?;
        let of_call = (self.key, &self.bound.binding, self.from);
        let call = RunningCall::new(turn, proxy, of_call, body.sent());
        let (mut call, mut response, mut seen) = self.send(call, &access, &mut body).await?;
        // Xero has processed nothing.
        if let Seen::Refusal(expired) = &seen
            && expired.is_expired_token()
            && body.is_replayable()
        {
            let received = expired.body.len();
            match tokens.get_token_instead_of(&self.bound, &access).await {
                Ok(Some(new)) => {
                    call.turn().inspect(|turn| turn.count());
                    (call, response, seen) = self.send(call, &new, &mut body).await?;
                }
                Ok(None) => {}
                Err(error) => {
                    call.answered(received);
                    return Err(of_token(error));
                }
            }
        }
        self.learn_limits(&call, &response).await;
        let (status, headers) = (response.status(), response_headers(response.headers()));
        let body = match seen {
            Seen::Other(begun) => call.stream(begun, response),
            Seen::Refusal(refusal) => {
                call.answered(refusal.body.len());
                if let Some(problem) = refusal.problem() {
                    self.follow_up(problem).await;
                    return Err(Problem::of(problem));
                }
                Body::from(refusal.body)
            }
        };
        let mut answer = Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        answer.extensions_mut().insert(FromXero);
        Ok(answer)
    }

    /// Lets the background job find out what is left of the consent, if Xero no longer gives access to the tenant.
    async fn follow_up(&self, problem: ProblemCode) {
        let store = &self.state.store;
        if problem == ProblemCode::XeroTenantGone
            && let Some(grant) = &self.bound.grant
            // The program is told what Xero said, whether or not this can be noted.
            && let Err(error) = bounded(store.schedule_connection_read(grant, Some(store.clock().now()))).await
        {
            tracing::warn!(%error, binding = %self.bound.binding.id, "failed to schedule the reading of connections");
        }
    }

    /// Sends the call once, and reads the response if it is a refusal. Without a response the call has ended.
    async fn send(
        &self,
        call: RunningCall,
        access: &AccessToken,
        body: &mut CallBody,
    ) -> Result<(RunningCall, reqwest::Response, Seen), Problem> {
        let mut headers = request_headers(&self.head.headers);
        headers.extend(body.streamed_length().map(|length| (CONTENT_LENGTH, HeaderValue::from(length))));
        let forwarded = ForwardedCall {
            method: &self.head.method,
            path: &self.path,
            query: self.head.uri.query(),
            headers,
            body: body.take(),
            deadline: self.deadline,
        };
        let answer = self.state.xero.forward(access, &self.bound.binding.tenant.id, forwarded).await;
        let error = match answer {
            Ok(mut response) => match Refusal::read(&mut response, self.deadline).await {
                Ok(seen) => return Ok((call, response, seen)),
                Err(Incomplete) => {
                    tracing::warn!(binding = %self.bound.binding.id, "response of Xero's broke off");
                    return Err(Problem::of(ProblemCode::XeroNoAnswer));
                }
            },
            Err(error) => error,
        };
        tracing::warn!(%error, binding = %self.bound.binding.id, "call to Xero failed");
        Err(match error {
            ForwardError::NotSent(_) => {
                call.not_sent();
                Problem::xero_unreachable()
            }
            ForwardError::NoAnswer(_) | ForwardError::TimedOut => Problem::of(ProblemCode::XeroNoAnswer),
        })
    }

    /// Lets further calls wait if Xero says that a limit is reached.
    async fn learn_limits(&self, call: &RunningCall, response: &reqwest::Response) {
        let Some(turn) = call.turn() else { return };
        let text = |name: &str| response.headers().get(name)?.to_str().ok();
        let number = |name: &str| text(name)?.trim().parse::<i64>().ok();
        let left = |name| number(name).map(|left| u32::try_from(left).unwrap_or(0));
        let remaining = RemainingCalls {
            minute: left("x-minlimit-remaining"),
            day: left("x-daylimit-remaining"),
            app_minute: left("x-appminlimit-remaining"),
        };
        let learned = if response.status() == StatusCode::TOO_MANY_REQUESTS {
            turn.refused(text("x-rate-limit-problem"), remaining, number(RETRY_AFTER.as_str())).await
        } else {
            turn.observe_remaining(remaining).await
        };
        if let Err(error) = learned {
            tracing::warn!(%error, "failed to note Xero's limits");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_split_at_the_binding() {
        let split = |path| {
            let (binding, path) = split_path(path);
            (binding.0, path.to_owned())
        };
        let of = |binding: &str, path: &str| (binding.to_owned(), path.to_owned());
        assert_eq!(split("/api/v1/bindings/b1/xero/api.xro/2.0/Invoices"), of("b1", "api.xro/2.0/Invoices"));
        assert_eq!(split("/api/v1/bindings/b1/xero/../x%2Fy//z/"), of("b1", "../x%2Fy//z/"));
    }
}
