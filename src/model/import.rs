//! What became of a refresh token that was imported from another system.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;

str_enum!(
    /// The outcome of one row of an import.
    ImportOutcome {
        Imported = "imported",
        AlreadyImported = "already_imported",
        AlreadyBound = "already_bound",
        OtherClient = "other_client",
        OtherOrganization = "other_organization",
        ExternalIdTaken = "external_id_taken",
        Refused = "refused",
        NoTenants = "no_tenants",
        TenantNotListed = "tenant_not_listed",
        SharedXeroUser = "shared_xero_user",
        RateLimited = "rate_limited",
        NotAnswering = "not_answering",
        AppRefused = "app_refused",
        InProgress = "in_progress",
        NotSaved = "not_saved",
        Invalid = "invalid",
    }
);

impl ImportOutcome {
    /// Returns whether nothing is left to do for the row.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Imported | Self::AlreadyImported | Self::AlreadyBound)
    }

    /// Returns whether the same row may succeed later without a change.
    pub fn is_worth_repeating(self) -> bool {
        matches!(self, Self::RateLimited | Self::NotAnswering | Self::AppRefused | Self::InProgress | Self::NotSaved)
    }

    /// Says what happened, and what to do.
    pub fn message(self) -> &'static str {
        match self {
            Self::Imported => "Connected. The token that was imported can't be used again.",
            Self::AlreadyImported => "This token was imported before.",
            Self::AlreadyBound => "The organisation has a working connection to this tenant, which was left as it is.",
            Self::OtherClient => "The row names another client ID than Evergrant's, so the token was not sent.",
            Self::OtherOrganization => "This token was imported for another organisation.",
            Self::ExternalIdTaken => {
                "Another connection of the organisation has this externalId, so the token was not sent."
            }
            Self::Refused => {
                "Xero refused the token. It was used before, has expired, was revoked, or belongs to another app; Xero \
                 doesn't say which. Connect this tenant again."
            }
            Self::NoTenants => {
                "The token works, but its Xero user is connected to no tenant. Once there is one, import the row again."
            }
            Self::TenantNotListed => {
                "The token works, but its Xero user is not connected to this tenant. Correct tenantId, and import the \
                 row again."
            }
            Self::SharedXeroUser => {
                "The token works, but it also opens what another organisation here connected. An operator can import \
                 the row with --allow-shared-users."
            }
            Self::RateLimited => "Xero is limiting Evergrant's requests. Nothing is lost: import the row again later.",
            Self::NotAnswering => {
                "Xero did not answer. The token is kept and sent again by itself: import the row again within 30 \
                 minutes."
            }
            Self::AppRefused => {
                "Xero refused Evergrant's own client ID or secret. Nothing is lost: correct them, and import the row \
                 again."
            }
            Self::InProgress => "Another process works on this token. Import the row again in a moment.",
            Self::NotSaved => {
                "Xero accepted the token and the database did not take the new one, which is kept on disk. Import the \
                 row again once the database answers."
            }
            Self::Invalid => "The row is not valid, so the token was not sent.",
        }
    }
}
