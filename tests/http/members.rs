//! Members over HTTP: invitations from link to place, what each role may do at every endpoint, and organisations.

use axum::http::StatusCode;
use evergrant::model::{OrgId, Role};
use evergrant::server::store::AuditFilter;

use crate::support::databases::TestDatabase;
use crate::support::web::{Browser, PASSWORD, Page, Web};

const PAGE: &str = "/settings/members";

/// The path of the link on a page.
fn link(web: &Web, page: &Page) -> Option<String> {
    let start = page.text.find(&format!("{}/invite?token=", web.base))? + web.base.len();
    let link = page.text[start..].chars();
    Some(link.take_while(|letter| letter.is_ascii_alphanumeric() || "/-_?=".contains(*letter)).collect())
}

/// Makes an invitation as a plain form does.
async fn invitation(web: &Web, by: &Browser, role: &str) -> String {
    let page = by.post("/api/members/invite", &[("role", role)]).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, PAGE), "{}", page.text);
    link(web, &by.get(PAGE).await).expect("the page shows the link")
}

fn token(link: &str) -> &str {
    link.strip_prefix("/invite?token=").unwrap()
}

async fn user(web: &Web, org: &OrgId, email: &str) -> String {
    let members = web.store.members(org, &"nobody".into()).await.unwrap();
    members.into_iter().find(|one| one.email == email).expect("a member").user_id.0
}

#[tokio::test]
async fn somebody_new_joins_by_a_link_that_was_shown_once_and_works_once() {
    for database in TestDatabase::each().await {
        let db = database.name;
        let web = Web::on(database).await;
        let (ann, org) = web.person("ann@example.com", "Harbour Group").await;
        let link = invitation(&web, &ann, "admin").await;
        assert_eq!(self::link(&web, &ann.get(PAGE).await), None, "{db}: shown twice");

        let bob = web.browser();
        let page = bob.get(&link).await;
        assert_eq!(page.status, StatusCode::OK, "{db}");
        assert!(page.text.contains("Harbour Group") && page.text.contains("ann@example.com"), "{db}");
        let accept = async |email: &str, password: &str| {
            let form = [("token", token(&link)), ("email", email), ("password", password)];
            bob.post("/api/invitations/accept", &form).await.location().to_owned()
        };
        for (email, password, notice) in [
            ("bob", PASSWORD, "invitation-email"),
            ("bob@example.com", "too short", "invitation-password"),
            ("ann@example.com", PASSWORD, "invitation-email-taken"),
        ] {
            assert_eq!(accept(email, password).await, link, "{db}");
            assert_eq!(bob.notice(), notice, "{db}");
            bob.get(&link).await;
        }
        assert_eq!(accept("Bob@Example.com", PASSWORD).await, "/", "{db}");
        let page = bob.get("/").await;
        assert!(page.text.contains("You have joined the organisation.") && page.text.contains("Harbour Group"), "{db}");
        assert_eq!(web.store.members(&org, &"nobody".into()).await.unwrap()[1].role, Role::Admin, "{db}");

        let late = web.browser();
        assert!(late.get(&link).await.text.contains("This invitation is over"), "{db}");
        let form = [("token", token(&link)), ("email", "zoe@example.com"), ("password", PASSWORD)];
        late.post("/api/invitations/accept", &form).await;
        assert_eq!(late.notice(), "invitation-over", "{db}");
        let events = web.store.audit_events(Some(&org), AuditFilter::default(), None, 9).await.unwrap();
        let told: Vec<_> = events.iter().rev().map(|event| event.action.as_str()).collect();
        assert!(told.ends_with(&["invitation.created", "member.joined"]), "{db}: {told:?}");
        assert_eq!(events[0].address.as_deref(), Some("127.0.0.1"), "{db}");
        web.stop().await;
    }
}

