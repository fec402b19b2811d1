//! Completes this process's environment before the command line is parsed: from files of variables, and by trimming.

use std::collections::BTreeSet;
use std::env;
use std::path::Path;

use clap::Command;

use super::env_file::{self, EnvFileError};

/// Why the environment can't be used. Names the variable, never its value.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A file of variables can't be used.
    #[error(transparent)]
    File(#[from] EnvFileError),
    /// A value is in quotes.
    #[error("{name} is in quotes, and the environment takes a value as it is written: remove the quotes")]
    Quoted {
        /// The variable.
        name: String,
    },
    /// A variable can't be set.
    #[error("{name} can't be set: {source}")]
    Set {
        /// The variable.
        name: String,
        /// Why.
        source: dotenvy::Error,
    },
}

/// Trims the environment's values of the command's settings. Refuses one that is in quotes, as programs that pass a file
/// of variables on as it is written leave them.
pub fn trim_values(command: &Command) -> Result<(), EnvironmentError> {
    let mut names = BTreeSet::new();
    collect_names(command, &mut names);
    for name in names {
        let Ok(value) = env::var(&name) else { continue };
        let trimmed = value.trim();
        if is_quoted(trimmed) {
            return Err(EnvironmentError::Quoted { name });
        }
        if trimmed.len() < value.len() {
            set(&name, trimmed)?;
        }
    }
    Ok(())
}

/// Sets the variables of the file that are not set yet, or empty. An empty value sets none.
pub fn load_file(path: &Path) -> Result<(), EnvironmentError> {
    for variable in env_file::read(path)? {
        let is_set = env::var_os(&variable.name).is_some_and(|value| !value.is_empty());
        if !is_set && !variable.value.is_empty() {
            set(&variable.name, &variable.value)?;
        }
    }
    Ok(())
}

/// Makes an empty variable count as not set, as files of variables and containers leave those that nobody filled in.
pub fn without_empty(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let is_empty = arg.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
            if is_empty { arg.env(None::<&'static str>) } else { arg }
        })
        .mut_subcommands(without_empty)
}

fn collect_names(command: &Command, names: &mut BTreeSet<String>) {
    let of_args = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned));
    names.extend(of_args);
    for command in command.get_subcommands() {
        collect_names(command, names);
    }
}

fn is_quoted(value: &str) -> bool {
    value.len() > 1 && ['"', '\''].iter().any(|quote| value.starts_with(*quote) && value.ends_with(*quote))
}

/// Sets a variable of this process. The standard library's function is unsafe beside other threads; dotenvy's isn't
/// marked so. Must be called before the runtime starts.
fn set(name: &str, value: &str) -> Result<(), EnvironmentError> {
    let result = dotenvy::from_read_override(dotenvy_line(name, value).as_bytes());
    result.map_err(|source| EnvironmentError::Set { name: name.to_owned(), source })
}

/// Returns the line that dotenvy reads as this variable.
fn dotenvy_line(name: &str, value: &str) -> String {
    let mut line = format!("{name}=\"");
    for char in value.chars() {
        match char {
            '\n' => line.push_str("\\n"),
            '"' | '\\' | '$' => line.extend(['\\', char]),
            _ => line.push(char),
        }
    }
    line + "\"\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotenvy_reads_each_value_as_it_was() {
        for value in ["b", "", "a\"b'c", "$HOME ${x} \\n", "ends with \\", "# b", "two\r\nlines\n", "'b'", " b "] {
            let line = dotenvy_line("A", value);
            let read: Vec<_> = dotenvy::from_read_iter(line.as_bytes()).map(|item| item.unwrap()).collect();
            assert_eq!(read, [("A".to_owned(), value.to_owned())], "{line}");
        }
    }

    #[test]
    fn value_within_one_pair_of_quotes_is_quoted() {
        assert!(is_quoted("\"\"") && is_quoted("'a'") && is_quoted("\"a'\""));
        assert!(!is_quoted("\"") && !is_quoted("a'") && !is_quoted("'a\"") && !is_quoted(""));
    }
}
