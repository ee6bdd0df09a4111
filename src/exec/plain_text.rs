//! What a terminal would be left showing of a line of output, as plain text.

/// The last state of one line (without its newline): bytes that are not UTF-8 are replaced, colours and other escape
/// sequences removed, characters taken back by backspaces dropped, and of a line that was drawn over and over with carriage
/// returns, as progress bars are, only the last drawing that shows anything is kept.
pub(super) fn last_state(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    // Some programs return to the first column by an escape sequence instead of a carriage return.
    let text = text.replace("\x1b[1G", "\r").replace("\x1b[G", "\r");
    text.rsplit('\r')
        .map(plain)
        .find(|drawing| !drawing.is_empty())
        .unwrap_or_default()
}

/// One drawing of a line without escape sequences, backspaces, other control characters and trailing blanks.
fn plain(drawing: &str) -> String {
    let mut kept = String::with_capacity(drawing.len());
    for character in drawing.chars() {
        if character == '\u{8}' {
            kept.pop();
        } else {
            kept.push(character);
        }
    }
    let mut plain = anstream::adapter::strip_str(&kept).to_string();
    plain.retain(|character| character == '\t' || !character.is_control());
    plain.truncate(plain.trim_end().len());
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_bar_collapses_to_its_last_state() {
        assert_eq!(last_state(b"\r 10%|#    |\r 50%|##   |\r100%|#####|"), "100%|#####|");
        assert_eq!(last_state(b" 10%\x1b[1G 60%"), " 60%");
    }

    #[test]
    fn a_bar_that_clears_its_line_leaves_what_it_showed_before() {
        assert_eq!(last_state(b"90%\r100%\r      \r"), "100%");
        assert_eq!(last_state(b"done\r"), "done");
    }

    #[test]
    fn escape_sequences_and_control_characters_are_removed() {
        assert_eq!(
            last_state(b"\x1b[1;31merror\x1b[0m:\tdisk \x1b]8;;http://x\x07full\x1b]8;;\x07\x07"),
            "error:\tdisk full"
        );
    }

    #[test]
    fn a_backspace_takes_back_one_character() {
        assert_eq!(last_state(b"working |\x08/\x08-\x08\\"), "working \\");
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        assert_eq!(last_state(b"caf\xe9 \xc3\xa9"), "caf\u{fffd} é");
    }
}
