//! The API's documentation (OpenAPI document, reference page, README samples) runs and matches the responses.

use crate::support::databases::TestDatabase;
use std::ffi::OsStr;

use evergrant::model::Scope;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::process::Command;

use super::api_v1::ApiClient;
use crate::support::browser::HTML;
use crate::support::demo_server::DemoServer;

const GUIDE: &str = include_str!("../../docs/api.md");
const README: &str = include_str!("../../README.md");

/// Runs a program without blocking the server, which shares this test's thread.
async fn run_program(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new(program).args(arguments.iter().map(OsStr::new)).envs(variables.iter().copied()).output();
    let output = output.await.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns every difference between a value and its schema, with the path to it.
fn schema_differences(document: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
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
        Value::Bool(_) => "boolean",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        _ => "null",
    };
    if !kinds.contains(&kind) {
        return vec![format!("{path} is {kind}, not {kinds:?}")];
    }
    let mut found = Vec::new();
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{path} is {value}"));
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(schema_differences(document, &schema["items"], item, &format!("{path}[{at}]")));
    }
    if let Some(fields) = value.as_object() {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        found.extend(
            required.filter(|name| !fields.contains_key(*name)).map(|name| format!("{path}.{name} is missing")),
        );
        for (name, one) in fields {
            match &schema["properties"][name] {
                Value::Null => found.push(format!("{path}.{name} isn't described")),
                schema => found.extend(schema_differences(document, schema, one, &format!("{path}.{name}"))),
            }
        }
    }
    found
}

#[apply(each_database!)]
async fn openapi_examples_run_and_responses_match_their_schemas(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let document = app.client.get(format!("{}/api/openapi.json", app.base)).send().await.unwrap();
    assert_eq!(document.headers()[CONTENT_TYPE], "application/json");
    let document: Value = document.json().await.unwrap();
    assert_eq!((&document["openapi"], &document["servers"][0]["url"]), (&"3.1.0".into(), &app.base.clone().into()));
    let program = ApiClient::for_org(&app, "Harbour Group", Scope::ALL).await;
    let binding = program.first_connection().await["id"].as_str().unwrap().to_owned();
    let created = app.client.post(format!("{}/api/v1/connect-links", app.base)).bearer_auth(&program.key);
    let created: Value = created.json(&serde_json::json!({})).send().await.unwrap().json().await.unwrap();
    let link = created["id"].as_str().unwrap();
    let variables = [("EVERGRANT_KEY", program.key.as_str()), ("BINDING", binding.as_str()), ("LINK", link)];
    let mut ran = 0;
    let calls = document["paths"].as_object().unwrap().iter().filter_map(|(path, item)| Some((path, item.get("get")?)));
    for (path, call) in calls {
        let good = &call["responses"]["200"]["content"]["application/json"];
        // A response of Xero's is Xero's to describe.
        let is_ours = !path.contains("/xero/");
        if is_ours {
            let example = schema_differences(&document, &good["schema"], &good["example"], "example");
            assert!(example.is_empty(), "{path}: {example:?}");
        }
        let sample = call["x-codeSamples"][0]["source"].as_str().unwrap();
        let answer =
            run_program("sh", &["-c", &format!("{sample} --silent --show-error --fail-with-body")], &variables).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        if is_ours {
            let real = schema_differences(&document, &good["schema"], &answer, "answer");
            assert!(real.is_empty(), "{path}: {real:?}");
        } else {
            assert_eq!(answer["Organisations"][0]["Name"], "Harbour Coffee");
        }

        // The examples of problems match their schema, and so does a real problem.
        for (status, answer) in call["responses"].as_object().unwrap() {
            let content = &answer["content"]["application/problem+json"];
            for (code, example) in content["examples"].as_object().into_iter().flatten() {
                let wrong = schema_differences(&document, &content["schema"], &example["value"], code);
                assert!(wrong.is_empty(), "{path} {status}: {wrong:?}");
                assert_eq!(example["value"]["status"].to_string(), *status, "{path}: {code}");
            }
        }
        let nobody = app.client.get(format!("{}{path}", app.base)).send().await.unwrap();
        assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
        let problem: Value = nobody.json().await.unwrap();
        let schema = &call["responses"]["401"]["content"]["application/problem+json"]["schema"];
        let wrong = schema_differences(&document, schema, &problem, "problem");
        assert!(wrong.is_empty(), "{path}: {wrong:?}");
        ran += 1;
    }
    assert_eq!(ran, 7, "the document has seven calls that read");
}

