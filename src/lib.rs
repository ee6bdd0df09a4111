//! jumar.
