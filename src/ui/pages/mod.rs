//! The pages, a folder each. Only the server renders them; none of this code reaches the browser.

mod account;
mod activity;
mod api_keys;
mod connect_link;
mod deliveries;
mod history;
mod integrations;
mod invite;
mod login;
mod members;
mod not_found;
mod notifications;
mod overview;
mod reference;
mod unsubscribe;

pub use account::{Account, LinkProvider, Proof};
pub use activity::Activity;
pub use api_keys::ApiKeys;
pub use connect_link::ConnectLink;
pub use deliveries::Deliveries;
pub use history::History;
pub use integrations::Integrations;
pub use invite::Invite;
pub use login::{ConfirmEmail, ForgotPassword, Login, ResetPassword, SignInCode, SignInLink};
pub use members::Members;
pub use not_found::NotFound;
pub use notifications::Notifications;
pub use overview::Overview;
pub use reference::Reference;
pub use unsubscribe::Unsubscribe;
