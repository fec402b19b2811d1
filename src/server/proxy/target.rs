//! The paths of Xero's API that a program may call: those of the families that bear a tenant.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::server::xero::ApiPath;

/// The first segments of the API families whose calls name a tenant. `/connections` is not one: it reaches other tenants
/// of the Xero user.
const TENANT_FAMILIES: [&str; 7] =
    ["api.xro", "payroll.xro", "files.xro", "assets.xro", "projects.xro", "finance.xro", "bankfeeds.xro"];

/// What is percent-encoded in a path segment (RFC 3986, 3.3), so that a segment stays one.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The path is none of a tenant's API families, or reads differently to different programs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path is not below an API family of Xero that bears a tenant")]
pub struct ForbiddenPath;

/// Returns the path at Xero for `raw`, the percent-encoded path that follows `/xero/`.
///
/// Encodings and dot segments are resolved before the check, and the result is encoded anew, so that Xero sees what was
/// checked. A segment that is still encoded after one decoding, or that contains a separator, is refused.
pub fn parse_target(raw: &str) -> Result<ApiPath, ForbiddenPath> {
    let mut segments: Vec<String> = Vec::new();
    let mut ends_in_slash = false;
    for segment in raw.split('/') {
        let segment = percent_decode_str(segment).decode_utf8().map_err(|_| ForbiddenPath)?;
        ends_in_slash = false;
        match segment.as_ref() {
            "" | "." => ends_in_slash = true,
            ".." => drop(segments.pop().ok_or(ForbiddenPath)?),
            text if is_ambiguous(text) => return Err(ForbiddenPath),
            text => segments.push(text.to_owned()),
        }
    }
    let family = segments.first().ok_or(ForbiddenPath)?;
    if !TENANT_FAMILIES.contains(&family.as_str()) || segments.len() < 2 {
        return Err(ForbiddenPath);
    }
    let encoded: Vec<String> =
        segments.iter().map(|segment| utf8_percent_encode(segment, SEGMENT).to_string()).collect();
    Ok(ApiPath::new(encoded.join("/") + if ends_in_slash { "/" } else { "" }))
}

/// Returns whether a decoded segment would be read as several segments, or as other text, by a server that decodes it
/// once more.
fn is_ambiguous(segment: &str) -> bool {
    let again = percent_decode_str(segment).decode_utf8();
    segment.contains(['/', '\\', ';'])
        || segment.chars().any(char::is_control)
        || again.is_err()
        || again.is_ok_and(|again| again != segment && again.contains(['.', '/', '\\', '%', ';', '\0']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(raw: &str) -> Option<String> {
        parse_target(raw).ok().map(|path| path.as_str().to_owned())
    }

    #[test]
    fn paths_of_tenant_families_are_passed_on() {
        for path in [
            "api.xro/2.0",
            "api.xro/2.0/Invoices",
            "api.xro/2.0/Invoices/INV-0001",
            "api.xro/2.0/Contacts/5b96e86b/Attachments/sum%20of%20May.pdf",
            "payroll.xro/1.0/Employees",
            "files.xro/1.0/Files/",
            "assets.xro/1.0/Assets",
            "projects.xro/2.0/Projects",
            "finance.xro/1.0/BankStatementsPlus/statements",
            "bankfeeds.xro/1.0/FeedConnections",
        ] {
            assert_eq!(target(path).as_deref(), Some(path));
        }
        assert_eq!(target("api.xro/2.0/Items/50%25%20off").as_deref(), Some("api.xro/2.0/Items/50%25%20off"));
        assert_eq!(target("api.xro/2.0/Items/caf%C3%A9").as_deref(), Some("api.xro/2.0/Items/caf%C3%A9"));
    }

    #[test]
    fn dots_and_encodings_are_resolved_before_the_check() {
        assert_eq!(target("./api.xro//2.0/./Users/../Invoices").as_deref(), Some("api.xro/2.0/Invoices"));
        assert_eq!(target("api%2Exro/2.0/%49nvoices").as_deref(), Some("api.xro/2.0/Invoices"));
        for path in [
            "",
            "/",
            "connections",
            "connections/7cb59f93",
            "api.xro",
            "api.xro/",
            "api.xro/..",
            "api.xro/../connections",
            "api.xro/%2e%2e/connections",
            "api.xro/2.0/%2E%2e/../connections/1",
            "api.xro/%252e%252e/connections",
            "api.xro/..%2fconnections",
            "api.xro/..%5cconnections",
            "api.xro/..;/connections",
            "../connections",
            "//evil.example/api.xro/2.0/Invoices",
            "https://evil.example/api.xro",
            "api.xro.evil.example/2.0",
            "API.XRO/2.0/Invoices",
            "identity/connect/token",
            "api.xro/2.0/In%00voices",
            "api.xro/2.0/In%0d%0avoices",
            "api.xro/2.0/%ff",
        ] {
            assert_eq!(target(path), None, "{path}");
        }
    }
}
