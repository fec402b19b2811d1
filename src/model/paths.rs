//! The paths of pages and routes, in one place for the server, the pages and the tests.
//!
//! The macros that declare pages and server functions take only literals; a test holds the constants to them.

use super::BindingId;

/// The overview.
pub const HOME: &str = "/";
pub const LOGIN: &str = "/login";
pub const ACTIVITY: &str = "/activity";
pub const ACTIVITY_CSV: &str = "/activity.csv";
pub const INTEGRATIONS: &str = "/settings/integrations";
pub const MEMBERS: &str = "/settings/members";
pub const API_KEYS: &str = "/settings/api-keys";
pub const NOTIFICATIONS: &str = "/settings/notifications";
/// The page that invitation links lead to. The secret is in the query, because paths are logged and queries are not.
pub const INVITATION: &str = "/invite";
pub const API_REFERENCE: &str = "/api-reference";

/// The server functions, which stand in `api`.
pub const SERVER_FUNCTIONS: &str = "/api/{*path}";
pub const SESSION: &str = "/api/session";
pub const SESSION_LOGIN: &str = "/api/session/login";
pub const SESSION_LOGOUT: &str = "/api/session/logout";
pub const SESSION_SWITCH_ORGANIZATION: &str = "/api/session/switch-organization";
pub const SESSION_THEME: &str = "/api/session/theme";
pub const ACCEPT_INVITATION: &str = "/api/invitations/accept";
pub const CONNECT: &str = "/api/integrations/xero/connect";
/// The path of the redirect URI. It must match the app's settings at Xero exactly.
pub const CALLBACK: &str = "/api/integrations/xero/callback";
pub const CONFIRM: &str = "/api/integrations/xero/confirm";
pub const EVENTS: &str = "/api/events";
pub const CLERK_WEBHOOK: &str = "/api/webhooks/clerk";

pub const OPENAPI: &str = "/api/openapi.json";
pub const V1_BINDINGS: &str = "/api/v1/bindings";
pub const V1_TOKEN: &str = "/api/v1/bindings/{id}/token";

pub const HEALTHZ: &str = "/healthz";
pub const READYZ: &str = "/readyz";
pub const METRICS: &str = "/metrics";

/// The path that the sandbox is mounted at, in sandbox mode.
pub const SANDBOX: &str = "/sandbox/xero";

/// Every page without a parameter.
pub const PAGES: &[&str] =
    &[HOME, LOGIN, ACTIVITY, INTEGRATIONS, MEMBERS, API_KEYS, NOTIFICATIONS, INVITATION, API_REFERENCE];

/// Returns the path of a connection's history page.
pub fn history(connection: &BindingId) -> String {
    format!("{INTEGRATIONS}/{connection}/history")
}
