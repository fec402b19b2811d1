//! Serves what browsers load: stylesheet, script, and wasm. Their addresses name the build, so that browsers keep them
//! for good and no page mixes two builds.

use std::borrow::Cow;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use leptos::config::errors::LeptosConfigError;
use leptos::config::get_config_from_str;
use leptos::prelude::LeptosOptions;

use super::state::AppState;

/// Embedded in the binary, so that it runs from any directory.
const LEPTOS_TOML: &str = include_str!("../../../Leptos.toml");

/// The folder of the files that a build makes, within the site and in addresses.
const BUILT: &str = "pkg";

/// What pages load of it. Their content names the build.
const LOADED: [&str; 3] = ["pkg/evergrant.css", "pkg/evergrant.js", "pkg/evergrant.wasm"];

/// Files with the same address in every version: browsers and robots ask for them by name.
const FIXED: [&str; 6] =
    ["favicon.svg", "favicon.ico", "apple-touch-icon.png", "site.webmanifest", "clerk.js", "robots.txt"];

const STYLESHEET: &str = "evergrant.css";

/// Compressed forms of a file, the smaller first: the suffix of its name, and the encoding's name.
const ENCODINGS: [(&str, &str); 2] = [(".br", "br"), (".gz", "gzip")];

/// A year, in seconds: as long as browsers keep a file at most.
const KEEP: &str = "public, max-age=31536000, immutable";

/// The site's files, and the name of their build.
#[derive(Clone)]
pub struct Site {
    /// `None` if the files are inside the binary.
    folder: Option<PathBuf>,
    /// `None` while `cargo leptos watch` changes the files.
    build: Option<Arc<str>>,
}

impl Site {
    /// Finds the site: the folder in `LEPTOS_SITE_ROOT`, else the files inside the binary, else `site` near the binary.
    pub fn find() -> Self {
        let is_set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let folder = match is_set("LEPTOS_SITE_ROOT") {
            Some(folder) => Some(PathBuf::from(folder)),
            None if evergrant_site::FILES.is_empty() => near_binary(),
            None => None,
        };
        let site = Self { folder, build: None };
        if is_set("LEPTOS_WATCH").is_some() { site } else { site.named() }
    }

    /// Names the build by its content.
    fn named(self) -> Self {
        let mut digest = Context::new(&SHA256);
        LOADED.iter().filter_map(|name| self.read(name)).for_each(|bytes| digest.update(&bytes));
        let build = URL_SAFE_NO_PAD.encode(&digest.finish().as_ref()[..9]);
        Self { build: Some(build.into()), ..self }
    }

    /// Returns the Leptos options, with the address of this build's files.
    pub fn leptos_options(&self) -> Result<LeptosOptions, LeptosConfigError> {
        let mut options = get_config_from_str(LEPTOS_TOML)?;
        if let Some(build) = &self.build {
            options.site_pkg_dir = format!("{BUILT}/{build}").into();
        }
        Ok(options)
    }

    /// Returns a file's content; `None` if there is no such file.
    fn read(&self, name: &str) -> Option<Cow<'static, [u8]>> {
        match &self.folder {
            Some(folder) => std::fs::read(folder.join(name)).ok().map(Cow::Owned),
            None => {
                let index = evergrant_site::FILES.binary_search_by_key(&name, |(name, _)| name).ok()?;
                evergrant_site::FILES.get(index).map(|(_, bytes)| Cow::Borrowed(*bytes))
            }
        }
    }

    /// Answers with a file, compressed if the browser can take that.
    fn serve(&self, name: &str, headers: &HeaderMap, cache: &'static str) -> Response {
        let compressed = ENCODINGS.iter().filter(|(_, encoding)| accepts(headers, encoding));
        let mut forms = compressed.map(|(suffix, encoding)| (*suffix, Some(*encoding))).chain([("", None)]);
        let Some((bytes, encoding)) =
            forms.find_map(|(suffix, encoding)| Some((self.read(&format!("{name}{suffix}"))?, encoding)))
        else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let mut response = match bytes {
            Cow::Borrowed(bytes) => bytes.into_response(),
            Cow::Owned(bytes) => bytes.into_response(),
        };
        let described = [(CONTENT_TYPE, content_type(name)), (CACHE_CONTROL, cache), (VARY, "accept-encoding")];
        for (header, value) in described.into_iter().chain(encoding.map(|encoding| (CONTENT_ENCODING, encoding))) {
            response.headers_mut().insert(header, HeaderValue::from_static(value));
        }
        response
    }
}

