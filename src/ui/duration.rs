//! Numbers for people: how long something took, how much memory it used.

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A length of time in seconds as a person would say it: `0.4s`, `12s`, `3m 05s`, `2h 30m`, `3d 4h`.
///
/// Negative lengths (a clock that was set back) read as `0.0s`; one that is no number as `?`.
pub fn human_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "?".to_owned();
    }
    let seconds = seconds.max(0.0);
    // Tenths below ten seconds; the bound keeps 9.96 from becoming `10.0s`.
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds.round() as u64;
    if whole < MINUTE {
        format!("{whole}s")
    } else if whole < HOUR {
        format!("{}m {:02}s", whole / MINUTE, whole % MINUTE)
    } else if whole < DAY {
        format!("{}h {:02}m", whole / HOUR, whole % HOUR / MINUTE)
    } else {
        format!("{}d {}h", whole / DAY, whole % DAY / HOUR)
    }
}

/// So many things: `1 phase`, `2 phases`.
pub fn counted(number: usize, thing: &str) -> String {
    if number == 1 {
        format!("1 {thing}")
    } else {
        format!("{number} {thing}s")
    }
}

/// An amount of memory in KiB (the unit of `ru_maxrss` on Linux): `512 KiB`, `1.5 MiB`, `12 GiB`.
pub fn human_bytes_kib(kib: u64) -> String {
    const LARGER: [&str; 4] = ["MiB", "GiB", "TiB", "PiB"];
    if kib < 1024 {
        return format!("{kib} KiB");
    }
    let mut amount = kib as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would print as `1024`, which belongs to the next unit.
    while amount >= 1023.5 && unit + 1 < LARGER.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if amount < 9.95 {
        format!("{amount:.1} {}", LARGER[unit])
    } else {
        format!("{amount:.0} {}", LARGER[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_shows_its_two_largest_units() {
        let lengths = [0.0, 0.44, 3.2, 9.94, 9.96, 12.3, 59.4, 59.6, 185.0, 3599.4, 3599.6];
        let shown: Vec<String> = lengths.into_iter().map(human_duration).collect();
        insta::assert_snapshot!(
            shown.join(" | "),
            @"0.0s | 0.4s | 3.2s | 9.9s | 10s | 12s | 59s | 1m 00s | 3m 05s | 59m 59s | 1h 00m"
        );
        let lengths = [9000.0, 86399.0, 86400.0, 273600.0, 1e9];
        let shown: Vec<String> = lengths.into_iter().map(human_duration).collect();
        insta::assert_snapshot!(shown.join(" | "), @"2h 30m | 23h 59m | 1d 0h | 3d 4h | 11574d 1h");
    }

    #[test]
    fn a_duration_that_makes_no_sense_does_not_look_like_one_that_does() {
        assert_eq!(human_duration(-5.0), "0.0s");
        assert_eq!(human_duration(f64::NAN), "?");
        assert_eq!(human_duration(f64::INFINITY), "?");
    }

    #[test]
    fn memory_is_told_in_the_unit_that_fits() {
        let amounts = [0, 512, 1023, 1024, 1536, 20480, 1048575, 1048576, 12582912, u64::MAX];
        let shown: Vec<String> = amounts.into_iter().map(human_bytes_kib).collect();
        insta::assert_snapshot!(
            shown.join(" | "),
            @"0 KiB | 512 KiB | 1023 KiB | 1.0 MiB | 1.5 MiB | 20 MiB | 1.0 GiB | 1.0 GiB | 12 GiB | 16777216 PiB"
        );
    }
}
