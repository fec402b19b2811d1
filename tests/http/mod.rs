//! Tests of the whole server over HTTP, as browsers and API clients use it.

mod activity;
mod alarm;
mod api_keys;
mod events;
mod functions;
mod members;
mod metrics;
mod notifications;
mod programs;
mod reference;
mod request_ids;
mod safety;
