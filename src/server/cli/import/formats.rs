//! The files that can be imported: CSV, JSON lines, and the answers of Nango's connections API.

use std::path::Path;

use clap::ValueEnum;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::server::cli::CliError;
use crate::server::domain::{ImportRow, RefreshToken};

/// A file's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    Csv,
    Jsonl,
    Nango,
}

/// A row of a file.
pub struct FileRow {
    /// The line in which it begins, or its number in an array, from one.
    pub line: usize,
    /// The organization that it names.
    pub org_id: Option<String>,
    pub row: ImportRow,
    /// Why the row is not sent, whatever else it says.
    pub refusal: Option<&'static str>,
}

/// Its token must not be told to Xero.
const OTHER_PROVIDER: &str = "the connection is another provider's than Xero";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JsonRow {
    refresh_token: String,
    client_id: Option<String>,
    tenant_id: Option<String>,
    external_id: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    org_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CsvRow {
    refresh_token: String,
    client_id: Option<String>,
    tenant_id: Option<String>,
    external_id: Option<String>,
    tags: Option<String>,
    org_id: Option<String>,
}

/// The fields of a connection in Nango's answer that say which token it is and whose (Nango, HTTP API, connections).
#[derive(Deserialize)]
struct NangoConnection {
    connection_id: Option<String>,
    /// Nango's name of the API, such as `xero`. An account has connections to many.
    provider: Option<String>,
    credentials: NangoCredentials,
    connection_config: Option<Map<String, Value>>,
    metadata: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct NangoCredentials {
    #[serde(default)]
    refresh_token: String,
}

impl FileFormat {
    /// Returns the format that the file's name says.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

/// Reads the rows of a file. Errors name the line and never a value, which may be a token.
pub fn read_rows(text: &str, format: FileFormat) -> Result<Vec<FileRow>, CliError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rows = match format {
        FileFormat::Csv => csv_rows(text)?,
        FileFormat::Jsonl => json_lines(text)?.into_iter().map(|(line, row)| file_row(line, row)).collect(),
        FileFormat::Nango => nango_rows(text)?,
    };
    if rows.is_empty() { Err("the file has no rows".into()) } else { Ok(rows) }
}

fn csv_rows(text: &str) -> Result<Vec<FileRow>, CliError> {
    const COLUMNS: [&str; 6] = ["refresh_token", "client_id", "tenant_id", "external_id", "tags", "org_id"];
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|_| "line 1 can't be read")?.clone();
    if let Some(unknown) = header.iter().find(|name| !COLUMNS.contains(name)) {
        let unknown: String = unknown.chars().take(40).collect();
        return Err(format!("unknown column {unknown:?}: the columns are {}", COLUMNS.join(", ")).into());
    }
    if !header.iter().any(|name| name == COLUMNS[0]) {
        return Err("the first line names no column refresh_token".into());
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            format!("line {line} can't be read: it has another number of columns than the first, or is not UTF-8")
        })?;
        let line = usize::try_from(record.position().map_or(0, csv::Position::line)).unwrap_or(usize::MAX);
        let row: CsvRow = record.deserialize(Some(&header)).map_err(|_| format!("line {line} can't be read"))?;
        let tags = row.tags.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let CsvRow { refresh_token, client_id, tenant_id, external_id, org_id, .. } = row;
        rows.push(file_row(line, JsonRow { refresh_token, client_id, tenant_id, external_id, tags, org_id }));
    }
    Ok(rows)
}

/// Parses each line that is not blank, with its number.
fn json_lines<T: DeserializeOwned>(text: &str) -> Result<Vec<(usize, T)>, CliError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(index, line)| {
        let row = serde_json::from_str(line)
            .map_err(|error| format!("line {}, column {}: not a row of this format", index + 1, error.column()))?;
        Ok((index + 1, row))
    });
    parsed.collect()
}

