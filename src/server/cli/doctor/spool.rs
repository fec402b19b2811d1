//! Checks for token sets that wait in the spool, and whether this database has their grants.

use super::check::{Check, list_grant_ids, pluralize, to_sentence};
use crate::model::GrantId;
use crate::server::config::Config;
use crate::server::store::{Database, StoreError};
use crate::server::tokens::{Spool, SpoolContents};

/// Checks the spool folder. Without a database it can't tell which token sets belong to another one.
pub async fn check_spool(config: &Config, database: Option<&Database>) -> Check {
    let (name, folder) = ("spool", config.spool_dir());
    let shown = folder.display();
    let contents = match Spool::inspect(&folder) {
        Ok(contents) => contents,
        Err(error) => {
            let to_do = format!(
                "Let the user that Evergrant runs as read and write {shown}. Otherwise a token set that the database \
                 refuses is lost."
            );
            return Check::fail(name, to_sentence(&error), to_do);
        }
    };
    let (waiting, misplaced) = match sort(&contents, database).await {
        Ok(sorted) => sorted,
        Err(error) => return super::check::unreadable(name, &error),
    };
    let (mut found, mut to_do) = (Vec::new(), Vec::new());
    if !waiting.is_empty() {
        let sets = pluralize(waiting.len(), "token set is waiting", "token sets are waiting");
        found.push(format!("{sets} for the database, of {}", list_grant_ids(waiting.into_iter())));
        to_do.push(
            "Make sure that the database accepts writes. A running server retries by itself; otherwise start one, or \
             run evergrant grants refresh --all-due."
                .to_owned(),
        );
    }
    if !misplaced.is_empty() {
        let sets = pluralize(misplaced.len(), "token set belongs", "token sets belong");
        found.push(format!("{sets} to no grant of this database, of {}", list_grant_ids(misplaced.into_iter())));
        to_do.push(
            "Check DATABASE_URL, and finish the restore if there is one. Each file names its database. Remove a file \
             only if that database is gone for good."
                .to_owned(),
        );
    }
    if !contents.malformed.is_empty() {
        found.push(pluralize(contents.malformed.len(), "file can't be read", "files can't be read"));
        let files: Vec<String> = contents.malformed.iter().map(|path| path.display().to_string()).collect();
        to_do.push(format!("Keep {} for a repair.", files.join(", ")));
    }
    if found.is_empty() {
        return Check::ok(name, "No token set is waiting for the database.");
    }
    Check::warn(name, format!("In {shown} {}.", found.join("; ")), to_do.join(" "))
}

/// Returns the grants whose token sets wait for this database, and those that it does not have.
async fn sort<'a>(
    contents: &'a SpoolContents,
    database: Option<&Database>,
) -> Result<(Vec<&'a GrantId>, Vec<&'a GrantId>), StoreError> {
    let (mut waiting, mut misplaced) = (Vec::new(), Vec::new());
    for (grant, its_database) in &contents.grants {
        let is_here = match database {
            None => true,
            Some(database) => {
                let is_foreign = its_database.as_deref().zip(database.id()).is_some_and(|(its, ours)| its != ours);
                !is_foreign && database.has_grant(grant).await?
            }
        };
        if is_here { waiting.push(grant) } else { misplaced.push(grant) }
    }
    Ok((waiting, misplaced))
}
