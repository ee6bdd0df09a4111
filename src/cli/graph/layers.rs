//! Where the boxes of a drawing stand: in layers from left to right, so that every arrow goes to the right, and within a layer
//! near what they are connected with.
//!
//! The method is the usual one for layered drawings (Sugiyama, Tagawa, Toda, 1981): layers by longest path, invisible points
//! where an arrow passes a layer, order by the mean place of the neighbours, then places by the same mean without overlaps.

/// Something to be placed: a box, or a point where an arrow passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) layer: usize,
    /// The middle, from the top.
    pub(super) middle: f64,
    pub(super) height: f64,
}

/// Where everything stands.
pub(super) struct Layout {
    /// The boxes first, as they were given, then the points.
    pub(super) places: Vec<Place>,
    /// For each arrow the places it goes through, from its beginning to its end.
    pub(super) routes: Vec<Vec<usize>>,
    pub(super) layers: usize,
    pub(super) height: f64,
}

const GAP: f64 = 16.0;
const POINT_HEIGHT: f64 = 2.0;
const SWEEPS: usize = 12;

/// Places `count` boxes of one height with arrows between them, which must not go in circles.
pub(super) fn layout(count: usize, arrows: &[(usize, usize)], box_height: f64) -> Layout {
    let mut layer = longest_paths(count, arrows);
    let mut routes = Vec::new();
    // What is joined over one layer each: whole arrows, or their parts.
    let mut joins: Vec<(usize, usize)> = Vec::new();
    for &(from, to) in arrows {
        let mut route = vec![from];
        for between in layer[from] + 1..layer[to] {
            route.push(layer.len());
            layer.push(between);
        }
        route.push(to);
        joins.extend(route.windows(2).map(|pair| (pair[0], pair[1])));
        routes.push(route);
    }
    let layers = layer.iter().max().map_or(0, |last| last + 1);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); layers];
    for (item, at) in layer.iter().enumerate() {
        rows[*at].push(item);
    }
    let mut neighbours: Vec<(Vec<usize>, Vec<usize>)> = vec![(vec![], vec![]); layer.len()];
    for &(from, to) in &joins {
        neighbours[to].0.push(from);
        neighbours[from].1.push(to);
    }
    order(&mut rows, &neighbours);
    let height = |item: usize| if item < count { box_height } else { POINT_HEIGHT };
    let middles = middles(&rows, &neighbours, &height, layer.len());
    let top = (0..layer.len())
        .map(|i| middles[i] - height(i) / 2.0)
        .fold(f64::INFINITY, f64::min);
    let bottom = (0..layer.len())
        .map(|i| middles[i] + height(i) / 2.0)
        .fold(0.0, f64::max);
    let top = if top.is_finite() { top } else { 0.0 };
    let place = |item: usize| Place {
        layer: layer[item],
        middle: middles[item] - top,
        height: height(item),
    };
    Layout {
        places: (0..layer.len()).map(place).collect(),
        routes,
        layers,
        height: bottom - top,
    }
}

