//! The part of the journey with connect links and letters: a link's secret is one until it is used, and so is the one
//! that stops the letters to a contact.

use evergrant::server::crypto::random::hash_secret;
use evergrant::server::domain::Secret;

use super::{Browser, Journey};
use crate::connect::{ALLOW_HARBOUR, submit_consent};

const UNSUBSCRIBE_TOKEN: &str = "what-stops-the-letters-to-a-contact";

impl Journey {
    /// Creates connect links by script and by form, and uses them: declines, connects, and comes back once more.
    pub(super) async fn use_connect_links(&mut self) {
        for by_script in [true, false] {
            let link = self.new_connect_link(by_script).await;
            let (path, token) = link.split_once("?token=").expect("a secret");
            assert_eq!(token.len(), 43, "{link}");
            self.add_secret("a connect link", token);
            let id = path.strip_prefix("/connect/").unwrap();
            let stranger = Browser::new(self.browser.url("").trim_end_matches('/'));
            assert_eq!(stranger.get(&link).await.location(), path);
            for answer in [&[("decision", "cancel")][..], &ALLOW_HARBOUR] {
                self.capture("GET /connect", &stranger.get(path).await);
                // The authorize URL has the state. Only the browser may see it, so this response is not captured.
                let page = stranger.post("/api/connect-links/start", &[("id", id)]).await;
                let address = url::Url::parse(page.location()).expect("the start must redirect to Xero");
                let asked: Vec<(String, String)> = address.query_pairs().into_owned().collect();
                let state = asked.iter().find(|(name, _)| name == "state").unwrap();
                self.add_secret("a link's state", &state.1);
                let back = url::Url::parse(&submit_consent(&self.provider, &asked, answer).await).unwrap();
                let back = format!("{}?{}", back.path(), back.query().unwrap_or_default());
                for _ in 0..2 {
                    self.capture("GET the callback of a link", &stranger.get(&back).await);
                }
            }
            let done = stranger.get(path).await;
            assert!(done.text.contains("Harbour Coffee is connected"), "{}", done.text);
            self.capture("GET /connect", &done);
            let elsewhere = Browser::new(self.browser.url("").trim_end_matches('/'));
            self.capture("GET /connect elsewhere", &elsewhere.get(path).await);
        }
        for path in ["/settings/integrations/links", "/activity?show=changes", "/activity.csv?show=changes"] {
            self.get(path).await;
        }
    }

    /// Returns the path of a new link, which only its creator sees.
    async fn new_connect_link(&self, by_script: bool) -> String {
        let form = [("requested_by", "Ann"), ("note", "The books")];
        let text = if by_script {
            let request = self.browser.client.post(self.browser.url("/api/integrations/links/create"));
            self.browser.send(request.header("accept", "application/json").form(&form)).await.text
        } else {
            self.browser.post("/api/integrations/links/create", &form).await;
            let page = self.browser.get("/settings/integrations/links").await.text;
            // A minute later the browser has forgotten it.
            self.browser.expire_cookie("evergrant_new_link");
            page
        };
        let at = text.find("?token=").expect("the link is shown");
        let start = text[..at].rfind("/connect/").unwrap();
        text[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || "/-_?=".contains(*c)).collect()
    }

    /// Stops the letters to a contact, by the page and by a mail program.
    pub(super) async fn unsubscribe(&mut self) {
        self.add_secret("an unsubscribe link", UNSUBSCRIBE_TOKEN);
        let hash = hash_secret(&Secret::new(UNSUBSCRIBE_TOKEN));
        self.execute(&format!(
            "INSERT INTO unsubscribe_links (token_hash, contact_id, created_at) \
             SELECT '{hash}', id, created_at FROM contacts LIMIT 1"
        ))
        .await;
        let contact = Browser::new(self.browser.url("").trim_end_matches('/'));
        let moved = contact.get(&format!("/unsubscribe?token={UNSUBSCRIBE_TOKEN}")).await;
        assert_eq!(moved.location(), "/unsubscribe");
        let page = contact.get("/unsubscribe").await;
        assert!(page.text.contains("<form"), "{}", page.text);
        self.capture("GET /unsubscribe", &page);
        self.capture("POST /api/unsubscribe", &contact.post("/api/unsubscribe", &[]).await);
        let one_click = format!("/api/unsubscribe?token={UNSUBSCRIBE_TOKEN}");
        let page = contact.post(&one_click, &[("List-Unsubscribe", "One-Click")]).await;
        assert_eq!(page.text, "You are unsubscribed.\n");
        self.capture("POST by a mail program", &page);
        self.capture("GET /unsubscribe", &contact.get("/unsubscribe").await);
    }
}
