//! The middleware of pages: loads the page context, redirects to and from the login, and sets the page's headers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use leptos::nonce::use_nonce;
use leptos::prelude::{Env, provide_context, use_context, with_context};
use leptos_axum::ResponseOptions;

use super::named_organization::open_named_organization;
use super::public_address::public_address;
use super::regions::{RegionRequest, load_again, vary_by_regions};
use super::security_headers::page_content_security_policy;
use super::typed_form;
use crate::model::{
    AppAlarm, Flash, LinkPage, LoginProblem, LoginView, Page, Permission, RevealedSecret, SessionView, Theme, paths,
};
use crate::server::auth::cookie::{THEME_COOKIE, TYPED_FORM_COOKIE, read_cookie};
use crate::server::auth::{Caller, api_keys};
use crate::server::crypto::random::hash_secret;
use crate::server::domain::time_zone;
use crate::server::http::account_pages::{add_account_parts, awaits_code};
use crate::server::http::flash;
use crate::server::http::flash::see_other;
use crate::server::http::internal_error::InternalError;
use crate::server::http::link_secret::LinkSecret;
use crate::server::http::one_time_secret::{API_KEY, CONNECT_LINK, CONNECT_LINKS, INVITATION, OneTimeSecret, WEBHOOK};
use crate::server::http::routes::{connect_links, identity_link, invitations, link_batches, oidc, unsubscribe};
use crate::server::http::safe_redirect;
use crate::server::http::sign_in_path::sign_in_path;
use crate::server::http::state::AppState;

/// Runs before a page is rendered: loads its `Page` context into the request's extensions. Redirects to `/login`
/// without a session, and away from it with one.
pub async fn with_page_context(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    if let Some(wanted) = RegionRequest::read(&headers) {
        return vary_by_regions(no_store(regions_response(&state, wanted, request, next).await));
    }
    if let Some(elsewhere) = public_address(&state, &headers, request.uri()) {
        return no_store(see_other(&elsewhere));
    }
    let link = LinkSecret::of_page(request.uri().path());
    let is_connect_link = is_connect_link(request.uri().path());
    if let Some(moved) = link.and_then(|link| link.moved_from_query(&state, &headers, request.uri())) {
        return if is_connect_link { no_referrer(no_store(moved)) } else { no_store(moved) };
    }
    match open_named_organization(&state, request.method(), &headers, request.uri()).await {
        Ok(None) => {}
        Ok(Some(elsewhere)) => return no_store(elsewhere),
        Err(failure) => return no_store(failure.into_response()),
    }
    let (page, caller) = match load_page_context(&state, &headers, request.uri()).await {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(elsewhere)) => return no_store(see_other(&elsewhere)),
        Err(failure) => return no_store(failure.into_response()),
    };
    let gives_back_form = page.typed.is_some();
    // Shared, because every use of the request's parts copies the extensions.
    request.extensions_mut().insert(Arc::new(page));
    if let Some(caller) = caller {
        // The server functions that the page calls need not look the person up again.
        request.extensions_mut().insert(Arc::new(caller));
    }
    let response = next.run(request).await;
    // A redirect has not shown the flash yet.
    let shown = !response.headers().contains_key(LOCATION);
    if !shown {
        return no_store(response);
    }
    let response = vary_by_regions(no_store(flash::clear(&state, &headers, response)));
    let response = match gives_back_form {
        true => flash::clear_cookie(&state, TYPED_FORM_COOKIE, &headers, response),
        false => response,
    };
    if is_connect_link { no_referrer(response) } else { response }
}

/// Renders regions of a page. Nothing that a page does when it is opened happens: no switch of the organization, and a
/// message stays for the page that follows.
async fn regions_response(state: &AppState, wanted: RegionRequest, mut request: Request, next: Next) -> Response {
    let (page, caller) = match load_page_context(state, request.headers(), request.uri()).await {
        Ok(Ok((page, caller))) => (wanted.page(page), caller),
        // Such as the login, after the session has ended.
        Ok(Err(_)) => return load_again(),
        Err(failure) => return failure.into_response(),
    };
    let Some(page) = page else { return load_again() };
    request.extensions_mut().insert(Arc::new(page));
    if let Some(caller) = caller {
        request.extensions_mut().insert(Arc::new(caller));
    }
    next.run(request).await
}

