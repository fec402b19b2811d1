//! Identifiers, one type each, so that a binding's id can't be passed as a grant's.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// Returns the id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }
    };
}

id!(
    /// An organization: a customer's workspace.
    OrgId
);
id!(
    /// A person who signs in.
    UserId
);
id!(
    /// One OAuth token set: one Xero user's consent.
    GrantId
);
id!(
    /// A binding: the link between an organization and a Xero tenant.
    BindingId
);
id!(
    /// One journaled attempt to exchange a refresh token.
    AttemptId
);
id!(
    /// A change of state that people are notified of.
    EventId
);
id!(
    /// The delivery of an event to one receiver.
    DeliveryId
);
id!(
    /// An invitation link to join an organization.
    InvitationId
);
id!(
    /// A webhook endpoint of an organization.
    EndpointId
);
id!(
    /// An API key of an organization.
    ApiKeyId
);
id!(
    /// An address that gets letters about an organization's connections.
    ContactId
);
id!(
    /// A link by which anybody can connect Xero for an organization.
    ConnectLinkId
);
