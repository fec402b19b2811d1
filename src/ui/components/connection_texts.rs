//! Sentences about a connection that its row in the list and its page share.

/// What disconnecting does.
pub const DISCONNECT_CONSEQUENCE: &str =
    "People and programs will no longer get tokens for it. Nothing in Xero is deleted, and you can connect it again.";

/// What is said to a person who may not reconnect a connection that needs it.
pub const ASK_TO_RECONNECT: &str = "Ask an owner or admin of the organisation to reconnect it.";

/// What is said if the Xero user also connects another organization.
pub const SHARED_USER: &str = "Its Xero user also connects another organisation in Evergrant, and an access token of this user opens both. Programs should call Xero through Evergrant.";
