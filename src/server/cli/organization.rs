//! How commands name an organization. A name is no identity, so it counts only if exactly one organization has it.

use clap::Args;

use super::CliError;
use super::table::replace_control_chars;
use crate::model::OrgId;
use crate::server::store::{Database, OrgSummary};

/// Flags that limit a command to one organization.
#[derive(Args, Clone)]
#[group(id = "organization", multiple = false)]
pub struct OrgFilter {
    /// Only this organization, if exactly one has this name.
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// Only the organization with this id, as org list shows it.
    #[arg(long, value_name = "ID")]
    org_id: Option<String>,
}

/// Flags that name the organization of a command.
#[derive(Args, Clone)]
#[group(id = "organization", required = true, multiple = false)]
pub struct OrgChoice {
    /// The organization, if exactly one has this name.
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// The organization's id, as org list shows it.
    #[arg(long, value_name = "ID")]
    org_id: Option<String>,
}

impl OrgFilter {
    /// Returns the organization; `None` if no flag is set.
    pub async fn resolve(&self, database: &Database) -> Result<Option<OrgSummary>, CliError> {
        resolve(database, self.org.as_deref(), self.org_id.as_deref()).await
    }
}

impl OrgChoice {
    /// Returns the organization.
    pub async fn resolve(&self, database: &Database) -> Result<OrgSummary, CliError> {
        let found = resolve(database, self.org.as_deref(), self.org_id.as_deref()).await?;
        found.ok_or_else(|| "name an organization with --org or --org-id".into())
    }
}

/// Returns the organization with this id, or the only one with this name; `None` if neither is given.
pub async fn resolve(
    database: &Database,
    name: Option<&str>,
    id: Option<&str>,
) -> Result<Option<OrgSummary>, CliError> {
    let (name, id) = (name.map(str::trim), id.map(str::trim));
    let called = match (name, id) {
        (None, None) => return Ok(None),
        // An empty text would match all.
        (Some(""), _) | (_, Some("")) => return Err("an organization needs a name or an id".into()),
        (Some(name), _) => format!("called {name}"),
        (_, Some(id)) => format!("with the id {id}"),
    };
    let mut found = database.org_summaries(name, id).await?;
    match found.len() {
        0 => Err(format!("there is no organization {called}: evergrant org list shows all").into()),
        1 => Ok(found.pop()),
        _ => {
            Err(format!("several organizations are {called}: pass --org-id with the one you mean\n{}", listed(&found))
                .into())
        }
    }
}

/// Returns the id of the organization, if one is named.
pub async fn resolve_id(database: &Database, name: Option<&str>, id: Option<&str>) -> Result<Option<OrgId>, CliError> {
    Ok(resolve(database, name, id).await?.map(|org| org.id))
}

/// Returns a line for each organization, by which an operator tells them apart.
pub fn listed(orgs: &[OrgSummary]) -> String {
    let line = |org: &OrgSummary| {
        let owners = if org.owners.is_empty() { "nobody".to_owned() } else { org.owners.join(", ") };
        format!("  {}  owned by {}", org.id, replace_control_chars(&owners))
    };
    orgs.iter().map(line).collect::<Vec<_>>().join("\n")
}
