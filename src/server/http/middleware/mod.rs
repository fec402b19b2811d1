//! Middleware.

pub mod client_ip;
pub mod limits;
pub mod page_context;
pub mod reject_nul;
pub mod request_id;
pub mod security_headers;
