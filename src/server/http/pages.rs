//! What stands before and around every page: who sees it, where nobody in particular is sent, and its headers.

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use leptos::nonce::use_nonce;
use leptos::prelude::{Env, provide_context, use_context};
use leptos_axum::ResponseOptions;

use super::failure::Failure;
use super::headers::page_policy;
use super::notice::{self, see_other};
use super::once::{API_KEY, INVITATION, Once};
use super::{invite, path};
use crate::model::{LoginProblem, LoginView, Page, Permission, Revealed, SessionView, Theme};
use crate::server::auth::cookie::read_cookie;
use crate::server::auth::{Caller, keys};
use crate::server::state::AppState;

/// The colours that a browser chose.
pub const THEME_COOKIE: &str = "evergrant_theme";

const LOGIN: &str = "/login";
/// The API's description, which anybody may read.
const REFERENCE: &str = "/api-reference";
/// The one page that shows a webhook's secret.
const NOTIFICATIONS: &str = "/settings/notifications";

/// Runs before a page is rendered: finds out what the page needs to know of the request and leaves it, a `Page`, in
/// the request's extensions. Whoever isn't signed in is sent to `/login`, whoever is, away from it.
pub async fn resolve(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let once = [INVITATION, API_KEY].into_iter().find(|once| once.page == request.uri().path());
    let page = match find_out(&state, &headers, request.uri()).await {
        Ok(Ok(page)) => page,
        Ok(Err(elsewhere)) => return no_store(see_other(&elsewhere)),
        Err(failure) => return no_store(failure.into_response()),
    };
    request.extensions_mut().insert(page);
    let response = next.run(request).await;
    // A page that leads elsewhere hasn't shown its message yet.
    let shown = !response.headers().contains_key(LOCATION);
    if !shown {
        return no_store(response);
    }
    let response = match once {
        Some(once) => once.forget(&state, &headers, response),
        None => response,
    };
    no_store(notice::forget(&state, &headers, response))
}

/// Runs inside a render: hands the page and the server's parts to what is rendered, and sets the page's policy with
/// the nonce of this render.
pub fn provide(state: &AppState) {
    let page = use_context::<Parts>().and_then(|parts| parts.extensions.get::<Page>().cloned());
    provide_context(page.unwrap_or_default());
    provide_context(state.clone());
    let (Some(nonce), Some(options)) = (use_nonce(), use_context::<ResponseOptions>()) else { return };
    let login = state.xero.endpoints().login.origin().ascii_serialization();
    if let Some(policy) = page_policy(&nonce, &login, reload_port(state), &state.auth.sources()) {
        options.insert_header(CONTENT_SECURITY_POLICY, policy);
    }
}

/// What the page needs to know, or where to go instead.
async fn find_out(state: &AppState, headers: &HeaderMap, uri: &Uri) -> Result<Result<Page, String>, Failure> {
    let caller = state.auth.caller(headers).await?;
    let at_login = uri.path() == LOGIN;
    let theme = read_cookie(headers, THEME_COOKIE).and_then(|text| Theme::parse(&text)).unwrap_or_default();
    let invitation = match uri.path() == invite::INVITE {
        true => Some(invite::page(state, &asked(uri, "token").unwrap_or_default(), caller.as_ref()).await?),
        false => None,
    };
    let page = Page {
        sandbox: state.is_sandbox(),
        theme,
        notice: notice::read(headers),
        path: uri.path().to_owned(),
        clerk: state.auth.view(caller.as_ref().filter(|_| !at_login)),
        invitation,
        ..Page::default()
    };
    // Who has just signed out may still bring a cookie that hasn't ended yet.
    let leaving = asked(uri, "problem").and_then(|said| LoginProblem::parse(&said)) == Some(LoginProblem::SignedOut);
    Ok(match caller {
        _ if at_login && leaving => Ok(Page { login: login_view(state, uri).await?, ..page }),
        Some(_) if at_login => Err(asked(uri, "next").and_then(|next| ours(state, &next)).unwrap_or("/".to_owned())),
        None if page.invitation.is_some() || uri.path() == REFERENCE => Ok(page),
        Some(caller) => {
            let brought = |once: Once, permission| {
                let may = uri.path() == once.page && caller.may(permission);
                may.then(|| once.brought(headers)).flatten()
            };
            let invited = brought(INVITATION, Permission::ManageMembers);
            let invited = invited.map(|token| Revealed::new(String::new(), &invite::link(state, &token)));
            let new_key = brought(API_KEY, Permission::ManageApiKeys).filter(|key| keys::is_well_spelt(key.expose()));
            let new_key = new_key.map(|key| Revealed::new(String::new(), key.expose()));
            let alarm = state.tokens.alarm().filter(|_| caller.may(Permission::SeeTheApp));
            let revealed = revealed(state, &caller, uri.path()).await?;
            Ok(Page { session: Some(session(state, &caller).await?), alarm, revealed, invited, new_key, ..page })
        }
        None if at_login => Ok(Page { login: login_view(state, uri).await?, ..page }),
        None => {
            let wanted = uri.path_and_query().and_then(|wanted| ours(state, wanted.as_str()));
            Err(path::login(wanted.as_deref().unwrap_or("/")))
        }
    })
}

async fn session(state: &AppState, caller: &Caller) -> Result<SessionView, Failure> {
    let Some(org) = &caller.org else { return Ok(caller.view(0, 0)) };
    let attention = state.store.bindings_needing_reauth(&org.id).await?;
    let unread = state.store.unread_notices(&org.id, &caller.user_id).await?;
    let count = |many: i64| u32::try_from(many).unwrap_or(u32::MAX);
    Ok(caller.view(count(attention), count(unread)))
}

/// The secret that this session has just made, for the page that shows it.
async fn revealed(state: &AppState, caller: &Caller, path: &str) -> Result<Option<Revealed>, Failure> {
    let Some(org) =
        caller.org.as_ref().filter(|_| path == NOTIFICATIONS && caller.may(Permission::ManageNotifications))
    else {
        return Ok(None);
    };
    let made = state.store.reveal_secret(&org.id, &caller.session_hash).await?;
    Ok(made.map(|(url, secret)| Revealed::new(url, secret.expose())))
}

async fn login_view(state: &AppState, uri: &Uri) -> Result<LoginView, Failure> {
    Ok(LoginView {
        problem: asked(uri, "problem").and_then(|problem| LoginProblem::parse(&problem)),
        next: asked(uri, "next").and_then(|next| ours(state, &next)),
        no_users: state.auth.needs_a_first_person().await?,
        demo: state.demo,
    })
}

fn ours(state: &AppState, text: &str) -> Option<String> {
    path::ours(&state.config.public_url, text)
}

fn asked(uri: &Uri, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A page is one person's at one moment; no cache keeps it, and the back button after signing out shows nothing.
fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Where the page listens for a rebuild: only while cargo-leptos watches.
fn reload_port(state: &AppState) -> Option<u32> {
    let watched = state.leptos.env == Env::DEV && std::env::var_os("LEPTOS_WATCH").is_some();
    watched.then_some(state.leptos.reload_port)
}
