//! How consents by connect links end: callbacks that come again or name no state, tabs beside each other, links that are
//! over meanwhile, and consents that a member has to confirm.

use axum::http::StatusCode;
use evergrant::model::{Action, OrgId, paths};
use evergrant::server::store::AuditFilter;
use reqwest::Method;
use serde_json::{Value, json};

use super::connect_links::{LINKS, call, create, key_of, open, start};
use crate::connect::{ALLOW_HARBOUR, connect_as, submit_consent};
use crate::support::browser::Browser;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

const BACK: &str = "https://books.example.com/done";
const JONAS_ALLOWS_HARBOUR: [(&str, &str); 3] = [("person", "jonas"), ("tenant", "harbour"), ("decision", "allow")];
const JONAS_ALLOWS_KAURI: [(&str, &str); 3] = [("person", "jonas"), ("tenant", "kauri"), ("decision", "allow")];

/// An organization with a key that makes links.
struct Asking {
    web: TestServer,
    ann: Browser,
    org: OrgId,
    key: String,
}

impl Asking {
    async fn on(database: TestDatabase) -> Self {
        let web = TestServer::on(database).await;
        let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
        let key = key_of(&web, &org).await;
        Self { web, ann, org, key }
    }

    /// Creates a link and opens it in a browser. Returns the browser, the link's id and its page.
    async fn opened_link(&self, body: Value) -> (Browser, String, String) {
        let (id, link) = create(&self.web, &self.key, body).await;
        let stranger = self.web.browser();
        open(&stranger, &link).await;
        let page = format!("/connect/{id}");
        (stranger, id, page)
    }

    async fn allow_return(&self) {
        self.ann.post("/api/integrations/links/return-urls", &[("urls", "https://books.example.com/")]).await;
        assert_eq!(self.ann.flash(), "return-urls-saved");
    }

    /// Goes to Xero by a link and answers there. Returns the callback's path.
    async fn answered(&self, browser: &Browser, id: &str, choices: &[(&str, &str)]) -> String {
        let callback = submit_consent(&self.web.provider, &start(browser, id).await, choices).await;
        callback.strip_prefix(&self.web.base).unwrap().to_owned()
    }

    /// Returns the link's status and outcome as programs read them.
    async fn read(&self, id: &str) -> (String, String) {
        let (_, link) = call(&self.web, Method::GET, &format!("{LINKS}/{id}"), &self.key, None).await;
        let text = |name: &str| link[name].as_str().unwrap_or_default().to_owned();
        (text("status"), text("outcome"))
    }

    /// Returns the outcomes of consents by links in the audit log, oldest first.
    async fn audited(&self) -> Vec<String> {
        let events = self.web.store.audit_events(Some(&self.org), AuditFilter::default(), None, 99).await.unwrap();
        let used = events.iter().rev().filter(|event| event.action.as_str() == Action::ConnectLinkUsed.as_str());
        let outcome =
            |detail: &[(String, String)]| detail.iter().find(|(name, _)| name == "outcome").unwrap().1.clone();
        used.map(|event| outcome(&event.detail)).collect()
    }
}

async fn location(browser: &Browser, callback: &str) -> String {
    browser.get(callback).await.location().to_owned()
}

fn pair(status: &str, outcome: &str) -> (String, String) {
    (status.to_owned(), outcome.to_owned())
}

#[apply(each_database!)]
async fn callback_that_comes_again_tells_the_end_of_its_own_consent(database: TestDatabase) {
    let db = database.name;
    let asking = Asking::on(database).await;
    asking.allow_return().await;
    let (stranger, id, page) = asking.opened_link(json!({ "returnUrl": BACK })).await;
    let declined = asking.answered(&stranger, &id, &[("decision", "cancel")]).await;
    let back = |status: &str| format!("{BACK}?status={status}&id={id}");
    assert_eq!(location(&stranger, &declined).await, back("declined"), "{db}");

    // Two more consents, one of which is allowed, and whose callback comes twice at once.
    let other_tab = asking.answered(&stranger, &id, &[("decision", "cancel")]).await;
    let allowed = asking.answered(&stranger, &id, &ALLOW_HARBOUR).await;
    let provider = &asking.web.provider;
    provider.control("hold", json!({})).await;
    let release = async {
        provider.waiting(1).await;
        provider.control("release", json!({})).await;
    };
    let (one, other, ()) = tokio::join!(location(&stranger, &allowed), location(&stranger, &allowed), release);
    assert_eq!((one, other), (back("connected"), back("connected")), "{db}");
    let codes = provider.ledger().await;
    assert_eq!(codes.iter().filter(|entry| entry["grant_type"] == "authorization_code").count(), 1, "{db}");

    assert_eq!(location(&stranger, &other_tab).await, page, "{db}: the link is used");
    assert!(stranger.page_text(&page).await.contains("Harbour Coffee is connected"), "{db}");
    assert_eq!(location(&stranger, &other_tab).await, page, "{db}");
    assert_eq!(location(&stranger, &declined).await, back("declined"), "{db}: the first");
    assert_eq!(location(&stranger, &allowed).await, back("connected"), "{db}: the second");
    assert_eq!(asking.read(&id).await, pair("used", "connected"), "{db}");
    assert_eq!(asking.audited().await, ["declined", "connected"], "{db}");
    asking.web.stop().await;
}

