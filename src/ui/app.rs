//! The HTML document around every page, and the routes.

use leptos::prelude::*;
use leptos_meta::{MetaTags, provide_meta_context};
use leptos_router::SsrMode;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::path;

use super::context::page;
use super::layout::clerk;
use super::pages::{
    Account, Activity, ApiKeys, ConfirmEmail, ConnectLink, ConnectLinks, Connection, Deliveries, Events, Find,
    ForgotPassword, Integrations, Invite, LinkProvider, Login, Members, NotFound, Notifications, Organizations,
    Overview, Proof, Reference, ResetPassword, SignInCode, SignInLink, Unsubscribe, Xero, failure,
};
use crate::model::{FailurePage, Page, Theme};

/// Renders the document: the head of every page, and the app in the body. Without them if only regions are asked for.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let page = page();
    let Page { theme, clerk, login, failure, regions, .. } = &*page;
    if regions.is_some() {
        // The regions alone. `leptos_meta` needs a head.
        return view! {
            <html>
                <head></head>
                <body>
                    <App />
                </body>
            </html>
        }
        .into_any();
    }
    let first = clerk.as_ref().map(|clerk| clerk::head_script(clerk, login.next.clone()));
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme.as_str()>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content=if *theme == Theme::System { "light dark" } else { theme.as_str() } />
                <link rel="stylesheet" href=format!("/{}/evergrant.css", options.site_pkg_dir) />
                <link rel="icon" href="/favicon.ico" sizes="32x32" />
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                <link rel="apple-touch-icon" href="/apple-touch-icon.png" />
                <link rel="manifest" href="/site.webmanifest" />
                {first}
                <AutoReload options />
                <MetaTags />
            </head>
            <body>{content(failure.clone())} {clerk.as_ref().map(clerk::scripts)}</body>
        </html>
    }
    .into_any()
}

/// Renders the app, or the page in place of one that failed, which has no route.
fn content(failed: Option<FailurePage>) -> impl IntoView {
    match failed {
        Some(failed) => {
            provide_meta_context();
            failure(failed).into_any()
        }
        None => view! { <App /> }.into_any(),
    }
}

/// The routes. Each page is rendered completely before it is sent, so it arrives in one response.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Router>
            <FlatRoutes fallback=NotFound>
                <Route path=path!("/login") view=Login ssr=SsrMode::Async />
                <Route path=path!("/login/forgot") view=ForgotPassword ssr=SsrMode::Async />
                <Route path=path!("/login/reset") view=ResetPassword ssr=SsrMode::Async />
                <Route path=path!("/login/email") view=ConfirmEmail ssr=SsrMode::Async />
                <Route path=path!("/login/code") view=SignInCode ssr=SsrMode::Async />
                <Route path=path!("/login/link") view=SignInLink ssr=SsrMode::Async />
                <Route path=path!("/account") view=Account ssr=SsrMode::Async />
                <Route path=path!("/account/confirm") view=Proof ssr=SsrMode::Async />
                <Route path=path!("/account/link") view=LinkProvider ssr=SsrMode::Async />
                <Route path=path!("/") view=Overview ssr=SsrMode::Async />
                <Route path=path!("/find") view=Find ssr=SsrMode::Async />
                <Route path=path!("/organizations") view=Organizations ssr=SsrMode::Async />
                <Route path=path!("/events") view=Events ssr=SsrMode::Async />
                <Route path=path!("/xero") view=Xero ssr=SsrMode::Async />
                <Route path=path!("/activity") view=Activity ssr=SsrMode::Async />
                <Route path=path!("/settings/integrations") view=Integrations ssr=SsrMode::Async />
                <Route path=path!("/settings/integrations/links") view=ConnectLinks ssr=SsrMode::Async />
                <Route path=path!("/settings/integrations/:id") view=Connection ssr=SsrMode::Async />
                <Route path=path!("/api-reference") view=Reference ssr=SsrMode::Async />
                <Route path=path!("/connect/:id") view=ConnectLink ssr=SsrMode::Async />
                <Route path=path!("/unsubscribe") view=Unsubscribe ssr=SsrMode::Async />
                <Route path=path!("/invite") view=Invite ssr=SsrMode::Async />
                <Route path=path!("/settings/members") view=Members ssr=SsrMode::Async />
                <Route path=path!("/settings/api-keys") view=ApiKeys ssr=SsrMode::Async />
                <Route path=path!("/settings/notifications") view=Notifications ssr=SsrMode::Async />
                <Route path=path!("/settings/notifications/deliveries") view=Deliveries ssr=SsrMode::Async />
            </FlatRoutes>
        </Router>
    }
}
