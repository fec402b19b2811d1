//! Members over HTTP: invitations, the role that each endpoint requires, ownership, and organizations.

use axum::http::StatusCode;
use evergrant::model::{OrgId, Role};
use evergrant::server::store::AuditFilter;

use crate::support::browser::{Browser, Page};
use crate::support::databases::TestDatabase;
use crate::support::test_server::{PASSWORD, TestServer};

const MEMBERS_PATH: &str = "/settings/members";

/// Returns the path of the invitation link on a page, if it shows one.
fn invitation_link_on_page(web: &TestServer, page: &Page) -> Option<String> {
    let start = page.text.find(&format!("{}/invite?token=", web.base))? + web.base.len();
    let link = page.text[start..].chars();
    Some(link.take_while(|letter| letter.is_ascii_alphanumeric() || "/-_?=".contains(*letter)).collect())
}

/// Creates an invitation with a plain form. Returns the link's path.
async fn create_invitation(web: &TestServer, inviter: &Browser, role: &str) -> String {
    let page = inviter.post("/api/members/invite", &[("role", role)]).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, MEMBERS_PATH), "{}", page.text);
    invitation_link_on_page(web, &inviter.get(MEMBERS_PATH).await).expect("the page shows the link")
}

fn token_of_link(link: &str) -> &str {
    link.strip_prefix("/invite?token=").unwrap()
}

async fn member_id(web: &TestServer, org: &OrgId, email: &str) -> String {
    let members = web.store.members(org, &"nobody".into()).await.unwrap();
    members.into_iter().find(|one| one.email == email).expect("a member").user_id.0
}

