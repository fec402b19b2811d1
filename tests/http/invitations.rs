//! Invitations over HTTP: the link and its secret, who may accept, and what an answer tells.

use axum::http::StatusCode;
use evergrant::model::{Action, OrgId, Role};
use evergrant::server::store::AuditFilter;

use super::account::{next_message, server_with_mail};
use super::members::{MEMBERS_PATH, member_id};
use crate::support::browser::{Browser, Page};
use crate::support::databases::TestDatabase;
use crate::support::test_server::{PASSWORD, TestServer};

const ACCEPT_PATH: &str = "/api/invitations/accept";
/// The answer to an address that is free, and to one that is taken.
const SIGN_IN_NEXT: &str = "/login?problem=sign-in-to-join&next=%2Finvite";

/// Returns the path of the invitation link on a page, if it shows one.
fn invitation_link_on_page(web: &TestServer, page: &Page) -> Option<String> {
    let start = page.text.find(&format!("{}/invite?token=", web.base))? + web.base.len();
    let link = page.text[start..].chars();
    Some(link.take_while(|c| c.is_ascii_alphanumeric() || "/-_?=".contains(*c)).collect())
}

/// Creates an invitation with a plain form. Returns the link's path.
async fn create_invitation(web: &TestServer, inviter: &Browser, role: &str, email: &str) -> String {
    let page = inviter.post("/api/members/invite", &[("role", role), ("email", email)]).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, MEMBERS_PATH), "{}", page.text);
    invitation_link_on_page(web, &inviter.get(MEMBERS_PATH).await).expect("the page shows the link")
}

/// Opens a link, whose secret must leave the address bar at once. Returns the page.
async fn open(browser: &Browser, link: &str) -> String {
    let moved = browser.get(link).await;
    assert_eq!((moved.status, moved.location()), (StatusCode::SEE_OTHER, "/invite"));
    assert_eq!(moved.header("cache-control"), "no-store");
    let page = browser.page_text("/invite").await;
    assert!(!page.contains(link.rsplit('=').next().unwrap()), "the page contains the secret");
    page
}

async fn accept(browser: &Browser, email: &str, password: &str) -> String {
    browser.post(ACCEPT_PATH, &[("email", email), ("password", password)]).await.location().to_owned()
}

async fn emails(web: &TestServer, org: &OrgId) -> Vec<String> {
    let members = web.store.members(org, &"nobody".into()).await.unwrap();
    members.into_iter().map(|one| one.email).collect()
}

#[apply(each_database!)]
async fn page_of_one_invitation_accepts_no_other(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, shown) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (mallory, other) = web.signed_in_user("mallory@example.com", "Elsewhere").await;
    let (bob, own) = web.signed_in_user("bob@example.com", "Bob's").await;
    let page = open(&bob, &create_invitation(&web, &ann, "member", "").await).await;
    assert!(page.contains(&format!("name=\"joins\" value=\"{shown}\"")), "{db}: {page}");
    // Another link, opened in another tab, takes the place of the first.
    let page = open(&bob, &create_invitation(&web, &mallory, "member", "").await).await;
    assert!(page.contains(&format!("name=\"joins\" value=\"{other}\"")), "{db}: {page}");
    let answer = bob.post(ACCEPT_PATH, &[("joins", shown.as_str())]).await;
    assert_eq!((answer.location(), bob.flash().as_str()), ("/invite", "invitation-replaced"), "{db}");
    for org in [&shown, &other] {
        assert_eq!(emails(&web, org).await.len(), 1, "{db}");
    }
    assert_eq!(bob.post(ACCEPT_PATH, &[("joins", other.as_str())]).await.location(), "/", "{db}");
    assert!(emails(&web, &other).await.contains(&"bob@example.com".to_owned()), "{db}, not only {own}");
    web.stop().await;
}

