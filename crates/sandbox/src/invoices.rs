//! `/api.xro/2.0/Invoices` and their attachments: what a program reads and writes, kept in memory.

use std::collections::{HashMap, VecDeque};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, IF_MODIFIED_SINCE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::NaiveDateTime;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::accounting::authorize_call;
use crate::faults::Endpoint;
use crate::responses::problem;
use crate::sandbox::Sandbox;

/// Xero's limit on an attachment is 25 MB.
const MAX_ATTACHMENT_BYTES: usize = 25 * 1024 * 1024;
/// How many attachments are kept; the oldest make room.
const MAX_ATTACHMENTS: usize = 8;
/// How many invoices a tenant keeps.
const MAX_INVOICES: usize = 10_000;

const READ_SCOPES: [&str; 4] =
    ["accounting.transactions", "accounting.transactions.read", "accounting.invoices", "accounting.invoices.read"];
const WRITE_SCOPES: [&str; 2] = ["accounting.transactions", "accounting.invoices"];
const READ_ATTACHMENTS_SCOPES: [&str; 2] = ["accounting.attachments", "accounting.attachments.read"];
const WRITE_ATTACHMENTS_SCOPES: [&str; 1] = ["accounting.attachments"];

/// What programs wrote.
#[derive(Default)]
pub(crate) struct Invoices {
    /// By tenant, oldest first, with the time of the last change in unix seconds.
    invoices: HashMap<String, VecDeque<(i64, Value)>>,
    /// The responses to writes, by tenant and `Idempotency-Key`.
    answered: HashMap<(String, String), Value>,
    attachments: VecDeque<Attachment>,
}

struct Attachment {
    tenant_id: String,
    invoice: String,
    name: String,
    content_type: String,
    content: Bytes,
}

pub(crate) fn router() -> Router<Sandbox> {
    Router::new().route("/api.xro/2.0/Invoices", get(list).put(create).post(create)).route(
        "/api.xro/2.0/Invoices/{id}/Attachments/{name}",
        get(download).put(attach).post(attach).layer(DefaultBodyLimit::max(MAX_ATTACHMENT_BYTES)),
    )
}

/// Lists the tenant's invoices: all of them, or those that changed after `If-Modified-Since`.
async fn list(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    let (tenant, _, permit) = match authorize_call(&sandbox, &headers, &READ_SCOPES) {
        Ok(authorized) => authorized,
        Err(refusal) => return refusal,
    };
    let since = headers.get(IF_MODIFIED_SINCE).and_then(|value| unix_seconds(value.to_str().ok()?));
    let work = async {
        let live = sandbox.live();
        let all = live.invoices.invoices.get(tenant.tenant_id).into_iter().flatten();
        let changed = all.filter(|(updated, _)| since.is_none_or(|since| *updated > since));
        let changed: Vec<_> = changed.map(|(_, invoice)| invoice).collect();
        Json(json!({ "Status": "OK", "Invoices": changed })).into_response()
    };
    permit.with_headers(sandbox.with_faults(Endpoint::Invoices, work).await)
}

/// Creates an invoice with the fields of the body, or one for each of its `Invoices` (Xero accepts both). A repeated `Idempotency-Key` gets the first response again.
async fn create(State(sandbox): State<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    let (tenant, _, permit) = match authorize_call(&sandbox, &headers, &WRITE_SCOPES) {
        Ok(authorized) => authorized,
        Err(refusal) => return refusal,
    };
    let work = async {
        let Some(mut created) = invoices_of(&body) else {
            return problem(StatusCode::BAD_REQUEST, "A validation exception occurred");
        };
        let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let key = key.map(|key| (tenant.tenant_id.to_owned(), key));
        let now = sandbox.now();
        let mut live = sandbox.live();
        if let Some(first) = key.as_ref().and_then(|key| live.invoices.answered.get(key)) {
            return Json(first).into_response();
        }
        for invoice in &mut created {
            invoice.insert("InvoiceID".to_owned(), json!(Uuid::new_v4().to_string()));
            invoice.insert("UpdatedDateUTC".to_owned(), json!(format!("/Date({now}000+0000)/")));
        }
        let answer = json!({ "Status": "OK", "Invoices": created });
        let all = live.invoices.invoices.entry(tenant.tenant_id.to_owned()).or_default();
        all.extend(created.into_iter().map(|invoice| (now, Value::Object(invoice))));
        all.drain(..all.len().saturating_sub(MAX_INVOICES));
        if let Some(key) = key {
            live.invoices.answered.insert(key, answer.clone());
        }
        Json(answer).into_response()
    };
    permit.with_headers(sandbox.with_faults(Endpoint::Invoices, work).await)
}

