//! The API's description and its routes have the same operations. `access` compares the paths.

use evergrant::model::{Scope, paths};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::bindings_api::Program;
use crate::support::test_server::TestServer;

#[tokio::test]
async fn each_path_answers_exactly_the_methods_that_its_description_has() {
    let server = TestServer::start().await;
    let org = server.add_user("ana@example.com", "Harbour Group").await.org.unwrap().0;
    let program = Program::of(&server, &org, Scope::ALL).await;
    let document = program.client.get(format!("{}{}", server.base, paths::OPENAPI)).send().await.unwrap();
    let document: Value = document.json().await.unwrap();
    let (mut described, mut wrong) = (0, Vec::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        let url = path.replace("{id}", "none").replace("{path}", "api.xro/2.0/Organisation");
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let request = program.client.request(method.clone(), format!("{}{url}", server.base));
            let response = request.bearer_auth(&program.key).send().await.unwrap();
            let is_described = item.get(method.as_str().to_ascii_lowercase()).is_some();
            described += usize::from(is_described);
            if is_described == (response.status() == StatusCode::METHOD_NOT_ALLOWED) {
                wrong.push(format!("{method} {path}: {}", response.status()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(described >= 13, "{described}");
    server.stop().await;
}
