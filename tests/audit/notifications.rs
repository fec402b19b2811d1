//! Webhooks, their deliveries, and who gets email.

use std::rc::Rc;

use evergrant::model::Action;
use sqlx::Row as _;

use super::check::Case;
use super::stage::{Stage, post};

/// Nothing listens there.
const ADDRESS: &str = "http://127.0.0.1:9/hook";

pub async fn case(stage: &Stage, action: Action) -> Case {
    let ann = stage.owner(action).await;
    let (email, anns) = (ann.email.clone(), Rc::clone(&ann.browser));
    let by_ann = |detail: &[(&'static str, &str)], act| Case::of(&email, detail, act);
    let add = post(&anns, "/api/notifications/webhooks/add", &[("url", ADDRESS)]);
    if action == Action::WebhookAdded {
        return by_ann(&[("host", "127.0.0.1")], add);
    }
    if action == Action::MailChanged {
        let form = [("user_id", ann.user.as_str()), ("on", "false")];
        return by_ann(&[("now", "off")], post(&anns, "/api/notifications/mail", &form));
    }
    add().await;
    let pool = stage.web().store.database().pool();
    let id = async |table: &str| {
        let select = sqlx::AssertSqlSafe(format!("SELECT id FROM {table} WHERE org_id = $1"));
        sqlx::query(select).bind(ann.org.as_str()).fetch_one(pool).await.unwrap().get::<String, _>(0)
    };
    let endpoint = id("webhook_endpoints").await;
    let webhook = [("endpoint_id", endpoint.as_str())];
    match action {
        Action::WebhookChanged => {
            let form = [webhook[0], ("enabled", "false")];
            by_ann(&[("now", "off")], post(&anns, "/api/notifications/webhooks/set", &form))
        }
        Action::WebhookEventsChosen => {
            let form = [webhook[0], ("kinds[0]", "connection.created")];
            let choose = post(&anns, "/api/notifications/webhooks/events", &form);
            by_ann(&[("events", "connection.created")], choose)
        }
        Action::WebhookSecretRotated => by_ann(&[], post(&anns, "/api/notifications/webhooks/rotate", &webhook)),
        Action::WebhookRemoved => by_ann(&[], post(&anns, "/api/notifications/webhooks/remove", &webhook)),
        Action::DeliveryResent => {
            anns.post("/api/notifications/webhooks/test", &webhook).await;
            let form = [("delivery_id", id("deliveries").await)];
            let form = [(form[0].0, form[0].1.as_str())];
            let resend = post(&anns, "/api/notifications/webhooks/resend", &form);
            by_ann(&[("event", "notifications.test"), ("event_id", "")], resend)
        }
        other => panic!("{} is of another group", other.as_str()),
    }
}
