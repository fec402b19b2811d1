//! The middleware of pages: loads the page context, redirects to and from the login, and sets the page's headers.

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, LOCATION, REFERRER_POLICY};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use leptos::nonce::use_nonce;
use leptos::prelude::{Env, provide_context, use_context};
use leptos_axum::ResponseOptions;

use super::named_organization::open_named_organization;
use super::security_headers::page_content_security_policy;
use crate::model::{
    BindingStatus, Flash, LinkPage, LoginProblem, LoginView, Page, Permission, RevealedSecret, SessionView, Theme,
    paths,
};
use crate::server::auth::cookie::{THEME_COOKIE, read_cookie};
use crate::server::auth::{Caller, api_keys};
use crate::server::crypto::random::hash_secret;
use crate::server::http::account_pages::{add_account_parts, awaits_code};
use crate::server::http::flash;
use crate::server::http::flash::see_other;
use crate::server::http::internal_error::InternalError;
use crate::server::http::link_secret::LinkSecret;
use crate::server::http::one_time_secret::{API_KEY, CONNECT_LINK, CONNECT_LINKS, INVITATION, OneTimeSecret};
use crate::server::http::routes::{connect_links, identity_link, invitations, link_batches, oidc, unsubscribe};
use crate::server::http::safe_redirect;
use crate::server::http::state::AppState;

/// Runs before a page is rendered: loads its `Page` context into the request's extensions. Redirects to `/login`
/// without a session, and away from it with one.
pub async fn with_page_context(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    if let Some(elsewhere) = public_address(&state, &headers, request.uri()) {
        return no_store(see_other(&elsewhere));
    }
    let link = LinkSecret::of_page(request.uri().path());
    let is_connect_link = is_connect_link(request.uri().path());
    if let Some(moved) = link.and_then(|link| link.moved_from_query(&state, request.uri())) {
        return if is_connect_link { no_referrer(no_store(moved)) } else { no_store(moved) };
    }
    match open_named_organization(&state, request.method(), &headers, request.uri()).await {
        Ok(None) => {}
        Ok(Some(elsewhere)) => return no_store(elsewhere),
        Err(failure) => return no_store(failure.into_response()),
    }
    let page = match load_page_context(&state, &headers, request.uri()).await {
        Ok(Ok(page)) => page,
        Ok(Err(elsewhere)) => return no_store(see_other(&elsewhere)),
        Err(failure) => return no_store(failure.into_response()),
    };
    request.extensions_mut().insert(page);
    let response = next.run(request).await;
    // A redirect has not shown the flash yet.
    let shown = !response.headers().contains_key(LOCATION);
    if !shown {
        return no_store(response);
    }
    let response = no_store(flash::clear(&state, &headers, response));
    if is_connect_link { no_referrer(response) } else { response }
}

/// Returns where a page is, if it was asked for by another name of this machine.
fn public_address(state: &AppState, headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let public = &state.config.public_url;
    let host = headers.get(HOST)?.to_str().ok().filter(|host| public.is_other_loopback_name(host));
    host.map(|_| public.url_for(uri.path_and_query().map_or("/", PathAndQuery::as_str)))
}

/// Runs inside a render: provides the `Page` and the `AppState` to the components, and sets the content security policy
/// with the render's nonce.
pub fn provide_page_context(state: &AppState) {
    let page = use_context::<Parts>().and_then(|parts| parts.extensions.get::<Page>().cloned());
    provide_context(page.unwrap_or_default());
    provide_context(state.clone());
    let (Some(nonce), Some(options)) = (use_nonce(), use_context::<ResponseOptions>()) else { return };
    let login = state.xero.endpoints().login.origin().ascii_serialization();
    if let Some(policy) = page_content_security_policy(&nonce, &login, reload_port(state), &state.auth.csp_sources()) {
        options.insert_header(CONTENT_SECURITY_POLICY, policy);
    }
}

