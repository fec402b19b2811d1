//! Where the browser's side stands on disk: the stylesheet, the script and the wasm that a build made.

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

/// Copied into the binary, so that it runs from any folder.
const LEPTOS_TOML: &str = include_str!("../../Leptos.toml");

/// Leptos' options, with the site root made a path that doesn't depend on where the binary was started.
pub fn options() -> Result<LeptosOptions, LeptosConfigError> {
    let mut options = get_config_from_str(LEPTOS_TOML)?;
    if std::env::var_os("LEPTOS_SITE_ROOT").is_none()
        && let Some(found) = beside_the_binary()
    {
        options.site_root = Arc::from(found.to_string_lossy().as_ref());
    }
    Ok(options)
}

/// The site's files. Their names stay the same over an upgrade, so browsers ask whether they have changed.
pub fn files<S: Clone + Send + Sync + 'static>(options: &LeptosOptions) -> Router<S> {
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

/// `site` next to an installed binary; `site` beside the profile's folder in a build's.
fn beside_the_binary() -> Option<PathBuf> {
    let binary = std::env::current_exe().ok()?;
    binary.ancestors().skip(1).take(3).map(|folder| folder.join("site")).find(|site| site.is_dir())
}
