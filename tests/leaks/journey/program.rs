//! The part of the journey that a program makes, with an API key.

use evergrant::model::BindingId;
use serde_json::Value;

use super::Stage;
use crate::support::web::Page;

impl Stage {
    /// A program of the organisation's. Its key is printed to who makes it, and a token answered to who asks with the
    /// key; both belong there and nowhere else.
    pub(super) async fn ask_as_a_program(&mut self, binding: &BindingId) {
        assert!(self.run(&["key", "add", "--org", "Harbour Group", "--name", "Nightly export"], "").await);
        let (_, printed) = self.heard.remove(self.heard.len() - 2);
        let key = String::from_utf8(printed).unwrap().trim().to_owned();
        self.know("an API key", &key);
        let list = self.ask("/api/v1/bindings", &key).await;
        self.hear("GET /api/v1/bindings", &list);
        let token = format!("/api/v1/bindings/{binding}/token?min_ttl=60");
        let mut answer = self.ask(&token, &key).await;
        let mut body: Value = serde_json::from_str(&answer.text).unwrap();
        assert!(body.as_object_mut().unwrap().remove("accessToken").is_some(), "{body}");
        answer.text = body.to_string();
        self.hear("GET a token", &answer);
        self.run(&["key", "list"], "").await;
        self.run(&["key", "list", "--json"], "").await;
        assert!(self.run(&["key", "revoke", "--key", &key[..12]], "").await);
        for (path, key) in [(token.as_str(), key.as_str()), (&token, &key[..75]), ("/settings/integrations", &key)] {
            let refused = self.ask(path, key).await;
            self.hear("GET with a key that doesn't count", &refused);
        }
    }

    /// A key that a person makes, by script and by form, which shows it once.
    pub(super) async fn make_api_keys(&mut self) {
        let form = [("name", "Nightly export"), ("scopes[0]", "bindings:read"), ("life", "30d")];
        let request = self.browser.client.post(self.browser.at("/api/api-keys/create"));
        let page = self.browser.send(request.header("accept", "application/json").form(&form)).await;
        self.know("an API key", page.text.trim_matches('"'));
        self.browser.post("/api/api-keys/create", &form).await;
        let page = self.browser.get("/settings/api-keys").await.text;
        let start = page.find("egk_").expect("the key is shown");
        self.know("an API key", &page[start..start + 76]);
        for path in ["/settings/api-keys", "/activity?show=changes", "/activity.csv?show=changes"] {
            self.get(path).await;
        }
    }

    pub(super) async fn ask(&mut self, path: &str, bearer: &str) -> Page {
        let request = self.browser.client.get(self.browser.at(path)).bearer_auth(bearer);
        self.browser.send(request).await
    }
}
