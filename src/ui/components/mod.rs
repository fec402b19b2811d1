//! Parts that several pages or layouts use. Only the server renders them.

pub mod account_fields;
pub mod actions_menu;
pub mod attempts;
pub mod badge;
pub mod broken_connections;
pub mod connection_texts;
pub mod create_organization_form;
pub mod delivery;
pub mod finder;
pub mod health_badge;
pub mod least_access;
pub mod list_parts;
pub mod live_body;
pub mod load_failure;
pub mod open_links;
pub mod org_field;
pub mod provider_button;
pub mod question_card;
pub mod range_fields;
pub mod reconnect_form;
pub mod rendered;
pub mod reread;
pub mod secret_card;
pub mod time;
pub mod token_facts;
pub mod typed;
