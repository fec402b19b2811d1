//! Reads a file of variables, such as `.env`: one `NAME=value` a line, and nothing in a value is interpreted.

use std::path::{Path, PathBuf};

/// Why a file of variables can't be used. Names the line and the variable, never the value.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    #[error("{path} can't be read: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} isn't UTF-8 text: save it with that encoding")]
    NotText { path: PathBuf },
    #[error("line {line} of {path}: write NAME=value, or begin a comment with #")]
    NotAVariable { path: PathBuf, line: usize },
    #[error(
        "line {line} of {path}: {name} begins with a quote that isn't its end, too. Remove the quote, or put the whole \
         value into quotes"
    )]
    OpenQuote { path: PathBuf, line: usize, name: String },
    #[error("{path} sets {name} twice, in lines {first} and {second}: remove one of them")]
    SetTwice { path: PathBuf, name: String, first: usize, second: usize },
}

/// A variable of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub name: String,
    pub value: String,
    line: usize,
}

/// Reads the variables of a file. A missing file has none.
pub(super) fn read(path: &Path) -> Result<Vec<Variable>, EnvFileError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(EnvFileError::Read { path: path.to_owned(), source }),
    };
    let text = String::from_utf8(bytes).map_err(|_| EnvFileError::NotText { path: path.to_owned() })?;
    parse(&text, path)
}

/// Parses the text of a file. A value is trimmed, then loses a pair of quotes around it.
fn parse(text: &str, path: &Path) -> Result<Vec<Variable>, EnvFileError> {
    let mut variables: Vec<Variable> = Vec::new();
    for (index, text) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (text, line) = (text.trim(), index + 1);
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let text = text.strip_prefix("export ").unwrap_or(text);
        let (name, value) = text
            .split_once('=')
            .map(|(name, value)| (name.trim(), value.trim()))
            .filter(|(name, value)| is_name(name) && !value.contains('\0'))
            .ok_or(EnvFileError::NotAVariable { path: path.to_owned(), line })?;
        let value = match value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
            Some(quote) => {
                let inner = value[1..].strip_suffix(quote).filter(|inner| !inner.contains(quote));
                let error = || EnvFileError::OpenQuote { path: path.to_owned(), line, name: name.to_owned() };
                inner.ok_or_else(error)?
            }
            None => value,
        };
        if let Some(first) = variables.iter().find(|variable| variable.name == name) {
            let (name, first) = (name.to_owned(), first.line);
            return Err(EnvFileError::SetTwice { path: path.to_owned(), name, first, second: line });
        }
        variables.push(Variable { name: name.to_owned(), value: value.to_owned(), line });
    }
    Ok(variables)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_one(line: &str) -> Result<String, String> {
        let mut variables = parse(line, Path::new(".env")).map_err(|error| error.to_string())?;
        Ok(variables.pop().map(|variable| variable.value).unwrap_or_default())
    }

    #[test]
    fn values_are_taken_as_written() {
        for (line, value) in [
            ("A=b", "b"),
            ("export A = b ", "b"),
            ("A=p$HOME ${x} \\n # no comment", "p$HOME ${x} \\n # no comment"),
            ("A=\" b ' $c\\\"", " b ' $c\\"),
            ("A='say \"b\"'", "say \"b\""),
            ("A=it's", "it's"),
            ("A=b=c", "b=c"),
            ("A=", ""),
            ("A=''", ""),
            ("# A=b", ""),
            ("\u{feff}A=b\r", "b"),
        ] {
            assert_eq!(parse_one(line).as_deref(), Ok(value), "{line}");
        }
    }

    #[test]
    fn refused_line_is_named_without_its_value() {
        for (text, error) in [
            ("A=b\nsecret", "line 2 of .env: write NAME=value, or begin a comment with #"),
            ("A B=secret", "line 1 of .env: write NAME=value, or begin a comment with #"),
            ("A=\"secret", "line 1 of .env: A begins with a quote that isn't its end, too."),
            ("A='secret' # why", "line 1 of .env: A begins with a quote that isn't its end, too."),
            ("A='secret'b'", "line 1 of .env: A begins with a quote that isn't its end, too."),
            ("A=\"", "line 1 of .env: A begins with a quote that isn't its end, too."),
            ("A=b\n\nA=secret", ".env sets A twice, in lines 1 and 3: remove one of them"),
        ] {
            let got = parse_one(text).unwrap_err();
            assert!(got.starts_with(error) && !got.contains("secret"), "{text}: {got}");
        }
    }

    #[test]
    fn file_that_is_no_text_is_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join(".env");
        assert_eq!(read(&path).unwrap(), []);
        std::fs::write(&path, [0xff, 0xfe, b'A', 0]).unwrap();
        assert!(matches!(read(&path), Err(EnvFileError::NotText { .. })));
    }
}
