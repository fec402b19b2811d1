//! What the server and the browser share: ids, views, statuses and the API's error.
//!
//! Everything here builds for wasm32 and carries no secret.

mod activity;
mod api_key;
mod audit;
mod error;
mod id;
mod members;
mod notice;
mod notification;
mod notification_notice;
mod page;
mod permission;
mod problem;
mod reference;
mod session;
mod status;
mod view;

pub use activity::{
    ActivityFilter, ActivityView, AttemptView, ConnectionName, Cursor, Entry, HourView, NextKind, NextView, Outcome,
};
pub use api_key::{ApiKeyNotice, ApiKeyView, ApiKeysView, KeyLife, KeyStatus, Scope};
pub use audit::{Action, ActorKind, AuditView, ChangesFilter, ChangesView};
pub use error::{ApiError, Misread};
pub use id::{ApiKeyId, AttemptId, BindingId, DeliveryId, EndpointId, EventId, GrantId, InvitationId, OrgId, UserId};
pub use members::{InvitationView, Invited, MemberView, MembersNotice, MembersView};
pub use notice::{Notice, Tone};
pub use notification::{
    Channel, DeliveryStatus, DeliveryView, DisabledBy, EndpointView, EventKind, EventView, NotificationsView,
    RecipientView, Ways,
};
pub use notification_notice::{AddressProblem, NotificationNotice};
pub use page::{ClerkView, InvitationPage, LoginProblem, LoginView, Page, Revealed};
pub use permission::Permission;
pub use problem::ProblemCode;
pub use reference::{AnswerView, FieldView, OperationView, ReferenceView};
pub use session::{OrgView, Role, SessionView, Theme};
pub use status::{BindingStatus, GrantStatus, Trigger};
pub use view::{
    BindingError, ConnectionView, Departing, Health, OrganisationDetails, OverviewView, PendingConfirmation,
    RefreshReport, SettingsView,
};
