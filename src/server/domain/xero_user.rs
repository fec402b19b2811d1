//! What a consent tells of its Xero user.

/// A Xero user's name and email address, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XeroUserName {
    /// First and last name.
    pub name: Option<String>,
    /// Email address.
    pub email: Option<String>,
}
