//! The text of the state file as the program leaves it and finds it: what marks it whole, and what it began from.
//!
//! `[metadata] journal=<segment>@<seq>` says which state the text was written from (in a file of the bash runner's
//! format it is a comment, so that no key is added); `# end of state` ends it. A text with the one and without the
//! other was cut short or is half saved. The text itself is the user's: only values are put into it.

use std::path::Path;

use super::check;
use super::document::Document;
use super::error::StateError;
use super::event::Change;
use super::model::State;
use super::recovery::Stamp;

/// The last line.
pub(super) const END: &str = "# end of state";
const STAMP_COMMENT: &str = "# journal=";
/// How a stamp begins, wherever it stands.
const STAMP_START: &[u8] = b"journal=j-";
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const METADATA: &str = "metadata";
const STAMP_KEY: &str = "journal";

/// What a text is.
#[derive(Debug)]
pub(super) enum Page {
    /// Nothing is in it.
    Blank,
    /// A state, whole.
    Whole(Content),
    /// A state that does not say what it was made from: what is missing from it counts as untouched.
    Loose(State),
    /// It was cut short, half saved or damaged; why.
    Cut(String),
    /// It is whole, and no state.
    Wrong(StateError),
}

/// What a whole text says.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) state: State,
    pub(super) stamp: Stamp,
}

/// Reads a text.
pub(super) fn judge(bytes: &[u8], shown: &Path) -> Page {
    if bytes.is_empty() {
        return Page::Blank;
    }
    let marks = Marks::of(bytes);
    let (document, mut state) = match check::understand(bytes, shown) {
        Ok(understood) => understood,
        Err(error @ StateError::NewerVersion { .. }) => return Page::Wrong(error),
        Err(error) if marks.ended => return Page::Wrong(error),
        Err(error) if bytes.windows(STAMP_START.len()).any(|part| part == STAMP_START) => {
            return Page::Cut(format!("{} ({})", cut_short(shown), error.headline()));
        }
        Err(error) => return Page::Cut(error.to_string()),
    };
    let stamp = take_stamp(&mut state).or(marks.stamp);
    drop(document);
    match stamp {
        Some(stamp) if marks.ended => Page::Whole(Content { state, stamp }),
        None if marks.ended || bytes.ends_with(b"\n") => Page::Loose(state),
        _ => Page::Cut(cut_short(shown)),
    }
}

fn cut_short(shown: &Path) -> String {
    format!(
        "{} ends before its `{END}` line: it was cut short or is half saved",
        shown.display()
    )
}

/// Reads a text beside which there is no journal: all that it says counts.
///
/// # Errors
/// As [`check::understand`].
pub(super) fn import(bytes: &[u8], shown: &Path) -> Result<State, StateError> {
    let (_, mut state) = check::understand(bytes, shown)?;
    take_stamp(&mut state);
    Ok(state)
}

/// Puts a state into a text. A text that is no state file is replaced by one with nothing but the state.
pub(super) fn render(skeleton: &[u8], state: &State, stamp: &Stamp) -> String {
    let mut document = filled(skeleton, state);
    if check::is_ours(state.get(METADATA, "version")) {
        document.apply(&change(METADATA, STAMP_KEY, Some(stamp.to_string())));
    } else {
        document.apply(&change(METADATA, STAMP_KEY, None));
        document.push_comment(&format!("{STAMP_COMMENT}{stamp}"));
    }
    document.push_comment(END);
    document.to_string()
}

/// As [`render`], for a state that no journal has: the text says nothing of what it was made from.
pub(super) fn render_bare(skeleton: &[u8], state: &State) -> String {
    filled(skeleton, state).to_string()
}

