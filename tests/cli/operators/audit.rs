//! The audited actions of the command line, done as `tests/audit` does all others.

use std::rc::Rc;

use age::x25519::Identity;
use evergrant::model::Action;
use evergrant::server::auth::LocalAuth;
use evergrant::server::domain::Secret;
use evergrant::server::store::UserOrg;

use super::OperatorEnv;
use super::encryption_keys::{KEYS_FROM_FILE, env_with_key_file};
use super::rescue::{connect_ended_grant, mint_refresh_token};
use crate::audit::check::{Case, act, check, is_blocked};
use crate::audit::{Group, actions_of};
use crate::support::databases::TestDatabase;
use crate::support::wait;

const PASSWORD: &str = "correct horse battery";

async fn case(env: &Rc<OperatorEnv>, action: Action) -> Case {
    let email = format!("{}@example.com", action.as_str());
    let auth = LocalAuth::new(env.store.clone()).unwrap();
    let org = UserOrg::New(action.as_str());
    let user = auth.add_user(&email, Secret::new(PASSWORD), Some(org)).await.unwrap().user;
    let by_operator = |detail: &[(&'static str, &str)], act| Case::of("operator", detail, act).at_address(Some("cli"));
    let command = |name: &'static str| {
        let (env, email) = (Rc::clone(env), email.clone());
        act!(env, email; env.run(&["user", name, "--email", &email]).await)
    };
    let about = [("member", email.as_str())];
    match action {
        Action::AccountDisabled => by_operator(&about, command("disable")),
        Action::AccountEnabled => {
            _ = env.store.disable_user(&user).await.unwrap();
            by_operator(&about, command("enable"))
        }
        Action::AccountDeleted => {
            let alone = auth.add_user("alone@example.com", Secret::new(PASSWORD), None).await.unwrap();
            env.store
                .add_member(&org_of(env, action).await, &alone.user, evergrant::model::Role::Member)
                .await
                .unwrap();
            let delete = act!(env; env.run(&["user", "delete", "--email", "alone@example.com"]).await);
            by_operator(&[("member", "alone@example.com")], delete)
        }
        Action::GrantExported => {
            let shop = env.connect("Harbour Group", &["harbour"], 600).await;
            let (grant, recipient) = (shop.grant.0.clone(), Identity::generate().to_public().to_string());
            let to = recipient.clone();
            let export = act!(env, to; {
                let is_blocked = is_blocked(env.store.database()).await;
                let arguments = ["export", "--yes", "--allow-shared-users", "--org", "Harbour Group", "--to", &to];
                // The file on its standard output is no text.
                let done = wait::run(env.command(&arguments, &[])).await;
                assert_eq!(done.status.code(), Some(i32::from(is_blocked)), "{}", String::from_utf8_lossy(&done.stderr));
            });
            by_operator(&[("connection", "Harbour Coffee"), ("grant", &grant), ("recipient", &recipient)], export)
        }
        Action::GrantRescued => {
            let shop = connect_ended_grant(env).await;
            let grant = shop.grant.0.clone();
            let rescue = act!(env, grant; {
                let token = mint_refresh_token(&env, "mere", "southerly").await;
                let arguments = ["grants", "rescue", "--grant", &grant];
                let is_blocked = is_blocked(env.store.database()).await;
                let done = env.run_with_input(&arguments, &format!("{token}\n")).await;
                assert_eq!(done.code, Some(i32::from(is_blocked)), "{}", done.combined);
            });
            by_operator(&[], rescue)
        }
        Action::KeyRotated => by_operator(&[("key", "")], rotate(env, &[])),
        Action::KeyRetired => by_operator(&[("key", "")], rotate(env, &["--retire"])).after(rotate(env, &[])),
        other => panic!("{} is of another group", other.as_str()),
    }
}

async fn org_of(env: &OperatorEnv, action: Action) -> evergrant::model::OrgId {
    env.store.database().org_summaries(Some(action.as_str()), None).await.unwrap().pop().unwrap().id
}

/// Rotates or retires keys. The command must fail while its event can't be written.
fn rotate(env: &Rc<OperatorEnv>, flags: &'static [&'static str]) -> crate::audit::check::Act {
    act!(env; {
        let is_blocked = is_blocked(env.store.database()).await;
        let arguments = [&["encryption-key", "rotate"], flags].concat();
        let done = env.run_with_settings(&arguments, &[KEYS_FROM_FILE]).await;
        assert_eq!(done.code, Some(i32::from(is_blocked)), "{}", done.combined);
    })
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_by_operators_happen_with_their_audit_event_or_fail_loudly(database: TestDatabase) {
    let env = Rc::new(env_with_key_file(database).await);
    let mut wrong = Vec::new();
    for action in actions_of(Group::Operators) {
        let case = case(&env, action).await;
        wrong.extend(check(env.store.database(), action, case).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
