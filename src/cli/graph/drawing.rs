//! The plan as a picture that needs no other program.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::layers::{Layout, layout};
use super::{Graph, Node};
use crate::ui::visible_line;

const HEIGHT: f64 = 44.0;
const MARGIN: f64 = 12.0;
/// Between two layers.
const ROOM: f64 = 56.0;
/// A character of the font, about.
const CHARACTER: f64 = 7.8;

const STYLE: &str = "\
svg{--ink:#1b1f24;--dim:#5c6670;--box:#ffffff;--line:#8a96a3;font:14px system-ui,sans-serif}
@media(prefers-color-scheme:dark){svg{--ink:#e4e9ef;--dim:#98a4b1;--box:#1a2027;--line:#74808d}}
rect{fill:var(--box);stroke:var(--line)}text{fill:var(--ink);text-anchor:middle}.note{fill:var(--dim);font-size:11px}
path{fill:none;stroke:var(--line);stroke-width:1.4}.any{stroke-dasharray:5 4}.head{fill:var(--line);stroke:none}
";

/// Draws the plan.
pub(super) fn svg(graph: &Graph) -> String {
    let arrows: Vec<(usize, usize)> = graph.arrows.iter().map(|a| (a.from, a.to)).collect();
    let layout = layout(graph.nodes.len(), &arrows, HEIGHT);
    let columns = columns(graph, &layout);
    let width = columns.last().map_or(0.0, |(x, w)| x + w) + MARGIN;
    let height = layout.height + 2.0 * MARGIN;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<style>\n{STYLE}</style>\n"
    );
    for (arrow, route) in graph.arrows.iter().zip(&layout.routes) {
        path(&mut text, route, &layout, &columns, arrow.any_end);
    }
    for (node, place) in graph.nodes.iter().zip(&layout.places) {
        let (x, width) = columns[place.layer];
        draw(&mut text, node, x, place.middle + MARGIN, width);
    }
    text + "</svg>\n"
}

/// Where each layer begins, and how wide its boxes are.
fn columns(graph: &Graph, layout: &Layout) -> Vec<(f64, f64)> {
    let mut widths = vec![0.0_f64; layout.layers];
    for (node, place) in graph.nodes.iter().zip(&layout.places) {
        let wide = node.name.width() as f64 * CHARACTER + 28.0;
        let note = node.note.width() as f64 * CHARACTER * 0.8 + 28.0;
        widths[place.layer] = widths[place.layer].max(wide).max(note);
    }
    let mut x = MARGIN;
    let mut columns = Vec::new();
    for width in widths {
        columns.push((x, width));
        x += width + ROOM;
    }
    columns
}

fn draw(text: &mut String, node: &Node, x: f64, middle: f64, width: f64) {
    let top = middle - HEIGHT / 2.0;
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"8\"/>"
    );
    let center = x + width / 2.0;
    let (name_at, note_at) = if node.note.is_empty() {
        (middle + 5.0, 0.0)
    } else {
        (middle - 2.0, middle + 14.0)
    };
    let _ = writeln!(
        text,
        "<text x=\"{center:.1}\" y=\"{name_at:.1}\">{}</text>",
        escaped(&node.name)
    );
    if !node.note.is_empty() {
        let _ = writeln!(
            text,
            "<text class=\"note\" x=\"{center:.1}\" y=\"{note_at:.1}\">{}</text>",
            escaped(&node.note)
        );
    }
}

fn path(text: &mut String, route: &[usize], layout: &Layout, columns: &[(f64, f64)], any_end: bool) {
    let [first, between @ .., last] = route else { return };
    let at = |item: usize| (columns[layout.places[item].layer], layout.places[item].middle + MARGIN);
    let ((x, width), y) = at(*first);
    let _ = write!(
        text,
        "<path class=\"{}\" d=\"M{:.1} {y:.1}",
        if any_end { "any" } else { "after" },
        x + width
    );
    let mut here = (x + width, y);
    let mut curve = |text: &mut String, to: (f64, f64)| {
        let bend = (to.0 - here.0) / 2.0;
        let _ = write!(
            text,
            " C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
            here.0 + bend,
            here.1,
            to.0 - bend,
            to.1,
            to.0,
            to.1
        );
        here = to;
    };
    for item in between {
        let ((x, width), y) = at(*item);
        curve(text, (x, y));
        curve(text, (x + width, y));
    }
    let ((x, _), y) = at(*last);
    curve(text, (x - 6.0, y));
    let _ = writeln!(text, "\"/>\n<path class=\"head\" d=\"M{:.1} {:.1}l-8 -4.5v9z\"/>", x, y);
}

fn escaped(name: &str) -> String {
    let name = visible_line(name);
    name.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
