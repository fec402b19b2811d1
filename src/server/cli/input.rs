//! Reads a secret from a file, a prompt or standard input, because other users can see a program's flags. Reads the answer
//! to a question in the same way.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::Path;

use crate::server::domain::Secret;

/// Reads the first line of `file`, or of standard input if there is none. On a terminal it shows `prompt` and turns the
/// echo off.
pub fn secret_line(file: Option<&Path>, prompt: &str) -> io::Result<Secret> {
    let mut line = String::new();
    match file {
        Some(path) => BufReader::new(std::fs::File::open(path)?).read_line(&mut line)?,
        None if io::stdin().is_terminal() => return rpassword::prompt_password(prompt).map(Secret::new),
        None => io::stdin().lock().read_line(&mut line)?,
    };
    Ok(Secret::new(line.trim_end_matches(['\r', '\n'])))
}

/// Reads a line from standard input. On a terminal it shows `question` first, beside the program's output.
pub fn line(question: &str) -> io::Result<String> {
    if io::stdin().is_terminal() {
        let mut terminal = io::stderr().lock();
        terminal.write_all(question.as_bytes())?;
        terminal.flush()?;
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}
