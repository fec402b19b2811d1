//! Which field of a form a refusal is about. The page shows it there.

use super::{AccountFlash, ApiKeyFlash, ConnectionFlash, Flash, MembersFlash};

impl Flash {
    /// Returns the name of the field that the message is about; `None` if it is about none.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Account(flash) => flash.field(),
            Self::Members(flash) => flash.field(),
            Self::ApiKeys(flash) => flash.field(),
            Self::Connection(flash) => flash.field(),
            Self::Address(_) => Some("url"),
            _ => None,
        }
    }
}

impl AccountFlash {
    fn field(self) -> Option<&'static str> {
        match self {
            Self::WrongPassword => Some("current_password"),
            Self::PasswordTooShort | Self::PasswordCommon | Self::PasswordLikeEmail => Some("new_password"),
            Self::InvalidEmail | Self::SameEmail | Self::EmailTaken | Self::TooManyMails => Some("email"),
            Self::InvalidName => Some("name"),
            Self::InvalidTimeZone => Some("time_zone"),
            Self::WrongCode => Some("code"),
            _ => None,
        }
    }
}

impl MembersFlash {
    fn field(self) -> Option<&'static str> {
        match self {
            Self::InvalidEmail | Self::EmailTaken | Self::TooManyMails => Some("email"),
            Self::PasswordTooShort | Self::PasswordCommon | Self::PasswordLikeEmail => Some("password"),
            Self::InvalidName | Self::NameTaken => Some("name"),
            _ => None,
        }
    }
}

impl ApiKeyFlash {
    fn field(self) -> Option<&'static str> {
        match self {
            Self::InvalidName => Some("name"),
            Self::NoScope => Some("scopes"),
            Self::NoneChosen | Self::NoSuchConnection => Some("bindings"),
            _ => None,
        }
    }
}

impl ConnectionFlash {
    fn field(self) -> Option<&'static str> {
        match self {
            Self::ContactsInvalid => Some("contacts"),
            Self::LinkEmailInvalid | Self::LinkNoMailServer | Self::TooManyMails => Some("email"),
            Self::LinkInvalid => Some("note"),
            Self::LinkLabels => Some("tags"),
            Self::ExternalIdTaken => Some("external_id"),
            Self::ReturnUrlNotAllowed => Some("return_url"),
            Self::ReturnUrlsInvalid => Some("urls"),
            _ => None,
        }
    }
}