#[apply(each_database!)]
async fn new_user_joins_with_a_link_that_is_shown_once_and_works_once(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let link = create_invitation(&web, &ann, "admin", "").await;
    assert_eq!(
        invitation_link_on_page(&web, &ann.get(MEMBERS_PATH).await),
        Some(link.clone()),
        "{db}: a reload used the link up"
    );

    let bob = web.browser();
    let page = open(&bob, &link).await;
    assert!(page.contains("Join Harbour Group") && page.contains("ann@example.com"), "{db}");
    assert!(page.contains(org.as_str()), "{db}: the id tells it from another of the same name");
    for (email, password, notice) in
        [("bob", PASSWORD, "invitation-email"), ("bob@example.com", "too short", "invitation-password")]
    {
        assert_eq!(accept(&bob, email, password).await, "/invite", "{db}");
        assert_eq!(bob.flash(), notice, "{db}");
        bob.get("/invite").await;
    }
    assert_eq!(accept(&bob, "Bob@Example.com", PASSWORD).await, SIGN_IN_NEXT, "{db}");
    let sign_in = [("email", "bob@example.com"), ("password", PASSWORD), ("next", "/invite")];
    assert_eq!(bob.post("/api/session/login", &sign_in).await.location(), "/invite", "{db}");
    assert!(bob.page_text("/invite").await.contains("You have joined Harbour Group"), "{db}");
    assert!(bob.page_text("/").await.contains("Harbour Group"), "{db}");
    assert_eq!(web.store.members(&org, &"nobody".into()).await.unwrap()[1].role, Role::Admin, "{db}");

    let late = web.browser();
    assert!(open(&late, &link).await.contains("This invitation has expired or been used"), "{db}");
    accept(&late, "zoe@example.com", PASSWORD).await;
    assert_eq!(late.flash(), "invitation-over", "{db}");
    let events = web.store.audit_events(Some(&org), AuditFilter::default(), None, 9).await.unwrap();
    let joined = events
        .iter()
        .find(|event| event.action.as_str() == Action::MemberJoined.as_str() && event.actor == "bob@example.com");
    assert_eq!(joined.expect("an event").address.as_deref(), Some("127.0.0.1"), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn taken_address_gets_the_same_answer_and_its_owner_can_still_join(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    web.add_user("eve@example.com", "Elsewhere").await;
    let answers = async |email: &str| {
        let link = create_invitation(&web, &ann, "member", "").await;
        let browser = web.browser();
        open(&browser, &link).await;
        let page = browser.post(ACCEPT_PATH, &[("email", email), ("password", "another good phrase")]).await;
        (browser, (page.status, page.location().to_owned(), page.header("set-cookie").to_owned(), page.text))
    };
    let (_, free) = answers("free@example.com").await;
    let (eve, taken) = answers("eve@example.com").await;
    assert_eq!(free, taken, "{db}: the answer tells who has an account");
    let wrong = eve.post("/api/session/login", &[("email", "eve@example.com"), ("password", "another good phrase")]);
    assert_eq!(wrong.await.location(), "/login?problem=credentials", "{db}: the form set a password");
    eve.sign_in("eve@example.com").await;
    assert!(eve.page_text("/invite").await.contains("Join Harbour Group"), "{db}: the invitation is still open");
    eve.post(ACCEPT_PATH, &[]).await;
    assert!(emails(&web, &org).await.contains(&"eve@example.com".to_owned()), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn signed_in_user_joins_without_a_switch_until_removed(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (eve, _) = web.signed_in_user("eve@example.com", "Elsewhere").await;
    let link = create_invitation(&web, &ann, "member", "").await;
    assert!(open(&eve, &link).await.contains("You are signed in as"), "{db}");
    let page = eve.post(ACCEPT_PATH, &[]).await;
    assert_eq!((page.location(), eve.flash().as_str()), ("/", "joined-beside"), "{db}");
    assert!(eve.get(MEMBERS_PATH).await.text.contains("Who belongs to Elsewhere"), "{db}: the session was switched");
    eve.post("/api/session/switch-organization", &[("org_id", org.as_str())]).await;
    assert!(eve.get(MEMBERS_PATH).await.text.contains("Who belongs to Harbour Group"), "{db}");

    // After the removal her session continues in her other organization.
    let id = member_id(&web, &org, "eve@example.com").await;
    assert!(ann.get(&format!("{MEMBERS_PATH}?remove={id}")).await.text.contains("Remove eve@example.com from"), "{db}");
    ann.post("/api/members/remove", &[("user_id", &id)]).await;
    assert_eq!(ann.flash(), "member-removed", "{db}");
    assert!(eve.get(MEMBERS_PATH).await.text.contains("Who belongs to Elsewhere"), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn invitation_for_an_address_is_sent_there_confirms_it_and_admits_no_other(database: TestDatabase) {
    let db = database.name;
    let (web, mail) = server_with_mail(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (eve, _) = web.signed_in_user("eve@example.com", "Elsewhere").await;
    let shown = create_invitation(&web, &ann, "member", " Bob@Example.com ").await;
    assert!(ann.page_text(MEMBERS_PATH).await.contains("for bob@example.com"), "{db}");
    let message = next_message(&mail).await;
    assert_eq!(message.to, "bob@example.com", "{db}");
    let start = message.text.find("/invite?token=").expect("a link");
    let mailed = message.text[start..].split_whitespace().next().unwrap();
    assert_ne!(mailed, shown, "{db}: the inviter could prove somebody else's address");

    assert!(ann.page_text(MEMBERS_PATH).await.contains("sends bob@example.com a link of its own"), "{db}");

    // Whoever sees the inviter's link becomes nobody with it.
    let mallory = web.browser();
    let page = open(&mallory, &shown).await;
    assert!(page.contains("This invitation was sent to") && !page.contains("name=\"password\""), "{db}: {page}");
    assert_eq!(accept(&mallory, "bob@example.com", PASSWORD).await, "/invite", "{db}");
    assert_eq!(mallory.flash(), "invitation-by-mail", "{db}");
    assert_eq!(emails(&web, &org).await.len(), 1, "{db}");

    assert!(open(&eve, mailed).await.contains("this invitation is for another email address"), "{db}");
    eve.post(ACCEPT_PATH, &[]).await;
    assert_eq!(eve.flash(), "invitation-other-address", "{db}");
    let bob = web.browser();
    assert!(open(&bob, mailed).await.contains("value=\"bob@example.com\""), "{db}");
    assert_eq!(accept(&bob, "zoe@example.com", PASSWORD).await, "/invite", "{db}");
    assert_eq!(bob.flash(), "invitation-other-address", "{db}");
    assert_eq!(accept(&bob, "bob@example.com", PASSWORD).await, "/", "{db}: the mailbox is proven");
    assert_eq!(bob.flash(), "joined", "{db}");
    let bob_id = member_id(&web, &org, "bob@example.com").await;
    assert!(!web.store.is_email_unconfirmed(&bob_id.as_str().into()).await.unwrap(), "{db}");
    assert_eq!(mail.message_count(), 0, "{db}: no further mail");

    // A link that the inviter passes on proves nothing, so the account's address is confirmed by mail.
    let link = create_invitation(&web, &ann, "member", "").await;
    let zoe = web.browser();
    open(&zoe, &link).await;
    assert_eq!(accept(&zoe, "zoe@example.com", PASSWORD).await, SIGN_IN_NEXT, "{db}");
    let zoe_id = member_id(&web, &org, "zoe@example.com").await;
    assert!(web.store.is_email_unconfirmed(&zoe_id.as_str().into()).await.unwrap(), "{db}");
    let message = next_message(&mail).await;
    assert_eq!(message.to, "zoe@example.com", "{db}");
    let start = message.text.find("/login/").expect("a link");
    zoe.get(message.text[start..].split_whitespace().next().unwrap()).await;
    zoe.post("/api/session/confirm-email", &[]).await;
    assert_eq!(zoe.flash(), "account-email-confirmed", "{db}");
    assert!(!web.store.is_email_unconfirmed(&zoe_id.as_str().into()).await.unwrap(), "{db}");

    // Canceling an invitation gives none of the mails to its address back.
    let invite =
        async |email: &'static str| ann.post("/api/members/invite", &[("role", "member"), ("email", email)]).await;
    for _ in 1..=5 {
        invite("eve@elsewhere.example").await;
        assert_eq!(ann.flash(), "invitation-sent", "{db}");
        let open = web.store.invitations(&org).await.unwrap().remove(0);
        ann.post("/api/members/revoke-invitation", &[("invitation_id", open.id.as_str())]).await;
    }
    invite("eve@elsewhere.example").await;
    assert_eq!(ann.flash(), "invitation-too-many-mails", "{db}");
    let refused = ann.page_text("/settings/members").await;
    assert!(refused.contains("aria-describedby=\"refusal invite-hint\""), "{db}: it is said at the address");
    invite("kim@example.com").await;
    assert_eq!(ann.flash(), "invitation-sent", "{db}");
    web.stop().await;
}

#[tokio::test]
async fn invitation_can_be_canceled_and_expires_after_a_week() {
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let back = create_invitation(&web, &ann, "member", "").await;
    let late = create_invitation(&web, &ann, "owner", "").await;
    let open_ones = web.store.invitations(&org).await.unwrap();
    let id = &open_ones.iter().find(|one| one.role == Role::Member).unwrap().id.0;
    let (eve, _) = web.signed_in_user("eve@example.com", "Elsewhere").await;
    eve.post("/api/members/revoke-invitation", &[("invitation_id", id)]).await;
    assert_eq!(eve.flash(), "invitation-missing", "the invitation belongs to another organization");
    ann.post("/api/members/revoke-invitation", &[("invitation_id", id)]).await;
    assert_eq!(ann.flash(), "invitation-revoked");
    assert!(open(&web.browser(), &back).await.contains("This invitation has expired or been used"));
    web.advance(7 * 24 * 60 * 60 - 1);
    assert!(open(&web.browser(), &late).await.contains("Join Harbour Group"));
    web.advance(1);
    assert!(open(&web.browser(), &late).await.contains("This invitation has expired or been used"));
    web.stop().await;
}

#[tokio::test]
async fn invitation_token_guesses_are_rate_limited() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let link = create_invitation(&web, &ann, "member", "").await;
    let eve = web.browser();
    let guess = async |link: &str| {
        eve.get(link).await;
        accept(&eve, "eve@example.com", PASSWORD).await;
        eve.flash()
    };
    for _ in 0..10 {
        assert_eq!(guess("/invite?token=a-guess").await, "invitation-over");
    }
    assert_eq!(guess(&link).await, "invitation-too-many-tries", "the correct token is limited too");
    web.advance(60);
    assert_eq!(accept(&eve, "eve@example.com", PASSWORD).await, SIGN_IN_NEXT);
    web.stop().await;
}
