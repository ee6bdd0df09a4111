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

/// A length of time as it stands in a sentence: `0.5 s`, `3 s`, `1 min 30 s`, `12 h`.
pub fn duration_in_words(length: Duration) -> String {
    let millis = length.as_millis();
    // Below a minute people count in parts of a second, too.
    if millis < 60_000 {
        let tenths = (length.as_secs_f64() * 10.0).round() / 10.0;
        return match length {
            Duration::ZERO => "0 s".into(),
            length if length < Duration::from_millis(100) => format!("{} s", length.as_secs_f64()),
            _ => format!("{tenths} s"),
        };
    }
    let seconds = (millis + 500) / 1000;
    let parts = [
        (seconds / 86400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let said = parts.iter().filter(|(number, _)| *number > 0);
    said.map(|(number, unit)| format!("{number} {unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_told_as_it_was_written() {
        for (millis, words) in [
            (0, "0 s"),
            (5, "0.005 s"),
            (500, "0.5 s"),
            (3000, "3 s"),
            (59_999, "60 s"),
            (90_000, "1 min 30 s"),
            (43_200_000, "12 h"),
            (90_061_000, "1 d 1 h 1 min 1 s"),
        ] {
            assert_eq!(duration_in_words(Duration::from_millis(millis)), words);
        }
    }

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
