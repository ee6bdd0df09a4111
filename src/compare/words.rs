//! Facts and changes in words, the same on a terminal and in a page.

use std::path::Path;

use serde_json::Value;

use super::collect_parameters::OTHER_PHASES;
use super::comparison::{Row, Verdict, number};
use super::fact::{Fact, Unit};
use crate::run::Advice;
use crate::ui::{human_bytes_kib, human_duration, shell_quote};

/// What stands where a run says nothing.
pub const NOTHING: &str = "–";

/// A fact for people.
pub fn in_words(fact: &Fact) -> String {
    match (fact.unit, number(fact)) {
        (Unit::Seconds, Some(seconds)) => human_duration(seconds),
        (Unit::Kib, Some(kib)) => human_bytes_kib(kib.max(0.0) as u64),
        (Unit::ByPhase, _) => by_phase_in_words(&fact.value),
        _ => value_in_words(&fact.value),
    }
}

/// `8, train: 4`: what all phases used but those that are named.
fn by_phase_in_words(value: &Value) -> String {
    let named = |(phase, value): (&String, &Value)| match phase.as_str() {
        OTHER_PHASES => value_in_words(value),
        phase => format!("{phase}: {}", value_in_words(value)),
    };
    let all: Vec<String> = value.as_object().into_iter().flatten().map(named).collect();
    all.join(", ")
}

/// A value for people: text as it is, everything else as JSON.
pub fn value_in_words(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(value_in_words).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Number(number) => number_in_words(number),
        other => other.to_string(),
    }
}

/// A number with no more digits than anybody reads; `--json` and `--csv` have them all.
fn number_in_words(number: &serde_json::Number) -> String {
    let whole = number.to_string();
    match number
        .as_f64()
        .filter(|n| number.is_f64() && whole.len() > 8 && n.is_finite())
    {
        Some(float) => {
            let magnitude = if float == 0.0 { 0.0 } else { float.abs().log10().floor() };
            let decimals = (5.0 - magnitude).clamp(0.0, 12.0) as usize;
            let short = format!("{float:.decimals$}");
            match short.contains('.') {
                true => short.trim_end_matches('0').trim_end_matches('.').to_string(),
                false => short,
            }
        }
        None => whole,
    }
}

/// How a number differs between two runs, for people: `+0.02 (+2.5 %) better`, `1.8× slower`. Empty when it is no number.
pub fn change_in_words(row: &Row) -> String {
    let number = row.change().filter(|c| c.difference != 0.0 && !is_a_name(&row.name));
    let Some(change) = number else {
        return String::new();
    };
    let percent = change.relative.map(percent_in_words);
    let of = |difference: String| match &percent {
        Some(percent) => format!("{difference} ({percent})"),
        None => difference,
    };
    let text = match row.unit() {
        Unit::Seconds => {
            let word = if row.better().is_none() {
                ["more", "less"]
            } else {
                ["slower", "faster"]
            };
            return match change.ratio {
                Some(ratio) if ratio >= 1.0 => format!("{}× {}", ratio_in_words(ratio), word[0]),
                Some(ratio) => format!("{}× {}", ratio_in_words(ratio.recip()), word[1]),
                None => sign(change.difference, human_duration(change.difference.abs())),
            };
        }
        Unit::Kib => of(sign(change.difference, human_bytes_kib(change.difference.abs() as u64))),
        Unit::Plain | Unit::Moment | Unit::ByPhase => of(difference_in_words(row, change.difference)),
    };
    match change.verdict {
        Some(Verdict::Better) => format!("{text} better"),
        Some(Verdict::Worse) => format!("{text} worse"),
        None => text,
    }
}

/// Whether a number of that name only tells one thing from another, so that no two of them differ by anything.
fn is_a_name(name: &str) -> bool {
    let parts = name.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    let names = ["seed", "seeds", "id", "ids", "pid", "port", "ports"];
    parts.into_iter().any(|part| names.contains(&part.as_str()))
}

fn sign(difference: f64, amount: String) -> String {
    format!("{}{amount}", if difference < 0.0 { '−' } else { '+' })
}

fn ratio_in_words(ratio: f64) -> String {
    if ratio < 9.95 {
        // 1.04 would read as 1.0: no change at all.
        let digits = if ratio < 1.95 { 2 } else { 1 };
        format!("{ratio:.digits$}")
    } else {
        format!("{ratio:.0}")
    }
}