#[apply(each_database!)]
async fn outcome_is_remembered_although_the_refusal_could_not_be_recorded(database: TestDatabase) {
    let db = database.name;
    let asking = Asking::on(database).await;
    let (stranger, id, page) = asking.opened_link(json!({})).await;
    asking.web.provider.control("settings", json!({ "refused_scopes": ["accounting.settings.read"] })).await;
    let refused = asking.answered(&stranger, &id, &ALLOW_HARBOUR).await;
    let refused_member = submit_consent(&asking.web.provider, &asking.ann.connect().await, &ALLOW_HARBOUR).await;
    let rename = "ALTER TABLE scope_refusals RENAME TO scope_refusals_elsewhere";
    sqlx::query(rename).execute(asking.web.store.database().pool()).await.unwrap();
    assert_eq!(stranger.get(&refused).await.status, StatusCode::INTERNAL_SERVER_ERROR, "{db}");
    let path = refused_member.strip_prefix(&asking.web.base).unwrap();
    assert_eq!(asking.ann.get(path).await.status, StatusCode::INTERNAL_SERVER_ERROR, "{db}");
    let rename = "ALTER TABLE scope_refusals_elsewhere RENAME TO scope_refusals";
    sqlx::query(rename).execute(asking.web.store.database().pool()).await.unwrap();

    assert_eq!(location(&stranger, &refused).await, page, "{db}");
    assert_eq!(asking.read(&id).await, pair("open", "scope_refused"), "{db}");
    assert_eq!(asking.ann.follow_callback(&refused_member).await, "scopes-refused", "{db}");
    asking.web.stop().await;
}

