//! Durations as people write them in a script: `90`, `"90s"`, `"10m"`, `"1h30m"`, `"2d"`.

use std::time::Duration;

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration; write seconds (90) or a text such as \"90s\", \"10m\", \"1h30m\", \"2d\"")]
pub struct DurationError {
    text: String,
}

/// Reads a duration: a plain number is seconds, otherwise numbers with the units `ms`, `s`, `m`, `h`, `d`, largest first or not.
///
/// # Errors
/// [`DurationError`] when the text is empty, has an unknown unit, or is too large to be a time.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let bad = || DurationError { text: text.to_string() };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    if let Ok(seconds) = rest.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| bad());
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 0.001,
            "s" | "sec" | "seconds" => 1.0,
            "m" | "min" | "minutes" => 60.0,
            "h" | "hours" => 3600.0,
            "d" | "days" => 86400.0,
            _ => return Err(bad()),
        };
        total += number * unit;
        rest = rest[letters..].trim_start();
    }
    Duration::try_from_secs_f64(total).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("90", 90.0),
            ("1.5", 1.5),
            ("90s", 90.0),
            ("10m", 600.0),
            ("1h30m", 5400.0),
            ("1h 30m", 5400.0),
            ("2d", 172_800.0),
            ("250ms", 0.25),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in ["", "h", "10x", "-5", "1h30", "inf", "NaN", "1e400"] {
            let error = parse_duration(text).expect_err(text);
            assert!(error.to_string().contains("1h30m"), "{error}");
        }
    }
}
