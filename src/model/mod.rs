//! Types that the server and the browser share: ids, views, statuses and the API's error.
//!
//! Everything in here builds for wasm32 and carries no secret.

mod account;
mod activity;
mod activity_range;
mod api_key;
mod audit;
mod call_limit;
mod connect_link;
mod connection_list;
mod connection_page;
mod contact;
mod error;
mod event_list;
mod find;
mod flash;
mod id;
mod import;
mod members;
mod notification;
mod organizations;
mod page;
pub mod paths;
mod permission;
mod problem;
mod reference;
mod refresh;
mod regions;
mod scope_refusal;
mod second_factor;
mod session;
mod status;
pub(crate) mod text_enum;
mod time_zone;
mod tone;
mod typed_form;
mod view;
mod wanted_scopes;
mod xero_scope;
mod xero_state;

pub use account::{
    AccountMessageKind, AccountSession, AccountView, MIN_PASSWORD_CHARACTERS, PasswordProblem, PendingIdentityPage,
    ProviderSignIn, SignInView, time_zones,
};
pub use activity::{
    ActivityEntry, ActivityFilter, ActivityView, AttemptView, ConnectionName, Cursor, HourView, Outcome,
    UpcomingActionKind, UpcomingActionView,
};
pub use activity_range::{ActivityRange, RangeProblem, Span};
pub use api_key::{
    ApiKeyLifetime, ApiKeyStatus, ApiKeyView, ApiKeysView, KeyConnection, KeyOverlap, KeyReach, KeyUseView,
    PreviousKeyView, Scope,
};
pub use audit::{Action, ActorKind, AuditView, ChangesFilter, ChangesView};
pub use call_limit::CallLimit;
pub use connect_link::{
    ConnectLinkPage, ConnectLinkView, ConnectLinksView, DEFAULT_LINK_LIFETIME, LinkOutcome, LinkStatus,
    MAX_LINK_LIFETIME, MIN_LINK_LIFETIME, NewLinksView,
};
pub use connection_list::{
    AccessSummary, BrokenConnections, CONNECTIONS_PER_PAGE, ListPart, ListQuery, ListState, NAMED_BROKEN_CONNECTIONS,
};
pub use connection_page::{ConnectionIdsView, ConnectionPageView, KeyActivityView};
pub use contact::{ContactView, MAX_CONTACTS, UnsubscribePage};
pub use error::{ApiError, MalformedArguments};
pub use event_list::{EventListFilter, EventsView};
pub use find::{FINDABLE_PAGES, FindablePage, FoundView};
pub use flash::{
    AccountFlash, AddressProblem, ApiKeyFlash, ConnectionFlash, Flash, FlashMessage, MembersFlash, NotificationFlash,
    still_broken_text,
};
pub use id::{
    ApiKeyId, AttemptId, BindingId, ConnectLinkId, ContactId, DeliveryId, EndpointId, EventId, GrantId, InvitationId,
    OrgId, UserId,
};
pub use import::ImportOutcome;
pub use members::{InvitationDetails, InvitationView, MemberBelongings, MemberSource, MemberView, MembersView};
pub use notification::{
    AttemptLogView, Channel, Channels, DeliveryLogView, DeliveryStatus, DeliveryView, DisabledBy, EmailChoice,
    EndpointView, EventKind, EventView, LoggedDeliveryView, NotificationsView, RecipientView,
};
pub use organizations::{HealthCounts, OrganizationView, OrganizationsView};
pub use page::{
    AppAlarm, ClerkView, FailurePage, InvitationPage, LinkPage, LoginProblem, LoginView, NewInvitationLink, Page,
    ProviderLink, RevealedSecret,
};
pub use permission::Permission;
pub use problem::ProblemCode;
pub use reference::{FieldView, OperationView, ReferenceView, ResponseView};
pub use refresh::{BindingError, FailureCause, RefreshReport, RefreshSummary, XERO_NOT_ANSWERING};
pub use regions::{ORGANIZATION_HEADER, REGIONS_HEADER};
pub use scope_refusal::{ScopeRefusalCause, ScopeRefusalView};
pub use second_factor::{
    AccountNoticeKind, FACTOR_DAYS, FactorEnrollment, MAX_FACTOR_DAYS, PROOF_LIFETIME, ProofMethod, ProofPage,
    RECOVERY_CODES, SecondFactorView,
};
pub use session::{OrgView, Role, SessionView, Theme};
pub use status::{BindingStatus, GrantStatus, Trigger};
pub use text_enum::{Stored, TextEnum};
pub use time_zone::TimeZone;
pub use tone::Tone;
pub use typed_form::TypedForm;
pub use view::{
    ConnectionView, ConsentView, DepartingConnection, Health, OrganizationDetails, OverviewView, PendingConfirmation,
    ProxyUsageView, SettingsView,
};
pub use wanted_scopes::{BROAD_SCOPES_END, SMALLEST_SCOPES, is_broad_scope, missing_scopes, scopes_beyond_smallest};
pub use xero_scope::{scope_sentence, scope_sentences};
pub use xero_state::{XeroCondition, XeroDetailsView, XeroEndpointView, XeroPauseView, XeroStateView, XeroTroubleView};
