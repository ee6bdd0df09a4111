//! The plan as text for other programs that draw: Mermaid and Graphviz.

use std::fmt::Write;

use super::Graph;

/// A Mermaid flowchart. Names stand in quotes, with those characters that mean something there as entities, as
/// <https://mermaid.js.org/syntax/flowchart.html> has it.
pub(super) fn mermaid(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    for (place, node) in graph.nodes.iter().enumerate() {
        let note = if node.note.is_empty() {
            String::new()
        } else {
            format!("<br/>{}", entities(&node.note))
        };
        let _ = writeln!(text, "    p{place}[\"{}{note}\"]", entities(&node.name));
    }
    for arrow in &graph.arrows {
        let sign = if arrow.any_end { "-.->" } else { "-->" };
        let _ = writeln!(text, "    p{} {sign} p{}", arrow.from, arrow.to);
    }
    text
}

fn entities(name: &str) -> String {
    let mut text = String::new();
    for c in crate::ui::visible_line(name).chars() {
        match c {
            '"' => text.push_str("#quot;"),
            '<' => text.push_str("#lt;"),
            '>' => text.push_str("#gt;"),
            '&' => text.push_str("#amp;"),
            '#' => text.push_str("#35;"),
            '`' => text.push_str("#96;"),
            c => text.push(c),
        }
    }
    text
}

/// A Graphviz digraph: <https://graphviz.org/doc/info/lang.html>.
pub(super) fn dot(graph: &Graph) -> String {
    let mut text = String::from(
        "digraph plan {\n    rankdir=LR;\n    node [shape=box, style=rounded, fontname=\"sans-serif\"];\n",
    );
    for (place, node) in graph.nodes.iter().enumerate() {
        let note = if node.note.is_empty() {
            String::new()
        } else {
            format!("\\n{}", quoted(&node.note))
        };
        let _ = writeln!(text, "    p{place} [label=\"{}{note}\"];", quoted(&node.name));
    }
    for arrow in &graph.arrows {
        let style = if arrow.any_end { " [style=dashed]" } else { "" };
        let _ = writeln!(text, "    p{} -> p{}{style};", arrow.from, arrow.to);
    }
    text + "}\n"
}

fn quoted(name: &str) -> String {
    crate::ui::visible_line(name).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::super::{Arrow, Node};
    use super::*;

    fn graph() -> Graph {
        let node = |name: &str, note: &str| Node {
            name: name.into(),
            note: note.into(),
        };
        Graph {
            nodes: vec![node("a", "phase 1 · 2 GPUs"), node("say \"<b>&#\\n\"", "")],
            arrows: vec![
                Arrow {
                    from: 0,
                    to: 1,
                    any_end: false,
                },
                Arrow {
                    from: 0,
                    to: 1,
                    any_end: true,
                },
            ],
        }
    }

    #[test]
    fn names_stay_names_in_mermaid() {
        insta::assert_snapshot!(mermaid(&graph()), @r#"
        flowchart LR
            p0["a<br/>phase 1 · 2 GPUs"]
            p1["say #quot;#lt;b#gt;#amp;#35;\n#quot;"]
            p0 --> p1
            p0 -.-> p1
        "#);
    }

    #[test]
    fn names_stay_names_in_dot() {
        insta::assert_snapshot!(dot(&graph()), @r#"
        digraph plan {
            rankdir=LR;
            node [shape=box, style=rounded, fontname="sans-serif"];
            p0 [label="a\nphase 1 · 2 GPUs"];
            p1 [label="say \"<b>&#\\n\""];
            p0 -> p1;
            p0 -> p1 [style=dashed];
        }
        "#);
    }
}
