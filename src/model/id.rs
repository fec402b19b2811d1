//! Identifiers, one type each, so that a binding's id can't be handed over where a grant's is meant.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
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
    /// An organisation: our customer's workspace.
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
    /// What ties an organisation to a Xero tenant.
    BindingId
);
id!(
    /// One journalled try at an exchange.
    AttemptId
);
id!(
    /// A change of state that people are told of.
    EventId
);
id!(
    /// An event on its way to one receiver.
    DeliveryId
);
id!(
    /// A link by which somebody may join an organisation.
    InvitationId
);
id!(
    /// An address that an organisation wants its events posted to.
    EndpointId
);
id!(
    /// What one of an organisation's programs asks with.
    ApiKeyId
);
