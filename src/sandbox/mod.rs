//! Our own Xero.
