//! The paths of pages and routes, in one place for the server, the pages and the tests.
//!
//! The macros that declare pages and server functions take only literals; a test holds the constants to them.

use super::{BindingId, ConnectLinkId, OrgId};

/// The overview.
pub const HOME: &str = "/";
/// The login page.
pub const LOGIN: &str = "/login";
/// The page that asks for a message with a reset link.
pub const FORGOT_PASSWORD: &str = "/login/forgot";
/// The page behind a reset link. The secret is in the query, and moved into a cookie at once.
pub const RESET_PASSWORD: &str = "/login/reset";
/// The page behind the link that confirms a new email address, as that of a reset.
pub const CONFIRM_EMAIL: &str = "/login/email";
/// The page that asks for a code after the password.
pub const SIGN_IN_CODE: &str = "/login/code";
/// The page that asks for a proof of identity before a sensitive action.
pub const PROOF: &str = "/account/confirm";
/// The page that asks for an account's password, to link it with the identity that the provider vouched for.
pub const SIGN_IN_LINK: &str = "/login/link";
/// The page that asks whether the identity that the provider vouched for is linked to the person's account.
pub const LINK_PROVIDER: &str = "/account/link";
/// The page of a person's own account.
pub const ACCOUNT: &str = "/account";
/// The page of all of a person's organizations.
pub const ORGANIZATIONS: &str = "/organizations";
/// The page of refresh attempts and audit events.
pub const ACTIVITY: &str = "/activity";
/// The finder. What is searched for is in the query.
pub const FIND: &str = "/find";
/// Exports refresh attempts or audit events as CSV.
pub const ACTIVITY_CSV: &str = "/activity.csv";
/// The page of Xero's state.
pub const XERO: &str = "/xero";
/// The page of the events that people are notified of.
pub const EVENT_LIST: &str = "/events";
/// The page that lists and manages connections.
pub const INTEGRATIONS: &str = "/settings/integrations";
/// The page that lists and creates connect links.
pub const CONNECT_LINK_LIST: &str = "/settings/integrations/links";
/// Where a connection's page was before. It redirects there.
pub const OLD_CONNECTION: &str = "/settings/integrations/{id}/history";
/// The page that manages the organization's members and invitations.
pub const MEMBERS: &str = "/settings/members";
/// The page that manages the organization's API keys.
pub const API_KEYS: &str = "/settings/api-keys";
/// The page that manages email notifications and webhooks.
pub const NOTIFICATIONS: &str = "/settings/notifications";
/// The log of deliveries to webhooks.
pub const DELIVERIES: &str = "/settings/notifications/deliveries";
/// The page that invitation links lead to. The secret is in the query, because paths are logged and queries are not.
pub const INVITATION: &str = "/invite";
/// What the pages behind connect links begin with; the link's id follows. The secret is in the query.
pub const CONNECT_LINKS: &str = "/connect/";
/// The page by which a contact gets no more letters. The secret is in the query, and moved into a cookie at once.
pub const UNSUBSCRIBE: &str = "/unsubscribe";
/// The API's description for people.
pub const API_REFERENCE: &str = "/api-reference";

/// The server functions, which stand in `api`.
pub const SERVER_FUNCTIONS: &str = "/api/{*path}";
/// Returns whether the session is valid, as JSON.
pub const SESSION: &str = "/api/session";
/// Signs in with email and password.
pub const SESSION_LOGIN: &str = "/api/session/login";
/// Signs in with the code after the password.
pub const SESSION_CODE: &str = "/api/session/code";
/// Takes the proof before a sensitive action.
pub const SESSION_PROOF: &str = "/api/session/proof";
/// Starts signing in with OpenID Connect, and redirects to the provider.
pub const SESSION_OIDC: &str = "/api/session/oidc";
/// The redirect URI to register at the OpenID Connect provider.
pub const SESSION_OIDC_CALLBACK: &str = "/api/session/oidc/callback";
/// Links the provider's identity to an account, by that account's password, and signs in.
pub const SESSION_OIDC_LINK: &str = "/api/session/oidc/link";
/// Signs out.
pub const SESSION_LOGOUT: &str = "/api/session/logout";
/// Asks for a message with a reset link.
pub const SESSION_FORGOT: &str = "/api/session/forgot";
/// Sets a new password with a reset link.
pub const SESSION_RESET: &str = "/api/session/reset";
/// Confirms a new email address.
pub const SESSION_CONFIRM_EMAIL: &str = "/api/session/confirm-email";
/// Switches the session to another organization.
pub const SESSION_SWITCH_ORGANIZATION: &str = "/api/session/switch-organization";
/// Sets the theme.
pub const SESSION_THEME: &str = "/api/session/theme";
/// Accepts an invitation.
pub const ACCEPT_INVITATION: &str = "/api/invitations/accept";
/// Starts a consent by a connect link and redirects to Xero's consent page.
pub const START_CONNECT_LINK: &str = "/api/connect-links/start";
/// Stops the letters to a contact: by the page's form, or by a mail program with the secret in the query.
pub const UNSUBSCRIBE_POST: &str = "/api/unsubscribe";
/// Starts the OAuth flow and redirects to Xero's consent page.
pub const CONNECT: &str = "/api/integrations/xero/connect";
/// The path of the redirect URI. It must match the app's settings at Xero exactly.
pub const CALLBACK: &str = "/api/integrations/xero/callback";
/// Applies the decision on a consent that needs confirmation.
pub const CONFIRM: &str = "/api/integrations/xero/confirm";
/// Streams the organization's changes as server-sent events.
pub const EVENTS: &str = "/api/events";
/// Receives webhook deliveries from Clerk.
pub const CLERK_WEBHOOK: &str = "/api/webhooks/clerk";

