//! Connections: consents, by people and by links, labels, tests, and what programs take.

use std::cell::RefCell;
use std::rc::Rc;

use evergrant::model::{Action, ApiKeyId, BindingId, OrgId};
use evergrant::server::crypto::random::hash_secret;
use evergrant::server::domain::{AccessToken, RefreshToken, Secret, TokenSet};
use evergrant::server::store::UsageRow;
use evergrant::server::tokens::Spool;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::check::{Act, Case, act, is_blocked};
use super::stage::{Person, Stage, post, program};
use crate::connect::submit_consent;
use crate::support::browser::Browser;
use crate::tokens::spool::spool_as_a_command;

/// What a consent leaves whether or not it is bound: its tokens are kept before anything else.
const CONSENT: &[&str] = &["integration_grants", "oauth_states", "connect_link_states", "refresh_attempts"];

pub async fn case(stage: &Stage, action: Action) -> Case {
    let ann = stage.owner(action).await;
    let (email, anns, org) = (ann.email.clone(), Rc::clone(&ann.browser), ann.org.clone());
    let by_ann = |detail: &[(&'static str, &str)], act| Case::of(&email, detail, act);
    match action {
        Action::GrantConnected => {
            let (ready, act) = consent(stage, &anns, "mere", "harbour");
            by_ann(&[("connection", "Harbour Coffee")], act).after(ready).sparing(CONSENT)
        }
        Action::GrantReconnected => {
            let (ready, act) = consent(stage, &anns, "jonas", "kauri");
            ready().await;
            act().await;
            by_ann(&[("connection", "Kauri Joinery")], act).after(ready).sparing(CONSENT)
        }
        Action::ScopesRefused => {
            let (ready, act) = refusal(&anns);
            by_ann(&[("cause", "wrong_app_scopes"), ("scopes", "")], act).after(ready).sparing(&["oauth_states"])
        }
        Action::ReturnUrlsChanged => {
            let form = [("urls", "https://app.example.com/back")];
            let detail = [("addresses", "https://app.example.com/back")];
            by_ann(&detail, post(&anns, "/api/integrations/links/return-urls", &form))
        }
        Action::ConnectLinkCreated
        | Action::ConnectLinkCancelled
        | Action::ConnectLinkStarted
        | Action::ConnectLinkUsed => links(stage, action, &ann).await,
        Action::TokensVended => many_vends(stage, &org).await,
        _ => {
            let binding = stage.connect(&org, &["harbour"]).await;
            connected(stage, action, &ann, &binding).await
        }
    }
}

async fn connected(stage: &Stage, action: Action, ann: &Person, binding: &str) -> Case {
    let (anns, store) = (&ann.browser, stage.web().store.clone());
    let form = [("binding_id", binding)];
    let by_ann = |detail: &[(&'static str, &str)], act| Case::of(&ann.email, detail, act);
    let named = [("connection", "Harbour Coffee")];
    match action {
        Action::GrantDisconnected => by_ann(&named, post(anns, "/api/integrations/xero/disconnect", &form)),
        Action::ConnectionKept => {
            let (bob, _) = stage.member(ann, evergrant::model::Role::Member).await;
            let pool = store.database().pool();
            for statement in [
                "UPDATE integration_tenant_bindings SET connected_by = $1 WHERE org_id = $2",
                "INSERT INTO membership_removals (user_id, org_id, removed_at) VALUES ($1, $2, 1800000000)",
            ] {
                let left = sqlx::query(statement).bind(bob.as_str()).bind(ann.org.as_str());
                left.execute(pool).await.unwrap();
            }
            by_ann(&named, post(anns, "/api/integrations/xero/keep", &form))
        }
        Action::ContactsChanged => {
            let form = [form[0], ("contacts", "books@example.com")];
            let detail = [named[0], ("contacts", "1"), ("added", "1"), ("removed", "0")];
            by_ann(&detail, post(anns, "/api/integrations/contacts/set", &form))
        }
        Action::ContactUnsubscribed => {
            let (org, token) = (&ann.org, Secret::new("token-of-a-letter"));
            store
                .set_contacts(org, &binding.into(), &["books@example.com".to_owned()])
                .await
                .unwrap()
                .ok_or_else(|| "no connection")
                .unwrap();
            let link = "INSERT INTO unsubscribe_links (token_hash, contact_id, created_at) \
                        SELECT $1, id, 1800000000 FROM contacts WHERE org_id = $2";
            let link = sqlx::query(link).bind(hash_secret(&token)).bind(org.as_str());
            link.execute(store.database().pool()).await.unwrap();
            let contact = Rc::new(stage.web().browser());
            contact.set_cookie("evergrant_unsubscribe", token.expose());
            Case::of("Contact", &[], post(&contact, "/api/unsubscribe", &[]))
        }
        Action::ConnectionTested => {
            let (anns, binding) = (Rc::clone(anns), binding.to_owned());
            let test = act!(anns, binding, store; {
                anns.post("/api/integrations/xero/test", &[("binding_id", &binding)]).await;
                let is_blocked = is_blocked(store.database()).await;
                assert_eq!(anns.flash() == "test-passed", !is_blocked, "no call to Xero without its event");
            });
            by_ann(&named, test)
        }
        Action::GrantRecovered => {
            let grant = store.binding(&ann.org, &binding.into()).await.unwrap().unwrap().grant.unwrap().id;
            let tokens = TokenSet {
                access_token: AccessToken::new("access"),
                refresh_token: RefreshToken::new("refresh"),
                expires_at: store.clock().now() + 1800,
                scopes: String::new(),
            };
            let tokens = Rc::new(tokens);
            let replay = act!(store, grant, tokens; {
                let folder = tempfile::tempdir().unwrap();
                spool_as_a_command(&store, &grant, &tokens, folder.path()).await;
                let replayed = Spool::open(folder.path()).unwrap().replay_all(&store).await.unwrap();
                assert_eq!(replayed, 1, "the token set is not held up");
            });
            let detail = [("connections", "Harbour Coffee"), ("grant", grant.as_str())];
            Case::of("Evergrant", &detail, replay).at_address(None)
        }
        _ => {
            let (key_id, key) = stage.key(&ann.org).await;
            by_program(stage, action, ann, (binding, &key_id, &key)).await
        }
    }
}

async fn by_program(stage: &Stage, action: Action, ann: &Person, (binding, id, key): (&str, &str, &str)) -> Case {
    let path = format!("/api/v1/bindings/{binding}");
    // Notes the first use of the key, so that no later one changes its row.
    program(stage.web(), Method::GET, &path, key, None)().await;
    let named = ("connection", "Harbour Coffee");
    match action {
        Action::ConnectionLabeled => {
            let detail = [named, ("external_id", "c-1"), ("tags", "gold")];
            let labels = json!({ "externalId": "c-1", "tags": ["gold"] });
            Case::of("Program", &detail, program(stage.web(), Method::PATCH, &path, key, Some(labels)))
        }
        Action::TokenVended => {
            let (browser, path, key) = (Rc::new(stage.web().browser()), format!("{path}/token"), key.to_owned());
            let vend = act!(browser, path, key; {
                let page = browser.send(browser.client.get(browser.url(&path)).bearer_auth(key)).await;
                assert_eq!(page.status, StatusCode::OK, "the token is not held up: {}", page.text);
            });
            Case::of("Program", &[named], vend)
        }
        // The call itself was made before; it is counted in memory until the row is written.
        Action::XeroCalled => {
            let row = UsageRow {
                org: ann.org.clone(),
                binding: BindingId(binding.to_owned()),
                tenant_name: "Harbour Coffee".into(),
                key: ApiKeyId(id.to_owned()),
                key_name: "Program".into(),
                day: 1_799_971_200,
                address: "127.0.0.1".into(),
                calls: 1,
                bytes_sent: 0,
                bytes_received: 100,
            };
            let store = stage.web().store.clone();
            Case::of("Program", &[named], act!(store, row; drop(store.add_proxy_usage(&[row]).await)))
        }
        other => panic!("{} is of another group", other.as_str()),
    }
}

/// More tokens within a minute than have an event each, and one after it.
async fn many_vends(stage: &Stage, org: &OrgId) -> Case {
    let path = format!("/api/v1/bindings/{}/token", stage.connect(org, &["harbour"]).await);
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(stage.key(org).await.1);
    }
    let (oidc, browser) = (Rc::clone(&stage.oidc), Rc::new(stage.web().browser()));
    let vends = act!(oidc, browser, path, keys; {
        let vend = async |key: &String| {
            let page = browser.send(browser.client.get(browser.url(&path)).bearer_auth(key)).await;
            assert_eq!(page.status, StatusCode::OK, "the token is not held up: {}", page.text);
        };
        // Each one waits a second for a table that accepts no row.
        let each = if is_blocked(oidc.server.store.database()).await { 1 } else { 41 };
        for key in keys.iter().flat_map(|key| std::iter::repeat_n(key, each)) {
            vend(key).await;
        }
        oidc.server.advance(60);
        vend(&keys[0]).await;
    });
    // The one after the run before, and three of those of this one.
    let detail = [("count", "4"), ("keys", "Program"), ("connections", "Harbour Coffee")];
    Case::of("Evergrant", &detail, vends).at_address(None)
}

/// Prepares a consent and returns what comes before it, and its callback.
fn consent(stage: &Stage, browser: &Rc<Browser>, person: &'static str, tenant: &'static str) -> (Act, Act) {
    let (oidc, browser, callback) = (Rc::clone(&stage.oidc), Rc::clone(browser), Rc::<RefCell<String>>::default());
    let ready = act!(oidc, browser, callback; {
        let choices = [("person", person), ("tenant", tenant), ("decision", "allow")];
        let url = submit_consent(&oidc.server.provider, &browser.connect().await, &choices).await;
        *callback.borrow_mut() = url.strip_prefix(&oidc.server.base).unwrap().to_owned();
    });
    let act = act!(browser, callback; {
        let path = callback.borrow().clone();
        browser.get(&path).await
    });
    (ready, act)
}

/// Prepares a consent and returns what comes before it, and the callback by which Xero refuses its scopes.
fn refusal(browser: &Rc<Browser>) -> (Act, Act) {
    let (browser, callback) = (Rc::clone(browser), Rc::<RefCell<String>>::default());
    let ready = act!(browser, callback; {
        let params = browser.connect().await;
        let state = &params.iter().find(|(name, _)| name == "state").unwrap().1;
        let refused = "error=access_denied&error_description=Requested+wrong+apps+scopes";
        *callback.borrow_mut() = format!("/api/integrations/xero/callback?{refused}&state={state}");
    });
    let act = act!(browser, callback; {
        let path = callback.borrow().clone();
        browser.get(&path).await
    });
    (ready, act)
}

async fn links(stage: &Stage, action: Action, ann: &Person) -> Case {
    let by_ann = |detail: &[(&'static str, &str)], act| Case::of(&ann.email, detail, act);
    if action == Action::ConnectLinkCreated {
        let form = [("requested_by", "Ann"), ("note", "Your books")];
        let create = post(&ann.browser, "/api/integrations/links/create", &form);
        return by_ann(&[("link", ""), ("note", "Your books"), ("binding", "")], create);
    }
    let (_, key) = stage.key(&ann.org).await;
    let new = json!({ "requestedBy": "Ann", "note": "Your books" });
    let request = ann.browser.client.post(ann.browser.url("/api/v1/connect-links")).bearer_auth(&key).json(&new);
    let link: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    let (id, url) = (link["id"].as_str().unwrap().to_owned(), link["url"].as_str().unwrap().to_owned());
    let stranger = Rc::new(stage.web().browser());
    stranger.get(url.strip_prefix(&stage.web().base).unwrap()).await;
    let by_link = |detail: &[(&'static str, &str)], act| Case::of("Connect link", detail, act);
    let start = post(&stranger, "/api/connect-links/start", &[("id", &id)]);
    match action {
        Action::ConnectLinkCancelled => {
            let cancel = post(&ann.browser, "/api/integrations/links/cancel", &[("link_id", &id)]);
            by_ann(&[("link", &id), ("note", "Your books")], cancel)
        }
        Action::ConnectLinkStarted => by_link(&[("link", &id), ("note", "Your books"), ("browser", "")], start),
        Action::ConnectLinkUsed => {
            let detail =
                [("link", id.as_str()), ("outcome", "connected"), ("chosen", "Southerly Cycles"), ("browser", "")];
            let (oidc, callback) = (Rc::clone(&stage.oidc), Rc::<RefCell<String>>::default());
            let ready = act!(oidc, stranger, callback, id; {
                let page = stranger.post("/api/connect-links/start", &[("id", &id)]).await;
                let url = url::Url::parse(page.location()).expect("the start must redirect to Xero");
                let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
                let choices = [("person", "priya"), ("tenant", "southerly"), ("decision", "allow")];
                let url = submit_consent(&oidc.server.provider, &query, &choices).await;
                *callback.borrow_mut() = url.strip_prefix(&oidc.server.base).unwrap().to_owned();
            });
            let act = act!(stranger, callback; {
                let path = callback.borrow().clone();
                stranger.get(&path).await
            });
            by_link(&detail, act).after(ready).sparing(CONSENT)
        }
        other => panic!("{} is of another group", other.as_str()),
    }
}