#[apply(each_database!)]
async fn new_user_joins_with_a_link_that_is_shown_once_and_works_once(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let link = create_invitation(&web, &ann, "admin").await;
    assert_eq!(
        self::invitation_link_on_page(&web, &ann.get(MEMBERS_PATH).await),
        Some(link.clone()),
        "{db}: a reload used the link up"
    );

    let bob = web.browser();
    let page = bob.get(&link).await;
    assert_eq!(page.status, StatusCode::OK, "{db}");
    assert!(page.text.contains("Harbour Group") && page.text.contains("ann@example.com"), "{db}");
    let accept = async |email: &str, password: &str| {
        let form = [("token", token_of_link(&link)), ("email", email), ("password", password)];
        bob.post("/api/invitations/accept", &form).await.location().to_owned()
    };
    for (email, password, notice) in [
        ("bob", PASSWORD, "invitation-email"),
        ("bob@example.com", "too short", "invitation-password"),
        ("ann@example.com", PASSWORD, "invitation-email-taken"),
    ] {
        assert_eq!(accept(email, password).await, link, "{db}");
        assert_eq!(bob.flash(), notice, "{db}");
        bob.get(&link).await;
    }
    assert_eq!(accept("Bob@Example.com", PASSWORD).await, "/", "{db}");
    let page = bob.get("/").await;
    assert!(page.text.contains("You have joined the organisation.") && page.text.contains("Harbour Group"), "{db}");
    assert_eq!(web.store.members(&org, &"nobody".into()).await.unwrap()[1].role, Role::Admin, "{db}");

    let late = web.browser();
    assert!(late.get(&link).await.text.contains("This invitation has expired or been used"), "{db}");
    let form = [("token", token_of_link(&link)), ("email", "zoe@example.com"), ("password", PASSWORD)];
    late.post("/api/invitations/accept", &form).await;
    assert_eq!(late.flash(), "invitation-over", "{db}");
    let events = web.store.audit_events(Some(&org), AuditFilter::default(), None, 9).await.unwrap();
    let actions: Vec<_> = events.iter().rev().map(|event| event.action.as_str()).collect();
    assert!(actions.ends_with(&["invitation.created", "member.joined"]), "{db}: {actions:?}");
    assert_eq!(events[0].address.as_deref(), Some("127.0.0.1"), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn signed_in_user_joins_and_is_switched_to_the_organization_until_removed(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (eve, _) = web.signed_in_user("eve@example.com", "Elsewhere").await;
    let link = create_invitation(&web, &ann, "member").await;
    assert!(eve.get(&link).await.text.contains("You are signed in as"), "{db}");
    let page = eve.post("/api/invitations/accept", &[("token", token_of_link(&link))]).await;
    assert_eq!((page.location(), eve.flash().as_str()), ("/", "joined"), "{db}");
    assert!(eve.get(MEMBERS_PATH).await.text.contains("Who belongs to Harbour Group"), "{db}");

    // After the removal her session continues in her other organization.
    let id = member_id(&web, &org, "eve@example.com").await;
    assert!(ann.get(&format!("{MEMBERS_PATH}?remove={id}")).await.text.contains("Remove eve@example.com from"), "{db}");
    ann.post("/api/members/remove", &[("user_id", &id)]).await;
    assert_eq!(ann.flash(), "member-removed", "{db}");
    assert!(eve.get(MEMBERS_PATH).await.text.contains("Who belongs to Elsewhere"), "{db}");
    web.stop().await;
}

#[tokio::test]
async fn invitation_can_be_canceled_and_expires_after_a_week() {
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (back, late) = (create_invitation(&web, &ann, "member").await, create_invitation(&web, &ann, "owner").await);
    let open = web.store.invitations(&org).await.unwrap();
    let id = &open.iter().find(|one| one.role == Role::Member).unwrap().id.0;
    let (eve, _) = web.signed_in_user("eve@example.com", "Elsewhere").await;
    eve.post("/api/members/revoke-invitation", &[("invitation_id", id)]).await;
    assert_eq!(eve.flash(), "invitation-missing", "the invitation belongs to another organization");
    ann.post("/api/members/revoke-invitation", &[("invitation_id", id)]).await;
    assert_eq!(ann.flash(), "invitation-revoked");
    assert!(web.browser().get(&back).await.text.contains("This invitation has expired or been used"));
    web.advance(7 * 24 * 60 * 60 - 1);
    assert!(web.browser().get(&late).await.text.contains("Join Harbour Group"));
    web.advance(1);
    assert!(web.browser().get(&late).await.text.contains("This invitation has expired or been used"));
    web.stop().await;
}

#[tokio::test]
async fn invitation_token_guesses_are_rate_limited() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let link = create_invitation(&web, &ann, "member").await;
    let eve = web.browser();
    let guess = async |token: &str| {
        let form = [("token", token), ("email", "eve@example.com"), ("password", PASSWORD)];
        eve.post("/api/invitations/accept", &form).await;
        eve.flash()
    };
    for _ in 0..10 {
        assert_eq!(guess("a-guess").await, "invitation-over");
    }
    assert_eq!(guess(token_of_link(&link)).await, "invitation-too-many-tries", "the correct token is limited too");
    web.advance(60);
    assert_eq!(guess(token_of_link(&link)).await, "joined");
    web.stop().await;
}

/// An endpoint, harmless form fields, and the lowest role that may call it.
type EndpointRole = (&'static str, &'static [(&'static str, &'static str)], Role);

const ENDPOINT_ROLES: &[EndpointRole] = &[
    ("integrations/xero/disconnect", &[("binding_id", "none")], Role::Admin),
    ("integrations/xero/keep", &[("binding_id", "none")], Role::Admin),
    ("notifications/webhooks/add", &[("url", "none")], Role::Admin),
    ("notifications/webhooks/test", &[("endpoint_id", "none")], Role::Admin),
    ("notifications/webhooks/rotate", &[("endpoint_id", "none")], Role::Admin),
    ("notifications/webhooks/set", &[("endpoint_id", "none"), ("enabled", "true")], Role::Admin),
    ("notifications/webhooks/remove", &[("endpoint_id", "none")], Role::Admin),
    ("notifications/mail", &[("user_id", "none"), ("on", "true")], Role::Admin),
    ("members/invite", &[("role", "member")], Role::Admin),
    ("members/invite", &[("role", "owner")], Role::Owner),
    ("members/revoke-invitation", &[("invitation_id", "none")], Role::Admin),
    ("members/set-role", &[("user_id", "none"), ("role", "member")], Role::Admin),
    ("members/remove", &[("user_id", "none")], Role::Admin),
    ("members/transfer-ownership", &[("user_id", "none")], Role::Owner),
    ("organizations/rename", &[("name", "Harbour Group")], Role::Admin),
    ("organizations/require-factor", &[("days", "7")], Role::Owner),
    ("organizations/stop-requiring-factor", &[], Role::Owner),
    ("api-keys/view", &[], Role::Admin),
    ("api-keys/create", &[("name", "none")], Role::Admin),
    ("api-keys/revoke", &[("key_id", "none")], Role::Admin),
    ("overview", &[], Role::Member),
    ("activity", &[], Role::Member),
    ("activity/changes", &[], Role::Member),
    ("integrations/view", &[], Role::Member),
    ("integrations/xero/refresh", &[], Role::Member),
    ("notifications/view", &[], Role::Member),
    ("notifications/read", &[("up_to", "0")], Role::Member),
    ("members/view", &[], Role::Member),
];

#[apply(each_database!)]
async fn every_endpoint_requires_its_minimum_role(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (_, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let admin = web.add_user("bob@example.com", "Harbour Group").await;
    assert_eq!(admin.org.unwrap().1, Role::Admin, "{db}");
    let eve = web.add_user("eve@example.com", "Harbour Group").await.user;
    let owner = member_id(&web, &org, "ann@example.com").await;
    let anns = web.browser();
    anns.sign_in("ann@example.com").await;
    anns.post("/api/members/set-role", &[("user_id", eve.as_str()), ("role", "member")]).await;
    assert_eq!(anns.flash(), "role-changed", "{db}");

    let rank = |role: Role| Role::ALL.iter().rev().position(|one| *one == role).unwrap();
    for (email, role) in
        [("ann@example.com", Role::Owner), ("bob@example.com", Role::Admin), ("eve@example.com", Role::Member)]
    {
        let browser = web.browser();
        browser.sign_in(email).await;
        for (path, fields, from) in ENDPOINT_ROLES {
            let request = browser.client.post(browser.url(&format!("/api/{path}"))).header("origin", &web.base);
            let answer = browser.send(request.header("accept", "application/json").form(fields)).await;
            let refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(refused, rank(role) < rank(*from), "{db}: {role:?} {path} {}: {}", answer.status, answer.text);
        }
        // Lower roles cannot change an owner, and the page offers no such action.
        if role != Role::Owner {
            for path in ["members/remove", "members/set-role"] {
                let fields = [("user_id", owner.as_str()), ("role", "member")];
                let request = browser.client.post(browser.url(&format!("/api/{path}"))).header("origin", &web.base);
                let answer = browser.send(request.form(&fields)).await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{db}: {role:?} {path}");
            }
            assert!(!browser.get(MEMBERS_PATH).await.text.contains("Actions for ann@example.com"), "{db}");
        }
        let page = browser.get(MEMBERS_PATH).await.text;
        assert_eq!(page.contains("Create invitation"), role != Role::Member, "{db}: {role:?}");
        assert_eq!(page.contains("Transfer ownership"), role == Role::Owner, "{db}: {role:?}");
    }
    let nobody = web.browser();
    for (path, fields, _) in ENDPOINT_ROLES {
        let request = nobody.client.post(nobody.url(&format!("/api/{path}"))).header("origin", &web.base);
        assert_eq!(nobody.send(request.form(fields)).await.status, StatusCode::UNAUTHORIZED, "{db}: {path}");
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn ownership_can_be_transferred_and_the_last_owner_cannot_leave(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let bob = web.add_user("bob@example.com", "Harbour Group").await.user;
    ann.post("/api/members/leave", &[]).await;
    assert_eq!(ann.flash(), "last-owner", "{db}");
    let own = member_id(&web, &org, "ann@example.com").await;
    ann.post("/api/members/set-role", &[("user_id", &own), ("role", "admin")]).await;
    assert_eq!(ann.flash(), "last-owner", "{db}");
    ann.post("/api/members/transfer-ownership", &[("user_id", bob.as_str())]).await;
    assert_eq!(ann.flash(), "ownership-transferred", "{db}");
    ann.post("/api/members/leave", &[]).await;
    assert_eq!(ann.flash(), "left", "{db}");
    assert!(ann.get(MEMBERS_PATH).await.text.contains("You don't belong to an organisation yet"), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn user_creates_an_organization_is_switched_to_it_and_renames_it(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let make = async |name: &str| {
        ann.post("/api/organizations/create", &[("name", name)]).await;
        ann.flash()
    };
    assert_eq!(make(" ").await, "organisation-name", "{db}");
    assert_eq!(make("Harbour Group").await, "organisation-name-taken", "{db}");
    assert_eq!(make("Fernhill <Studio>").await, "organisation-created", "{db}");
    let page = ann.get(MEMBERS_PATH).await.text;
    assert!(page.contains("Who belongs to Fernhill &lt;Studio&gt;"), "{db}");
    ann.post("/api/organizations/rename", &[("name", "Fernhill")]).await;
    assert_eq!(ann.flash(), "organisation-renamed", "{db}");
    let page = ann.get(MEMBERS_PATH).await.text;
    assert!(
        page.contains("Who belongs to Fernhill,") && page.contains("Harbour Group"),
        "{db}: the switcher lists both"
    );
    web.stop().await;
}