#[tokio::test]
async fn somebody_who_is_signed_in_joins_and_works_there() {
    for database in TestDatabase::each().await {
        let db = database.name;
        let web = Web::on(database).await;
        let (ann, org) = web.person("ann@example.com", "Harbour Group").await;
        let (eve, _) = web.person("eve@example.com", "Elsewhere").await;
        let link = invitation(&web, &ann, "member").await;
        assert!(eve.get(&link).await.text.contains("You are signed in as"), "{db}");
        let page = eve.post("/api/invitations/accept", &[("token", token(&link))]).await;
        assert_eq!((page.location(), eve.notice().as_str()), ("/", "joined"), "{db}");
        assert!(eve.get(PAGE).await.text.contains("Who works in Harbour Group"), "{db}");

        // Removed, she is somewhere else at once.
        let id = user(&web, &org, "eve@example.com").await;
        assert!(ann.get(&format!("{PAGE}?remove={id}")).await.text.contains("Remove eve@example.com from"), "{db}");
        ann.post("/api/members/remove", &[("user_id", &id)]).await;
        assert_eq!(ann.notice(), "member-removed", "{db}");
        assert!(eve.get(PAGE).await.text.contains("Who works in Elsewhere"), "{db}");
        web.stop().await;
    }
}

#[tokio::test]
async fn an_invitation_is_taken_back_or_ends_after_a_week() {
    let web = Web::start().await;
    let (ann, org) = web.person("ann@example.com", "Harbour Group").await;
    let (back, late) = (invitation(&web, &ann, "member").await, invitation(&web, &ann, "owner").await);
    let open = web.store.invitations(&org).await.unwrap();
    let id = &open.iter().find(|one| one.role == Role::Member).unwrap().id.0;
    let (eve, _) = web.person("eve@example.com", "Elsewhere").await;
    eve.post("/api/members/revoke-invitation", &[("invitation_id", id)]).await;
    assert_eq!(eve.notice(), "invitation-missing", "another organisation's");
    ann.post("/api/members/revoke-invitation", &[("invitation_id", id)]).await;
    assert_eq!(ann.notice(), "invitation-revoked");
    assert!(web.browser().get(&back).await.text.contains("This invitation is over"));
    web.advance(7 * 24 * 60 * 60 - 1);
    assert!(web.browser().get(&late).await.text.contains("Join Harbour Group"));
    web.advance(1);
    assert!(web.browser().get(&late).await.text.contains("This invitation is over"));
    web.stop().await;
}

#[tokio::test]
async fn guesses_at_a_link_are_limited() {
    let web = Web::start().await;
    let (ann, _) = web.person("ann@example.com", "Harbour Group").await;
    let link = invitation(&web, &ann, "member").await;
    let eve = web.browser();
    let guess = async |token: &str| {
        let form = [("token", token), ("email", "eve@example.com"), ("password", PASSWORD)];
        eve.post("/api/invitations/accept", &form).await;
        eve.notice()
    };
    for _ in 0..10 {
        assert_eq!(guess("a-guess").await, "invitation-over");
    }
    assert_eq!(guess(token(&link)).await, "invitation-too-many-tries", "the right one too");
    web.advance(60);
    assert_eq!(guess(token(&link)).await, "joined");
    web.stop().await;
}

/// An endpoint, with fields that do no harm, and the lowest role that may reach it.
type Guarded = (&'static str, &'static [(&'static str, &'static str)], Role);

