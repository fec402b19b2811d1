//! The states that rows can be in, spelt as the database and the API spell them.

use serde::{Deserialize, Serialize};

macro_rules! spelt {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that the database and the API use.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }

            /// The other way round; `None` for a word that is none of ours.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}
pub(super) use spelt;

spelt!(
    /// The life of a grant.
    GrantStatus {
        Active = "active",
        /// Xero answered `invalid_grant`: only a new consent helps.
        RefreshFailed = "refresh_failed",
        /// Given up on purpose: its last binding went, or another grant took its place.
        Revoked = "revoked",
    }
);

spelt!(
    /// The life of a binding.
    BindingStatus {
        Active = "active",
        /// Its grant is dead; a person has to connect again.
        NeedsReauth = "needs_reauth",
        Disconnected = "disconnected",
    }
);

spelt!(
    /// What set an exchange off.
    Trigger {
        OrgSwitch = "org_switch",
        Manual = "manual",
        Sweep = "sweep",
        Client = "client",
        Vend = "vend",
        Cli = "cli",
    }
);
