//! Stretches of time, and the axis they are drawn on.

/// A stretch of time in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) start: f64,
    pub(super) end: f64,
    /// Nobody knows when it ended.
    pub(super) open: bool,
}

impl Span {
    pub(super) fn seconds(&self) -> f64 {
        self.end - self.start
    }
}

/// Gaps in which nothing ran are drawn this wide, as a part of the whole, when they are longer than that.
const GAP_WIDTH: f64 = 0.03;
/// Nor are shorter gaps than this, in seconds, worth a mark.
const SHORTEST_GAP: f64 = 60.0;

/// An axis from the first start to the last end, 0 to 100 (per cent), on which long stretches without work are short.
pub(super) struct Axis {
    /// Where each stretch of work begins and ends in time, and where it begins in the drawing.
    pieces: Vec<(f64, f64, f64)>,
    /// Per cent for each second of work.
    scale: f64,
}

impl Axis {
    /// An axis for these spans; `None` when there are none. `total` is how many seconds the whole width stands for at least, so
    /// that several drawings can have the same scale.
    pub(super) fn new(spans: &[Span], total: f64) -> Option<Axis> {
        let work = merged(spans);
        let (first, last) = (work.first()?, work.last()?);
        let busy: f64 = work.iter().map(|(start, end)| end - start).sum();
        let longest = (busy * 0.1).max(SHORTEST_GAP);
        let mut joined: Vec<(f64, f64)> = vec![*first];
        for (start, end) in &work[1..] {
            match joined.last_mut() {
                Some(piece) if start - piece.1 <= longest => piece.1 = *end,
                _ => joined.push((*start, *end)),
            }
        }
        debug_assert!(last.1 >= first.0);
        let shown: f64 = joined.iter().map(|(start, end)| end - start).sum();
        let breaks = (joined.len() - 1) as f64 * GAP_WIDTH * 100.0;
        let scale = (100.0 - breaks.min(60.0)) / shown.max(total).max(0.001);
        let gap = breaks.min(60.0) / (joined.len() - 1).max(1) as f64;
        let mut place = 0.0;
        let mut pieces = Vec::new();
        for (start, end) in joined {
            pieces.push((start, end, place));
            place += (end - start) * scale + gap;
        }
        Some(Axis { pieces, scale })
    }

    /// How many seconds of work the spans hold with their short gaps: what `total` of several axes is the largest of.
    pub(super) fn worked(&self) -> f64 {
        self.pieces.iter().map(|(start, end, _)| end - start).sum()
    }

    /// Where a moment is, in per cent.
    pub(super) fn at(&self, moment: f64) -> f64 {
        let piece = self.pieces.iter().rev().find(|(start, ..)| *start <= moment);
        match piece.or(self.pieces.first()) {
            Some((start, end, place)) => place + (moment.clamp(*start, *end) - start) * self.scale,
            None => 0.0,
        }
    }

    /// The gaps: where each is drawn (from, to) and how long it was in seconds.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        self.pieces.windows(2).map(|pair| {
            let (a, b) = (pair[0], pair[1]);
            (a.2 + (a.1 - a.0) * self.scale, b.2, b.0 - a.1)
        })
    }

    /// Marks along the axis: where, and how many seconds of work since the beginning. Round numbers, about `count` of them.
    pub(super) fn marks(&self, count: usize) -> Vec<(f64, f64)> {
        let whole = 100.0 / self.scale;
        let worked = self.worked();
        const STEPS: [f64; 22] = [
            0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
            14400.0, 21600.0, 43200.0, 86400.0, 604_800.0,
        ];
        let step = STEPS
            .into_iter()
            .find(|step| whole / step <= count as f64)
            .unwrap_or(604_800.0);
        let mut marks = Vec::new();
        let mut seconds = 0.0;
        while seconds <= worked && marks.len() <= 2 * count {
            marks.push((self.at_work(seconds), seconds));
            seconds += step;
        }
        marks
    }

    fn at_work(&self, seconds: f64) -> f64 {
        let mut left = seconds;
        for (start, end, place) in &self.pieces {
            let length = end - start;
            if left <= length {
                return place + left * self.scale;
            }
            left -= length;
        }
        100.0
    }
}

/// The stretches in which anything ran.
fn merged(spans: &[Span]) -> Vec<(f64, f64)> {
    let mut sorted: Vec<(f64, f64)> = spans.iter().map(|s| (s.start, s.end.max(s.start))).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (start, end) in sorted {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: f64, end: f64) -> Span {
        Span {
            start,
            end,
            open: false,
        }
    }

    #[test]
    fn an_axis_runs_from_the_first_start_to_the_last_end() {
        let axis = Axis::new(&[span(100.0, 150.0), span(150.0, 200.0)], 0.0).expect("there are spans");
        assert_eq!((axis.at(100.0), axis.at(150.0), axis.at(200.0)), (0.0, 50.0, 100.0));
        assert!(Axis::new(&[], 0.0).is_none());
    }

    #[test]
    fn a_night_between_failure_and_resume_is_drawn_short() {
        let axis = Axis::new(&[span(0.0, 100.0), span(40_000.0, 40_100.0)], 0.0).expect("there are spans");
        let gaps: Vec<(f64, f64, f64)> = axis.gaps().collect();
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0].2, 39_900.0);
        assert!((gaps[0].1 - gaps[0].0 - 3.0).abs() < 1e-9, "{gaps:?}");
        assert!((axis.at(40_100.0) - 100.0).abs() < 1e-9);
        assert!(
            (axis.at(20_000.0) - gaps[0].0).abs() < 1e-9,
            "a moment inside the gap is at its beginning"
        );
    }

    #[test]
    fn drawings_with_the_same_total_have_the_same_scale() {
        let short = Axis::new(&[span(0.0, 10.0)], 40.0).expect("there are spans");
        assert_eq!(short.at(10.0), 25.0);
        assert!(
            short
                .marks(5)
                .iter()
                .all(|(at, seconds)| (at / 2.5 - seconds).abs() < 1e-9)
        );
    }

    #[test]
    fn an_attempt_without_length_breaks_nothing() {
        let axis = Axis::new(&[span(5.0, 5.0)], 0.0).expect("there is a span");
        assert!(axis.at(5.0).is_finite());
        assert_eq!(axis.marks(5).len(), 1);
    }
}
