//! Results of the forms on `/settings/api-keys`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::text_enum::str_enum;
use crate::model::{FlashMessage, Tone};

str_enum!(
    /// Result of a form on `/settings/api-keys`.
    ApiKeyFlash {
        Created = "key-created",
        Rotated = "key-rotated",
        PreviousEnded = "key-previous-ended",
        Renamed = "key-renamed",
        Limited = "key-limited",
        Revoked = "key-revoked",
        InvalidName = "key-no-name",
        NoScope = "key-no-scope",
        TooMany = "key-too-many",
        /// A connection to limit the key to is not in the organization.
        NoSuchConnection = "key-no-connection",
        /// A key was to be limited to no connection at all.
        NoneChosen = "key-none-chosen",
        /// The secret before the last rotation still works.
        StillReplacing = "key-still-replacing",
        /// There is no secret before that still works.
        NoPrevious = "key-no-previous",
        /// The key belongs to another organization, or was revoked meanwhile.
        NoSuchKey = "key-missing",
        NotAllowed = "keys-not-allowed",
        /// Evergrant would not notice that the person leaves.
        PersonalKeysRefused = "keys-need-webhooks",
    }
);

impl FlashMessage for ApiKeyFlash {
    fn tone(&self) -> Tone {
        match self {
            Self::Created | Self::Rotated | Self::PreviousEnded | Self::Renamed | Self::Limited | Self::Revoked => {
                Tone::Good
            }
            _ => Tone::Warn,
        }
    }

    fn text(&self) -> Cow<'static, str> {
        match self {
            Self::Created => "API key created. Copy it now: it is shown only once.",
            Self::Rotated => "API key rotated. Copy the new key now: it is shown only once.",
            Self::PreviousEnded => "The old key has ended. Requests with it are refused from now on.",
            Self::Renamed => "API key renamed.",
            Self::Limited => "The API key's connections were changed. This applies from its next request.",
            Self::NoneChosen => "Nothing was changed. Choose at least one connection, or revoke the key.",
            Self::Revoked => "API key revoked. Requests with it are refused from now on.",
            Self::InvalidName => "Nothing was changed. A key needs a name of at most 100 characters.",
            Self::NoScope => "No key was created. Choose at least one permission.",
            Self::TooMany => "There are already 100 API keys. Revoke one that is no longer used first.",
            Self::NoSuchConnection => "Nothing was changed: a connection that you chose isn't in this organisation any more.",
            Self::StillReplacing => {
                "That key was rotated already, and its old key still works. End the old key first."
            }
            Self::NoPrevious => "That API key has no old key that still works.",
            Self::NoSuchKey => "That API key isn't in this organisation or has already been revoked.",
            Self::NotAllowed => "Only owners and admins can see and change API keys. Ask one of them.",
            Self::PersonalKeysRefused => {
                "No key was created: Evergrant doesn't hear from Clerk who leaves, and a key must not outlast that. Your Evergrant administrator can set CLERK_WEBHOOK_SECRET, or create a key on the command line."
            }
        }
        .into()
    }
}
