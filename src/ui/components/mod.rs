//! Parts that several pages or layouts use. Only the server renders them.

pub mod account_fields;
pub mod actions_menu;
pub mod attempts;
pub mod badge;
pub mod create_organization_form;
pub mod health_badge;
pub mod least_access;
pub mod list_parts;
pub mod live_body;
pub mod load_failure;
pub mod org_field;
pub mod provider_button;
pub mod question_card;
pub mod secret_card;
pub mod time;
