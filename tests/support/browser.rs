//! A browser without wasm: it posts forms, keeps cookies and follows no redirects.

use std::collections::BTreeMap;
use std::sync::Mutex;

use reqwest::header::{ACCEPT, COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::http::test_client;
use super::test_server::PASSWORD;

pub const JSON: &str = "application/json";
pub const HTML: &str = "text/html,application/xhtml+xml";

/// A response with its whole body.
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

/// A client with a cookie jar.
pub struct Browser {
    base: String,
    pub client: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    /// Returns a browser without cookies for the server at `base`.
    pub fn new(base: &str) -> Self {
        let client = test_client();
        Self { base: base.to_owned(), client, cookies: Mutex::default() }
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send(self.client.get(self.url(path)).header("accept", "text/html")).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        self.post_from("/settings/integrations", path, form).await
    }

    /// Posts a form of this page.
    pub async fn post_from(&self, page: &str, path: &str, form: &[(&str, &str)]) -> Page {
        let request = self.client.post(self.url(path)).header("origin", &self.base).header("accept", "text/html");
        self.send(request.header("referer", self.url(page)).form(form)).await
    }

    /// Builds a request with this `Accept` header.
    pub fn request(&self, method: Method, path: &str, accept: &str) -> RequestBuilder {
        self.client.request(method, self.url(path)).header(ACCEPT, accept)
    }

    /// Returns the body of a page that answers 200.
    pub async fn page_text(&self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        page.text
    }

    /// Calls a server function, as the page's script does.
    pub async fn call_server_fn(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, Value) {
        let request = self.request(Method::POST, path, JSON).header("origin", &self.base).form(fields);
        let page = self.send(request).await;
        (page.status, serde_json::from_str(&page.text).unwrap_or_else(|_| json!(page.text)))
    }

    /// Returns the id of the organization with this name, read from the page's switcher.
    pub async fn org_id(&self, name: &str) -> String {
        let page = self.page_text("/").await;
        switcher_organizations(&page).into_iter().find(|(_, known)| known == name).map(|(id, _)| id).unwrap()
    }

    /// Sends a request with the cookies and reads the whole response.
    pub async fn send(&self, request: RequestBuilder) -> Page {
        let response = self.open(request).await;
        let (status, headers) = (response.status(), response.headers().clone());
        Page { status, headers, text: response.text().await.unwrap() }
    }

    /// Sends a request with the cookies and returns the response before its body, such as an event stream.
    pub async fn open(&self, request: RequestBuilder) -> Response {
        let cookies: Vec<String> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let response = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let (pair, rest) = cookie.to_str().unwrap().split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut jar = self.cookies.lock().unwrap();
            if rest.contains("Max-Age=0") {
                jar.remove(name)
            } else {
                jar.insert(name.into(), value.into())
            };
        }
        response
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Returns the value of a cookie. Servers on this machine add their port to its name.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.cookies.lock().unwrap();
        cookies.get(name).or_else(|| cookies.get(&self.name_with_port(name))).cloned()
    }

    /// Returns the names of the cookies that begin like this.
    pub fn cookie_names(&self, start: &str) -> Vec<String> {
        let cookies = self.cookies.lock().unwrap();
        cookies.keys().filter(|name| name.starts_with(start)).cloned().collect()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(self.name_with_port(name), value.into());
    }

    /// Forgets a cookie, as a browser does when it expires.
    pub fn expire_cookie(&self, name: &str) {
        let suffixed = format!("{name}_");
        let mut cookies = self.cookies.lock().unwrap();
        let before = cookies.len();
        cookies.retain(|known, _| known != name && !known.starts_with(&suffixed));
        assert!(cookies.len() < before, "there is no cookie {name}");
    }

    /// Returns the session's cookie as a `Cookie` header has it.
    pub fn session_cookie(&self) -> String {
        let cookies = self.cookies.lock().unwrap();
        let session = cookies.iter().find(|(name, _)| name.starts_with("evergrant_session"));
        session.map(|(name, value)| format!("{name}={value}")).expect("signed in")
    }

    fn name_with_port(&self, name: &str) -> String {
        // Clerk's cookies keep their names.
        if !name.starts_with("evergrant_") {
            return name.to_owned();
        }
        format!("{name}_{}", self.base.rsplit(':').next().unwrap_or_default())
    }

    pub async fn sign_in(&self, email: &str) -> Page {
        let page = self.post("/api/session/login", &[("email", email), ("password", PASSWORD)]).await;
        assert_eq!(page.location(), "/", "{email} could not sign in");
        page
    }

    /// Starts a connect and returns the query parameters of the authorize URL.
    pub async fn connect(&self) -> Vec<(String, String)> {
        let page = self.post("/api/integrations/xero/connect", &[]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        let address = url::Url::parse(page.location()).expect("connect must redirect to Xero");
        address.query_pairs().into_owned().collect()
    }

    /// Opens the callback URL and returns the flash message that the next page will show.
    pub async fn follow_callback(&self, address: &str) -> String {
        let path = address.strip_prefix(&self.base).expect("Xero must redirect to our public URL");
        let page = self.get(path).await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/settings/integrations"));
        self.flash()
    }

    pub fn flash(&self) -> String {
        self.cookie("evergrant_notice").unwrap_or_default()
    }
}

impl Page {
    pub fn location(&self) -> &str {
        self.headers.get(LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Returns the id and name of each button of the organization switcher.
fn switcher_organizations(page: &str) -> Vec<(String, String)> {
    page.split("name=\"org_id\"")
        .skip(1)
        .filter_map(|rest| {
            let id = rest.split("value=\"").nth(1)?.split('"').next()?;
            let name = rest.split("</button>").next()?.split_once("truncate\">")?.1.split('<').next()?;
            Some((id.to_owned(), name.trim().to_owned()))
        })
        .collect()
}
