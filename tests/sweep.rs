//! What happens while nobody looks, against our own Xero, on both databases.

mod drift;
mod due;
mod months;
mod sharing;
