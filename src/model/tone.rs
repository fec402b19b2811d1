//! Tones of messages and badges.

use serde::{Deserialize, Serialize};

use super::text_enum::str_enum;

str_enum!(
    /// Tone of a message or a badge. The stylesheet gives each a color; an icon and a label say the same.
    Tone {
        Good = "good",
        Warn = "warn",
        Bad = "bad",
        Info = "info",
        Quiet = "quiet",
    }
);
