//! Members over HTTP: the role that each endpoint requires, ownership, and organizations.

use axum::http::StatusCode;
use evergrant::model::{OrgId, Role};

use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

pub const MEMBERS_PATH: &str = "/settings/members";

/// Returns the id of the member with this email address.
pub async fn member_id(web: &TestServer, org: &OrgId, email: &str) -> String {
    let members = web.store.members(org, &"nobody".into()).await.unwrap();
    members.into_iter().find(|one| one.email == email).expect("a member").user_id.0
}

#[apply(each_database!)]
async fn owners_are_managed_by_owners_and_pages_offer_what_the_role_may_do(database: TestDatabase) {
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
    assert_eq!(anns.flash(), "role-member", "{db}");

    for (email, role) in
        [("ann@example.com", Role::Owner), ("bob@example.com", Role::Admin), ("eve@example.com", Role::Member)]
    {
        let browser = web.browser();
        browser.sign_in(email).await;
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
