//! Contacts over HTTP: who they are, the letter's links, unsubscribing, and links that are sent by email.

use axum::http::StatusCode;
use evergrant::model::{BindingStatus, OrgId, Scope, paths};
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::notify::Notifier;
use reqwest::Method;
use serde_json::{Value, json};

use crate::connect::{ALLOW_HARBOUR, submit_consent};
use crate::notify::mail_server::MailServer;
use crate::support::browser::{Browser, JSON};
use crate::support::consents::{ConnectedOrg, TestConsent};
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

const PAGE: &str = "/settings/integrations";
const LINKS_PAGE: &str = "/settings/integrations/links";
const BOOKS: &str = "books@example.com";
/// How long the first letter waits for further connections, in seconds.
const GATHERING: i64 = 10 * 60;

/// Calls the API with a new key that may do everything here.
async fn call(web: &TestServer, org: &OrgId, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let life = evergrant::model::ApiKeyLifetime::Month;
    let scopes = [Scope::BindingsRead, Scope::BindingsWrite, Scope::LinksWrite];
    let new = RequestedApiKey { name: "Program", scopes: &scopes, life, created_by: None };
    let key = api_keys::create(&web.store, org, new).await.ok().unwrap().key;
    let program = web.browser();
    let request = program.request(method, path, JSON).bearer_auth(key.expose());
    let page = program.send(if let Some(body) = body { request.json(&body) } else { request }).await;
    (page.status, serde_json::from_str(&page.text).unwrap_or_default())
}

/// Ends the connection's grant at Xero, lets Evergrant notice, and waits until a letter is due.
async fn end_at_xero(web: &TestServer, ann: &Browser, connected: &ConnectedOrg) {
    web.provider.sandbox.revoke_grant(&connected.minted.refresh_token).unwrap();
    let binding = connected.bindings[0].as_str();
    ann.post("/api/integrations/xero/refresh-connection", &[("binding_id", binding)]).await;
    let broken = web.bindings(&connected.org).await;
    assert!(broken.iter().all(|one| one.binding.status == BindingStatus::NeedsReauth), "still active");
    web.advance(GATHERING);
}

/// Sends the letters and links that are due. Returns their text.
async fn sent(notifier: &Notifier, mail: &MailServer) -> Vec<String> {
    while notifier.send_reconnect_letters().await.unwrap().has_more {}
    while notifier.send_connect_links().await.unwrap().has_more {}
    mail.take_messages().into_iter().map(|message| message.text).collect()
}

/// Returns the path, with its query, of the letter's first link that begins with `page`.
fn link_in<'a>(letter: &'a str, page: &str) -> &'a str {
    let at = letter.find(&format!("https://evergrant.example{page}")).unwrap_or_else(|| panic!("no {page}: {letter}"));
    let link = letter[at..].split(|c: char| c.is_whitespace() || c == '>').next().unwrap();
    link.strip_prefix("https://evergrant.example").unwrap()
}

/// Answers Xero's consent page by an opened link. Returns the text of the page that it leads to.
async fn consent(web: &TestServer, browser: &Browser, page: &str, choices: &[(&str, &str)]) -> String {
    let started = browser.post("/api/connect-links/start", &[("id", page.rsplit('/').next().unwrap())]).await;
    let address = url::Url::parse(started.location()).expect("the start must redirect to Xero");
    let query: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    let callback = submit_consent(&web.provider, &query, choices).await;
    let ended = browser.get(callback.strip_prefix(&web.base).unwrap()).await;
    browser.page_text(ended.location()).await
}

#[apply(each_database!)]
async fn link_in_a_letter_reconnects_its_connection_and_no_other(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let mail = MailServer::start().await;
    let notifier = mail.notifier(&web.store);
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let tenants = ["harbour", "kauri"];
    let connected = TestConsent::new(&web.store, &web.provider).tenants(&tenants).connect(org.clone()).await;
    for binding in &connected.bindings {
        let form = [("binding_id", binding.as_str()), ("contacts", "Books@example.com\n\nclerk@example.com")];
        let page = paths::connection(binding);
        let saved = ann.post_from(&page, "/api/integrations/contacts/set", &form).await;
        assert_eq!((saved.location(), ann.flash().as_str()), (page.as_str(), "contacts-saved"), "{db}");
        assert!(ann.page_text(&page).await.contains("The contacts are saved."), "{db}");
    }
    end_at_xero(&web, &ann, &connected).await;
    let letters = sent(&notifier, &mail).await;
    assert_eq!(letters.len(), 2, "{db}: one for each contact");
    let link = link_in(letters[0].split_once("Harbour Coffee:\n").unwrap().1, "/connect/");
    let stranger = web.browser();
    let moved = stranger.get(link).await;
    let page = moved.location();
    let text = stranger.page_text(page).await;
    assert!(text.contains("Harbour Group asks you to reconnect Harbour Coffee"), "{db}: {text}");
    let kauri = [("person", "mere"), ("tenant", "kauri"), ("decision", "allow")];
    let text = consent(&web, &stranger, page, &kauri).await;
    assert!(text.contains("this link is for Harbour Coffee, and Kauri Joinery"), "{db}: {text}");
    let text = consent(&web, &stranger, page, &ALLOW_HARBOUR).await;
    assert!(text.contains("Harbour Coffee is connected"), "{db}: {text}");
    for one in web.bindings(&org).await {
        let works = one.binding.tenant.name == "Harbour Coffee";
        assert_eq!(one.binding.status == BindingStatus::Active, works, "{db}: {}", one.binding.tenant.name);
    }
    // The other contact's link has nothing left to do.
    let other = web.browser();
    let moved = other.get(link_in(letters[1].split_once("Harbour Coffee:\n").unwrap().1, "/connect/")).await;
    let text = other.page_text(moved.location()).await;
    assert!(text.contains("Harbour Coffee is connected"), "{db}: {text}");
    assert!(ann.page_text(PAGE).await.contains("Contacts: 2"), "{db}");
    assert!(!ann.page_text(LINKS_PAGE).await.contains("Cancel link"), "{db}: links of letters are not listed");
    web.stop().await;
}

