//! Each audited action is done twice: while the audit table accepts no row, when its change must not happen, and
//! afterwards, when its event must name actor, address and details. The actions come from the enum.

mod account;
pub mod check;
mod connections;
mod notifications;
mod organization;
mod stage;

use evergrant::model::Action;

use self::check::{Act, Case, check};
use self::stage::Stage;
use crate::support::databases::TestDatabase;

/// Which file does the action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Group {
    Account,
    Organization,
    Connections,
    Notifications,
    /// `tests/cli/operators/audit.rs`, with the binary.
    Operators,
}

/// Returns which file does the action. A new action needs a line here, and a case there.
pub fn group_of(action: Action) -> Group {
    use Action::*;
    match action {
        SignedIn
        | SignInRefused
        | SignedOut
        | SessionsEnded
        | PasswordChanged
        | PasswordResetRequested
        | PasswordReset
        | EmailChangeRequested
        | EmailChanged
        | EmailConfirmed
        | ProfileChanged
        | FactorAdded
        | FactorRemoved
        | RecoveryCodeUsed
        | RecoveryCodesCreated
        | SignInLinked
        | SignInUnlinked => Group::Account,
        ApiKeyCreated | ApiKeyLimited | ApiKeyRotated | ApiKeyPreviousEnded | ApiKeyRenamed | ApiKeyRevoked
        | InvitationCreated | InvitationRevoked | MemberJoined | MemberRoleChanged | MemberRemoved | MemberLeft
        | OrganizationCreated | OrganizationRenamed | FactorPolicyChanged | OrganizationDeleted
        | OwnershipTransferred => Group::Organization,
        GrantConnected | GrantReconnected | GrantDisconnected | ConnectionKept | ConnectionLabeled
        | ConnectionTested | ContactsChanged | ContactUnsubscribed | ConnectLinkCreated | ConnectLinkCancelled
        | ConnectLinkStarted | ConnectLinkUsed | ScopesRefused | ReturnUrlsChanged | GrantRecovered | TokenVended
        | TokensVended | XeroCalled => Group::Connections,
        WebhookAdded | WebhookChanged | WebhookEventsChosen | DeliveryResent | WebhookSecretRotated
        | WebhookRemoved | MailChanged => Group::Notifications,
        GrantExported | GrantRescued | AccountDisabled | AccountEnabled | AccountDeleted | KeyRotated | KeyRetired => {
            Group::Operators
        }
    }
}

/// Returns whether the action's event is written in the transaction of its change. The others are written beside it.
pub fn is_recorded_with_its_change(action: Action) -> bool {
    match action {
        // Nothing changes, and the response must take no longer for an address that has an account.
        Action::SignInRefused => false,
        // A program gets its token although the table is locked; the event is kept in memory until it is written.
        Action::TokenVended | Action::TokensVended => false,
        // The key ring is a file, which no transaction covers; the command fails and says so.
        Action::KeyRotated | Action::KeyRetired => false,
        // Xero has rotated the token by then, so the spool commits it; the command fails if it can't record that.
        Action::GrantRescued => false,
        // A token set is committed although the table is locked; the event is kept in memory until it is written.
        Action::GrantRecovered => false,
        _ => true,
    }
}

/// Returns the group's actions.
pub fn actions_of(group: Group) -> Vec<Action> {
    Action::ALL.iter().copied().filter(|action| group_of(*action) == group).collect()
}

async fn check_group(database: TestDatabase, group: Group, case: impl AsyncFn(&Stage, Action) -> Case) {
    let stage = Stage::on(database).await;
    let mut wrong = Vec::new();
    for action in actions_of(group) {
        let case = case(&stage, action).await;
        wrong.extend(check(stage.web().store.database(), action, case).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[apply(each_database!)]
async fn changes_of_an_account_happen_with_their_audit_event_or_not_at_all(database: TestDatabase) {
    check_group(database, Group::Account, account::case).await;
}

#[apply(each_database!)]
async fn changes_of_an_organization_happen_with_their_audit_event_or_not_at_all(database: TestDatabase) {
    check_group(database, Group::Organization, organization::case).await;
}

#[apply(each_database!)]
async fn changes_of_connections_happen_with_their_audit_event_or_not_at_all(database: TestDatabase) {
    check_group(database, Group::Connections, connections::case).await;
}

#[apply(each_database!)]
async fn changes_of_notifications_happen_with_their_audit_event_or_not_at_all(database: TestDatabase) {
    check_group(database, Group::Notifications, notifications::case).await;
}
