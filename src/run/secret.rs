//! Which variables probably hold a secret: their values are masked wherever they would be written down.

/// Whether a variable of that name probably holds a secret: `HF_TOKEN`, `WANDB_API_KEY`, `db_passwords`, but not
/// `TOKENIZERS_PARALLELISM` or `KEYBOARD`.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    if ["SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL"]
        .iter()
        .any(|word| name.contains(word))
    {
        return true;
    }
    name.split(|c: char| !c.is_alphabetic()).any(|part| {
        let part = part.strip_suffix('S').unwrap_or(part);
        part.ends_with("TOKEN") || part.ends_with("KEY")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_the_words_in_its_name() {
        for name in [
            "HF_TOKEN",
            "TOKEN2",
            "WANDB_API_KEY",
            "apikey",
            "SSH_KEY_PATH",
            "aws_secret_access",
            "DB_PASSWORDS",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["TOKENIZERS_PARALLELISM", "KEYBOARD", "CUDA_VISIBLE_DEVICES", ""] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