#[apply(each_database!)]
async fn consent_that_a_member_has_to_confirm_ends_with_their_answer(database: TestDatabase) {
    let db = database.name;
    let asking = Asking::on(database).await;
    let (web, ann) = (&asking.web, &asking.ann);
    connect_as(web, ann, "mere", "harbour").await;
    let question = async || {
        let questions = web.store.pending_consents(&asking.org).await.unwrap();
        assert_eq!(questions.len(), 1, "{db}");
        questions[0].0.clone()
    };

    asking.allow_return().await;
    let (stranger, id, page) = asking.opened_link(json!({ "returnUrl": BACK })).await;
    let other_tab = start(&stranger, &id).await;
    let asked = asking.answered(&stranger, &id, &JONAS_ALLOWS_HARBOUR).await;
    assert_eq!(location(&stranger, &asked).await, format!("{BACK}?status=waiting&id={id}"), "{db}");
    assert!(stranger.page_text(&page).await.contains("Almost done"), "{db}");
    let waiting = question().await;
    let page_of_member = ann.page_text(paths::INTEGRATIONS).await;
    assert!(
        page_of_member.contains("Somebody who came by a connect link signed in to Xero as a different user"),
        "{db}"
    );
    let other_tab = submit_consent(&web.provider, &other_tab, &JONAS_ALLOWS_HARBOUR).await;
    assert_eq!(location(&stranger, other_tab.strip_prefix(&web.base).unwrap()).await, page, "{db}");
    assert_eq!(question().await, waiting, "{db}: the other tab's consent took the place of the question");
    let at_xero = async || {
        let jonas = web.provider.sandbox.mint("jonas", &["kauri"], 600).unwrap();
        web.provider.connections(&jonas.access_token).await.len()
    };
    assert_eq!(at_xero().await, 2, "{db}: the question is about a connection that has to stay at Xero");
    ann.post(paths::CONFIRM, &[("id", &waiting), ("decision", "keep")]).await;
    assert_eq!(ann.flash(), "kept", "{db}");
    assert_eq!(at_xero().await, 1, "{db}");
    assert!(stranger.page_text(&page).await.contains("did not confirm the connection of Harbour Coffee"), "{db}");
    assert_eq!(asking.read(&id).await, pair("used", "not_confirmed"), "{db}");
    assert_eq!(location(&stranger, &asked).await, format!("{BACK}?status=not_confirmed&id={id}"), "{db}");
    ann.post(paths::CONFIRM, &[("id", &waiting), ("decision", "replace")]).await;
    assert_eq!(ann.flash(), "confirmation-over", "{db}");

    let (stranger, id, page) = asking.opened_link(json!({ "externalId": "c-1", "tags": ["gold"] })).await;
    let asked = asking.answered(&stranger, &id, &JONAS_ALLOWS_HARBOUR).await;
    assert_eq!(location(&stranger, &asked).await, page, "{db}");
    ann.post(paths::CONFIRM, &[("id", &question().await), ("decision", "replace")]).await;
    let [bound] = &web.bindings(&asking.org).await[..] else { panic!("{db}") };
    assert_eq!(ann.flash(), format!("reconnected.1.{}", bound.binding.id), "{db}");
    assert!(stranger.page_text(&page).await.contains("Harbour Coffee is connected"), "{db}");
    assert_eq!(asking.read(&id).await, pair("used", "connected"), "{db}");
    let labels = web.store.labeled_binding(&asking.org, &bound.binding.id).await.unwrap().unwrap().labels;
    assert_eq!((labels.external_id.as_deref(), labels.tags), (Some("c-1"), vec!["gold".to_owned()]), "{db}");

    // A newer consent takes the place of one that waits, and nobody answers it.
    let (first, first_id, first_page) = asking.opened_link(json!({})).await;
    let asked = asking.answered(&first, &first_id, &ALLOW_HARBOUR).await;
    location(&first, &asked).await;
    let (second, second_id, second_page) = asking.opened_link(json!({})).await;
    let asked = asking.answered(&second, &second_id, &ALLOW_HARBOUR).await;
    location(&second, &asked).await;
    assert!(first.page_text(&first_page).await.contains("did not confirm"), "{db}: superseded");
    assert!(second.page_text(&second_page).await.contains("Almost done"), "{db}");
    web.store.clock().advance(30 * 24 * 60 * 60);
    web.store.delete_expired().await.unwrap();
    assert!(second.page_text(&second_page).await.contains("did not confirm"), "{db}: nobody answered");
    asking.web.stop().await;
}

#[apply(each_database!)]
async fn confirmed_consent_whose_grant_has_ended_is_not_told_as_connected(database: TestDatabase) {
    let db = database.name;
    let asking = Asking::on(database).await;
    let (web, ann) = (&asking.web, &asking.ann);
    connect_as(web, ann, "mere", "harbour").await;
    let (stranger, id, page) = asking.opened_link(json!({})).await;
    let asked = asking.answered(&stranger, &id, &JONAS_ALLOWS_HARBOUR).await;
    location(&stranger, &asked).await;
    let (question, waiting) = web.store.pending_consents(&asking.org).await.unwrap().remove(0);
    web.store.mark_grant_revoked(&waiting.grant).await.unwrap();
    ann.post(paths::CONFIRM, &[("id", &question), ("decision", "replace")]).await;
    assert_eq!(ann.flash(), "state-expired", "{db}");
    assert!(stranger.page_text(&page).await.contains("ended before Harbour Group confirmed it"), "{db}");
    assert_eq!(asking.read(&id).await, pair("used", "failed"), "{db}");
    asking.web.stop().await;
}