fn percent_in_words(part: f64) -> String {
    let percent = part.abs() * 100.0;
    let text = if percent < 9.95 {
        format!("{percent:.1} %")
    } else if percent < 10_000.0 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1e} %")
    };
    sign(part, text)
}

/// A difference with as many decimals as the numbers that it is between.
fn difference_in_words(row: &Row, difference: f64) -> String {
    let written = row.facts.iter().flatten().map(|fact| fact.value.to_string());
    let decimals = written.map(|text| {
        let plain = !text.contains(['e', 'E']);
        plain.then(|| text.split_once('.').map_or(0, |(_, decimals)| decimals.len()))
    });
    let amount = difference.abs();
    match decimals.collect::<Option<Vec<usize>>>() {
        Some(all) => {
            // More than six significant digits tell nobody anything.
            let magnitude = amount.log10().floor();
            let useful = (5.0 - magnitude).clamp(0.0, 15.0) as usize;
            let decimals = all.into_iter().max().unwrap_or(0).min(useful);
            let text = format!("{amount:.decimals$}");
            let text = if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.')
            } else {
                &text
            };
            sign(difference, text.to_string())
        }
        None => sign(difference, format!("{amount:.3e}")),
    }
}

/// The command that goes on with a run, which is named as the user can type it, with what usually helps.
pub fn resume_command(run: &Path, advice: &Advice) -> String {
    let mut command = String::new();
    for (name, value) in &advice.variables {
        let text = value.as_str().map_or_else(|| value.to_string(), String::from);
        command += &format!("{name}={} ", shell_quote(&text));
    }
    command += "jumar resume ";
    command += &shell_quote(&run.to_string_lossy());
    command
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::comparison::Standing;
    use super::super::fact::Group;
    use super::*;
    use crate::run::Better;

    fn row(unit: Unit, better: Option<Better>, left: Value, right: Value) -> Row {
        let fact = |value| {
            Some(Fact {
                value,
                unit,
                better,
                aside: false,
            })
        };
        Row {
            group: Group::Metrics,
            name: "x".into(),
            facts: vec![fact(left), fact(right)],
            standing: Standing::Differs,
        }
    }

    #[test]
    fn a_change_is_told_with_as_many_digits_as_the_numbers_have() {
        let said = |left: Value, right: Value| change_in_words(&row(Unit::Plain, None, left, right));
        assert_eq!(said(json!(0.81), json!(0.83)), "+0.02 (+2.5 %)");
        assert_eq!(said(json!(8), json!(4)), "−4 (−50 %)");
        assert_eq!(said(json!(0), json!(3)), "+3");
        assert_eq!(said(json!(-2.0), json!(-1.0)), "+1 (+50 %)");
        assert_eq!(said(json!(1e-5), json!(3e-5)), "+0.00002 (+200 %)");
        assert_eq!(said(json!(1e-20), json!(3e-20)), "+2.000e-20 (+200 %)");
        assert_eq!(said(json!(0.123_456_789_1), json!(0.223_456_789_2)), "+0.1 (+81 %)");
        assert_eq!(said(json!("a"), json!(3)), "");
    }

    #[test]
    fn a_number_that_is_only_a_name_differs_by_nothing() {
        for (name, said) in [
            ("train_seed", ""),
            ("run.id", ""),
            ("port", ""),
            ("width", "−40 (−95 %)"),
        ] {
            let row = Row {
                name: name.into(),
                ..row(Unit::Plain, None, json!(42), json!(2))
            };
            assert_eq!(change_in_words(&row), said, "{name}");
        }
    }

    #[test]
    fn the_direction_of_a_metric_makes_the_verdict() {
        let said =
            |better, left: f64, right: f64| change_in_words(&row(Unit::Plain, Some(better), json!(left), json!(right)));
        assert_eq!(said(Better::Higher, 0.5, 0.75), "+0.25 (+50 %) better");
        assert_eq!(said(Better::Lower, 0.5, 0.75), "+0.25 (+50 %) worse");
        assert_eq!(said(Better::Lower, 0.75, 0.5), "−0.25 (−33 %) better");
    }

    #[test]
    fn a_duration_is_told_as_a_ratio() {
        let said = |left: f64, right: f64| {
            change_in_words(&row(Unit::Seconds, Some(Better::Lower), json!(left), json!(right)))
        };
        assert_eq!(said(10.0, 20.0), "2.0× slower");
        assert_eq!(said(20.0, 10.0), "2.0× faster");
        assert_eq!(said(100.0, 107.0), "1.07× slower");
        assert_eq!(said(0.0, 107.0), "+1m 47s");
    }
}