#[apply(each_database!)]
async fn contact_unsubscribes_by_the_page_or_in_one_click_and_opening_the_link_does_nothing(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let mail = MailServer::start().await;
    let notifier = mail.notifier(&web.store);
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let connected = TestConsent::new(&web.store, &web.provider).connect(org.clone()).await;
    let binding = &connected.bindings[0];
    let form = [("binding_id", binding.as_str()), ("contacts", "books@example.com\nclerk@example.com")];
    ann.post("/api/integrations/contacts/set", &form).await;
    end_at_xero(&web, &ann, &connected).await;
    let letters = sent(&notifier, &mail).await;
    let unsubscribed = async || {
        let contacts = web.store.contacts_of_org(&org).await.unwrap();
        contacts.iter().filter(|(of, contact)| of == binding && contact.unsubscribed_at.is_some()).count()
    };

    let stranger = web.browser();
    assert!(stranger.page_text("/unsubscribe").await.contains("This link doesn't work here"), "{db}");
    let link = link_in(&letters[0], "/unsubscribe?");
    let moved = stranger.get(link).await;
    assert_eq!((moved.status, moved.location()), (StatusCode::SEE_OTHER, "/unsubscribe"), "{db}");
    let text = stranger.page_text("/unsubscribe").await;
    assert!(text.contains("Stop these emails?") && text.contains("books@example.com"), "{db}: {text}");
    let one_click = link_in(&letters[1], "/api/unsubscribe?");
    let opened = stranger.get(one_click).await;
    assert!(opened.location().starts_with("/unsubscribe?token="), "{db}");
    assert_eq!(unsubscribed().await, 0, "{db}: opening a link changes nothing");

    let done = stranger.post("/api/unsubscribe", &[]).await;
    assert_eq!(done.location(), "/unsubscribe", "{db}");
    assert!(stranger.page_text("/unsubscribe").await.contains("You are unsubscribed"), "{db}");
    let program = web.browser();
    for status in [StatusCode::OK, StatusCode::OK] {
        let request = program.client.post(program.url(one_click)).form(&[("List-Unsubscribe", "One-Click")]);
        assert_eq!(program.send(request).await.status, status, "{db}");
    }
    let unknown = program.client.post(program.url("/api/unsubscribe?token=nothing"));
    assert_eq!(program.send(unknown).await.status, StatusCode::NOT_FOUND, "{db}");
    assert_eq!(unsubscribed().await, 2, "{db}");
    assert!(ann.page_text(&paths::connection(binding)).await.contains("books@example.com unsubscribed"), "{db}");
    let moved = stranger.get(link_in(&letters[0], "/connect/")).await;
    assert!(stranger.page_text(moved.location()).await.contains("This link was cancelled"), "{db}");

    web.advance(24 * 60 * 60);
    assert_eq!(sent(&notifier, &mail).await, Vec::<String>::new(), "{db}: a reminder");
    // Entering the address again does not bring the letters back.
    for contacts in ["", "books@example.com"] {
        let form = [("binding_id", binding.as_str()), ("contacts", contacts)];
        ann.post("/api/integrations/contacts/set", &form).await;
    }
    web.advance(GATHERING);
    assert_eq!(sent(&notifier, &mail).await, Vec::<String>::new(), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn contact_is_whoever_authorized_the_connection_and_programs_change_it(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let callback = submit_consent(&web.provider, &ann.connect().await, &ALLOW_HARBOUR).await;
    ann.follow_callback(&callback).await;
    let binding = web.bindings(&org).await.remove(0).binding.id;
    let path = format!("/api/v1/bindings/{binding}");
    let (_, read) = call(&web, &org, Method::GET, &path, None).await;
    assert_eq!(read["contacts"], json!(["mere.tane@example.com"]), "{db}: {read}");
    let (status, changed) =
        call(&web, &org, Method::PATCH, &path, Some(json!({ "contacts": ["B@example.com", BOOKS] }))).await;
    assert_eq!((status, &changed["contacts"]), (StatusCode::OK, &json!(["b@example.com", BOOKS])), "{db}: {changed}");
    let (_, labeled) = call(&web, &org, Method::PATCH, &path, Some(json!({ "tags": ["gold"] }))).await;
    assert_eq!(labeled["contacts"], changed["contacts"], "{db}");
    for wrong in [json!(["nobody"]), json!(["a@x", "b@x", "c@x", "d@x", "e@x", "f@x"]), json!(7)] {
        let (status, problem) = call(&web, &org, Method::PATCH, &path, Some(json!({ "contacts": wrong }))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{db}: {problem}");
    }
    let form = [("binding_id", binding.as_str()), ("contacts", "nobody")];
    ann.post("/api/integrations/contacts/set", &form).await;
    assert_eq!(ann.flash(), "contacts-invalid", "{db}");
    let (_, list) = call(&web, &org, Method::GET, "/api/v1/bindings", None).await;
    assert_eq!(list["bindings"][0]["contacts"], changed["contacts"], "{db}");

    // Another consent leaves what somebody chose, and a disconnect ends it.
    let callback = submit_consent(&web.provider, &ann.connect().await, &ALLOW_HARBOUR).await;
    ann.follow_callback(&callback).await;
    let (_, read) = call(&web, &org, Method::GET, &path, None).await;
    assert_eq!(read["contacts"], changed["contacts"], "{db}");
    ann.post("/api/integrations/xero/disconnect", &[("binding_id", binding.as_str())]).await;
    let (_, read) = call(&web, &org, Method::GET, &path, None).await;
    assert_eq!(read["contacts"], json!([]), "{db}: {read}");
    web.stop().await;
}

#[apply(each_database!)]
async fn link_is_sent_to_its_address_which_becomes_a_contact(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let mail = MailServer::start().await;
    let notifier = mail.notifier(&web.store);
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let links = "/api/v1/connect-links";
    let body = json!({ "email": BOOKS, "note": "Your books", "requestedBy": "Ann" });
    let (status, problem) = call(&web, &org, Method::POST, links, Some(body.clone())).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{db}: nobody can send email: {problem}");
    assert!(!ann.page_text(LINKS_PAGE).await.contains("Send the link to"), "{db}");

    web.store.record_mailer_heartbeat().await.unwrap();
    // The server looks once a minute whether another can send email.
    web.advance(60);
    assert!(ann.page_text(LINKS_PAGE).await.contains("Send the link to"), "{db}");
    let wrong = call(&web, &org, Method::POST, links, Some(json!({ "email": "nobody" }))).await;
    assert_eq!(wrong.0, StatusCode::UNPROCESSABLE_ENTITY, "{db}");
    let (status, link) = call(&web, &org, Method::POST, links, Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{db}: {link}");
    ann.post("/api/integrations/links/create", &[("email", "wrong")]).await;
    assert_eq!(ann.flash(), "link-email", "{db}");
    mail.queue_reply("RCPT", "451 later");
    assert_eq!(sent(&notifier, &mail).await, Vec::<String>::new(), "{db}");
    web.advance(10);
    let letters = sent(&notifier, &mail).await;
    assert_eq!(letters.len(), 1, "{db}: once");
    assert!(letters[0].contains("Asked by: \"Ann\""), "{db}: {}", letters[0]);
    let mailed = link_in(&letters[0], "/connect/");
    let shown = link["url"].as_str().unwrap().strip_prefix(&web.base).unwrap();
    assert_ne!(mailed, shown, "{db}: each has its own secret");
    for link in [shown, mailed] {
        let browser = web.browser();
        let moved = browser.get(link).await;
        let text = browser.page_text(moved.location()).await;
        assert!(text.contains("Harbour Group asks you to connect Xero"), "{db}: {text}");
    }
    let stranger = web.browser();
    let moved = stranger.get(mailed).await;
    let text = consent(&web, &stranger, moved.location(), &ALLOW_HARBOUR).await;
    assert!(text.contains("Harbour Coffee is connected"), "{db}: {text}");
    let contacts = web.store.contacts_of_org(&org).await.unwrap();
    let emails: Vec<String> = contacts.into_iter().map(|(_, contact)| contact.email).collect();
    assert_eq!(emails, [BOOKS, "mere.tane@example.com"], "{db}");
    assert_eq!(sent(&notifier, &mail).await, Vec::<String>::new(), "{db}");
    web.stop().await;
}
