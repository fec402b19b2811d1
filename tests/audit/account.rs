//! A person's own account: signing in and out, the password, the address, the second factor, and the provider.

use std::rc::Rc;

use evergrant::model::{AccountMessageKind, Action};

use super::check::{Act, Case, act};
use super::stage::{Person, Stage, post, right_password, sign_in};
use crate::http::second_factor::Factor;
use crate::notify::mail_server::MailServer;
use crate::support::browser::Browser;
use crate::support::test_server::PASSWORD;

const NEW_PASSWORD: &str = "another good phrase";

pub async fn case(stage: &Stage, action: Action) -> Case {
    let ann = stage.owner(action).await;
    let (email, anns) = (ann.email.clone(), Rc::clone(&ann.browser));
    let by_ann = |detail: &[(&'static str, &str)], act| Case::of(&email, detail, act);
    match action {
        Action::SignedIn => by_ann(&[], right_password(&Rc::new(stage.web().browser()), &email)),
        Action::SignInRefused => by_ann(&[], sign_in(&Rc::new(stage.web().browser()), &email, "not the password")),
        Action::SignedOut => by_ann(&[], post(&anns, "/api/session/logout", &[])).after(right_password(&anns, &email)),
        Action::SessionsEnded => {
            let other = stage.signed_in(&email).await;
            let end = post(&anns, "/api/account/end-other-sessions", &[]);
            by_ann(&[("sessions", "1")], end).after(right_password(&other, &email))
        }
        Action::PasswordChanged => {
            let form = [("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
            by_ann(&[], post(&anns, "/api/account/change-password", &form))
        }
        Action::PasswordResetRequested => {
            by_ann(&[], send_reset_link(stage, &email).await).sparing(&["account_messages"])
        }
        Action::PasswordReset => {
            let browser = stage.with_link(&ann, AccountMessageKind::ResetPassword, &email).await;
            by_ann(&[], post(&browser, "/api/session/reset", &[("new_password", NEW_PASSWORD)]))
        }
        Action::EmailChangeRequested => {
            let to = format!("new-{email}");
            let form = [("email", to.as_str()), ("current_password", PASSWORD)];
            by_ann(&[("to", &to)], post(&anns, "/api/account/change-email", &form))
        }
        Action::EmailChanged => {
            let to = format!("new-{email}");
            let browser = stage.with_link(&ann, AccountMessageKind::ConfirmEmail, &to).await;
            by_ann(&[("from", &email), ("to", &to)], post(&browser, "/api/session/confirm-email", &[]))
        }
        Action::EmailConfirmed => {
            let unconfirmed = sqlx::query("UPDATE users SET email_unconfirmed_since = 1 WHERE id = $1");
            let pool = stage.web().store.database().pool();
            unconfirmed.bind(ann.user.as_str()).execute(pool).await.unwrap();
            let browser = stage.with_link(&ann, AccountMessageKind::ConfirmEmail, &email).await;
            by_ann(&[], post(&browser, "/api/session/confirm-email", &[]))
        }
        Action::ProfileChanged => {
            by_ann(&[("changed", "name")], post(&anns, "/api/account/set-name", &[("name", "A. Person")]))
        }
        Action::SignInLinked => {
            let oidc = Rc::clone(&stage.oidc);
            let ready = act!(oidc, anns; oidc.sign_in(&anns, "/api/session/oidc?link=1").await);
            let issuer = stage.oidc.issuer().to_owned();
            by_ann(&[("issuer", &issuer)], post(&anns, "/api/account/link-provider", &[])).after(ready)
        }
        Action::SignInUnlinked => {
            stage.oidc.set_person(serde_json::json!({ "sub": "unlinked", "email": email }));
            stage.oidc.sign_in(&anns, "/api/session/oidc?link=1").await;
            anns.post("/api/account/link-provider", &[]).await;
            let issuer = stage.oidc.issuer().to_owned();
            by_ann(&[("issuer", &issuer)], post(&anns, "/api/account/unlink-provider", &[]))
        }
        _ => second_factor(stage, action, &ann).await,
    }
}

async fn second_factor(stage: &Stage, action: Action, ann: &Person) -> Case {
    let (email, anns) = (ann.email.clone(), Rc::clone(&ann.browser));
    let by_ann = |detail: &[(&'static str, &str)], act| Case::of(&email, detail, act);
    if action == Action::FactorAdded {
        anns.post("/api/account/begin-second-factor", &[]).await;
        let code = Factor::pending_code(stage.web(), &anns).await;
        return by_ann(&[], post(&anns, "/api/account/confirm-second-factor", &[("code", &code)]));
    }
    let factor = Factor::add(stage.web(), &anns).await;
    match action {
        // A recovery code that is refused with the change is not used up.
        Action::FactorRemoved => {
            let form = [("code", factor.recovery_codes[0].as_str())];
            by_ann(&[], post(&anns, "/api/account/remove-second-factor", &form))
        }
        Action::RecoveryCodesCreated => by_ann(&[], post(&anns, "/api/account/create-recovery-codes", &[])),
        Action::RecoveryCodeUsed => {
            let phone: Rc<Browser> = Rc::new(stage.web().browser());
            let code = factor.recovery_codes[0].clone();
            let enter = post(&phone, "/api/session/code", &[("code", &code)]);
            by_ann(&[("left", "9")], enter).after(right_password(&phone, &email))
        }
        other => panic!("{} is of another group", other.as_str()),
    }
}

/// The request waits for the mail server, which looks the address up.
async fn send_reset_link(stage: &Stage, email: &str) -> Act {
    let (store, mail) = (stage.web().store.clone(), Rc::new(MailServer::start().await));
    // Those of earlier actions.
    let sent = sqlx::query("UPDATE account_messages SET next_attempt_at = NULL").execute(store.database().pool());
    sent.await.unwrap();
    store.request_password_reset(email, Some("127.0.0.1")).await.unwrap();
    let email = email.to_owned();
    act!(store, mail, email; {
        // A claim of the run before, which failed, has ended.
        let ended = sqlx::query("UPDATE account_messages SET claimed_until = NULL").execute(store.database().pool());
        ended.await.unwrap();
        let is_blocked = super::check::is_blocked(store.database()).await;
        let sent = mail.notifier(&store).send_account_messages().await;
        let links = mail.take_messages().into_iter().filter(|message| message.to == email).count();
        assert_eq!((sent.is_err(), links), if is_blocked { (true, 0) } else { (false, 1) });
    })
}
