//! Reports.

pub mod activity;
mod health_counts;
mod key_activity;
pub mod operator_queries;
pub mod organizations;
pub mod proxy_usage;
pub mod retrying;
pub mod untrusted_forwarders;