/// Runs inside a render: provides the `Page`, the `AppState` and the `LeptosOptions` to the components, and sets the content security policy
/// with the render's nonce.
pub fn provide_page_context(state: &AppState) {
    let page = with_context(|parts: &Parts| parts.extensions.get::<Arc<Page>>().cloned()).flatten();
    let page = page.unwrap_or_default();
    if let Some(zone) = page.time_zone.as_deref().and_then(time_zone) {
        provide_context(zone);
    }
    provide_context(page);
    provide_context(state.clone());
    provide_context(state.leptos.clone());
    let (Some(nonce), Some(options)) = (use_nonce(), use_context::<ResponseOptions>()) else { return };
    let login = state.xero.endpoints().login.origin().ascii_serialization();
    if let Some(policy) = page_content_security_policy(&nonce, &login, reload_port(state), &state.auth.csp_sources()) {
        options.insert_header(CONTENT_SECURITY_POLICY, policy);
    }
}

/// Loads the page context and who asks for it, or returns the path to redirect to.
async fn load_page_context(
    state: &AppState,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Result<(Page, Option<Caller>), String>, InternalError> {
    let caller = state.auth.caller(headers).await?;
    Ok(load_page(state, headers, uri, caller.clone()).await?.map(|page| (page, caller)))
}

async fn load_page(
    state: &AppState,
    headers: &HeaderMap,
    uri: &Uri,
    caller: Option<Caller>,
) -> Result<Result<Page, String>, InternalError> {
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
        typed: typed_form::read(state, headers, uri.path(), caller.as_ref()),
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
            let invited = match invited {
                Some(token) => invitations::new_link(state, &token).await?,
                None => None,
            };
            let new_key = one_time_secret(API_KEY, Permission::ManageApiKeys)
                .filter(|key| api_keys::is_well_formed(key.expose()));
            let new_key = new_key.map(|key| RevealedSecret::new(String::new(), key.expose()));
            let new_link = one_time_secret(CONNECT_LINK, Permission::ManageConnections);
            let new_link = new_link.and_then(|link| connect_links::url_in_cookie(state, &link));
            let new_links = one_time_secret(CONNECT_LINKS, Permission::ManageConnections);
            let new_links = link_batches::links_in_cookie(state, caller.org.as_ref(), new_links).await?;
            let sees_code = caller.may(Permission::ViewAppStatus);
            let alarm = state.notifier.credentials_alarm().filter(|_| caller.org.is_some());
            let (flash_tenant, still_broken) = flash_tenants(state, &caller, page.flash.as_ref()).await?;
            let is_new_webhook = one_time_secret(WEBHOOK, Permission::ManageNotifications).is_some();
            let revealed = new_webhook_secret(state, &caller, is_new_webhook).await?;
            let next = query_param(uri, "next").and_then(|next| safe_next(state, &next));
            let page = add_account_parts(state, &caller, headers, next, page).await?;
            Ok(Page {
                session: Some(session_view(state, &caller).await?),
                time_zone: caller.time_zone.clone(),
                app_alarm: alarm.map(|alarm| AppAlarm { code: sees_code.then_some(alarm.code) }),
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
            Err(sign_in_path(state, headers, wanted.as_deref().unwrap_or(paths::HOME)))
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
    let read = match (&caller.org, caller.read) {
        (Some(org), None) => state.store.read_state(&org.id, &caller.user_id).await?,
        (_, read) => read.unwrap_or_default(),
    };
    Ok(caller.view(read.unread))
}

/// Returns the tenant names that a flash needs, because its cookie has only the binding's id: the one that it is about,
/// and those that still need reconnecting after a consent.
async fn flash_tenants(
    state: &AppState,
    caller: &Caller,
    flash: Option<&Flash>,
) -> Result<(Option<String>, Vec<String>), InternalError> {
    let (Some(org), Some(flash)) = (&caller.org, flash) else { return Ok((None, Vec::new())) };
    let (about, wants_broken) = (flash.binding(), flash.is_about_consent());
    if about.is_none() && !wants_broken {
        return Ok((None, Vec::new()));
    }
    let named = state.store.named_or_broken_tenants(&org.id, about).await?;
    let tenant = named.iter().find(|one| Some(&one.id) == about).map(|one| one.name.clone());
    let broken = named.into_iter().filter(|one| wants_broken && one.is_broken).map(|one| one.name);
    Ok((tenant, broken.collect()))
}

/// Returns the webhook secret that this session has just created, on the page that shows it. A cookie says that there is one.
async fn new_webhook_secret(
    state: &AppState,
    caller: &Caller,
    is_new: bool,
) -> Result<Option<RevealedSecret>, InternalError> {
    let Some(org) = caller.org.as_ref().filter(|_| is_new) else { return Ok(None) };
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
