//! jumar.

pub mod state;
