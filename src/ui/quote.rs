//! Words as the shell wants to read them.

/// Quotes one word, such as a path, so that a POSIX shell reads it back unchanged. A plain word
/// stays as it is.
///
/// A NUL byte cannot be given to a shell at all; it is left out.
pub fn shell_quote(word: &str) -> String {
    match shlex::try_quote(word) {
        Ok(quoted) => quoted.into_owned(),
        Err(_) => {
            let without_nul = word.replace('\0', "");
            shlex::try_quote(&without_nul)
                .map(|quoted| quoted.into_owned())
                .unwrap_or(without_nul)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_left_alone() {
        assert_eq!(shell_quote("runs/demo_20260101_000000"), "runs/demo_20260101_000000");
    }

    #[test]
    fn the_shell_reads_a_quoted_word_back_unchanged() {
        for word in [
            "my runs/a",
            "it's",
            "$HOME;rm -rf",
            "größe",
            "",
            "a\nb",
            "-n",
            "~x",
            "!",
        ] {
            let quoted = shell_quote(word);
            assert_eq!(shlex::split(&quoted), Some(vec![word.to_owned()]), "{quoted}");
        }
    }

    #[test]
    fn a_nul_byte_does_not_stop_the_quoting() {
        assert_eq!(shell_quote("a b\0c"), "'a bc'");
    }
}
