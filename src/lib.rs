//! jumar.

pub mod ui;
