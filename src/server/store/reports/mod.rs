//! Reports.

pub mod activity;
pub mod operator_queries;
