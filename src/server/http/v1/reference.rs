//! What `/api-reference` shows: read out of the very description that programs get.

use serde_json::Value;

use super::openapi::described;
use crate::model::{AnswerView, FieldView, OperationView, ReferenceView};

/// The whole page's content.
pub fn reference(origin: &str) -> ReferenceView {
    // Strings and numbers alone, which all have a form in JSON.
    let document = serde_json::to_value(described(origin)).unwrap_or_default();
    let operations = entries(&document["paths"]).flat_map(|(path, item)| {
        entries(item).map(|(method, operation)| one(&document, path, method, operation)).collect::<Vec<_>>()
    });
    ReferenceView {
        version: text(&document["info"]["version"]),
        about: text(&document["info"]["description"]),
        key: text(&document["components"]["securitySchemes"]["apiKey"]["description"]),
        operations: operations.collect(),
    }
}

fn one(document: &Value, path: &str, method: &str, operation: &Value) -> OperationView {
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
        example: format!("{:#}", good["example"]),
        fields: fields(document, &good["schema"], ""),
        answers: entries(&operation["responses"]).map(|(status, answer)| answered(status, answer)).collect(),
    }
}

fn answered(status: &str, answer: &Value) -> AnswerView {
    let headers = entries(&answer["headers"]).map(|(name, one)| field(&Value::from(name), &one["schema"], one));
    AnswerView { status: status.to_owned(), description: text(&answer["description"]), headers: headers.collect() }
}

/// An object's fields with those of what is in them, each by its way from the top.
fn fields(document: &Value, schema: &Value, at: &str) -> Vec<FieldView> {
    let schema = resolved(document, schema);
    let required: Vec<_> = items(&schema["required"]).map(text).collect();
    let mut all = Vec::new();
    for (name, one) in entries(&schema["properties"]) {
        let way = format!("{at}{name}");
        let shown = field(&Value::from(way.as_str()), one, one);
        all.push(FieldView { required: required.iter().any(|needed| needed == name), ..shown });
        all.extend(fields(document, &one["items"], &format!("{way}[].")));
    }
    all
}

fn field(name: &Value, schema: &Value, described: &Value) -> FieldView {
    FieldView {
        name: text(name),
        kind: kind(schema),
        required: described["required"] == true,
        description: text(&described["description"]),
    }
}

fn kind(schema: &Value) -> String {
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
            format!("{kind} from {least} to {most}, {usual} unless said otherwise")
        }
        _ => kind.to_owned(),
    }
}

/// What a reference leads to.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let place = schema["$ref"].as_str().and_then(|place| place.strip_prefix('#'));
    place.and_then(|place| document.pointer(place)).unwrap_or(schema)
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
    fn the_page_has_every_call_with_its_fields_and_an_example() {
        let view = reference("https://evergrant.example.com");
        let calls: Vec<_> = view.operations.iter().map(|one| (one.method.as_str(), one.path.as_str())).collect();
        assert_eq!(calls, [("GET", "/api/v1/bindings"), ("GET", "/api/v1/bindings/{id}/token")]);
        let [list, token] = &view.operations[..] else { panic!("{calls:?}") };
        let status = list.fields.iter().find(|field| field.name == "bindings[].status").unwrap();
        assert!(status.kind.contains("needs_reauth") && status.required && !status.description.is_empty());
        assert!(list.example.contains("\"tenantName\": \"Harbour Coffee\""), "{}", list.example);
        let min_ttl = token.parameters.iter().find(|one| one.name == "min_ttl").unwrap();
        assert_eq!(min_ttl.kind, "whole number from 0 to 1800, 300 unless said otherwise");
        let warning = token.fields.iter().find(|field| field.name == "warning").unwrap();
        assert!(!warning.required && warning.kind == "text", "{warning:?}");
        let busy = token.answers.iter().find(|one| one.status == "429").unwrap();
        assert_eq!(busy.headers[0].name, "Retry-After");
        assert!(token.sample.starts_with("curl ") && token.scopes == ["tokens:read"]);
    }
}
