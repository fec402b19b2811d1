//! Finds the built browser assets (stylesheet, scripts, wasm) on disk and serves them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use leptos::config::errors::LeptosConfigError;
use leptos::config::get_config_from_str;
use leptos::prelude::LeptosOptions;
use tower_http::services::{ServeDir, ServeFile};
use tower_http::set_header::SetResponseHeaderLayer;

use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;

/// Embedded in the binary, so that it runs from any directory.
const LEPTOS_TOML: &str = include_str!("../../../Leptos.toml");

/// Returns the Leptos options. Unless `LEPTOS_SITE_ROOT` is set, the site root is looked up next to the binary, so that
/// it does not depend on the working directory.
pub fn leptos_options() -> Result<LeptosOptions, LeptosConfigError> {
    let mut options = get_config_from_str(LEPTOS_TOML)?;
    if std::env::var_os("LEPTOS_SITE_ROOT").is_none()
        && let Some(found) = find_site_root()
    {
        options.site_root = Arc::from(found.to_string_lossy().as_ref());
    }
    Ok(options)
}

/// Returns the routes of the asset files. Their names do not change between versions, so browsers have to revalidate.
pub fn asset_routes<S: Clone + Send + Sync + 'static>(options: &LeptosOptions) -> Router<S> {
    let root = Path::new(options.site_root.as_ref());
    let file = |name: &str| ServeFile::new(root.join(name));
    let pkg = ServeDir::new(root.join(options.site_pkg_dir.as_ref())).precompressed_br().precompressed_gzip();
    Router::new()
        .nest_service(&format!("/{}", options.site_pkg_dir), pkg)
        .route_service("/favicon.svg", file("favicon.svg"))
        .route_service("/clerk.js", file("clerk.js"))
        .route_service("/robots.txt", file("robots.txt"))
        .layer(SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, HeaderValue::from_static("no-cache")))
}

/// Looks for `site` next to an installed binary, or next to the profile directory of a Cargo build.
fn find_site_root() -> Option<PathBuf> {
    let binary = std::env::current_exe().ok()?;
    binary.ancestors().skip(1).take(3).map(|folder| folder.join("site")).find(|site| site.is_dir())
}
