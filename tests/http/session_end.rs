//! A session that has ended leads to the sign-in and back, says so, and loses nothing that was typed.

use evergrant::server::store::SESSION_LIFETIME;
use reqwest::StatusCode;
use reqwest::header::SET_COOKIE;

use crate::support::browser::Browser;
use crate::support::databases::TestDatabase;
use crate::support::test_server::{PASSWORD, TestServer};

const KEYS: &str = "/settings/api-keys";
const CREATE_KEY: &str = "/api/api-keys/create";
const CONNECT: &str = "/api/integrations/xero/connect";
const CONFIRM: &str = "/api/integrations/xero/confirm";
const SWITCH: &str = "/api/session/switch-organization";

/// Ends every session, as too long a pause does.
async fn end_sessions(web: &TestServer) {
    sqlx::query("UPDATE sessions SET last_seen_at = 0").execute(web.store.database().pool()).await.unwrap();
}

#[apply(each_database!)]
async fn ended_session_leads_to_the_sign_in_and_back_and_says_so(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    end_sessions(&web).await;
    let members = "/login?problem=session-ended&next=%2Fsettings%2Fmembers";
    assert_eq!(ann.get("/settings/members").await.location(), members, "{db}: a page");
    let page = ann.page_text(members).await;
    assert!(page.contains("Your session has ended") && page.contains("value=\"/settings/members\""), "{db}: {page}");
    let form = ann.post_from("/settings/members", "/api/members/leave", &[]).await;
    assert_eq!((form.status, form.location()), (StatusCode::SEE_OTHER, members), "{db}: a form");
    let form = ann.post_from("/settings/members", "/api/members/leave", &[("org_id", org.as_str())]).await;
    let there = format!("{members}%3Forg%3D{org}");
    assert_eq!(form.location(), there, "{db}: back to the organization of the form");
    let switch = ann.post_from("/activity", SWITCH, &[("org_id", "none")]).await;
    assert_eq!(switch.location(), "/login?problem=session-ended&next=%2Factivity", "{db}: the switcher");
    let script = ann.request(reqwest::Method::POST, "/api/members/leave", "application/json");
    let script = ann.send(script.header("origin", &web.base).header("referer", ann.url("/settings/members"))).await;
    assert_eq!(script.status, StatusCode::UNAUTHORIZED, "{db}");
    assert!(script.text.contains(members), "{db}: a script is led there, too: {}", script.text);

    // Nobody was signed in here, so nothing has ended.
    let nobody = web.browser();
    let form = nobody.post_from("/settings/members", "/api/members/leave", &[]).await;
    assert_eq!(form.location(), "/login?next=%2Fsettings%2Fmembers", "{db}");
    // Neither after signing out.
    ann.sign_in("ann@example.com").await;
    ann.post("/api/session/logout", &[]).await;
    assert_eq!(ann.get("/activity").await.location(), "/login?next=%2Factivity", "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn form_of_an_ended_session_leads_back_to_its_organization_with_what_was_typed(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, harbour) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let first = web.store.add_org("Aroha Books").await.unwrap();
    let joined = "INSERT INTO memberships (user_id, org_id, role, created_at) SELECT user_id, $1, role, created_at \
                  FROM memberships";
    sqlx::query(joined).bind(first.as_str()).execute(web.store.database().pool()).await.unwrap();
    for (path, page) in [(CREATE_KEY, KEYS), (CONNECT, "/settings/integrations"), (CONFIRM, "/settings/integrations")] {
        end_sessions(&web).await;
        let form = [("org_id", harbour.as_str()), ("name", "Weekly close"), ("id", "none"), ("decision", "keep")];
        let asked = ann.post_from(page, path, &form).await;
        let page = page.replace('/', "%2F");
        let expected = format!("/login?problem=session-ended&next={page}%3Forg%3D{harbour}");
        assert_eq!((asked.status, asked.location()), (StatusCode::SEE_OTHER, expected.as_str()), "{db}: {path}");
    }

    // Whoever signs in works in the first organization by name.
    ann.sign_in("ann@example.com").await;
    assert!(ann.page_text("/").await.contains("Aroha Books · Evergrant</title>"), "{db}");
    let opened = ann.get(&format!("{KEYS}?org={harbour}")).await;
    assert_eq!(opened.location(), KEYS, "{db}");
    let page = ann.page_text(KEYS).await;
    assert!(
        page.contains("Harbour Group · Evergrant</title>") && page.contains("value=\"Weekly close\""),
        "{db}: {page}"
    );
    web.stop().await;
}

#[apply(each_database!)]
async fn browser_keeps_the_cookie_longer_than_the_session_lasts(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    web.add_user("ann@example.com", "Harbour Group").await;
    let ann = web.browser();
    let form = [("email", "ann@example.com"), ("password", PASSWORD)];
    let signed_in = ann.post("/api/session/login", &form).await;
    let cookies = signed_in.headers.get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    let session = cookies.into_iter().find(|cookie| cookie.starts_with("evergrant_session")).unwrap();
    let kept = session.split("; ").find_map(|part| part.strip_prefix("Max-Age=")).unwrap().parse::<i64>().unwrap();
    assert!(kept > SESSION_LIFETIME, "{db}: {session}");
    web.advance(SESSION_LIFETIME);
    let members = "/login?problem=session-ended&next=%2Fsettings%2Fmembers";
    assert_eq!(ann.get("/settings/members").await.location(), members, "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn what_was_typed_is_given_back_after_the_sign_in_to_the_same_person_alone(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (first, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    web.add_user("bob@example.com", "Harbour Group").await;
    let second = web.browser();
    second.sign_in("ann@example.com").await;
    end_sessions(&web).await;
    let typed = async |browser: &Browser| {
        let form = [("name", "Weekly close"), ("scopes[0]", "tokens:read")];
        let asked = browser.post_from(KEYS, CREATE_KEY, &form).await;
        assert_eq!(asked.location(), "/login?problem=session-ended&next=%2Fsettings%2Fapi-keys", "{db}");
    };
    typed(&first).await;
    typed(&second).await;
    second.sign_in("bob@example.com").await;
    assert!(!second.page_text(KEYS).await.contains("Weekly close"), "{db}: the next person sees nothing");
    first.sign_in("ann@example.com").await;
    let shown = first.page_text(KEYS).await;
    assert!(shown.contains("value=\"Weekly close\"") && !shown.contains("<title>Error"), "{db}: {shown}");
    assert!(!first.page_text(KEYS).await.contains("Weekly close"), "{db}: once");
    web.stop().await;
}
