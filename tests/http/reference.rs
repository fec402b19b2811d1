//! What is said of the API (its OpenAPI document, its page and the README's samples) runs, and is answered as it says.

use std::ffi::OsStr;

use evergrant::model::Scope;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::process::Command;

use super::programs::Program;
use crate::support::app::{App, HTML};

const README: &str = include_str!("../../README.md");

/// Runs a program beside the server, which shares this test's thread.
async fn run(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let said = Command::new(program).args(arguments.iter().map(OsStr::new)).envs(variables.iter().copied()).output();
    let said = said.await.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(said.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

/// Every difference between a value and what its schema says, by its place.
fn differences(document: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let schema = match schema["$ref"].as_str() {
        Some(way) => document.pointer(way.strip_prefix('#').unwrap()).unwrap(),
        None => schema,
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let kind = match value {
        Value::String(_) => "string",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        _ => "null",
    };
    if !kinds.contains(&kind) {
        return vec![format!("{place} is {kind}, not {kinds:?}")];
    }
    let mut found = Vec::new();
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{place} is {value}"));
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(differences(document, &schema["items"], item, &format!("{place}[{at}]")));
    }
    if let Some(fields) = value.as_object() {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        found.extend(
            required.filter(|name| !fields.contains_key(*name)).map(|name| format!("{place}.{name} is missing")),
        );
        for (name, one) in fields {
            match &schema["properties"][name] {
                Value::Null => found.push(format!("{place}.{name} isn't described")),
                schema => found.extend(differences(document, schema, one, &format!("{place}.{name}"))),
            }
        }
    }
    found
}

#[tokio::test]
async fn the_documents_examples_run_and_every_answer_is_as_it_says() {
    for app in App::each().await {
        let document = app.client.get(format!("{}/api/openapi.json", app.base)).send().await.unwrap();
        assert_eq!(document.headers()[CONTENT_TYPE], "application/json");
        let document: Value = document.json().await.unwrap();
        assert_eq!((&document["openapi"], &document["servers"][0]["url"]), (&"3.1.0".into(), &app.base.clone().into()));
        let program = Program::of(&app, "Harbour Group", Scope::ALL).await;
        let binding = program.connection().await["id"].as_str().unwrap().to_owned();
        let variables = [("EVERGRANT_KEY", program.key.as_str()), ("BINDING", binding.as_str())];
        let mut ran = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            let call = &item["get"];
            let good = &call["responses"]["200"]["content"]["application/json"];
            let example = differences(&document, &good["schema"], &good["example"], "example");
            assert!(example.is_empty(), "{path}: {example:?}");
            let sample = call["x-codeSamples"][0]["source"].as_str().unwrap();
            let answer =
                run("sh", &["-c", &format!("{sample} --silent --show-error --fail-with-body")], &variables).await;
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let real = differences(&document, &good["schema"], &answer, "answer");
            assert!(real.is_empty(), "{path}: {real:?}");

            // Each problem's example is a problem, and a real one is described in every field.
            for (status, answer) in call["responses"].as_object().unwrap() {
                let content = &answer["content"]["application/problem+json"];
                for (code, example) in content["examples"].as_object().into_iter().flatten() {
                    let wrong = differences(&document, &content["schema"], &example["value"], code);
                    assert!(wrong.is_empty(), "{path} {status}: {wrong:?}");
                    assert_eq!(example["value"]["status"].to_string(), *status, "{path}: {code}");
                }
            }
            let nobody = app.client.get(format!("{}{path}", app.base)).send().await.unwrap();
            assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
            let problem: Value = nobody.json().await.unwrap();
            let schema = &call["responses"]["401"]["content"]["application/problem+json"]["schema"];
            let wrong = differences(&document, schema, &problem, "problem");
            assert!(wrong.is_empty(), "{path}: {wrong:?}");
            ran += 1;
        }
        assert_eq!(ran, 2, "both calls");
    }
}

#[tokio::test]
async fn the_page_describes_every_call_to_anybody() {
    let app = App::each().await.remove(0);
    let page = app.client.get(format!("{}/api-reference", app.base)).header("accept", HTML).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.unwrap();
    for said in ["List the connections", "/api/v1/bindings/{id}/token", "no-such-connection", "min_ttl", "curl -H"] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("//cdn") && !page.contains("src=\"http"), "something from elsewhere");
}

/// The indented block after a line of the README's that ends like this.
fn block(after: &str) -> String {
    let start = README.find(after).unwrap_or_else(|| panic!("the README says {after:?}")) + after.len();
    let lines = README[start..].lines().skip_while(|line| line.is_empty());
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.map(|line| line.strip_prefix("    ").unwrap_or(line)).collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// The README's Rust, word for word.
async fn as_in_the_readme(
    evergrant: &str,
    xero: &str,
    id: &str,
    key: &str,
) -> Result<reqwest::Response, Box<dyn std::error::Error>> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    // From here
    let url = format!("{evergrant}/api/v1/bindings/{id}/token?min_ttl=300");
    let answer = client.get(url).bearer_auth(key).send().await?.error_for_status()?;
    let token: serde_json::Value = answer.json().await?;
    let organisation = client
        .get(format!("{xero}/api.xro/2.0/Organisation"))
        .bearer_auth(token["accessToken"].as_str().unwrap_or_default())
        .header("xero-tenant-id", token["tenantId"].as_str().unwrap_or_default())
        .header("accept", "application/json")
        .send()
        .await?;
    // to here.
    Ok(organisation)
}

#[tokio::test]
async fn the_readmes_samples_run() {
    let app = App::each().await.remove(0);
    let program = Program::of(&app, "Harbour Group", Scope::ALL).await;
    let (key, xero) = (program.key.as_str(), format!("{}/sandbox/xero", app.base));
    let connection = program.connection().await;
    let (id, name) = (connection["id"].as_str().unwrap(), connection["tenantName"].as_str().unwrap());

    let variables = [("EVERGRANT", app.base.as_str()), ("EVERGRANT_KEY", key), ("BINDING", id)];
    let shell = block("says the same to programs.");
    let asked: Vec<_> = shell.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(asked.len(), 2, "{shell}");
    let list = run("sh", &["-c", &format!("{} --silent --fail", asked[0])], &variables).await;
    assert!(list.contains(id), "{list}");
    let token = run("sh", &["-c", &format!("{} --silent --fail", asked[1])], &variables).await;
    assert!(token.contains("accessToken"), "{token}");

    let rust = block("is `https://api.xero.com`:");
    let here = include_str!("reference.rs");
    let here = &here[here.find("    // From here\n").unwrap()..here.find("    // to here.\n").unwrap()];
    let here: Vec<_> = here.lines().skip(1).map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    assert_eq!(rust, here.join("\n"), "the README's Rust is this file's");
    let organisation = as_in_the_readme(&app.base, &xero, id, key).await.unwrap();
    assert!(organisation.text().await.unwrap().contains(name));

    let variables = [("evergrant", app.base.as_str()), ("xero", &xero), ("id", id), ("key", key)];
    let script = format!(
        "const {{ evergrant, xero, id, key }} = process.env;\n{}\nconsole.log(await organisation.text());",
        block("In TypeScript:")
    );
    let organisation = run("node", &["--input-type=module", "--eval", &script], &variables).await;
    assert!(organisation.contains(name), "{organisation}");
}
