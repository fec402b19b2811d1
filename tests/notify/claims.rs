//! Claims of mails: a claim skips the rows that another instance claims at the same time, and waits for none.

use evergrant::server::domain::Secret;
use evergrant::server::store::{NewUser, UserOrg};

use crate::support::databases::TestDatabase;
use crate::support::locks::HeldLock;
use crate::support::test_service::TestService;

/// A table, and an insert of two rows that are due at `$1` and have a user `$2` or an organization `$3`.
const MAILS: [(&str, &str); 3] = [
    (
        "account_messages",
        "INSERT INTO account_messages (id, kind, user_id, email, created_at, expires_at, next_attempt_at) \
         SELECT id, 'password_changed', $2, 'ann@example.com', $1, $1 + 600, $1 FROM (VALUES ('a'), ('b')) AS ids (id) \
         WHERE $3 <> ''",
    ),
    (
        "account_notices",
        "INSERT INTO account_notices (id, kind, user_id, email, created_at, expires_at, next_attempt_at) \
         SELECT id, 'factor_added', $2, 'ann@example.com', $1, $1 + 600, $1 FROM (VALUES ('a'), ('b')) AS ids (id) \
         WHERE $3 <> ''",
    ),
    (
        "invitations",
        "INSERT INTO invitations (id, org_id, token_hash, role, invited_by, created_at, expires_at, email, mail_due_at) \
         SELECT id, $3, id, 'member', $2, $1, $1 + 600, 'eve@example.com', $1 FROM (VALUES ('a'), ('b')) AS ids (id)",
    ),
];

#[tokio::test]
async fn claim_of_mails_waits_for_none_that_another_instance_is_about_to_claim() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let harness = TestService::start(database).await;
    let (store, now) = (&harness.store, harness.clock.now());
    let org = Some(UserOrg::New("Harbour Group"));
    let new = NewUser { email: "ann@example.com", password_hash: &Secret::new("hash"), org };
    let ann = store.add_user(new).await.unwrap();
    for (table, insert) in MAILS {
        let insert =
            sqlx::query(insert).bind(now).bind(ann.user.as_str()).bind(ann.org.as_ref().map(|(org, _)| org.as_str()));
        insert.execute(store.database().pool()).await.unwrap();
        let lock = HeldLock::on_rows(&harness.database, table, "id = 'a'").await;
        let claim = async || match table {
            "account_messages" => store.claim_account_messages("an instance", now + 60, 100).await.unwrap().len(),
            "account_notices" => store.claim_notices("an instance", now + 60, 100).await.unwrap().len(),
            _ => store.claim_invitation_mails("an instance", now + 60, 100).await.unwrap().len(),
        };
        assert_eq!(claim().await, 1, "{table}: the other one");
        lock.release().await;
        assert_eq!(claim().await, 1, "{table}");
    }
}
