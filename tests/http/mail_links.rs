//! The links in members' email: each opens its organization and its connection, after signing in, too.

use axum::http::StatusCode;
use evergrant::model::{Channel, Role};
use evergrant::server::auth::LocalAuth;
use evergrant::server::domain::Secret;
use evergrant::server::store::CreatedUser;
use reqwest::Method;

use crate::notify::mail_server::MailServer;
use crate::support::browser::{Browser, HTML};
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::test_server::{PASSWORD, TestServer};
use crate::support::wait::{MAX_WAIT, eventually_some};

const PAGE: &str = "/settings/integrations";

/// Returns the paths of the links in a message, each once.
fn links(text: &str) -> Vec<String> {
    let mut links: Vec<String> = text
        .split("https://evergrant.example")
        .skip(1)
        .map(|rest| rest.split(|c: char| c.is_whitespace() || "<\"".contains(c)).next().unwrap().replace("&amp;", "&"))
        .collect();
    links.sort();
    links.dedup();
    links
}

/// Returns whether Kauri Joinery comes before Harbour Coffee, and how many of the two the page shows.
async fn shown(browser: &Browser, path: &str) -> (bool, usize) {
    let text = browser.page_text(path).await;
    let (kauri, harbour) = (text.find(">Kauri Joinery</a></h2>"), text.find(">Harbour Coffee</a></h2>"));
    (kauri < harbour, usize::from(kauri.is_some()) + usize::from(harbour.is_some()))
}

#[apply(each_database!)]
async fn link_in_email_opens_its_organization_and_connection_after_signing_in_too(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let mail = MailServer::start().await;
    let notifier = mail.notifier(&web.store);
    web.store.record_mailer_heartbeat().await.unwrap();
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (auth, eve) = (LocalAuth::new(web.store.clone()).unwrap(), web.browser());
    let CreatedUser { user, .. } = auth.add_user("eve@example.com", Secret::new(PASSWORD), None).await.unwrap();
    let elsewhere = web.store.add_org("Elsewhere").await.unwrap();
    web.store.add_member(&elsewhere, &user, Role::Owner).await.unwrap();
    eve.sign_in("eve@example.com").await;

    // Ann works in Harbour Group, and owns another organization, too.
    let southerly = web.store.add_org("Southerly Group").await.unwrap();
    let ann_id = auth.find_user("ann@example.com").await.unwrap();
    web.store.add_member(&southerly, &ann_id, Role::Owner).await.unwrap();
    let consent = TestConsent::new(&web.store, &web.provider).tenants(&["harbour", "kauri"]);
    let connected = consent.connect(southerly.clone()).await;
    let bound = web.bindings(&southerly).await;
    let kauri = bound.iter().find(|one| one.binding.tenant.name == "Kauri Joinery").unwrap().binding.id.clone();
    web.provider.sandbox.revoke_grant(&connected.minted.refresh_token).unwrap();
    let other = web.browser();
    other.sign_in("ann@example.com").await;
    other.post("/api/session/switch-organization", &[("org_id", southerly.as_str())]).await;
    other.post("/api/integrations/xero/refresh-connection", &[("binding_id", kauri.as_str())]).await;

    let letter = eventually_some("the email", MAX_WAIT, async || {
        notifier.prepare().await.unwrap();
        notifier.deliver(Channel::Email).await.unwrap();
        mail.take_messages().into_iter().find(|message| message.text.contains("Kauri Joinery needs reconnecting"))
    });
    let letter = letter.await;
    let links = links(&letter.text);
    let named = format!("?org={southerly}&connection={kauri}#connection-{kauri}");
    let link = format!("{PAGE}{named}");
    assert!(links.contains(&link), "{db}: {links:?}");
    assert!(links.iter().all(|link| link.contains(&format!("?org={southerly}"))), "{db}: {links:?}");
    let path = link.split('#').next().unwrap();
    let opened = format!("{PAGE}?connection={kauri}");

    // Looking ahead switches nothing.
    let ahead = ann.request(Method::GET, path, HTML).header("sec-purpose", "prefetch");
    assert_eq!(ann.send(ahead).await.status, StatusCode::SERVICE_UNAVAILABLE, "{db}");
    assert_eq!(shown(&ann, PAGE).await.1, 0, "{db}: Harbour Group has no connection");
    assert_eq!(ann.get(path).await.location(), opened, "{db}");
    assert_eq!(shown(&ann, &opened).await, (true, 2), "{db}: Kauri Joinery is first");
    assert_eq!(shown(&ann, PAGE).await, (false, 2), "{db}: by name");
    assert_eq!(ann.get(path).await.location(), opened, "{db}: it works in it already");

    let foreign = ann.get(&format!("//evil.example?org={southerly}")).await;
    assert_eq!((foreign.status, foreign.location()), (StatusCode::NOT_FOUND, ""), "{db}: it would leave the site");

    let later = web.browser();
    let login = later.get(path).await;
    let next = url::Url::parse(&later.url(login.location())).unwrap();
    let (_, next) = next.query_pairs().find(|(name, _)| name == "next").expect("the sign-in leads back");
    let form = [("email", "ann@example.com"), ("password", PASSWORD), ("next", &next)];
    let signed_in = later.post("/api/session/login", &form).await;
    assert_eq!(signed_in.location(), path, "{db}");
    assert_eq!(later.get(signed_in.location()).await.location(), opened, "{db}");
    assert_eq!(shown(&later, &opened).await, (true, 2), "{db}");

    assert_eq!(eve.get(path).await.location(), opened, "{db}");
    assert_eq!((eve.flash().as_str(), shown(&eve, &opened).await.1), ("link-organization", 0), "{db}: no member");
    web.stop().await;
}
