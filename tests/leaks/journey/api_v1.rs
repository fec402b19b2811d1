//! The part of the journey with API keys: their creation, and calls of the JSON API.

use evergrant::model::BindingId;
use serde_json::Value;

use super::Journey;
use crate::support::browser::Page;

impl Journey {
    /// Creates an API key by command and calls the API with it. The key in the command's output and the token in the
    /// response belong there, so they are removed from the captured output.
    pub(super) async fn use_api_key(&mut self, binding: &BindingId) {
        assert!(self.run_command(&["api-key", "add", "--org", "Harbour Group", "--name", "Nightly export"], "").await);
        let (_, printed) = self.captured.remove(self.captured.len() - 2);
        let key = String::from_utf8(printed).unwrap().trim().to_owned();
        self.add_secret("an API key", &key);
        let list = self.get_with_bearer("/api/v1/bindings", &key).await;
        self.capture("GET /api/v1/bindings", &list);
        let token = format!("/api/v1/bindings/{binding}/token?min_ttl=60");
        let mut answer = self.get_with_bearer(&token, &key).await;
        let mut body: Value = serde_json::from_str(&answer.text).unwrap();
        assert!(body.as_object_mut().unwrap().remove("accessToken").is_some(), "{body}");
        answer.text = body.to_string();
        self.capture("GET a token", &answer);
        self.run_command(&["api-key", "list"], "").await;
        self.run_command(&["api-key", "list", "--json"], "").await;
        assert!(self.run_command(&["api-key", "revoke", "--key", &key[..12]], "").await);
        for (path, key) in [(token.as_str(), key.as_str()), (&token, &key[..75]), ("/settings/integrations", &key)] {
            let refused = self.get_with_bearer(path, key).await;
            self.capture("GET with an invalid key", &refused);
        }
    }

    /// Creates API keys on the page, by script and by form.
    pub(super) async fn create_api_keys(&mut self) {
        let form = [("name", "Nightly export"), ("scopes[0]", "bindings:read"), ("life", "30d")];
        let request = self.browser.client.post(self.browser.url("/api/api-keys/create"));
        let page = self.browser.send(request.header("accept", "application/json").form(&form)).await;
        self.add_secret("an API key", page.text.trim_matches('"'));
        self.browser.post("/api/api-keys/create", &form).await;
        let page = self.browser.get("/settings/api-keys").await.text;
        // A minute later the browser has forgotten it.
        self.browser.expire_cookie("evergrant_new_key");
        let start = page.find("egk_").expect("the page must show the key");
        self.add_secret("an API key", &page[start..start + 76]);
        for path in ["/settings/api-keys", "/activity?show=changes", "/activity.csv?show=changes"] {
            self.get(path).await;
        }
    }

    pub(super) async fn get_with_bearer(&mut self, path: &str, bearer: &str) -> Page {
        let request = self.browser.client.get(self.browser.url(path)).bearer_auth(bearer);
        self.browser.send(request).await
    }
}