const GUARDED: &[Guarded] = &[
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

#[tokio::test]
async fn every_role_may_at_every_endpoint_what_it_should_and_no_more() {
    for database in TestDatabase::each().await {
        let db = database.name;
        let web = Web::on(database).await;
        let (_, org) = web.person("ann@example.com", "Harbour Group").await;
        let admin = web.add("bob@example.com", "Harbour Group").await;
        assert_eq!(admin.org.unwrap().1, Role::Admin, "{db}");
        let eve = web.add("eve@example.com", "Harbour Group").await.user;
        let owner = user(&web, &org, "ann@example.com").await;
        let anns = web.browser();
        anns.sign_in("ann@example.com").await;
        anns.post("/api/members/set-role", &[("user_id", eve.as_str()), ("role", "member")]).await;
        assert_eq!(anns.notice(), "role-changed", "{db}");

        let rank = |role: Role| Role::ALL.iter().rev().position(|one| *one == role).unwrap();
        for (email, role) in
            [("ann@example.com", Role::Owner), ("bob@example.com", Role::Admin), ("eve@example.com", Role::Member)]
        {
            let browser = web.browser();
            browser.sign_in(email).await;
            for (path, fields, from) in GUARDED {
                let request = browser.client.post(browser.at(&format!("/api/{path}"))).header("origin", &web.base);
                let answer = browser.send(request.header("accept", "application/json").form(fields)).await;
                let refused = answer.status == StatusCode::FORBIDDEN;
                assert_eq!(
                    refused,
                    rank(role) < rank(*from),
                    "{db}: {role:?} {path} {}: {}",
                    answer.status,
                    answer.text
                );
            }
            // An owner is beyond an admin's reach, and the page offers no such thing.
            if role != Role::Owner {
                for path in ["members/remove", "members/set-role"] {
                    let fields = [("user_id", owner.as_str()), ("role", "member")];
                    let request = browser.client.post(browser.at(&format!("/api/{path}"))).header("origin", &web.base);
                    let answer = browser.send(request.form(&fields)).await;
                    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{db}: {role:?} {path}");
                }
                assert!(!browser.get(PAGE).await.text.contains("Actions for ann@example.com"), "{db}");
            }
            let page = browser.get(PAGE).await.text;
            assert_eq!(page.contains("Make an invitation"), role != Role::Member, "{db}: {role:?}");
            assert_eq!(page.contains("Hand ownership over"), role == Role::Owner, "{db}: {role:?}");
        }
        let nobody = web.browser();
        for (path, fields, _) in GUARDED {
            let request = nobody.client.post(nobody.at(&format!("/api/{path}"))).header("origin", &web.base);
            assert_eq!(nobody.send(request.form(fields)).await.status, StatusCode::UNAUTHORIZED, "{db}: {path}");
        }
        web.stop().await;
    }
}

#[tokio::test]
async fn an_owner_hands_over_and_the_last_one_stays() {
    for database in TestDatabase::each().await {
        let db = database.name;
        let web = Web::on(database).await;
        let (ann, org) = web.person("ann@example.com", "Harbour Group").await;
        let bob = web.add("bob@example.com", "Harbour Group").await.user;
        ann.post("/api/members/leave", &[]).await;
        assert_eq!(ann.notice(), "last-owner", "{db}");
        let own = user(&web, &org, "ann@example.com").await;
        ann.post("/api/members/set-role", &[("user_id", &own), ("role", "admin")]).await;
        assert_eq!(ann.notice(), "last-owner", "{db}");
        ann.post("/api/members/transfer-ownership", &[("user_id", bob.as_str())]).await;
        assert_eq!(ann.notice(), "ownership-transferred", "{db}");
        ann.post("/api/members/leave", &[]).await;
        assert_eq!(ann.notice(), "left", "{db}");
        assert!(ann.get(PAGE).await.text.contains("You belong to no organisation yet"), "{db}");
        web.stop().await;
    }
}

#[tokio::test]
async fn a_person_makes_an_organisation_works_in_it_and_renames_it() {
    for database in TestDatabase::each().await {
        let db = database.name;
        let web = Web::on(database).await;
        let (ann, _) = web.person("ann@example.com", "Harbour Group").await;
        let make = async |name: &str| {
            ann.post("/api/organizations/create", &[("name", name)]).await;
            ann.notice()
        };
        assert_eq!(make(" ").await, "organisation-name", "{db}");
        assert_eq!(make("Harbour Group").await, "organisation-name-taken", "{db}");
        assert_eq!(make("Fernhill <Studio>").await, "organisation-created", "{db}");
        let page = ann.get(PAGE).await.text;
        assert!(page.contains("Who works in Fernhill &lt;Studio&gt;"), "{db}");
        ann.post("/api/organizations/rename", &[("name", "Fernhill")]).await;
        assert_eq!(ann.notice(), "organisation-renamed", "{db}");
        let page = ann.get(PAGE).await.text;
        assert!(page.contains("Who works in Fernhill,") && page.contains("Harbour Group"), "{db}: one can switch");
        web.stop().await;
    }
}
