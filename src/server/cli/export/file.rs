//! The exported file: the JSON lines that `evergrant import` reads, encrypted with age. No token is in it unencrypted.

use std::io::{self, Write as _};

use age::Encryptor;
use age::stream::StreamWriter;
use age::x25519::Recipient;
use serde_json::json;

use crate::server::domain::RefreshToken;
use crate::server::store::ExportedGrant;

/// Rows that are encrypted as they are added.
pub struct EncryptedRows(StreamWriter<Vec<u8>>);

impl EncryptedRows {
    /// Begins a file that only the holder of the recipient's secret key can read.
    pub fn to(recipient: &Recipient) -> io::Result<Self> {
        let encryptor = Encryptor::with_recipients(std::iter::once(recipient as &dyn age::Recipient));
        Ok(Self(encryptor.map_err(io::Error::other)?.wrap_output(Vec::new())?))
    }

    /// Adds a row for each connection of the grant.
    pub fn add(&mut self, exported: &ExportedGrant, token: &RefreshToken) -> io::Result<()> {
        let client_id = &exported.grant.app.client_id;
        for one in &exported.connections {
            let row = json!({ "refreshToken": token.expose(), "clientId": client_id, "tenantId": one.tenant_id,
                "externalId": one.external_id, "tags": one.tags });
            writeln!(self.0, "{row}")?;
        }
        Ok(())
    }

    /// Returns the file.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::server::domain::Grant;
    use crate::server::store::ExportedConnection;

    #[test]
    fn only_the_recipient_reads_the_rows() {
        let (identity, stranger) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
        let mut rows = EncryptedRows::to(&identity.to_public()).unwrap();
        let connection = |name: &str| ExportedConnection {
            binding: "b".into(),
            tenant_id: format!("t-{name}"),
            tenant_name: name.to_owned(),
            external_id: None,
            tags: vec!["nz".to_owned()],
        };
        let connections = vec![connection("one"), connection("two")];
        rows.add(&ExportedGrant { grant: Grant::for_test(0, 0), connections }, &RefreshToken::new("secret")).unwrap();
        let file = rows.finish().unwrap();
        let open = |identity: &age::x25519::Identity| {
            age::Decryptor::new(&file[..]).unwrap().decrypt(std::iter::once(identity as &dyn age::Identity))
        };
        assert!(open(&stranger).is_err());
        let mut text = String::new();
        open(&identity).unwrap().read_to_string(&mut text).unwrap();
        let tenants: Vec<bool> = text.lines().map(|line| line.contains("secret") && line.contains("\"t-")).collect();
        assert_eq!(tenants, [true, true]);
        assert!(!file.windows(6).any(|bytes| bytes == b"secret"));
    }
}
