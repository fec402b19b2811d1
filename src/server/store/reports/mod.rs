//! Reports.

pub mod activity;
pub mod operator_queries;
pub mod organizations;
pub mod proxy_usage;
pub mod untrusted_forwarders;