#[apply(each_database!)]
async fn consent_that_is_declined_without_a_state_is_that_of_the_only_link_under_way(database: TestDatabase) {
    let db = database.name;
    const DECLINED: &str = "/api/integrations/xero/callback?error=access_denied";
    let asking = Asking::on(database).await;
    let web = &asking.web;
    let nobody = web.browser();
    assert_eq!(location(&nobody, DECLINED).await, "/login?next=%2Fapi%2Fintegrations%2Fxero%2Fcallback", "{db}");

    let (stranger, id, page) = asking.opened_link(json!({})).await;
    let authorized = start(&stranger, &id).await;
    assert_eq!(location(&stranger, DECLINED).await, page, "{db}");
    assert!(stranger.page_text(&page).await.contains("declined at Xero"), "{db}");
    assert_eq!(asking.read(&id).await, pair("open", "declined"), "{db}");
    assert_eq!(location(&stranger, DECLINED).await, page, "{db}: it came again");
    assert_eq!(stranger.flash(), "consent-refused", "{db}");
    assert_eq!(asking.audited().await, ["declined"], "{db}: noted once");
    let state = &authorized.iter().find(|(name, _)| name == "state").unwrap().1;
    let with_state = format!("/api/integrations/xero/callback?state={state}&error=access_denied");
    assert_eq!(location(&stranger, &with_state).await, page, "{db}");
    assert_eq!(asking.audited().await, ["declined"], "{db}: it is over");

    // With two consents under way nobody knows which one it was.
    start(&stranger, &id).await;
    let (other, link) = create(web, &asking.key, json!({})).await;
    open(&stranger, &link).await;
    start(&stranger, &other).await;
    let told = location(&stranger, DECLINED).await;
    assert!([page, format!("/connect/{other}")].contains(&told), "{db}: {told}");
    assert_eq!(stranger.flash(), "consent-refused", "{db}");
    assert_eq!(asking.read(&other).await, pair("open", ""), "{db}");
    asking.web.stop().await;
}

#[apply(each_database!)]
async fn link_connects_once_although_two_people_use_it_at_once(database: TestDatabase) {
    let db = database.name;
    let asking = Asking::on(database).await;
    let web = &asking.web;
    let (id, link) = create(web, &asking.key, json!({})).await;
    let (mere, jonas) = (web.browser(), web.browser());
    for stranger in [&mere, &jonas] {
        open(stranger, &link).await;
    }
    let meres = asking.answered(&mere, &id, &ALLOW_HARBOUR).await;
    let jonas_ = asking.answered(&jonas, &id, &JONAS_ALLOWS_KAURI).await;
    web.provider.control("hold", json!({})).await;
    let release = async {
        web.provider.waiting(2).await;
        web.provider.control("release", json!({})).await;
    };
    let page = format!("/connect/{id}");
    let (one, other, ()) = tokio::join!(location(&mere, &meres), location(&jonas, &jonas_), release);
    assert_eq!((one, other), (page.clone(), page.clone()), "{db}");
    let [bound] = &web.bindings(&asking.org).await[..] else { panic!("{db}: not connected once") };
    let name = &bound.binding.tenant.name;
    for stranger in [&mere, &jonas] {
        assert!(stranger.page_text(&page).await.contains(&format!("{name} is connected")), "{db}");
    }
    // What the other one allowed is taken back at Xero.
    let (loser, of_test) = if name == "Harbour Coffee" { ("jonas", "harbour") } else { ("mere", "kauri") };
    let token = web.provider.sandbox.mint(loser, &[of_test], 600).unwrap();
    let left = web.provider.connections(&token.access_token).await;
    assert_eq!(left.len(), 1, "{db}: {left:?}");
    assert_eq!(asking.audited().await, ["connected"], "{db}");
    asking.web.stop().await;
}

#[apply(each_database!)]
async fn link_that_is_cancelled_while_somebody_is_at_xero_connects_nothing(database: TestDatabase) {
    let db = database.name;
    let asking = Asking::on(database).await;
    let web = &asking.web;
    asking.allow_return().await;
    let (stranger, id, page) = asking.opened_link(json!({ "returnUrl": BACK })).await;
    let callback = asking.answered(&stranger, &id, &ALLOW_HARBOUR).await;
    let cancelled = call(web, Method::DELETE, &format!("{LINKS}/{id}"), &asking.key, None).await.0;
    assert_eq!(cancelled, StatusCode::NO_CONTENT, "{db}");
    for _ in 0..2 {
        assert_eq!(location(&stranger, &callback).await, page, "{db}");
    }
    assert!(stranger.page_text(&page).await.contains("This link was cancelled"), "{db}");
    assert!(web.bindings(&asking.org).await.is_empty(), "{db}");
    let token = web.provider.sandbox.mint("mere", &["kauri"], 600).unwrap();
    assert_eq!(web.provider.connections(&token.access_token).await.len(), 1, "{db}: it is taken back at Xero");

    // A return address that is no longer allowed is not used, and the consent counts.
    let (stranger, id, page) = asking.opened_link(json!({ "returnUrl": BACK })).await;
    let callback = asking.answered(&stranger, &id, &ALLOW_HARBOUR).await;
    asking.ann.post("/api/integrations/links/return-urls", &[("urls", "")]).await;
    assert_eq!(location(&stranger, &callback).await, page, "{db}");
    assert!(stranger.page_text(&page).await.contains("Harbour Coffee is connected"), "{db}");
    asking.web.stop().await;
}
