//! What wraps the handlers: limits, headers, ids and counts of every request, and the context of pages.

pub mod client_ip;
pub mod cross_site;
pub mod failure_page;
pub mod form_organization;
pub mod limits;
mod named_organization;
pub mod page_context;
pub mod public_address;
pub mod reader_order;
mod regions;
pub mod reject_nul;
pub mod request_id;
pub mod request_metrics;
pub mod security_headers;
pub mod trailing_slash;
pub mod typed_form;