/// The API's OpenAPI document.
pub const OPENAPI: &str = "/api/openapi.json";
/// What the paths of the API for programs begin with.
pub const V1: &str = "/api/v1/";
/// Lists events after a cursor, for programs with an API key.
pub const V1_EVENTS: &str = "/api/v1/events";
/// Lists the organization's bindings, for programs with an API key.
pub const V1_BINDINGS: &str = "/api/v1/bindings";
/// Reads, labels or disconnects one binding.
pub const V1_BINDING: &str = "/api/v1/bindings/{id}";
/// Refreshes one binding's token.
pub const V1_REFRESH: &str = "/api/v1/bindings/{id}/refresh";
/// Returns an access token for one binding, for programs with an API key.
pub const V1_TOKEN: &str = "/api/v1/bindings/{id}/token";
/// Lists and creates connect links.
pub const V1_CONNECT_LINKS: &str = "/api/v1/connect-links";
/// Reads or cancels one connect link.
pub const V1_CONNECT_LINK: &str = "/api/v1/connect-links/{id}";
/// Imports refresh tokens of another system.
pub const V1_IMPORT: &str = "/api/v1/import";
/// Xero's API with one binding's token and tenant, for programs with an API key.
pub const V1_XERO: &str = "/api/v1/bindings/{id}/xero/{*path}";

/// The liveness probe.
pub const HEALTHZ: &str = "/healthz";
/// The readiness probe.
pub const READYZ: &str = "/readyz";
/// The Prometheus metrics.
pub const METRICS: &str = "/metrics";

/// The path that the sandbox is mounted at, in sandbox mode.
pub const SANDBOX: &str = "/sandbox/xero";

/// Every page without a parameter.
pub const PAGES: &[&str] = &[
    HOME,
    LOGIN,
    FORGOT_PASSWORD,
    RESET_PASSWORD,
    CONFIRM_EMAIL,
    SIGN_IN_CODE,
    SIGN_IN_LINK,
    ACCOUNT,
    LINK_PROVIDER,
    PROOF,
    ORGANIZATIONS,
    ACTIVITY,
    FIND,
    EVENT_LIST,
    XERO,
    INTEGRATIONS,
    CONNECT_LINK_LIST,
    MEMBERS,
    API_KEYS,
    NOTIFICATIONS,
    DELIVERIES,
    INVITATION,
    UNSUBSCRIBE,
    API_REFERENCE,
];

/// Returns the path of a connection's page.
pub fn connection(connection: &BindingId) -> String {
    format!("{INTEGRATIONS}/{connection}")
}

/// Returns the path of the page that creates connect links, with a connection chosen.
pub fn connect_links_of(connection: &BindingId) -> String {
    format!("{CONNECT_LINK_LIST}?connection={connection}")
}

/// Returns the path of the page that lists an organization's connections, with one of them first. Opening it switches to
/// the organization.
pub fn connection_in(organization: &OrgId, connection: &BindingId) -> String {
    format!("{INTEGRATIONS}?org={organization}&connection={connection}#{}", connection_anchor(connection))
}

/// Returns the path of a page in an organization. Opening it switches to the organization.
pub fn page_in(page: &str, organization: &OrgId) -> String {
    format!("{page}?org={organization}")
}

/// Returns the id of a connection's element on the page that lists the connections.
pub fn connection_anchor(connection: &BindingId) -> String {
    format!("connection-{connection}")
}

/// Returns the path of the page behind a connect link.
pub fn connect_link(link: &ConnectLinkId) -> String {
    format!("{CONNECT_LINKS}{link}")
}
