//! A server with a provider of identities, and the people, keys and connections that an action needs.

use std::rc::Rc;

use evergrant::model::{AccountMessageKind, Action, ApiKeyLifetime, OrgId, Role, Scope, UserId};
use evergrant::server::auth::LocalAuth;
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::crypto::random::hash_secret;
use evergrant::server::domain::Secret;
use reqwest::Method;
use serde_json::Value;

use super::Act;
use super::check::act;
use crate::support::browser::{Browser, JSON};
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::oidc::FakeOidc;
use crate::support::test_server::{PASSWORD, TestServer};

/// A server whose people may sign in with a provider.
pub struct Stage {
    pub oidc: Rc<FakeOidc>,
}

/// A person who owns an organization.
#[derive(Clone)]
pub struct Person {
    pub browser: Rc<Browser>,
    pub email: String,
    pub user: UserId,
    pub org: OrgId,
}

impl Stage {
    pub async fn on(database: TestDatabase) -> Self {
        let flags = [("--private-webhooks", "127.0.0.0/8"), ("--shared-users", "allow")];
        let oidc = Rc::new(FakeOidc::on(database, &flags).await);
        // Another instance can send email.
        oidc.server.store.record_mailer_heartbeat().await.unwrap();
        Self { oidc }
    }

    pub fn web(&self) -> &TestServer {
        &self.oidc.server
    }

    /// Adds the owner of a new organization, both named after the action, and signs them in.
    pub async fn owner(&self, action: Action) -> Person {
        let name = action.as_str();
        let (email, group) = (format!("{name}@example.com"), format!("Group {name}"));
        let added = self.web().add_user(&email, &group).await;
        let browser = Rc::new(self.web().browser());
        browser.sign_in(&email).await;
        Person { browser, email, user: added.user, org: added.org.unwrap().0 }
    }

    /// Adds a member to the person's organization, who is not signed in.
    pub async fn member(&self, owner: &Person, role: Role) -> (UserId, String) {
        let email = owner.email.replace('@', "-member@");
        let auth = LocalAuth::new(self.web().store.clone()).unwrap();
        let added = auth.add_user(&email, Secret::new(PASSWORD), None).await.unwrap();
        self.web().store.add_member(&owner.org, &added.user, role).await.unwrap();
        (added.user, email)
    }

    /// Signs somebody in, in a browser of their own.
    pub async fn signed_in(&self, email: &str) -> Rc<Browser> {
        let browser = Rc::new(self.web().browser());
        browser.sign_in(email).await;
        browser
    }

    /// Creates an API key with every scope. Returns its id and secret.
    pub async fn key(&self, org: &OrgId) -> (String, String) {
        let life = ApiKeyLifetime::Month;
        let new = RequestedApiKey { name: "Program", scopes: Scope::ALL, life, created_by: None };
        let created = api_keys::create(&self.web().store, org, new).await.ok().unwrap();
        (created.id.0, created.key.expose().to_owned())
    }

    /// Connects a tenant to the organization. Returns the binding's id.
    pub async fn connect(&self, org: &OrgId, tenants: &[&str]) -> String {
        let consent = TestConsent::new(&self.web().store, &self.web().provider).tenants(tenants);
        consent.access_seconds_left(1800).connect(org.clone()).await.bindings[0].0.clone()
    }

    /// Returns a browser that opened the link of a message to the person.
    pub async fn with_link(&self, person: &Person, kind: AccountMessageKind, email: &str) -> Rc<Browser> {
        let (store, browser) = (&self.web().store, Rc::new(self.web().browser()));
        match kind {
            AccountMessageKind::ResetPassword => store.request_password_reset(email, None).await.unwrap(),
            _ => store.request_email_change(&person.user, email).await.unwrap(),
        }
        let token = Secret::new(format!("token-of-{}", person.user));
        let claimed = store.claim_account_messages("test", store.clock().now() + 60, 9).await.unwrap();
        let message = claimed.iter().find(|message| message.email == email).expect("the message");
        _ = store.open_link(message, &hash_secret(&token)).await.unwrap();
        let reset = kind == AccountMessageKind::ResetPassword;
        browser.set_cookie(if reset { "evergrant_reset" } else { "evergrant_email" }, token.expose());
        browser
    }
}

/// Submits a form.
pub fn post(browser: &Rc<Browser>, path: &'static str, fields: &[(&'static str, &str)]) -> Act {
    let fields: Vec<(&'static str, String)> = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    act!(browser, fields; {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        browser.post(path, &fields).await
    })
}

/// Signs in with the password.
pub fn sign_in(browser: &Rc<Browser>, email: &str, password: &'static str) -> Act {
    post(browser, "/api/session/login", &[("email", email), ("password", password)])
}

/// Signs in with the right password.
pub fn right_password(browser: &Rc<Browser>, email: &str) -> Act {
    sign_in(browser, email, PASSWORD)
}

/// Calls the API with a key.
pub fn program(web: &TestServer, method: Method, path: &str, key: &str, body: Option<Value>) -> Act {
    let (browser, path, key) = (Rc::new(web.browser()), path.to_owned(), key.to_owned());
    act!(browser, method, path, key, body; {
        let request = browser.request(method, &path, JSON).bearer_auth(key);
        browser.send(if let Some(body) = body { request.json(&body) } else { request }).await
    })
}
