//! What a press of a button or link does in the browser. Without wasm, the form or the link does it.

use std::fmt;

use crate::model::BindingId;

/// An action, as the attribute `data-action` of a button or link.
#[derive(Clone, Debug, PartialEq)]
pub enum PageAction {
    /// Refreshes what is due. Of so many active connections.
    RefreshAll(u32),
    /// Refreshes one connection.
    Refresh(BindingId),
    /// Tests one connection.
    Test(BindingId),
    /// Opens the dialog that asks whether to disconnect the connection of this name.
    AskToDisconnect(BindingId, String),
    /// Disconnects the connection of this name.
    Disconnect(BindingId, String),
    /// Copies the text of the element with this id.
    Copy(String),
    /// Opens the finder.
    Find,
}

/// Writes the attribute's value.
impl fmt::Display for PageAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RefreshAll(active) => write!(f, "refresh-all {active}"),
            Self::Refresh(id) => write!(f, "refresh {id}"),
            Self::Test(id) => write!(f, "test {id}"),
            Self::AskToDisconnect(id, name) => write!(f, "ask-to-disconnect {id} {name}"),
            Self::Disconnect(id, name) => write!(f, "disconnect {id} {name}"),
            Self::Copy(id) => write!(f, "copy {id}"),
            Self::Find => f.write_str("find"),
        }
    }
}

impl PageAction {
    /// Reads the attribute's value. An id has no blank; a name may have some.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (id, name) = rest.split_once(' ').unwrap_or((rest, ""));
        let binding = || BindingId(id.to_owned());
        Some(match kind {
            "refresh-all" => Self::RefreshAll(id.parse().ok()?),
            "refresh" => Self::Refresh(binding()),
            "test" => Self::Test(binding()),
            "ask-to-disconnect" => Self::AskToDisconnect(binding(), name.to_owned()),
            "disconnect" => Self::Disconnect(binding(), name.to_owned()),
            "copy" => Self::Copy(id.to_owned()),
            "find" => Self::Find,
            _ => return None,
        })
    }

    /// Returns the connection that a call to Xero is about, if the action is one.
    pub fn called_connection(&self) -> Option<&BindingId> {
        match self {
            Self::Refresh(id) | Self::Test(id) => Some(id),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_survives_its_attribute() {
        let (id, name) = (BindingId("b-1".into()), "Harbour  Coffee & Co ");
        for action in [
            PageAction::RefreshAll(12),
            PageAction::Refresh(id.clone()),
            PageAction::Test(id.clone()),
            PageAction::AskToDisconnect(id.clone(), name.into()),
            PageAction::Disconnect(id, name.into()),
            PageAction::Copy("connect-link".into()),
            PageAction::Find,
        ] {
            assert_eq!(PageAction::parse(&action.to_string()), Some(action));
        }
        for unknown in ["", "refresh-all", "refresh-all many", "delete b-1"] {
            assert_eq!(PageAction::parse(unknown), None, "{unknown}");
        }
    }
}
