//! What both the server-rendered parts and the islands use. All of it reaches the browser.

pub mod icons;
pub mod time_style;
pub mod time_text;
