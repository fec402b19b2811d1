//! Pure cryptography: reads no file, no database and no configuration.
//!
//! `sealed` is the format of an encrypted value and what it is bound to, `key_ring` seals and opens with the keys it is
//! given, `random` makes secrets and hashes them, `webhook_key`
//! signs webhooks and verifies them. Where the keys come from is the subject of `encryption_keys`.

pub mod key_ring;
pub mod random;
pub mod sealed;
pub mod webhook_key;
