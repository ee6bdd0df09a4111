//! The state of a run: what is known about it, and the file that keeps it.
//!
//! A run's state is sections of keys with text values ([`State`]). It changes only through an [`Event`] that is
//! given to the [`Store`], which owns the state file: it holds the lock, merges what people write into the file
//! while a run is on, and returns from [`Store::commit`] only when the event is durable.
//! The truth is a journal in a hidden directory beside the file, which is its view: either can be made from the other
//! (`docs/state-format.md`).
//!
//! Those who only look use [`read`] and [`holder`]: no lock, no write, no waiting.
//!
//! This room knows the text of the file and nothing above it: not which sections and keys a pipeline uses
//! (except the words a phase may have), no scripts, no processes, no terminal.

mod by_hand;
mod check;
mod disk;
mod document;
mod error;
mod event;
mod heartbeat;
mod history;
mod inspect;
mod journal;
mod keys;
mod line;
mod lock;
mod look;
mod merge;
mod model;
mod owner;
mod page;
mod record;
mod recovery;
mod segment;
mod shown;
mod snapshot;
mod status;
mod store;
pub mod value;
mod view;

pub use by_hand::{StateText, announce, changes_between, check_text, patch_text, read_text, replace_text};
pub use error::{StateError, SyntaxError};
pub use event::{ByHand, Change, Event, key_problem};
pub use history::{Happened, KeyChange, Moment, history, read_moment, undo};
pub use inspect::{Finding, inspect};
pub use lock::Doubt;
pub use look::{Reading, exists, holder, private_directory, read, read_doubting, release};
pub use model::{InOrder, State};
pub use owner::Owner;
pub use status::{PhaseStatus, UnknownStatus};
pub use store::{Maker, Store, Uncommitted, Underway};

#[cfg(test)]
mod tests;