/// For each box the most arrows that lead to it one after another.
fn longest_paths(count: usize, arrows: &[(usize, usize)]) -> Vec<usize> {
    let mut waiting = vec![0; count];
    let mut leads: Vec<Vec<usize>> = vec![Vec::new(); count];
    for &(from, to) in arrows {
        waiting[to] += 1;
        leads[from].push(to);
    }
    let mut layer = vec![0; count];
    let mut ready: Vec<usize> = (0..count).filter(|i| waiting[*i] == 0).collect();
    while let Some(item) = ready.pop() {
        for &next in &leads[item] {
            layer[next] = layer[next].max(layer[item] + 1);
            waiting[next] -= 1;
            if waiting[next] == 0 {
                ready.push(next);
            }
        }
    }
    layer
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Sorts each layer by where its neighbours in the layer before (or after, on the way back) stand.
fn order(rows: &mut [Vec<usize>], neighbours: &[(Vec<usize>, Vec<usize>)]) {
    let mut rank = vec![0.0; neighbours.len()];
    let note = |row: &[usize], rank: &mut Vec<f64>| {
        for (place, item) in row.iter().enumerate() {
            rank[*item] = place as f64;
        }
    };
    rows.iter().for_each(|row| note(row, &mut rank));
    for sweep in 0..SWEEPS {
        let forward = sweep % 2 == 0;
        let places: Vec<usize> = if forward {
            (0..rows.len()).collect()
        } else {
            (0..rows.len()).rev().collect()
        };
        for at in places {
            let wish = |item: &usize| {
                let near = if forward {
                    &neighbours[*item].0
                } else {
                    &neighbours[*item].1
                };
                mean(near.iter().map(|n| rank[*n])).unwrap_or(rank[*item])
            };
            let mut wished: Vec<(f64, usize)> = rows[at].iter().map(|item| (wish(item), *item)).collect();
            wished.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[at] = wished.into_iter().map(|(_, item)| item).collect();
            note(&rows[at], &mut rank);
        }
    }
}

/// Moves everything towards the mean of its neighbours, keeps the order, and never lets two overlap.
fn middles(
    rows: &[Vec<usize>],
    neighbours: &[(Vec<usize>, Vec<usize>)],
    height: &dyn Fn(usize) -> f64,
    count: usize,
) -> Vec<f64> {
    let mut middle = vec![0.0; count];
    for row in rows {
        spread(row, &vec![0.0; row.len()], height, &mut middle);
    }
    for sweep in 0..SWEEPS {
        for step in 0..rows.len() {
            let row = &rows[if sweep % 2 == 0 { step } else { rows.len() - 1 - step }];
            let wish = |item: &usize| {
                let (before, after) = &neighbours[*item];
                mean(before.iter().chain(after).map(|n| middle[*n])).unwrap_or(middle[*item])
            };
            let wished: Vec<f64> = row.iter().map(wish).collect();
            spread(row, &wished, height, &mut middle);
        }
    }
    middle
}

/// Puts a layer's items where they wish to be as far as those before them leave room; then moves all back by what they were pushed
/// away on average.
fn spread(row: &[usize], wished: &[f64], height: &dyn Fn(usize) -> f64, middle: &mut [f64]) {
    let mut free = f64::NEG_INFINITY;
    let mut pushed = 0.0;
    for (item, wish) in row.iter().zip(wished) {
        let half = height(*item) / 2.0;
        let place = wish.max(free + half);
        pushed += place - wish;
        middle[*item] = place;
        free = place + half + GAP;
    }
    let back = pushed / row.len().max(1) as f64;
    for item in row {
        middle[*item] -= back;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chain_is_one_line() {
        let layout = layout(3, &[(0, 1), (1, 2)], 40.0);
        let places: Vec<(usize, f64)> = layout.places.iter().map(|p| (p.layer, p.middle)).collect();
        assert_eq!(places, [(0, 20.0), (1, 20.0), (2, 20.0)]);
        assert_eq!(layout.height, 40.0);
    }

    #[test]
    fn an_arrow_over_layers_does_not_cross_the_boxes_between() {
        let layout = layout(3, &[(0, 1), (1, 2), (0, 2)], 40.0);
        let point = layout.places[layout.routes[2][1]];
        assert_eq!(point.layer, 1);
        assert!(
            (point.middle - layout.places[1].middle).abs() >= 20.0 + GAP,
            "{:?}",
            layout.places
        );
    }

    #[test]
    fn parallel_phases_do_not_get_tangled() {
        let layout = layout(5, &[(0, 3), (0, 1), (1, 2), (3, 4)], 40.0);
        let at = |i: usize| layout.places[i].middle;
        assert!(
            (at(1) - at(2)).abs() < 1.0 && (at(3) - at(4)).abs() < 1.0,
            "{:?}",
            layout.places
        );
    }

    proptest! {
        #[test]
        fn boxes_never_overlap_and_arrows_always_go_to_the_right(
            arrows in prop::collection::vec((0usize..14, 0usize..14), 0..40),
        ) {
            let arrows: Vec<(usize, usize)> =
                arrows.into_iter().filter(|(a, b)| a != b).map(|(a, b)| (a.min(b), a.max(b))).collect();
            let layout = layout(14, &arrows, 40.0);
            for route in &layout.routes {
                for pair in route.windows(2) {
                    prop_assert_eq!(layout.places[pair[0]].layer + 1, layout.places[pair[1]].layer);
                }
            }
            for (i, a) in layout.places.iter().enumerate() {
                prop_assert!(a.middle - a.height / 2.0 >= -1e-6 && a.middle + a.height / 2.0 <= layout.height + 1e-6);
                for b in layout.places[i + 1..].iter().filter(|b| b.layer == a.layer) {
                    let apart = (a.middle - b.middle).abs();
                    prop_assert!(apart + 1e-6 >= f64::midpoint(a.height, b.height) + GAP, "{:?} {:?}", a, b);
                }
            }
        }
    }
}
