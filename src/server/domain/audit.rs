//! Who did what, to be written down with the change it tells of.

use crate::model::{Action, ActorKind, OrgId, UserId};

/// Who does something and from where, named as they are called now.
#[derive(Clone, Debug, PartialEq)]
pub struct Actor {
    pub kind: ActorKind,
    pub id: Option<String>,
    pub name: String,
    pub address: Option<String>,
}

/// One thing that was done. Nothing secret goes into it.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent<'a> {
    /// `None` for what concerns the whole app.
    pub org: Option<&'a OrgId>,
    pub actor: &'a Actor,
    pub action: Action,
    /// What it was done to: a word for its kind, and its id.
    pub subject: Option<(&'static str, String)>,
    pub detail: Vec<(&'static str, String)>,
}

impl Actor {
    pub fn person(id: &UserId, email: &str, address: Option<String>) -> Self {
        Self { kind: ActorKind::User, id: Some(id.0.clone()), name: email.to_owned(), address }
    }

    pub fn api_key(id: &str, name: &str, address: Option<String>) -> Self {
        Self { kind: ActorKind::ApiKey, id: Some(id.to_owned()), name: name.to_owned(), address }
    }

    /// Somebody at the command line.
    pub fn operator() -> Self {
        let name = std::env::var("USER").unwrap_or_else(|_| "operator".to_owned());
        Self { kind: ActorKind::Operator, id: None, name, address: Some("cli".to_owned()) }
    }

    pub fn clerk() -> Self {
        Self { kind: ActorKind::Clerk, id: None, name: "Clerk".to_owned(), address: None }
    }

    /// Evergrant by itself.
    pub fn system() -> Self {
        Self { kind: ActorKind::System, id: None, name: "Evergrant".to_owned(), address: None }
    }
}

impl<'a> AuditEvent<'a> {
    pub fn new(actor: &'a Actor, action: Action) -> Self {
        Self { org: None, actor, action, subject: None, detail: Vec::new() }
    }

    /// In this organisation, whose people will see it.
    pub fn of(self, org: &'a OrgId) -> Self {
        Self { org: Some(org), ..self }
    }

    pub fn on(self, kind: &'static str, id: impl ToString) -> Self {
        Self { subject: Some((kind, id.to_string())), ..self }
    }

    /// Something more, shown by its name. Never a secret.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.detail.push((name, value.to_string()));
        self
    }
}
