//! What people's requests cost: the refresh call of a page with nothing due, and the integrations page.

use std::time::Duration;

use reqwest::Client;
use reqwest::header::{ACCEPT, COOKIE};

use super::customers::Customers;
use super::figures::{Figure, Wanted};
use super::load::Load;
use crate::BenchError;
use crate::server::BenchServer;

/// How many requests run at once.
const CONNECTIONS: usize = 16;

/// Measures each request for `time`.
pub async fn measure(server: &BenchServer, customers: &Customers, time: Duration) -> Result<Vec<Figure>, BenchError> {
    let load = Load { connections: CONNECTIONS, time };
    let mut figures = Vec::new();
    for (what, session) in [("1 connection", &customers.one), ("20 connections", &customers.twenty)] {
        let cookie = &server.cookie(session);
        let refresh = |client: &Client| {
            let request = client.post(server.url("/api/integrations/xero/refresh")).form(&[("clicked", "false")]);
            request.header(ACCEPT, "application/json").header(COOKIE, cookie)
        };
        // Refreshes what is due at the start.
        refresh(&server.client).send().await?.error_for_status()?;
        let cost = load.measure(server, refresh).await?;
        let what = |figure: &str| format!("refresh call, nothing of {what} due: {figure}");
        figures.push(Figure::new(what("processor time"), cost.cpu, "ms", Wanted::AtMost(0.15)));
        figures.push(Figure::new(what("calls on one core"), cost.rate, "/s", Wanted::Nothing));
        figures.push(Figure::new(what("99th percentile"), cost.p99, "ms", Wanted::Nothing));
    }
    let pages = [("of 20 connections", &customers.twenty, 0.6), ("with 50 of 200", &customers.two_hundred, 1.3)];
    for (what, session, wanted) in pages {
        let cookie = &server.cookie(session);
        // The client accepts no compression, which a proxy can do as well.
        let page = |client: &Client| client.get(server.url("/settings/integrations")).header(COOKIE, cookie);
        let cost = load.measure(server, page).await?;
        let what = |figure: &str| format!("integrations page {what}: {figure}");
        figures.push(Figure::new(what("processor time"), cost.cpu, "ms", Wanted::AtMost(wanted)));
        figures.push(Figure::new(what("pages on one core"), cost.rate, "/s", Wanted::Nothing));
    }
    Ok(figures)
}