/// A text with the values of a state, and without the marks in comments.
fn filled(skeleton: &[u8], state: &State) -> Document {
    // A crash may have left zeros in a comment: such a text can be parsed, but is refused when it is read again.
    let text = std::str::from_utf8(skeleton).unwrap_or_default().replace('\0', "");
    let mut document = Document::parse(&text).unwrap_or_default();
    document.remove_comments(is_mark);
    let is_gone = |(section, key): &(&str, &str)| {
        let is_stamp = *section == METADATA && *key == STAMP_KEY;
        state.get(section, key).is_none() && !is_stamp
    };
    let gone = document.keys().filter(is_gone);
    let gone: Vec<Change> = gone.map(|(section, key)| change(section, key, None)).collect();
    gone.iter().for_each(|change| document.apply(change));
    for section in state.sections() {
        for (key, value) in state.section(section) {
            if document.get(section, key) != Some(value) {
                document.apply(&change(section, key, Some(value.to_owned())));
            }
        }
    }
    document
}

/// A text that consists of comments, to put a state into.
pub(super) fn comments(text: &str) -> Vec<u8> {
    Document::with_comments(text).to_string().into_bytes()
}

fn change(section: &str, key: &str, value: Option<String>) -> Change {
    Change {
        section: section.to_owned(),
        key: key.to_owned(),
        value,
    }
}

/// The stamp is no part of the state.
fn take_stamp(state: &mut State) -> Option<Stamp> {
    let stamp = state.get(METADATA, STAMP_KEY)?.parse().ok();
    state.apply(&change(METADATA, STAMP_KEY, None));
    stamp
}

fn is_mark(line: &str) -> bool {
    line == END
        || line
            .strip_prefix(STAMP_COMMENT)
            .is_some_and(|stamp| stamp.parse::<Stamp>().is_ok())
}

/// The marks that stand in comments.
struct Marks {
    ended: bool,
    stamp: Option<Stamp>,
}

