//! The part of the journey that invites people: an invitation's link is a secret until it is used.

use super::{Browser, PASSWORD, Stage};

impl Stage {
    /// Links that were made, shown and used.
    pub(super) async fn invite(&mut self) {
        for by_script in [true, false] {
            let form = [("role", "member")];
            let link = if by_script {
                let request = self.browser.client.post(self.browser.at("/api/members/invite"));
                let page = self.browser.send(request.header("accept", "application/json").form(&form)).await;
                page.text.trim_matches('"').to_owned()
            } else {
                // Shown to the browser that made it: the one page where it belongs.
                self.browser.post("/api/members/invite", &form).await;
                let page = self.browser.get("/settings/members").await.text;
                let start = page.find("/invite?token=").expect("the link is shown");
                page[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || "/-_?=".contains(*c)).collect()
            };
            let token = link.rsplit('=').next().unwrap().to_owned();
            assert_eq!(token.len(), 43, "{link}");
            self.know("an invitation", &token);
            self.browser.get(&format!("/invite?token={token}")).await;
            let guest = Browser::at_home(self.browser.at("").trim_end_matches('/'));
            let email = if by_script { "guest@example.com" } else { "visitor@example.com" };
            let form = [("token", token.as_str()), ("email", email), ("password", PASSWORD)];
            guest.post("/api/invitations/accept", &form).await;
            assert_eq!(guest.notice(), "joined");
            let session = guest.cookie("evergrant_session").expect("signed in");
            self.know("a guest's session", &session);
        }
        for path in ["/settings/members", "/activity?show=changes", "/activity.csv?show=changes"] {
            self.get(path).await;
        }
    }
}
