//! An organization: its API keys, invitations, members, name and policies.

use std::rc::Rc;

use evergrant::model::{Action, Role};
use evergrant::server::crypto::random::hash_secret;
use evergrant::server::domain::Secret;
use evergrant::server::store::{ClerkEvent, ClerkOrg, NewInvitation};

use super::check::{Case, act};
use super::stage::{Person, Stage, post};
use crate::http::second_factor::Factor;

pub async fn case(stage: &Stage, action: Action) -> Case {
    let ann = stage.owner(action).await;
    let (email, anns) = (ann.email.clone(), Rc::clone(&ann.browser));
    let by_ann = |detail: &[(&'static str, &str)], act| Case::of(&email, detail, act);
    match action {
        Action::InvitationCreated => {
            let detail = [("role", "admin"), ("for", "eve@example.com")];
            let form = [("role", "admin"), ("email", "eve@example.com")];
            by_ann(&detail, post(&anns, "/api/members/invite", &form))
        }
        Action::InvitationRevoked => {
            let new = NewInvitation { role: Role::Member, hash: "hash", email: None, by_mail: false };
            let id = stage.web().store.invite(&ann.org, &ann.user, new).await.unwrap();
            let form = [("invitation_id", id.as_str())];
            by_ann(&[("role", "member")], post(&anns, "/api/members/revoke-invitation", &form))
        }
        Action::MemberJoined => {
            let hash = hash_secret(&Secret::new("audit-invitation"));
            let new = NewInvitation { role: Role::Member, hash: &hash, email: None, by_mail: false };
            stage.web().store.invite(&ann.org, &ann.user, new).await.unwrap();
            let browser = Rc::new(stage.web().browser());
            browser.set_cookie("evergrant_invited", "audit-invitation");
            let form = [("email", "joined@example.com"), ("password", "another good phrase")];
            Case::of("joined@example.com", &[("role", "member")], post(&browser, "/api/invitations/accept", &form))
        }
        Action::OrganizationCreated => {
            by_ann(&[("name", "Second")], post(&anns, "/api/organizations/create", &[("name", "Second")]))
        }
        Action::OrganizationRenamed => {
            let detail = [("from", "Group organization.renamed"), ("to", "Renamed")];
            by_ann(&detail, post(&anns, "/api/organizations/rename", &[("name", "Renamed")]))
        }
        Action::FactorPolicyChanged => {
            Factor::add(stage.web(), &anns).await;
            let detail = [("required", "yes"), ("days", "7")];
            by_ann(&detail, post(&anns, "/api/organizations/require-factor", &[("days", "7")]))
        }
        // Only Clerk deletes organizations.
        Action::OrganizationDeleted => {
            let store = stage.web().store.clone();
            let org = ClerkOrg { id: "org_1".into(), name: "Harbour".into(), slug: None };
            let at = store.clock().now();
            store.receive_clerk_event("1", at, &ClerkEvent::OrganizationChanged(org)).await.unwrap();
            let event = ClerkEvent::OrganizationDeleted { id: "org_1".into() };
            let delete = act!(store, event; drop(store.receive_clerk_event("2", at + 1, &event).await));
            Case::of("Clerk", &[], delete).at_address(None)
        }
        Action::MemberRoleChanged | Action::MemberRemoved | Action::MemberLeft | Action::OwnershipTransferred => {
            members(stage, action, &ann).await
        }
        _ => api_keys(stage, action, &ann).await,
    }
}

async fn members(stage: &Stage, action: Action, ann: &Person) -> Case {
    let (bob, bobs_email) = stage.member(ann, Role::Member).await;
    let whom = [("user_id", bob.as_str())];
    let by_ann = |detail: &[(&'static str, &str)], act| Case::of(&ann.email, detail, act);
    match action {
        Action::MemberRoleChanged => {
            let detail = [("member", bobs_email.as_str()), ("from", "member"), ("to", "admin")];
            let form = [whom[0], ("role", "admin")];
            by_ann(&detail, post(&ann.browser, "/api/members/set-role", &form))
        }
        Action::MemberRemoved => {
            let detail = [("member", bobs_email.as_str()), ("role", "member")];
            by_ann(&detail, post(&ann.browser, "/api/members/remove", &whom))
        }
        Action::MemberLeft => {
            let bobs = stage.signed_in(&bobs_email).await;
            let detail = [("member", bobs_email.as_str()), ("role", "member")];
            Case::of(&bobs_email, &detail, post(&bobs, "/api/members/leave", &[]))
        }
        Action::OwnershipTransferred => {
            by_ann(&[("to", &bobs_email)], post(&ann.browser, "/api/members/transfer-ownership", &whom))
        }
        other => panic!("{} is of another group", other.as_str()),
    }
}

async fn api_keys(stage: &Stage, action: Action, ann: &Person) -> Case {
    let (id, _) = stage.key(&ann.org).await;
    let key = [("key_id", id.as_str())];
    let by_ann = |detail: &[(&'static str, &str)], act| Case::of(&ann.email, detail, act);
    match action {
        Action::ApiKeyCreated => {
            let form = [("name", "Export"), ("scopes[0]", "bindings:read")];
            let detail = [("name", "Export"), ("scopes", "bindings:read")];
            by_ann(&detail, post(&ann.browser, "/api/api-keys/create", &form))
        }
        Action::ApiKeyRotated => {
            let detail = [("name", "Program"), ("key", ""), ("replaces", ""), ("overlap_seconds", "")];
            by_ann(&detail, post(&ann.browser, "/api/api-keys/rotate", &key))
        }
        Action::ApiKeyPreviousEnded => {
            ann.browser.post("/api/api-keys/rotate", &key).await;
            let end = post(&ann.browser, "/api/api-keys/end-previous", &key);
            by_ann(&[("name", "Program"), ("key", "")], end)
        }
        Action::ApiKeyRenamed => {
            let form = [key[0], ("name", "Renamed")];
            let detail = [("name", "Renamed"), ("before", "Program")];
            by_ann(&detail, post(&ann.browser, "/api/api-keys/rename", &form))
        }
        Action::ApiKeyLimited => {
            let binding = stage.connect(&ann.org, &["harbour"]).await;
            let form = [key[0], ("reach", "chosen"), ("bindings[0]", binding.as_str())];
            let detail = [("name", "Program"), ("connections", "Harbour Coffee"), ("before", "")];
            by_ann(&detail, post(&ann.browser, "/api/api-keys/limit", &form))
        }
        Action::ApiKeyRevoked => by_ann(&[("name", "Program")], post(&ann.browser, "/api/api-keys/revoke", &key)),
        other => panic!("{} is of another group", other.as_str()),
    }
}