impl Marks {
    fn of(bytes: &[u8]) -> Self {
        let mut marks = Marks {
            ended: false,
            stamp: None,
        };
        // The first line may be a mark, and the byte order mark is no part of it.
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        for (from_end, line) in bytes.split_inclusive(|byte| *byte == b'\n').rev().enumerate() {
            let Ok(text) = std::str::from_utf8(line) else { continue };
            let text = text.trim();
            // Somebody may have added lines behind the end, of which the last is whole or not yet.
            marks.ended |= text == END && (from_end == 0 || bytes.ends_with(b"\n"));
            marks.stamp = marks.stamp.or_else(|| text.strip_prefix(STAMP_COMMENT)?.parse().ok());
        }
        marks
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OURS: &str = "# mine\n\n[metadata]\nversion=3.2.0\n\n[phases]\n train = pending\neval=pending\n";
    const BASH: &str = "[metadata]\nversion=3.1.0\n\n[phases]\ntrain=pending\neval=pending\n";

    fn stamp() -> Stamp {
        "j-00000057-d7b369bd@58".parse().unwrap()
    }

    fn state(text: &str) -> State {
        import(text.as_bytes(), Path::new("x")).unwrap()
    }

    fn rendered(text: &str, state: &State) -> String {
        render(text.as_bytes(), state, &stamp())
    }

    fn judged(text: &str) -> Page {
        judge(text.as_bytes(), Path::new("x"))
    }

    fn content(text: &str) -> State {
        match judged(text) {
            Page::Whole(content) if content.stamp == stamp() => content.state,
            other => panic!("{other:?} of {text:?}"),
        }
    }

    #[test]
    fn our_own_file_is_stamped_with_a_key_and_one_of_the_bash_runner_with_a_comment() {
        assert_eq!(
            rendered(OURS, &state(OURS)),
            OURS.replace("3.2.0\n", "3.2.0\njournal=j-00000057-d7b369bd@58\n") + "# end of state\n"
        );
        assert_eq!(
            rendered(BASH, &state(BASH)),
            BASH.to_owned() + "# journal=j-00000057-d7b369bd@58\n# end of state\n"
        );
    }

    #[test]
    fn a_state_is_put_into_a_text_and_read_back_and_nothing_else_changes() {
        for text in [OURS, BASH] {
            let mut changed = state(text);
            changed.apply(&change("phases", "train", Some("completed".into())));
            changed.apply(&change("phases", "eval", None));
            changed.apply(&change("new", "key", Some("x".into())));
            let page = rendered(text, &changed);
            assert_eq!(content(&page), changed, "{page}");
            assert_eq!(
                rendered(&page, &changed),
                page,
                "the second time there is nothing to do"
            );
            if text == OURS {
                assert!(page.starts_with("# mine\n\n[metadata]\n"), "{page}");
                assert!(
                    page.contains("\n train = completed\n\n[new]\nkey=x\n# end of state\n"),
                    "{page}"
                );
            }
        }
    }

    #[test]
    fn every_prefix_of_a_file_is_whole_or_takes_nothing_away() {
        for text in [OURS, BASH] {
            let page = rendered(text, &state(text));
            for cut in 0..page.len() {
                match judged(&page[..cut]) {
                    // Only the last line end is missing.
                    Page::Whole(_) => assert_eq!(cut, page.len() - 1),
                    Page::Blank => assert_eq!(cut, 0),
                    Page::Cut(_) => {}
                    Page::Loose(found) => {
                        for (key, value) in found.section("phases") {
                            assert_eq!(state(text).get("phases", key), Some(value));
                        }
                    }
                    Page::Wrong(error) => panic!("{error}"),
                }
            }
        }
    }

    #[test]
    fn lines_that_were_added_behind_the_end_count_once_they_are_whole() {
        let page = rendered(OURS, &state(OURS));
        let added = page.clone() + "test=completed\n";
        assert_eq!(content(&added).get("phases", "test"), Some("completed"));
        assert!(rendered(&added, &content(&added)).ends_with("test=completed\n# end of state\n"));
        assert!(matches!(judged(&(page + "test=compl")), Page::Cut(_)));
    }

    #[test]
    fn line_ends_and_byte_order_mark_stay() {
        let text = format!("\u{feff}{}", OURS.replace('\n', "\r\n"));
        let page = rendered(&text, &state(&text));
        assert!(page.starts_with("\u{feff}# mine\r\n") && page.ends_with("\r\n# end of state\r\n"));
        assert!(!page.replace("\r\n", "").contains('\n'));
        assert_eq!(content(&page), state(&text));
    }

    #[test]
    fn zeros_that_a_crash_left_in_a_comment_are_not_written_again() {
        let page = rendered(&format!("# c\0\0\n{OURS}"), &state(OURS));
        assert!(page.starts_with("# c\n# mine\n"), "{page}");
        assert_eq!(content(&page), state(OURS));
    }

    #[test]
    fn a_mark_behind_the_byte_order_mark_is_seen() {
        let page = rendered("\u{feff}", &State::default());
        assert_eq!(content(&page), State::default());
        assert_eq!(rendered(&page, &State::default()), page);
    }

    #[test]
    fn a_line_end_that_was_cut_in_half_is_ended() {
        let page = rendered("# mine\r", &state(OURS));
        assert!(page.starts_with("# mine\r\n\r\n[metadata]\r\n"), "{page}");
    }

    #[test]
    fn a_mistake_in_a_whole_file_is_no_damage_and_garbage_is() {
        let page = rendered(OURS, &state(OURS));
        assert!(matches!(
            judged(&page.replace("eval=pending", "eval=compelted")),
            Page::Wrong(_)
        ));
        assert!(matches!(judged(&page.replace("3.2.0", "9.0.0")), Page::Wrong(_)));
        for garbage in ["\0\0\0\0", "hello", "hello\n", "[phases\n"] {
            assert!(matches!(judged(garbage), Page::Cut(_)), "{garbage:?}");
        }
    }

    #[test]
    fn a_file_without_a_stamp_is_loose() {
        assert!(matches!(judged(BASH), Page::Loose(_)));
        assert!(matches!(judged(BASH.trim_end()), Page::Cut(_)));
        assert!(matches!(judged(&format!("{OURS}{END}\n")), Page::Loose(_)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            judge(&bytes, Path::new("x"));
            render(&bytes, &state(OURS), &stamp());
        }
    }
}
