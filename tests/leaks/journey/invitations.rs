//! The part of the journey with invitations: an invitation's link is a secret until it is used.

use super::{Browser, Journey, PASSWORD};

impl Journey {
    /// Creates, shows and uses invitation links, by script and by form.
    pub(super) async fn use_invitations(&mut self) {
        for by_script in [true, false] {
            let form = [("role", "member")];
            let link = if by_script {
                let request = self.browser.client.post(self.browser.url("/api/members/invite"));
                let page = self.browser.send(request.header("accept", "application/json").form(&form)).await;
                page.text.trim_matches('"').to_owned()
            } else {
                // The page that shows the link to its creator, the only place where it belongs, is not captured.
                self.browser.post("/api/members/invite", &form).await;
                let page = self.browser.get("/settings/members").await.text;
                // A minute later the browser has forgotten it.
                self.browser.expire_cookie("evergrant_invitation");
                let start = page.find("/invite?token=").expect("the page must show the link");
                page[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || "/-_?=".contains(*c)).collect()
            };
            let token = link.rsplit('=').next().unwrap().to_owned();
            assert_eq!(token.len(), 43, "{link}");
            self.add_secret("an invitation", &token);
            self.browser.get(&format!("/invite?token={token}")).await;
            let invitee = Browser::new(self.browser.url("").trim_end_matches('/'));
            let email = if by_script { "guest@example.com" } else { "visitor@example.com" };
            assert_eq!(invitee.get(&format!("/invite?token={token}")).await.location(), "/invite");
            self.capture("GET /invite", &invitee.get("/invite").await);
            let answer = invitee.post("/api/invitations/accept", &[("email", email), ("password", PASSWORD)]).await;
            assert_eq!(answer.location(), "/login?problem=sign-in-to-join&next=%2Finvite");
            let form = [("email", email), ("password", PASSWORD), ("next", "/invite")];
            assert_eq!(invitee.post("/api/session/login", &form).await.location(), "/invite");
            let session = invitee.cookie("evergrant_session").expect("the invitee must be signed in");
            self.add_secret("an invitee's session", &session);
        }
        for path in ["/settings/members", "/activity?show=changes", "/activity.csv?show=changes"] {
            self.get(path).await;
        }
    }
}