#[tokio::test]
async fn reference_page_is_public_and_describes_every_call() {
    let app = DemoServer::start(TestDatabase::sqlite()).await;
    let page = app.client.get(format!("{}/api-reference", app.base)).header("accept", HTML).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.unwrap();
    for text in ["List the connections", "/api/v1/bindings/{id}/token", "no-such-connection", "min_ttl", "curl -H"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("//cdn") && !page.contains("src=\"http"), "the page loads external resources");
}

/// Returns the indented block that follows the text `after` in docs/api.md.
fn guide_block(after: &str) -> String {
    let start = GUIDE.find(after).unwrap_or_else(|| panic!("docs/api.md lacks {after:?}")) + after.len();
    let lines = GUIDE[start..].lines().skip_while(|line| line.is_empty());
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.map(|line| line.strip_prefix("    ").unwrap_or(line)).collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// The Rust sample of docs/api.md, verbatim between the two markers.
async fn guide_rust_sample(
    evergrant: &str,
    xero: &str,
    id: &str,
    key: &str,
) -> Result<reqwest::Response, Box<dyn std::error::Error>> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    // Sample: start
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
    // Sample: end
    Ok(organisation)
}

#[tokio::test]
async fn documented_samples_run() {
    let app = DemoServer::start(TestDatabase::sqlite()).await;
    let program = ApiClient::for_org(&app, "Harbour Group", Scope::ALL).await;
    let (key, xero) = (program.key.as_str(), format!("{}/sandbox/xero", app.base));
    let connection = program.first_connection().await;
    let (id, name) = (connection["id"].as_str().unwrap(), connection["tenantName"].as_str().unwrap());

    let variables = [("EVERGRANT", app.base.as_str()), ("EVERGRANT_KEY", key), ("BINDING", id)];
    let texts = ["list the connections:", "behind `/xero/`:", "gets a token first:"];
    let shell = texts.map(guide_block).join("\n");
    let commands: Vec<_> = shell.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(commands.len(), 3, "{shell}");
    assert!(commands.iter().all(|command| README.contains(command)), "README.md shows the same commands");
    let list = run_program("sh", &["-c", &format!("{} --silent --fail", commands[0])], &variables).await;
    assert!(list.contains(id), "{list}");
    let organisation = run_program("sh", &["-c", &format!("{} --silent --fail", commands[1])], &variables).await;
    assert!(organisation.contains(name), "{organisation}");
    let token = run_program("sh", &["-c", &format!("{} --silent --fail", commands[2])], &variables).await;
    assert!(token.contains("accessToken"), "{token}");

    let rust = guide_block("is `https://api.xero.com`:");
    let here = include_str!("reference.rs");
    let here = &here[here.find("    // Sample: start\n").unwrap()..here.find("    // Sample: end\n").unwrap()];
    let here: Vec<_> = here.lines().skip(1).map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    assert_eq!(rust, here.join("\n"), "the Rust sample of docs/api.md differs from this file's");
    let organisation = guide_rust_sample(&app.base, &xero, id, key).await.unwrap();
    assert!(organisation.text().await.unwrap().contains(name));

    let variables = [("evergrant", app.base.as_str()), ("xero", &xero), ("id", id), ("key", key)];
    let script = format!(
        "const {{ evergrant, xero, id, key }} = process.env;\n{}\nconsole.log(await organisation.text());",
        guide_block("In TypeScript:")
    );
    let organisation = run_program("node", &["--input-type=module", "--eval", &script], &variables).await;
    assert!(organisation.contains(name), "{organisation}");
}
