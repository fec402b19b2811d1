//! What programs' requests cost: access tokens, and calls to Xero through the server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use super::customers::Customers;
use super::figures::{Figure, Wanted};
use super::load::Load;
use super::megabytes;
use crate::BenchError;
use crate::sandbox::BenchSandbox;
use crate::server::{BenchServer, new_client};

/// How many programs ask for a token at once.
const TOKEN_CONNECTIONS: usize = 16;
/// How many calls to Xero run at once.
const CALL_CONNECTIONS: usize = 32;
/// The largest attachment that Xero accepts, in bytes.
const ATTACHMENT_BYTES: usize = 25_000_000;

/// Measures the token API with tokens that last: of one connection, and of twenty in turn.
pub async fn measure_token_api(
    server: &BenchServer,
    customers: &Customers,
    time: Duration,
) -> Result<Vec<Figure>, BenchError> {
    let of_one = std::slice::from_ref(&customers.binding);
    let mut figures = Vec::new();
    for (key, bindings, of) in [
        (&customers.key, of_one, "1 connection"),
        (&customers.key_of_twenty, &customers.bindings_of_twenty[..], "20 connections"),
    ] {
        let urls: Vec<String> = bindings.iter().map(|id| server.url(&format!("/api/v1/bindings/{id}/token"))).collect();
        let sent = AtomicUsize::new(0);
        let request = |client: &Client| {
            let number = sent.fetch_add(1, Ordering::Relaxed);
            client.get(&urls[number % urls.len()]).bearer_auth(key.expose())
        };
        let cost = Load { connections: TOKEN_CONNECTIONS, time }.measure(server, request).await?;
        figures.extend([
            Figure::new(format!("token API, {of}: tokens on one core"), cost.rate, "/s", Wanted::AtLeast(5_000.0)),
            Figure::new(format!("token API, {of}: 99th percentile"), cost.p99, "ms", Wanted::AtMost(5.0)),
            Figure::new(format!("token API, {of}: processor time"), cost.cpu, "ms", Wanted::Nothing),
        ]);
    }
    Ok(figures)
}

/// Measures calls to Xero, directly and through the server, and an attachment in both directions.
pub async fn measure_calls(
    server: &BenchServer,
    sandbox: &BenchSandbox,
    customers: &Customers,
    time: Duration,
) -> Result<Vec<Figure>, BenchError> {
    // The sandbox refuses what exceeds its limits, as Xero does.
    let none = json!({ "concurrent": 1_000, "minute": 100_000_000, "day": 100_000_000, "app_minute": 1_000_000_000 });
    sandbox.control("settings", json!({ "call_limits": none })).await?;
    let binding = server.url(&format!("/api/v1/bindings/{}", customers.binding));
    let key = customers.key.expose();
    let vended: Value =
        server.client.get(format!("{binding}/token")).bearer_auth(key).send().await?.error_for_status()?.json().await?;
    let (token, tenant) = (vended["accessToken"].as_str(), vended["tenantId"].as_str());
    let (token, tenant) = token.zip(tenant).ok_or("the token API returned no token")?;

    let path = "api.xro/2.0/Organisation";
    let direct = |client: &Client| {
        client.get(format!("{}/{path}", sandbox.base)).bearer_auth(token).header("xero-tenant-id", tenant)
    };
    let through = |client: &Client| client.get(format!("{binding}/xero/{path}")).bearer_auth(key);
    let alone = Load { connections: 1, time };
    let (direct, through_alone) = (alone.measure(server, direct).await?, alone.measure(server, through).await?);
    let busy = Load { connections: CALL_CONNECTIONS, time }.measure(server, through).await?;
    let attachment = format!("{binding}/xero/api.xro/2.0/Invoices/INV-1/Attachments/scan.pdf");
    let grown = measure_attachment(server, &attachment, key).await?;
    Ok(vec![
        Figure::new("call to Xero: time added, median", through_alone.p50 - direct.p50, "ms", Wanted::AtMost(1.0)),
        Figure::new(
            "call to Xero: calls on two cores, the sandbox's included",
            busy.rate,
            "/s",
            Wanted::AtLeast(2_000.0),
        ),
        Figure::new("call to Xero: processor time", busy.cpu, "ms", Wanted::Nothing),
        Figure::new("attachment of 25 MB, both ways: memory", grown, "MB", Wanted::AtMost(2.0)),
    ])
}

/// Sends an attachment through the server and reads it back. Returns by how many megabytes the server grew at most.
async fn measure_attachment(server: &BenchServer, url: &str, key: &str) -> Result<f64, BenchError> {
    let client = new_client()?;
    let send = async |bytes: usize| -> Result<(), BenchError> {
        client.put(url).bearer_auth(key).body(vec![b'a'; bytes]).send().await?.error_for_status()?;
        let mut response = client.get(url).bearer_auth(key).send().await?.error_for_status()?;
        let mut received = 0;
        while let Some(chunk) = response.chunk().await? {
            received += chunk.len();
        }
        if received == bytes { Ok(()) } else { Err(format!("{received} of {bytes} bytes came back").into()) }
    };
    send(1).await?;
    let before = server.process.resident_memory_kb();
    server.process.reset_peak_memory()?;
    send(ATTACHMENT_BYTES).await?;
    Ok(megabytes(server.process.peak_memory_kb().saturating_sub(before)))
}
