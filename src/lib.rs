//! jumar.

pub mod exec;
