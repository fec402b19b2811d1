//! What happens while nobody looks, against our own Xero, on both databases.

mod due;
mod sharing;