/// Returns the routes of the files.
pub fn asset_routes() -> Router<AppState> {
    Router::new()
        .route(&format!("/{BUILT}/{{build}}/{{file}}"), get(built_file))
        .route(&format!("/{BUILT}/{{file}}"), get(watched_file))
        .merge(FIXED.iter().fold(Router::new(), |routes, file| routes.route(&format!("/{file}"), get(fixed_file))))
}

/// A file of this build. While instances of two builds serve pages, a page of the other build gets this one's stylesheet,
/// and works without its script: the two builds' scripts and pages need not fit together.
async fn built_file(
    State(state): State<AppState>,
    UrlPath((build, file)): UrlPath<(String, String)>,
    headers: HeaderMap,
) -> Response {
    match state.site.build.as_deref() {
        Some(ours) if ours == build && is_plain(&file) => state.site.serve(&format!("{BUILT}/{file}"), &headers, KEEP),
        Some(_) if file == STYLESHEET => state.site.serve(LOADED[0], &headers, "no-store"),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A file that is built again while the server runs.
async fn watched_file(State(state): State<AppState>, UrlPath(file): UrlPath<String>, headers: HeaderMap) -> Response {
    match state.site.build {
        None if is_plain(&file) => state.site.serve(&format!("{BUILT}/{file}"), &headers, "no-cache"),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A file whose address is the same in every version.
async fn fixed_file(State(state): State<AppState>, uri: Uri, headers: HeaderMap) -> Response {
    state.site.serve(uri.path().trim_start_matches('/'), &headers, "no-cache")
}

/// Returns whether a name stays within its folder.
fn is_plain(name: &str) -> bool {
    !name.contains(['/', '\\']) && !name.starts_with('.')
}

fn content_type(name: &str) -> &'static str {
    match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Returns whether `Accept-Encoding` names the encoding, and not to refuse it (RFC 9110, 12.5.3).
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|offer| {
        let (name, weight) = offer.split_once(';').unwrap_or((offer, "q=1"));
        let is_refused = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0);
        name.trim().eq_ignore_ascii_case(encoding) && !is_refused
    })
}

/// Looks for `site` next to an installed binary, or next to the profile directory of a Cargo build.
fn near_binary() -> Option<PathBuf> {
    let binary = env::current_exe().ok()?;
    binary.ancestors().skip(1).take(3).map(|folder| folder.join("site")).find(|site| site.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_is_used_only_if_the_browser_takes_it() {
        let accepted = |text: &'static str| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(text))]);
            ENCODINGS.map(|(_, encoding)| accepts(&headers, encoding))
        };
        assert_eq!(accepted("gzip, deflate, br, zstd"), [true, true]);
        assert_eq!(accepted("br;q=0, GZIP;q=0.5"), [false, true]);
        assert_eq!(accepted("identity"), [false, false]);
    }

    /// Returns a site in this folder, whose stylesheet has this text.
    fn site_with(folder: &Path, style: &str) -> Site {
        std::fs::create_dir_all(folder.join("pkg")).unwrap();
        std::fs::write(folder.join("pkg/evergrant.css"), style).unwrap();
        Site { folder: Some(folder.to_owned()), build: None }.named()
    }

    #[test]
    fn changed_file_changes_the_address() {
        let folder = tempfile::TempDir::new().unwrap();
        let address = |style: &str| site_with(folder.path(), style).leptos_options().unwrap().site_pkg_dir;
        let (first, second) = (address("a {}"), address("b {}"));
        assert!(first.starts_with("pkg/") && first != second, "{first} and {second}");
        assert_eq!(address("a {}"), first);
    }

    #[test]
    fn smallest_form_that_the_browser_takes_is_served_and_kept() {
        let folder = tempfile::TempDir::new().unwrap();
        let site = site_with(folder.path(), "a {}");
        std::fs::write(folder.path().join("pkg/evergrant.css.gz"), "compressed").unwrap();
        let answer = |name: &str, accepted: &'static str| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            site.serve(name, &headers, KEEP)
        };
        let compressed = answer("pkg/evergrant.css", "br, gzip");
        assert_eq!(compressed.headers()[CONTENT_ENCODING], "gzip");
        assert_eq!(compressed.headers()[CACHE_CONTROL], KEEP);
        assert_eq!(compressed.headers()[CONTENT_TYPE], "text/css; charset=utf-8");
        assert!(!answer("pkg/evergrant.css", "identity").headers().contains_key(CONTENT_ENCODING));
        assert_eq!(answer("pkg/none.css", "br").status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        assert!(is_plain("evergrant.css"));
        assert!(
            !is_plain("..") && !is_plain("../x") && !is_plain("a/../../x") && !is_plain("..\\x") && !is_plain(".env")
        );
    }
}
