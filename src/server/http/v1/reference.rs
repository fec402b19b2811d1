//! Builds the view of `/api-reference` from the OpenAPI description.

use serde_json::Value;

use super::openapi::build_document;
use crate::model::{FieldView, OperationView, ReferenceView, ResponseView};

/// The methods in the order in which a reader expects them.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Returns the content of the page for a server at `origin`.
pub fn reference(origin: &str) -> ReferenceView {
    // The document contains strings and numbers only, so serializing can't fail.
    let document = serde_json::to_value(build_document(origin)).unwrap_or_default();
    let operations = entries(&document["paths"]).flat_map(|(path, item)| operations_of(&document, path, item));
    ReferenceView {
        version: text(&document["info"]["version"]),
        about: text(&document["info"]["description"]),
        key: text(&document["components"]["securitySchemes"]["apiKey"]["description"]),
        operations: operations.collect(),
    }
}

/// Returns the operations of one path. Those that differ in their method and scope alone are one.
fn operations_of(document: &Value, path: &str, item: &Value) -> Vec<OperationView> {
    let mut operations: Vec<OperationView> = Vec::new();
    for (method, operation) in METHODS.iter().filter_map(|method| Some((method, item.get(method)?))) {
        let view = operation_view(document, path, method, operation);
        match operations.last_mut().filter(|last| last.summary == view.summary) {
            Some(last) => {
                last.method = format!("{}, {}", last.method, view.method);
                last.scopes.extend(view.scopes);
                last.scopes.sort();
                last.scopes.dedup();
            }
            None => operations.push(view),
        }
    }
    operations
}

fn operation_view(document: &Value, path: &str, method: &str, operation: &Value) -> OperationView {
    let good = &operation["responses"]["200"]["content"]["application/json"];
    let scopes = &operation["security"][0]["apiKey"];
    OperationView {
        id: text(&operation["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        description: text(&operation["description"]),
        scopes: items(scopes).map(text).collect(),
        parameters: items(&operation["parameters"]).map(|one| field(&one["name"], &one["schema"], one)).collect(),
        sample: text(&operation["x-codeSamples"][0]["source"]),
        example: good.get("example").map(|example| format!("{example:#}")).unwrap_or_default(),
        fields: fields(document, &good["schema"], ""),
        answers: entries(&operation["responses"]).map(|(status, answer)| response_view(status, answer)).collect(),
    }
}

fn response_view(status: &str, answer: &Value) -> ResponseView {
    let headers = entries(&answer["headers"]).map(|(name, one)| field(&Value::from(name), &one["schema"], one));
    ResponseView { status: status.to_owned(), description: text(&answer["description"]), headers: headers.collect() }
}

/// Lists an object's fields, the fields of its objects and those of its items, each with its path from the root.
fn fields(document: &Value, schema: &Value, at: &str) -> Vec<FieldView> {
    let schema = resolve_ref(document, schema);
    let required: Vec<_> = items(&schema["required"]).map(text).collect();
    let mut all = Vec::new();
    for (name, one) in entries(&schema["properties"]) {
        let path = format!("{at}{name}");
        let shown = field(&Value::from(path.as_str()), one, one);
        all.push(FieldView { required: required.iter().any(|needed| needed == name), ..shown });
        all.extend(fields(document, &one["items"], &format!("{path}[].")));
        all.extend(fields(document, one, &format!("{path}.")));
    }
    all
}

fn field(name: &Value, schema: &Value, described: &Value) -> FieldView {
    FieldView {
        name: text(name),
        kind: type_name(schema),
        required: described["required"] == true,
        description: text(&described["description"]),
    }
}

fn type_name(schema: &Value) -> String {
    let words: Vec<_> = items(&schema["enum"]).map(text).collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    let types = [&schema["type"], &schema["type"][0]].into_iter().find_map(Value::as_str);
    let kind = match types.unwrap_or_default() {
        "integer" => "whole number",
        "string" => "text",
        "array" => "list",
        _ => "object",
    };
    let bounds = (schema["minimum"].as_i64(), schema["maximum"].as_i64(), schema["default"].as_i64());
    match bounds {
        (Some(least), Some(most), Some(usual)) => {
            format!("{kind} from {least} to {most}, {usual} by default")
        }
        _ => kind.to_owned(),
    }
}

/// Resolves a `$ref` within the document.
fn resolve_ref<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = schema["$ref"].as_str().and_then(|place| place.strip_prefix('#'));
    pointer.and_then(|place| document.pointer(place)).unwrap_or(schema)
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, one)| (name.as_str(), one))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_has_every_operation_with_fields_and_an_example() {
        let view = reference("https://evergrant.example.com");
        let calls: Vec<_> = view.operations.iter().map(|one| (one.method.as_str(), one.path.as_str())).collect();
        let [list, .., token, xero, _, _, _, _, _events, import] = &view.operations[..] else { panic!("{calls:?}") };
        let expected = [
            ("GET", "/api/v1/bindings"),
            ("GET", "/api/v1/bindings/{id}"),
            ("PATCH", "/api/v1/bindings/{id}"),
            ("DELETE", "/api/v1/bindings/{id}"),
            ("POST", "/api/v1/bindings/{id}/refresh"),
            ("GET", "/api/v1/bindings/{id}/token"),
            ("GET, POST, PUT, PATCH, DELETE", "/api/v1/bindings/{id}/xero/{path}"),
            ("GET", "/api/v1/connect-links"),
            ("POST", "/api/v1/connect-links"),
            ("GET", "/api/v1/connect-links/{id}"),
            ("DELETE", "/api/v1/connect-links/{id}"),
            ("GET", "/api/v1/events"),
            ("POST", "/api/v1/import"),
        ];
        assert_eq!(calls, expected);
        assert!(import.scopes == ["import:write"] && import.example.contains("\"outcome\": \"imported\""));
        assert!(xero.scopes == ["xero:read", "xero:write"] && xero.example.is_empty() && !xero.sample.contains("-X"));
        let status = list.fields.iter().find(|field| field.name == "bindings[].status").unwrap();
        assert!(status.kind.contains("needs_reauth") && status.required && !status.description.is_empty());
        assert!(list.example.contains("\"tenantName\": \"Harbour Coffee\""), "{}", list.example);
        let min_ttl = token.parameters.iter().find(|one| one.name == "min_ttl").unwrap();
        assert_eq!(min_ttl.kind, "whole number from 0 to 1800, 300 by default");
        let warning = token.fields.iter().find(|field| field.name == "warning").unwrap();
        assert!(!warning.required && warning.kind == "text", "{warning:?}");
        let busy = token.answers.iter().find(|one| one.status == "429").unwrap();
        assert_eq!(busy.headers[0].name, "Retry-After");
        assert!(token.sample.starts_with("curl ") && token.scopes == ["tokens:read"]);
    }
}
