//! Actors and audit events. The store writes an event in the transaction of the change that it describes.

use crate::model::{Action, ActorKind, ConnectLinkId, OrgId, UserId};

/// The address of an operator on the command line.
pub const COMMAND_LINE: &str = "cli";

/// Who does something, and from where.
#[derive(Clone, Debug, PartialEq)]
pub struct Actor {
    /// What kind of actor it is, such as a user or an API key.
    pub kind: ActorKind,
    /// Id of the user or API key; `None` for other kinds of actors.
    pub id: Option<String>,
    /// The current name or email address, stored as it was at the time of the event.
    pub name: String,
    /// The IP address, or `cli` for a command.
    pub address: Option<String>,
}

/// One audited action. Contains no secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent<'a> {
    /// `None` if it concerns the whole app.
    pub org: Option<&'a OrgId>,
    /// Who did it.
    pub actor: &'a Actor,
    /// What was done.
    pub action: Action,
    /// The kind and id of what it was done to.
    pub subject: Option<(&'static str, String)>,
    /// Further names and values.
    pub detail: Vec<(&'static str, String)>,
}

impl Actor {
    /// Returns a user, named by email address.
    pub fn person(id: &UserId, email: &str, address: Option<String>) -> Self {
        Self { kind: ActorKind::User, id: Some(id.0.clone()), name: email.to_owned(), address }
    }

    /// Returns an API key.
    pub fn api_key(id: &str, name: &str, address: Option<String>) -> Self {
        Self { kind: ActorKind::ApiKey, id: Some(id.to_owned()), name: name.to_owned(), address }
    }

    /// Returns the operating system's user, for commands.
    pub fn operator() -> Self {
        let name = std::env::var("USER").unwrap_or_else(|_| "operator".to_owned());
        Self { kind: ActorKind::Operator, id: None, name, address: Some(COMMAND_LINE.to_owned()) }
    }

    /// Returns Clerk, for its webhooks.
    pub fn clerk() -> Self {
        Self { kind: ActorKind::Clerk, id: None, name: "Clerk".to_owned(), address: None }
    }

    /// Returns a visitor with a connect link. Recorded as the system, because the audit table has no kind for visitors.
    pub fn connect_link(id: &ConnectLinkId, address: Option<String>) -> Self {
        Self { kind: ActorKind::System, id: Some(id.0.clone()), name: "Connect link".to_owned(), address }
    }

    /// Returns whoever opened the link in a letter. Recorded as the system, as a visitor with a connect link.
    pub fn contact(address: Option<String>) -> Self {
        Self { kind: ActorKind::System, id: None, name: "Contact".to_owned(), address }
    }

    /// Returns Evergrant, for automatic changes.
    pub fn system() -> Self {
        Self { kind: ActorKind::System, id: None, name: "Evergrant".to_owned(), address: None }
    }
}

impl<'a> AuditEvent<'a> {
    /// Returns an event without an organization, subject or details.
    pub fn new(actor: &'a Actor, action: Action) -> Self {
        Self { org: None, actor, action, subject: None, detail: Vec::new() }
    }

    /// Sets the organization, whose members will see the event.
    pub fn in_org(self, org: &'a OrgId) -> Self {
        Self { org: Some(org), ..self }
    }

    /// Sets the kind and id of the subject.
    pub fn subject(self, kind: &'static str, id: impl ToString) -> Self {
        Self { subject: Some((kind, id.to_string())), ..self }
    }

    /// Adds a detail. It must not be a secret.
    pub fn detail(mut self, name: &'static str, value: impl ToString) -> Self {
        self.detail.push((name, value.to_string()));
        self
    }
}
