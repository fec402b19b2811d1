//! Statuses and triggers, with the values that the database and the API use.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;

str_enum!(
    /// Status of a grant.
    GrantStatus {
        /// Its tokens are refreshed and served.
        Active = "active",
        /// Xero responded `invalid_grant`: only a new consent helps.
        RefreshFailed = "refresh_failed",
        /// Revoked on purpose: its last binding was removed, or another grant replaced it.
        Revoked = "revoked",
    }
);

str_enum!(
    /// Status of a binding.
    BindingStatus {
        /// An active grant serves it.
        Active = "active",
        /// Its grant has ended; a person has to reconnect.
        NeedsReauth = "needs_reauth",
        /// Removed on purpose, or found removed at Xero.
        Disconnected = "disconnected",
    }
);

str_enum!(
    /// What triggered a refresh attempt.
    Trigger {
        /// A page that a person opened.
        OrgSwitch = "org_switch",
        /// A person's explicit request.
        Manual = "manual",
        /// The background sweep.
        Sweep = "sweep",
        /// A call to Xero that needed a valid token.
        Client = "client",
        /// A token request with an API key.
        Vend = "vend",
        /// A command of the command line.
        Cli = "cli",
        /// An import from another system.
        Import = "import",
    }
);
