//! Enums with a text value for each variant, and stored values that such an enum may not know.

use serde::{Deserialize, Serialize};

/// Defines an enum whose variants each have one text value, for serde, the database and `parse`.
macro_rules! str_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $(
                $(#[$vdoc])*
                #[doc = concat!("\n\nText value: `", $text, "`.")]
                #[serde(rename = $text)]
                $variant
            ),+
        }

        impl $name {
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the value that the database and the API use.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }

            /// Parses such a value. Returns `None` if it is unknown.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl $crate::model::TextEnum for $name {
            fn as_str(self) -> &'static str {
                Self::as_str(self)
            }

            fn parse(text: &str) -> Option<Self> {
                Self::parse(text)
            }
        }
    };
}
pub(crate) use str_enum;

/// An enum whose variants each have one text value. `str_enum!` implements it.
pub trait TextEnum: Copy {
    /// Returns the value that the database and the API use.
    fn as_str(self) -> &'static str;

    /// Parses such a value. Returns `None` if it is unknown.
    fn parse(text: &str) -> Option<Self>;
}

/// A value from a row: one of `T`'s, or one that another version of Evergrant wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Stored<T> {
    /// A value that this version knows.
    Known(T),
    /// A value that this version doesn't know.
    Unknown(String),
}

impl<T: TextEnum> Stored<T> {
    /// Reads a stored text.
    pub fn parse(text: String) -> Self {
        match T::parse(&text) {
            Some(known) => Self::Known(known),
            None => Self::Unknown(text),
        }
    }

    /// Returns the stored text.
    pub fn as_str(&self) -> &str {
        self.label(T::as_str)
    }

    /// Returns the label of a known value, and an unknown value as it is stored.
    pub fn label(&self, known: fn(T) -> &'static str) -> &str {
        match self {
            Self::Known(value) => known(*value),
            Self::Unknown(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Stored;
    use crate::model::Trigger;

    #[test]
    fn stored_value_of_another_version_survives_a_round_trip() {
        for (text, value) in [("sweep", Stored::Known(Trigger::Sweep)), ("dream", Stored::Unknown("dream".to_owned()))]
        {
            assert_eq!(Stored::parse(text.to_owned()), value);
            assert_eq!(value.as_str(), text);
            let json = serde_json::to_string(&value).unwrap();
            assert_eq!((json.as_str(), serde_json::from_str(&json).unwrap()), (format!("{text:?}").as_str(), value));
        }
    }
}
