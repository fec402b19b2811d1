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

#[cfg(test)]
mod tests {
    use super::super::AddressProblem;
    use super::*;

    #[test]
    fn refusal_is_shown_at_the_field_that_it_is_about() {
        let account = [
            (AccountFlash::WrongPassword, Some("current_password")),
            (AccountFlash::PasswordTooShort, Some("new_password")),
            (AccountFlash::EmailTaken, Some("email")),
            (AccountFlash::InvalidName, Some("name")),
            (AccountFlash::InvalidTimeZone, Some("time_zone")),
            (AccountFlash::WrongCode, Some("code")),
            (AccountFlash::TooManyAttempts, None),
        ];
        let members = [
            (MembersFlash::InvalidEmail, Some("email")),
            (MembersFlash::PasswordCommon, Some("password")),
            (MembersFlash::NameTaken, Some("name")),
            (MembersFlash::LastOwner, None),
        ];
        let api_keys = [
            (ApiKeyFlash::InvalidName, Some("name")),
            (ApiKeyFlash::NoScope, Some("scopes")),
            (ApiKeyFlash::NoneChosen, Some("bindings")),
            (ApiKeyFlash::TooMany, None),
        ];
        let connections = [
            (ConnectionFlash::ContactsInvalid, Some("contacts")),
            (ConnectionFlash::LinkEmailInvalid, Some("email")),
            (ConnectionFlash::LinkInvalid, Some("note")),
            (ConnectionFlash::LinkLabels, Some("tags")),
            (ConnectionFlash::ExternalIdTaken, Some("external_id")),
            (ConnectionFlash::ReturnUrlNotAllowed, Some("return_url")),
            (ConnectionFlash::ReturnUrlsInvalid, Some("urls")),
            (ConnectionFlash::TooManyLinks, None),
        ];
        let others = [(Flash::Address(AddressProblem::ALL[0]), Some("url")), (Flash::OtherOrganization, None)];
        let all = account
            .map(|(flash, field)| (Flash::from(flash), field))
            .into_iter()
            .chain(members.map(|(flash, field)| (flash.into(), field)))
            .chain(api_keys.map(|(flash, field)| (flash.into(), field)))
            .chain(connections.map(|(flash, field)| (flash.into(), field)))
            .chain(others);
        for (flash, field) in all {
            assert_eq!(flash.field(), field, "{flash:?}");
        }
    }
}
