//! A Rust file for the checkers: its code without comments and strings, and the blocks around each offset.

use std::fs;
use std::path::{Path, PathBuf};

/// The kind of a block in braces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Block {
    Module,
    Function,
    Other,
}

pub struct Source {
    /// Path from the package root, with forward slashes.
    pub path: String,
    pub text: String,
    /// `text` with comments and the contents of strings replaced with spaces, byte for byte.
    pub code: String,
    /// For each line (from 0), whether it is `#[cfg(test)]` code.
    test_lines: Vec<bool>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let code = blank_comments_and_strings(text);
        let test_lines = test_lines(&code);
        Self { path: path.into(), text: text.into(), code, test_lines }
    }

    /// Reads every Rust file under `folder`. Files of `#[cfg(test)]` modules are test code.
    pub fn all_under(folder: &str) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut paths = Vec::new();
        collect_rust_files(&root.join(folder), &mut paths);
        paths.sort();
        let mut sources: Vec<Self> = paths
            .iter()
            .map(|path| {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                Self::new(&name, &fs::read_to_string(path).unwrap())
            })
            .collect();
        let test_modules: Vec<String> = sources.iter().flat_map(Self::test_only_modules).collect();
        for source in &mut sources {
            if test_modules.iter().any(|stem| source.path.starts_with(stem.as_str())) {
                source.test_lines.fill(true);
            }
        }
        sources
    }

    /// Returns the path prefixes of the modules that this file declares under `#[cfg(test)]`.
    fn test_only_modules(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/').expect("every source is in a folder") {
            (folder, "mod.rs" | "lib.rs" | "main.rs") => folder.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        let lines: Vec<&str> = self.code.lines().collect();
        let declared = |pair: &&[&str]| pair[0].trim() == "#[cfg(test)]" && pair[1].trim_end().ends_with(';');
        let pairs = lines.windows(2).filter(declared);
        pairs
            .filter_map(|pair| pair[1].split("mod ").nth(1))
            .flat_map(|name| [".rs", "/"].map(|end| format!("{folder}/{}{end}", name.trim_end_matches(';').trim())))
            .collect()
    }

    /// Returns the line (from 1) of an offset in `code`.
    pub fn line_at(&self, offset: usize) -> usize {
        self.code[..offset].bytes().filter(|b| *b == b'\n').count() + 1
    }

    /// Returns whether a line (from 1) is test code.
    pub fn is_test(&self, line: usize) -> bool {
        self.test_lines.get(line - 1).copied().unwrap_or(false)
    }

    /// Returns the lines of code (from 1) that are not test code.
    pub fn non_test_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines()).filter(|(line, _)| !self.is_test(*line))
    }

    /// Returns each string literal as it is in the source, with the offset of its opening quote.
    pub fn string_literals(&self) -> impl Iterator<Item = (usize, &str)> {
        // The closing quotes are blank in `code`.
        self.code.match_indices('"').map(|(at, _)| {
            let rest = &self.text[at + 1..];
            let mut is_escaped = false;
            let end = rest.bytes().position(|byte| {
                let closes = byte == b'"' && !is_escaped;
                is_escaped = byte == b'\\' && !is_escaped;
                closes
            });
            (at, &rest[..end.unwrap_or(rest.len())])
        })
    }

    /// Returns the blocks around an offset in `code`, outermost first.
    pub fn blocks_at(&self, offset: usize) -> Vec<Block> {
        let mut open = Vec::new();
        let mut start = 0;
        for (at, c) in self.code[..offset].char_indices() {
            match c {
                '{' => {
                    open.push(block_kind(&self.code[start..at]));
                    start = at + 1;
                }
                '}' => {
                    open.pop();
                    start = at + 1;
                }
                ';' => start = at + 1,
                _ => {}
            }
        }
        open
    }
}

/// Returns the kind of a block from the text before its brace.
fn block_kind(head: &str) -> Block {
    let mut words = head.split(|c: char| !c.is_alphanumeric() && c != '_');
    words
        .find_map(|word| match word {
            "fn" => Some(Block::Function),
            "mod" => Some(Block::Module),
            _ => None,
        })
        .unwrap_or(Block::Other)
}

fn collect_rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_rust_files(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

/// Marks the lines from each `#[cfg(test)]` to the end of its block or statement.
fn test_lines(code: &str) -> Vec<bool> {
    let mut marked = vec![false; code.lines().count()];
    for (start, gate) in code.match_indices("#[cfg(test)]") {
        let mut depth = 0;
        let mut end = code.len();
        for (at, c) in code[start + gate.len()..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 && (c == '}' || c == ';') {
                end = start + gate.len() + at;
                break;
            }
        }
        let line = |offset: usize| code[..offset].matches('\n').count();
        let last = line(end).min(marked.len() - 1);
        marked[line(start)..=last].fill(true);
    }
    marked
}

/// Replaces comments and the contents of string and char literals with spaces. Keeps line breaks.
fn blank_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        match comment_or_literal_at(bytes, at) {
            Some((from, to)) => {
                out[from..to].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
                at = to;
            }
            None => at += 1,
        }
    }
    String::from_utf8(out).expect("whole characters were replaced by spaces")
}

/// Returns the range to blank if a comment or literal starts at `at`. The range ends where it ends.
fn comment_or_literal_at(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = &bytes[at..];
    // Returns the position after the next `needle`, searched from `from`.
    let after = |needle: &[u8], from: usize| {
        let found = rest.get(from..)?.windows(needle.len()).position(|window| window == needle)?;
        Some(at + from + found + needle.len())
    };
    let to_end = bytes.len();
    let in_a_name = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => Some((at, after(b"\n", 0).unwrap_or(to_end))),
        [b'/', b'*', ..] => Some((at, after(b"*/", 2).unwrap_or(to_end))),
        [b'r', tail @ ..] if !in_a_name || bytes[at - 1] == b'b' => {
            let hashes = tail.iter().take_while(|b| **b == b'#').count();
            let inside = hashes + 2;
            (tail.get(hashes) == Some(&b'"')).then(|| {
                let closing = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
                (at + inside, after(&closing, inside).unwrap_or(to_end))
            })
        }
        [b'"', tail @ ..] => {
            let mut inside = 0;
            while tail.get(inside).is_some_and(|b| *b != b'"') {
                inside += if tail[inside] == b'\\' { 2 } else { 1 };
            }
            Some((at + 1, (at + inside + 2).min(to_end)))
        }
        // A char, not a lifetime.
        [b'\'', b'\\', ..] => Some((at + 1, after(b"'", 3).unwrap_or(to_end))),
        [b'\'', _, b'\'', ..] => Some((at + 1, at + 3)),
        _ => None,
    }
}

#[test]
fn comments_and_literals_are_blanked() {
    let source = Source::new(
        "src/x.rs",
        "let a = \"crate::b\"; // crate::c\nlet d = r#\"{ \"\"#; let e = '{'; /* { */ f('\\'', b\"\\\"{\")",
    );
    assert!(!source.code.contains("crate"), "{}", source.code);
    assert!(!source.code.contains('{'), "{}", source.code);
    assert!(source.code.contains("let d") && source.code.contains("let e") && source.code.contains("f("));
    assert_eq!(source.code.len(), source.text.len());
}

#[test]
fn test_code_is_recognized() {
    let source = Source::new("src/x.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n");
    let tests: Vec<usize> = (1..=6).filter(|line| source.is_test(*line)).collect();
    assert_eq!(tests, [2, 3, 4, 5]);
}
