//! `/api/v1/events`: programs that can't receive webhooks read every event once, in order.

use evergrant::model::{OrgId, Scope};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::bindings_api::{Program, connected, read};
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;
use crate::support::wait::{MAX_WAIT, eventually};

async fn events(program: &Program, query: &str) -> Value {
    let url = format!("{}/api/v1/events{query}", program.base);
    let (status, list) = read(program.client.get(url).bearer_auth(&program.key).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{list}");
    list
}

fn types(list: &Value) -> Vec<&str> {
    list["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// Waits until the server has put `count` events into the feed of `org`.
async fn wait_for_events(server: &TestServer, org: &OrgId, count: usize) {
    eventually("the events in the feed", MAX_WAIT, async || {
        server.store.events_after(org, &Default::default(), 0, 500).await.unwrap().len() == count
    })
    .await;
}

#[apply(each_database!)]
async fn program_reads_each_event_once_with_the_labels_of_its_time(database: TestDatabase) {
    let (server, org, ids) = connected(database).await;
    let program = Program::of(&server, &org, Scope::ALL).await;
    program.patch(&ids[0], json!({ "externalId": "cust 1", "tags": ["gold"] })).await;
    wait_for_events(&server, &org, 3).await;
    let first = events(&program, "?limit=2").await;
    assert_eq!((types(&first), &first["hasMore"]), (vec!["connection.created"; 2], &json!(true)));
    let rest = events(&program, &format!("?cursor={}", first["nextCursor"].as_str().unwrap())).await;
    assert_eq!((types(&rest), &rest["hasMore"]), (vec!["connection.created"], &json!(false)));

    program.send(Method::DELETE, &format!("/{}", ids[0])).await;
    program.patch(&ids[0], json!({ "externalId": null, "tags": [] })).await;
    wait_for_events(&server, &org, 4).await;
    let cursor = rest["nextCursor"].as_str().unwrap();
    let new = events(&program, &format!("?cursor={cursor}")).await;
    assert_eq!(types(&new), ["connection.disconnected"]);
    let connection = &new["events"][0]["data"]["connection"];
    assert_eq!((&connection["id"], &connection["externalId"]), (&json!(ids[0]), &json!("cust 1")));
    assert_eq!(connection["tags"], json!(["gold"]));
    let none = events(&program, &format!("?cursor={}", new["nextCursor"].as_str().unwrap())).await;
    assert_eq!((types(&none), &none["nextCursor"]), (vec![], &new["nextCursor"]), "it continues from there");

    let of_one = events(&program, &format!("?bindingId={}&type=connection.created", ids[1])).await;
    assert_eq!(types(&of_one), ["connection.created"]);
    assert_eq!(of_one["events"][0]["data"]["connection"]["id"], json!(ids[1]));
}

#[apply(each_database!)]
async fn feed_is_the_organizations_own_and_refuses_what_it_does_not_know(database: TestDatabase) {
    let (server, org, _) = connected(database).await;
    wait_for_events(&server, &org, 3).await;
    let other = server.add_user("bo@example.com", "Southerly").await.org.unwrap().0;
    let stranger = Program::of(&server, &other, &[Scope::EventsRead]).await;
    assert_eq!(types(&events(&stranger, "").await), Vec::<&str>::new());
    let reader = Program::of(&server, &org, &[Scope::BindingsRead]).await;
    let call = async |program: &Program, query: &str| {
        let url = format!("{}/api/v1/events{query}", program.base);
        read(program.client.get(url).bearer_auth(&program.key).send().await.unwrap()).await
    };
    let (status, problem) = call(&reader, "").await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("missing-scope")));
    // The last one is well formed, but of a database with more events: e:99.
    for wrong in ["?cursor=x", "?type=gone", "?limit=0", "?colour=red", "?cursor=ZTo5OQ"] {
        let (status, problem) = call(&stranger, wrong).await;
        let expected = (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid-argument"));
        assert_eq!((status, &problem["code"]), expected, "{wrong}");
    }
}