/// Loads the page context, or returns the path to redirect to.
async fn load_page_context(
    state: &AppState,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Result<Page, String>, InternalError> {
    let caller = state.auth.caller(headers).await?;
    let at_login = uri.path() == paths::LOGIN;
    let theme = read_cookie(&state.config.public_url, headers, THEME_COOKIE);
    let theme = theme.and_then(|text| Theme::parse(&text)).unwrap_or_default();
    let invitation = if uri.path() == paths::INVITATION {
        Some(invitations::load_page(state, headers, caller.as_ref()).await?)
    } else {
        None
    };
    let link = match LinkSecret::of_page(uri.path()) {
        Some(link) => link_page(state, &link, headers).await?,
        None => None,
    };
    let page = Page {
        sandbox: state.is_sandbox(),
        theme,
        flash: flash::read(state, headers),
        path: uri.path().to_owned(),
        clerk: state.auth.clerk_view(caller.as_ref().filter(|_| !at_login)),
        invitation,
        connect_link: connect_links::load_page(state, headers, uri.path()).await?,
        unsubscribe: unsubscribe::load_page(state, headers, uri.path()).await?,
        link,
        ..Page::default()
    };
    // Right after signing out, the session cookie of Clerk may still be valid.
    let just_signed_out =
        query_param(uri, "problem").and_then(|said| LoginProblem::parse(&said)) == Some(LoginProblem::SignedOut);
    Ok(match caller {
        _ if at_login && just_signed_out => Ok(Page { login: login_view(state, uri).await?, ..page }),
        Some(_) if at_login => Err(query_param(uri, "next")
            .and_then(|next| safe_next(state, &next))
            .unwrap_or_else(|| paths::HOME.to_owned())),
        Some(_) if [paths::SIGN_IN_CODE, paths::SIGN_IN_LINK].contains(&uri.path()) => Err(paths::HOME.to_owned()),
        None if uri.path() == paths::SIGN_IN_CODE => {
            if awaits_code(state, headers).await? {
                Ok(Page { login: login_view(state, uri).await?, ..page })
            } else {
                Err(format!("{}?problem={}", paths::LOGIN, LoginProblem::SignInExpired.as_str()))
            }
        }
        None if uri.path() == paths::SIGN_IN_LINK => match identity_link::sign_in_page(state, headers).await? {
            Some(pending) => Ok(Page { login: login_view(state, uri).await?, pending_identity: Some(pending), ..page }),
            None => Err(format!("{}?problem={}", paths::LOGIN, LoginProblem::ProviderExpired.as_str())),
        },
        _ if page.link.is_some() || is_connect_link(uri.path()) || uri.path() == paths::UNSUBSCRIBE => Ok(page),
        _ if uri.path() == paths::FORGOT_PASSWORD => Ok(Page { login: login_view(state, uri).await?, ..page }),
        None if page.invitation.is_some() || uri.path() == paths::API_REFERENCE => Ok(page),
        Some(caller) => {
            let one_time_secret = |once: OneTimeSecret, permission| {
                let may = uri.path() == once.page && caller.may(permission);
                may.then(|| once.read(state, headers)).flatten()
            };
            let invited = one_time_secret(INVITATION, Permission::ManageMembers);
            let invited =
                invited.map(|token| RevealedSecret::new(String::new(), &invitations::invitation_url(state, &token)));
            let new_key = one_time_secret(API_KEY, Permission::ManageApiKeys)
                .filter(|key| api_keys::is_well_formed(key.expose()));
            let new_key = new_key.map(|key| RevealedSecret::new(String::new(), key.expose()));
            let new_link = one_time_secret(CONNECT_LINK, Permission::ManageConnections);
            let new_link = new_link.and_then(|link| connect_links::url_in_cookie(state, &link));
            let new_links = one_time_secret(CONNECT_LINKS, Permission::ManageConnections);
            let new_links = link_batches::links_in_cookie(state, caller.org.as_ref(), new_links).await?;
            let alarm = state.tokens.alarm().filter(|_| caller.may(Permission::ViewAppStatus));
            let flash_tenant = flash_tenant(state, &caller, page.flash.as_ref()).await?;
            let still_broken = still_broken(state, &caller, page.flash.as_ref()).await?;
            let revealed = take_new_webhook_secret(state, &caller, uri.path()).await?;
            let next = query_param(uri, "next").and_then(|next| safe_next(state, &next));
            let page = add_account_parts(state, &caller, headers, next, page).await?;
            Ok(Page {
                session: Some(session_view(state, &caller).await?),
                app_alarm: alarm,
                webhook_secret: revealed,
                invitation_link: invited,
                new_api_key: new_key,
                new_connect_links: new_links,
                new_connect_link: new_link.map(|url| RevealedSecret::new(String::new(), &url)),
                flash_tenant,
                still_broken,
                ..page
            })
        }
        None if at_login => Ok(Page { login: login_view(state, uri).await?, ..page }),
        None => {
            let wanted = uri.path_and_query().and_then(|wanted| safe_next(state, wanted.as_str()));
            Err(safe_redirect::login_path(wanted.as_deref().unwrap_or(paths::HOME)))
        }
    })
}

/// Loads the page behind a link in a message. Only its secret's cookie tells the link.
async fn link_page(
    state: &AppState,
    link: &LinkSecret,
    headers: &HeaderMap,
) -> Result<Option<LinkPage>, InternalError> {
    // The page of an invitation has its own data.
    let Some(kind) = link.kind else { return Ok(None) };
    let (Some(token), Some(_)) = (link.read(state, headers), state.auth.local()) else {
        return Ok(Some(LinkPage::default()));
    };
    let message = state.store.open_link_of(kind, &hash_secret(&token)).await?;
    Ok(Some(LinkPage { is_open: message.is_some(), email: message.map(|message| message.email) }))
}

async fn session_view(state: &AppState, caller: &Caller) -> Result<SessionView, InternalError> {
    let Some(org) = &caller.org else { return Ok(caller.view(0, 0)) };
    let attention = state.store.bindings_needing_reauth(&org.id).await?;
    let unread = state.store.unread_event_count(&org.id, &caller.user_id).await?;
    let count = |many: i64| u32::try_from(many).unwrap_or(u32::MAX);
    Ok(caller.view(count(attention), count(unread)))
}

/// Returns the name of the tenant that the flash is about. The cookie has only the binding's id.
async fn flash_tenant(
    state: &AppState,
    caller: &Caller,
    flash: Option<&Flash>,
) -> Result<Option<String>, InternalError> {
    let (Some(org), Some(id)) = (&caller.org, flash.and_then(Flash::binding)) else { return Ok(None) };
    Ok(state.store.binding(&org.id, id).await?.map(|bound| bound.binding.tenant.name))
}

/// Returns the tenants that a consent has left broken, for the message about those that it connected.
async fn still_broken(state: &AppState, caller: &Caller, flash: Option<&Flash>) -> Result<Vec<String>, InternalError> {
    let Some(org) = caller.org.as_ref().filter(|_| flash.is_some_and(Flash::is_about_consent)) else {
        return Ok(Vec::new());
    };
    let bound = state.store.bindings_of_org(&org.id).await?;
    let broken = bound.into_iter().filter(|one| one.binding.status == BindingStatus::NeedsReauth);
    Ok(broken.map(|one| one.binding.tenant.name).collect())
}

/// Takes the webhook secret that this session has just created, on the page that shows it.
async fn take_new_webhook_secret(
    state: &AppState,
    caller: &Caller,
    path: &str,
) -> Result<Option<RevealedSecret>, InternalError> {
    let Some(org) =
        caller.org.as_ref().filter(|_| path == paths::NOTIFICATIONS && caller.may(Permission::ManageNotifications))
    else {
        return Ok(None);
    };
    let revealed = state.store.reveal_secret(&org.id, &caller.session_hash).await?;
    Ok(revealed.map(|(url, secret)| RevealedSecret::new(url, secret.expose())))
}

async fn login_view(state: &AppState, uri: &Uri) -> Result<LoginView, InternalError> {
    let next = query_param(uri, "next").and_then(|next| safe_next(state, &next));
    Ok(LoginView {
        problem: query_param(uri, "problem").and_then(|problem| LoginProblem::parse(&problem)),
        provider: oidc::provider_link(state, next.as_deref()),
        next,
        no_users: state.auth.needs_first_user().await?,
        can_send_email: state.notifier.channels().await?.mail,
        demo_login: state.demo_login,
    })
}

fn safe_next(state: &AppState, text: &str) -> Option<String> {
    safe_redirect::safe_redirect(&state.config.public_url, text)
}

fn query_param(uri: &Uri, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Forbids caching: pages are personal, and the back button must not show them after signing out.
fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Sends no address of the page anywhere, not even to ourselves.
fn no_referrer(mut response: Response) -> Response {
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Returns whether the page is for anybody who has a connect link.
fn is_connect_link(path: &str) -> bool {
    path.starts_with(paths::CONNECT_LINKS)
}

/// Returns the live-reload port, only while `cargo leptos watch` runs.
fn reload_port(state: &AppState) -> Option<u32> {
    let watched = state.leptos.env == Env::DEV && std::env::var_os("LEPTOS_WATCH").is_some();
    watched.then_some(state.leptos.reload_port)
}