fn nango_rows(text: &str) -> Result<Vec<FileRow>, CliError> {
    // One answer may be printed over several lines, and several may be an array or lines.
    let connections: Vec<(usize, NangoConnection)> = if let Ok(one) = serde_json::from_str(text) {
        vec![(1, one)]
    } else if let Ok(array) = serde_json::from_str::<Vec<NangoConnection>>(text) {
        array.into_iter().enumerate().map(|(index, one)| (index + 1, one)).collect()
    } else {
        json_lines(text)?
    };
    let row = |(line, connection): (usize, NangoConnection)| {
        let text = |map: &Option<Map<String, Value>>, name: &str| {
            let text = map.as_ref()?.get(name)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        let tenant_id =
            text(&connection.connection_config, "tenant_id").or_else(|| text(&connection.metadata, "tenantId"));
        let is_xeros = connection.provider.as_deref().is_none_or(is_xero);
        let row = file_row(
            line,
            JsonRow {
                refresh_token: connection.credentials.refresh_token,
                tenant_id,
                external_id: connection.connection_id,
                ..JsonRow::default()
            },
        );
        FileRow { refusal: (!is_xeros).then_some(OTHER_PROVIDER), ..row }
    };
    Ok(connections.into_iter().map(row).collect())
}

/// Returns whether a provider of Nango's is Xero: `xero`, or a variant such as `xero-oauth2-cc`.
fn is_xero(provider: &str) -> bool {
    provider == "xero" || provider.starts_with("xero-")
}

fn file_row(line: usize, row: JsonRow) -> FileRow {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let row_of = ImportRow {
        refresh_token: RefreshToken::new(row.refresh_token),
        client_id: given(row.client_id),
        tenant_id: given(row.tenant_id),
        external_id: given(row.external_id),
        tags: row.tags,
    };
    FileRow { line, org_id: given(row.org_id), row: row_of, refusal: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line, token, tenant, id and tags.
    type Told = (usize, String, Option<String>, Option<String>, String);

    fn rows(text: &str, format: FileFormat) -> Vec<Told> {
        let rows = read_rows(text, format).unwrap_or_else(|error| panic!("{error}"));
        let told = |FileRow { line, row, .. }: FileRow| {
            (line, row.refresh_token.expose().to_owned(), row.tenant_id, row.external_id, row.tags.join("+"))
        };
        rows.into_iter().map(told).collect()
    }

    fn refusal(text: &str, format: FileFormat) -> String {
        read_rows(text, format).err().expect("it must be refused").to_string()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn csv_has_columns_in_any_order_and_empty_fields() {
        let text = "\u{feff}tenant_id, refresh_token ,tags,external_id\nt-1,token-1,gold nz,\"a, b\"\n,token-2,,\n";
        let first = (2, "token-1".to_owned(), some("t-1"), some("a, b"), "gold+nz".to_owned());
        assert_eq!(rows(text, FileFormat::Csv), [first, (3, "token-2".to_owned(), None, None, String::new())]);
    }

    #[test]
    fn json_lines_are_objects() {
        let text = "{\"refreshToken\":\"a\",\"tags\":[\"x\"],\"orgId\":\"o\"}\n\n{\"refreshToken\":\"b\"}\n";
        let lines: Vec<usize> = rows(text, FileFormat::Jsonl).into_iter().map(|row| row.0).collect();
        assert_eq!(lines, [1, 3]);
        assert_eq!(read_rows(text, FileFormat::Jsonl).unwrap()[0].org_id.as_deref(), Some("o"));
    }

    #[test]
    fn nango_answers_are_read_one_by_one_and_together() {
        let one = r#"{"id":1,"connection_id":"cust-1","provider":"xero","credentials":{"type":"OAUTH2","access_token":"x",
            "refresh_token":"r-1","raw":{}},"connection_config":{"tenant_id":"t-1"},"metadata":null}"#;
        let two = r#"{"connection_id":"cust-2","credentials":{"refresh_token":"r-2"},"connection_config":{},"metadata":{"tenantId":"t-2"}}"#;
        let (first, second) =
            (("r-1".to_owned(), some("t-1"), some("cust-1")), ("r-2".to_owned(), some("t-2"), some("cust-2")));
        let read = |text: &str| -> Vec<_> {
            rows(text, FileFormat::Nango).into_iter().map(|(_, token, tenant, id, _)| (token, tenant, id)).collect()
        };
        assert_eq!(read(one), std::slice::from_ref(&first));
        assert_eq!(read(&format!("[{one},{two}]")), [first.clone(), second.clone()]);
        assert_eq!(read(&format!("{}\n{two}\n", one.replace('\n', " "))), [first, second]);
    }

    #[test]
    fn connections_of_other_providers_are_not_sent() {
        let of = |provider: &str| {
            format!(r#"{{"connection_id":"c","provider":"{provider}","credentials":{{"refresh_token":"r"}}}}"#)
        };
        let text = ["xero", "hubspot", "xero-oauth2-cc", "xerographic", "quickbooks"].map(of).join("\n");
        let refused: Vec<bool> =
            read_rows(&text, FileFormat::Nango).unwrap().iter().map(|row| row.refusal.is_some()).collect();
        assert_eq!(refused, [false, true, false, true, true]);
    }

    #[test]
    fn wrong_file_is_refused_with_its_place_and_without_its_values() {
        for (text, format, expected) in [
            ("", FileFormat::Jsonl, "no rows"),
            ("refresh_token\n", FileFormat::Csv, "no rows"),
            ("token,tenant_id\nsecret,t", FileFormat::Csv, "unknown column \"token\""),
            ("tenant_id\nt", FileFormat::Csv, "no column refresh_token"),
            ("refresh_token,tenant_id\nsecret", FileFormat::Csv, "line 2"),
            ("{\"refreshToken\":\"secret\",\"refresh\":1}", FileFormat::Jsonl, "line 1"),
            ("{\"connection_id\":\"a\",\"secret\":1}", FileFormat::Nango, "line 1"),
        ] {
            let told = refusal(text, format);
            assert!(told.contains(expected) && !told.contains("secret"), "{text:?}: {told}");
        }
    }
}
