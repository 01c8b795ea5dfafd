//! Graphs in the formats that other programs draw: DOT, Mermaid, GraphML.
//!
//! A drawing is written as it goes, so that a whole database needs no memory. Every name is
//! escaped by the rules of its format; control characters are spelt out before.

use super::output::clean;
use std::io::{self, Write};
use tombolo::graph::EntityHead;

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawing {
    /// Graphviz.
    Dot,
    /// Mermaid flowchart.
    Mermaid,
    /// GraphML, for Gephi, yEd, networkx.
    Graphml,
}

/// A relationship as it is drawn, its ends by number.
pub struct Arrow<'a> {
    /// Number of the entity it starts at.
    pub from: u32,
    /// Number of the entity it ends at.
    pub to: u32,
    /// The verb.
    pub class: &'a str,
    /// `_type`.
    pub type_name: &'a str,
    /// `_scope`.
    pub scope: &'a str,
    /// `_key`.
    pub key: &'a str,
}

/// What GraphML says about nodes and edges: id, of what, name.
const ATTRIBUTES: [(&str, &str, &str); 9] = [
    ("nk", "node", "_key"),
    ("ns", "node", "_scope"),
    ("nt", "node", "_type"),
    ("nc", "node", "_class"),
    ("nd", "node", "displayName"),
    ("ek", "edge", "_key"),
    ("es", "edge", "_scope"),
    ("et", "edge", "_type"),
    ("ec", "edge", "_class"),
];

impl Drawing {
    /// What stands before the first node.
    pub fn begin(self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Drawing::Dot => {
                writeln!(out, "digraph tombolo {{\n  rankdir=LR;\n  node [shape=box];")
            }
            Drawing::Mermaid => writeln!(out, "flowchart LR"),
            Drawing::Graphml => {
                writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
                writeln!(out, "<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">")?;
                for (id, kind, name) in ATTRIBUTES {
                    writeln!(
                        out,
                        "  <key id=\"{id}\" for=\"{kind}\" attr.name=\"{name}\" attr.type=\"string\"/>"
                    )?;
                }
                writeln!(out, "  <graph edgedefault=\"directed\">")
            }
        }
    }

    /// An entity.
    pub fn node(self, out: &mut impl Write, entity: &EntityHead) -> io::Result<()> {
        let EntityHead { number, key, scope, type_name, .. } = entity;
        match self {
            Drawing::Dot => writeln!(
                out,
                "  n{number} [label=\"{}\\n{} @{}\"];",
                dot(key),
                dot(type_name),
                dot(scope)
            ),
            Drawing::Mermaid => writeln!(
                out,
                "  n{number}[\"{}<br/>{} @{}\"]",
                mermaid(key),
                mermaid(type_name),
                mermaid(scope)
            ),
            Drawing::Graphml => {
                write!(out, "    <node id=\"n{number}\">")?;
                let classes = entity.classes.join(" ");
                for (id, text) in [("nk", key), ("ns", scope), ("nt", type_name), ("nc", &classes)]
                {
                    write!(out, "<data key=\"{id}\">{}</data>", xml(text))?;
                }
                if let Some(name) = &entity.display_name {
                    write!(out, "<data key=\"nd\">{}</data>", xml(name))?;
                }
                writeln!(out, "</node>")
            }
        }
    }

    /// A relationship. Its ends may be drawn before or after it.
    pub fn edge(self, out: &mut impl Write, arrow: &Arrow<'_>) -> io::Result<()> {
        let Arrow { from, to, class, type_name, scope, key } = arrow;
        match self {
            Drawing::Dot => writeln!(out, "  n{from} -> n{to} [label=\"{}\"];", dot(class)),
            Drawing::Mermaid => writeln!(out, "  n{from} -->|\"{}\"| n{to}", mermaid(class)),
            Drawing::Graphml => {
                write!(out, "    <edge source=\"n{from}\" target=\"n{to}\">")?;
                for (id, text) in [("ek", key), ("es", scope), ("et", type_name), ("ec", class)] {
                    write!(out, "<data key=\"{id}\">{}</data>", xml(text))?;
                }
                writeln!(out, "</edge>")
            }
        }
    }

    /// What stands after the last edge.
    pub fn end(self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Drawing::Dot => writeln!(out, "}}"),
            Drawing::Mermaid => Ok(()),
            Drawing::Graphml => writeln!(out, "  </graph>\n</graphml>"),
        }
    }
}

/// Inside double quotes of DOT.
fn dot(text: &str) -> String {
    clean(text).replace('\\', "\\\\").replace('"', "\\\"")
}

/// Inside double quotes of Mermaid, which knows entity codes and reads HTML and Markdown.
fn mermaid(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' | ';' => {
                escaped.push_str(&format!("#{};", c as u32));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text or attribute of XML, which has no way at all to hold a control character.
fn xml(text: &str) -> String {
    let text = clean(text);
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // Not characters of XML 1.0.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_breaks_out_of_its_quotes() {
        assert_eq!(dot("a\"];x\\"), "a\\\"];x\\\\");
        assert_eq!(dot("a\nb"), "a\\\\nb");
        assert_eq!(mermaid("a\"]<b>"), "a#34;]#60;b#62;");
        assert_eq!(xml("<a b='1'>&\"\u{1b}"), "&lt;a b=&apos;1&apos;&gt;&amp;&quot;\\u{1b}");
    }

    #[test]
    fn a_drawing_is_whole() {
        let arrow =
            Arrow { from: 1, to: 2, class: "OWNS", type_name: "t", scope: "s", key: "a|owns|b" };
        let mut text = Vec::new();
        Drawing::Dot.begin(&mut text).expect("memory");
        Drawing::Dot.edge(&mut text, &arrow).expect("memory");
        Drawing::Dot.end(&mut text).expect("memory");
        assert_eq!(
            String::from_utf8_lossy(&text),
            "digraph tombolo {\n  rankdir=LR;\n  node [shape=box];\n  n1 -> n2 [label=\"OWNS\"];\n}\n"
        );
    }
}
