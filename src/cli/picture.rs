//! Graphs in the formats that other programs draw: DOT here, Mermaid in `mermaid.rs`, GraphML in
//! `graphml.rs`.
//!
//! Every name is escaped by the rules of its format; control characters are spelt out before.

use super::failure::CommandError;
use super::graphml::GraphmlAttributes;
use super::mermaid;
use super::output::{AnswerWriter, clean};
use std::io::{self, Write};
use tombolo::answers::{self, RelationshipHead};
use tombolo::graph::EntityHead;
use tombolo::store::Snapshot;

/// The formats of drawings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawingFormat {
    /// Graphviz.
    Dot,
    /// Mermaid flowchart.
    Mermaid,
    /// GraphML, for Gephi, yEd, networkx.
    Graphml,
}

impl DrawingFormat {
    /// Draws entities and the relationships between them.
    pub fn draw(
        self,
        out: &mut AnswerWriter<'_>,
        snapshot: &Snapshot,
        entities: &[&EntityHead],
        links: &[&RelationshipHead],
    ) -> Result<(), CommandError> {
        match self {
            DrawingFormat::Dot => {
                dot_begin(out)?;
                entities.iter().try_for_each(|entity| dot_node(out, entity))?;
                links.iter().try_for_each(|link| dot_edge(out, link))?;
                Ok(dot_end(out)?)
            }
            DrawingFormat::Mermaid => mermaid::draw(out, entities, links),
            DrawingFormat::Graphml => {
                // GraphML has all properties, which heads do not carry, so objects are read again
                // by number.
                let numbers: Vec<u32> = entities.iter().map(|entity| entity.number).collect();
                let links: Vec<u32> = links.iter().map(|link| link.number).collect();
                GraphmlAttributes::draw(out, snapshot, &numbers, &links)
            }
        }
    }
}

/// Writes the text before the first node.
pub fn dot_begin(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "digraph tombolo {{\n  rankdir=LR;\n  node [shape=box];")
}

/// Writes an entity: its name, its key if that differs, its type and scope.
pub fn dot_node(out: &mut impl Write, entity: &EntityHead) -> io::Result<()> {
    let EntityHead { number, key, scope, type_name, .. } = entity;
    let name = match answers::display(entity.display_name.as_deref(), key) {
        Some(name) => format!("{}\\n({})", dot(name), dot(key)),
        None => dot(key),
    };
    writeln!(out, "  n{number} [label=\"{name}\\n{} @{}\"];", dot(type_name), dot(scope))
}

/// Writes a relationship. Its ends may be drawn before or after it.
pub fn dot_edge(out: &mut impl Write, link: &RelationshipHead) -> io::Result<()> {
    writeln!(out, "  n{} -> n{} [label=\"{}\"];", link.from, link.to, dot(&link.class))
}

/// Writes the text after the last edge.
pub fn dot_end(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "}}")
}

/// Escapes text for the double quotes of DOT.
fn dot(text: &str) -> String {
    clean(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo::graph::{ObjectId, ObjectKind};

    #[test]
    fn no_name_breaks_out_of_its_quotes() {
        assert_eq!(dot("a\"];x\\"), "a\\\"];x\\\\");
        assert_eq!(dot("a\nb"), "a\\\\nb");
    }

    #[test]
    fn a_drawing_is_whole() {
        let entity = EntityHead {
            number: 1,
            id: ObjectId::new(ObjectKind::Entity, "okta", "u:1"),
            scope: "okta".into(),
            key: "u:1".into(),
            type_name: "okta_user".into(),
            classes: Vec::new(),
            display_name: Some("Alice \"A\"".into()),
            deleted: false,
        };
        let link = RelationshipHead {
            id: String::new(),
            number: 0,
            key: "a|owns|b".into(),
            type_name: "t".into(),
            class: "OWNS".into(),
            scope: "s".into(),
            from: 1,
            to: 2,
        };
        let mut text = Vec::new();
        dot_begin(&mut text).expect("memory");
        dot_node(&mut text, &entity).expect("memory");
        dot_edge(&mut text, &link).expect("memory");
        dot_end(&mut text).expect("memory");
        assert_eq!(
            String::from_utf8_lossy(&text),
            "digraph tombolo {\n  rankdir=LR;\n  node [shape=box];\n  \
             n1 [label=\"Alice \\\"A\\\"\\n(u:1)\\nokta_user @okta\"];\n  \
             n1 -> n2 [label=\"OWNS\"];\n}\n"
        );
    }
}
