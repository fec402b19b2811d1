//! POSTs with an `Idempotency-Key`.

use axum::http::StatusCode;
use evergrant::model::{Scope, paths};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::bindings_api::{Program, connected};
use crate::support::databases::TestDatabase;

async fn import(program: &Program, key: &str, token: &str) -> Response {
    let body = json!({ "oldSystemStopped": true, "rows": [{ "refreshToken": token }] });
    let call = program.client.post(format!("{}{}", program.base, paths::V1_IMPORT)).bearer_auth(&program.key);
    call.header("idempotency-key", key).json(&body).send().await.unwrap()
}

fn is_replay(response: &Response) -> bool {
    response.headers().get("idempotency-replayed").is_some_and(|value| value == "true")
}

#[apply(each_database!)]
async fn repeated_post_gets_the_first_response_and_another_body_is_refused(database: TestDatabase) {
    let db = database.name;
    let (server, org, ids) = connected(database).await;
    let program = Program::of(&server, &org, Scope::ALL).await;
    let first = import(&program, "one", "unknown").await;
    assert!(first.status() == StatusCode::OK && !is_replay(&first), "{db}");
    let first: Value = first.json().await.unwrap();
    let attempts = "SELECT COUNT(*) FROM idempotent_calls WHERE answer_enc LIKE 'v1.%' AND claimed_by IS NULL";
    let row = sqlx::query_scalar::<_, i64>(attempts).fetch_one(server.store.database().pool()).await.unwrap();
    assert_eq!(row, 1, "{db}: the response is kept, sealed");

    let again = import(&program, "one", "unknown").await;
    assert!(again.status() == StatusCode::OK && is_replay(&again), "{db}");
    assert!(again.headers().contains_key("ratelimit-remaining"), "{db}: it counts");
    assert_eq!(again.json::<Value>().await.unwrap(), first, "{db}");
    let other = import(&program, "one", "another").await;
    assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY, "{db}");
    assert_eq!(other.json::<Value>().await.unwrap()["code"], "idempotency-key-reused", "{db}");
    let elsewhere = Program::of(&server, &org, Scope::ALL).await;
    assert!(!is_replay(&import(&elsewhere, "one", "another").await), "{db}: another API key's calls are its own");
    let blank = import(&program, "a b", "unknown").await;
    assert_eq!(blank.status(), StatusCode::UNPROCESSABLE_ENTITY, "{db}");

    // A GET and a call that was refused are not kept.
    let path = format!("/{}/refresh", ids[0]);
    let refused = Program::of(&server, &org, &[Scope::BindingsRead]).await;
    for _ in 0..2 {
        let request = refused.request(Method::POST, &path).header("idempotency-key", "two");
        let response = request.send().await.unwrap();
        assert!(response.status() == StatusCode::FORBIDDEN && !is_replay(&response), "{db}");
        let list = program.request(Method::GET, "").header("idempotency-key", "one").send().await.unwrap();
        assert!(list.status() == StatusCode::OK && !is_replay(&list), "{db}");
    }
    server.advance(24 * 60 * 60);
    assert!(!is_replay(&import(&program, "one", "another").await), "{db}: a day later it is a new call");
    server.stop().await;
}

#[apply(each_database!)]
async fn call_that_is_running_is_not_started_again(database: TestDatabase) {
    let db = database.name;
    let (server, org, _) = connected(database).await;
    let program = Program::of(&server, &org, Scope::ALL).await;
    assert_eq!(import(&program, "one", "unknown").await.status(), StatusCode::OK, "{db}");
    // As if another instance were still running it.
    let running = "UPDATE idempotent_calls SET answer_enc = '', claimed_by = 'other', claimed_until = $1";
    let pool = server.store.database().pool();
    sqlx::query(running).bind(server.store.clock().now() + 100).execute(pool).await.unwrap();
    let second = import(&program, "one", "unknown").await;
    assert_eq!(
        (second.status(), second.headers()["retry-after"].to_str().unwrap()),
        (StatusCode::CONFLICT, "5"),
        "{db}"
    );
    assert_eq!(second.json::<Value>().await.unwrap()["code"], "idempotency-in-progress", "{db}");
    server.advance(100);
    let taken_over = import(&program, "one", "unknown").await;
    assert!(taken_over.status() == StatusCode::OK && !is_replay(&taken_over), "{db}: the other one died");
    assert!(is_replay(&import(&program, "one", "unknown").await), "{db}");
    server.stop().await;
}
