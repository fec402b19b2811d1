//! A secret that isn't a flag's value.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _};
use std::path::Path;

use crate::server::domain::Secret;

/// The first line of a file, or of standard input: from a person without an echo, from a program as it comes.
pub fn secret_line(file: Option<&Path>, prompt: &str) -> io::Result<Secret> {
    let mut line = String::new();
    match file {
        Some(path) => BufReader::new(std::fs::File::open(path)?).read_line(&mut line)?,
        None if io::stdin().is_terminal() => return rpassword::prompt_password(prompt).map(Secret::new),
        None => io::stdin().lock().read_line(&mut line)?,
    };
    Ok(Secret::new(line.trim_end_matches(['\r', '\n'])))
}