/// Parses the time of `If-Modified-Since` as Xero's API has it: UTC, without a zone.
fn unix_seconds(time: &str) -> Option<i64> {
    Some(NaiveDateTime::parse_from_str(time.trim_end_matches('Z'), "%Y-%m-%dT%H:%M:%S").ok()?.and_utc().timestamp())
}

/// Returns the invoices of a body, or `None` if it has none.
fn invoices_of(body: &[u8]) -> Option<Vec<Map<String, Value>>> {
    let Value::Object(mut body) = serde_json::from_slice(body).ok()? else { return None };
    match body.remove("Invoices") {
        None => Some(vec![body]),
        Some(Value::Array(several)) if !several.is_empty() => several
            .into_iter()
            .map(|one| match one {
                Value::Object(invoice) => Some(invoice),
                _ => None,
            })
            .collect(),
        Some(_) => None,
    }
}

async fn attach(
    State(sandbox): State<Sandbox>,
    Path((invoice, name)): Path<(String, String)>,
    headers: HeaderMap,
    content: Bytes,
) -> Response {
    let (tenant, _, permit) = match authorize_call(&sandbox, &headers, &WRITE_ATTACHMENTS_SCOPES) {
        Ok(authorized) => authorized,
        Err(refusal) => return refusal,
    };
    // Xero wants the length before the content (XeroAPI/xero-node, issue 217).
    if !headers.contains_key(CONTENT_LENGTH) {
        return permit.with_headers(problem(StatusCode::LENGTH_REQUIRED, "Length required"));
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or("application/octet-stream").to_owned();
    let work = async {
        let length = content.len();
        let mut live = sandbox.live();
        let attachments = &mut live.invoices.attachments;
        let is_same = |kept: &Attachment| (&kept.invoice, &kept.name) == (&invoice, &name);
        attachments.retain(|kept| kept.tenant_id != tenant.tenant_id || !is_same(kept));
        let tenant_id = tenant.tenant_id.to_owned();
        attachments.push_back(Attachment { tenant_id, invoice, name: name.clone(), content_type, content });
        attachments.drain(..attachments.len().saturating_sub(MAX_ATTACHMENTS));
        let attachment =
            json!({ "AttachmentID": Uuid::new_v4().to_string(), "FileName": name, "ContentLength": length });
        Json(json!({ "Status": "OK", "Attachments": [attachment] })).into_response()
    };
    permit.with_headers(sandbox.with_faults(Endpoint::Invoices, work).await)
}

async fn download(
    State(sandbox): State<Sandbox>,
    Path((invoice, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let (tenant, _, permit) = match authorize_call(&sandbox, &headers, &READ_ATTACHMENTS_SCOPES) {
        Ok(authorized) => authorized,
        Err(refusal) => return refusal,
    };
    let work = async {
        let live = sandbox.live();
        let mut kept = live.invoices.attachments.iter();
        let found = kept
            .find(|kept| (kept.tenant_id.as_str(), &kept.invoice, &kept.name) == (tenant.tenant_id, &invoice, &name));
        match found {
            Some(found) => ([(CONTENT_TYPE, found.content_type.clone())], found.content.clone()).into_response(),
            None => problem(StatusCode::NOT_FOUND, "The resource you're looking for cannot be found"),
        }
    };
    permit.with_headers(sandbox.with_faults(Endpoint::Invoices, work).await)
}
