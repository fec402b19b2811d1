//! The sandbox as a process beside what is measured.

use reqwest::Client;
use serde_json::Value;

use crate::BenchError;
use crate::process::{EvergrantBinary, Process};
use evergrant_sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};

/// A running sandbox.
pub struct BenchSandbox {
    /// Its URL.
    pub base: String,
    client: Client,
    _process: Process,
}

impl BenchSandbox {
    /// Starts it on a free port, with the processor cores of this program.
    pub fn start(binary: &EvergrantBinary) -> Result<Self, BenchError> {
        let mut process = Process::start(binary.command()?.args(["sandbox", "--json", "--listen", "127.0.0.1:0"]))?;
        let printed: Value = serde_json::from_str(&process.read_line()?)?;
        let base = format!("http://{}", printed["address"].as_str().ok_or("the sandbox printed no address")?);
        Ok(Self { base, client: Client::builder().no_proxy().build()?, _process: process })
    }

    /// Calls a control route. Returns its response.
    pub async fn control(&self, path: &str, body: Value) -> Result<Value, BenchError> {
        let response = self.client.post(format!("{}/_control/{path}", self.base)).json(&body).send().await?;
        Ok(response.error_for_status()?.json().await?)
    }

    /// Returns the environment variables that make a server use this sandbox as Xero.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let app = [("XERO_CLIENT_ID", SANDBOX_CLIENT_ID), ("XERO_CLIENT_SECRET", SANDBOX_CLIENT_SECRET)];
        let app = app.map(|(name, value)| (name, value.to_owned()));
        let addresses = ["XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"].map(|name| (name, self.base.clone()));
        app.into_iter().chain(addresses).collect()
    }
}
