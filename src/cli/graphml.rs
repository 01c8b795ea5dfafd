//! GraphML, for Gephi, yEd and networkx: every entity and relationship with its `_id`, its names and
//! all its properties.
//!
//! Properties are declared before the first node, each with the narrowest type that holds all its
//! values exactly; a list or a mixture is a string. Objects are therefore read twice, and written
//! as they are read, so memory does not grow with the database.

use super::failure::{CommandError, inconsistent};
use super::output::AnswerWriter;
use std::collections::BTreeMap;
use std::io::{self, Write};
use tombolo::graph::{Entity, GraphRead, ObjectKind, Relationship, Value};
use tombolo::store::Snapshot;

/// The names that every object has: id of the declaration, `node` or `edge`, name.
const SYSTEM: [(&str, &str, &str); 10] = [
    ("ni", "node", "_id"),
    ("nk", "node", "_key"),
    ("ns", "node", "_scope"),
    ("nt", "node", "_type"),
    ("nc", "node", "_class"),
    ("ei", "edge", "_id"),
    ("ek", "edge", "_key"),
    ("es", "edge", "_scope"),
    ("et", "edge", "_type"),
    ("ec", "edge", "_class"),
];

/// The largest integer up to which a double holds every integer exactly.
const EXACT: u64 = 1 << 53;

type PropertySlice = [(String, Value<'static>)];

/// The kinds of values that a property has.
#[derive(Clone, Copy, Default)]
struct PropertyValueTypes {
    texts: bool,
    booleans: bool,
    integers: bool,
    /// Integers that a double may not hold exactly.
    large: bool,
    floats: bool,
}

impl PropertyValueTypes {
    fn note(&mut self, value: &Value<'_>) {
        match value {
            Value::Null => {}
            Value::Bool(_) => self.booleans = true,
            Value::Int(i) => {
                self.integers = true;
                self.large |= i.unsigned_abs() > EXACT;
            }
            Value::UInt(u) => {
                self.integers = true;
                self.large |= *u > EXACT;
                // A `long` of GraphML has 64 bits with a sign, so a larger number must be a string.
                self.texts |= i64::try_from(*u).is_err();
            }
            Value::Float(_) => self.floats = true,
            Value::Text(_) | Value::List(_) => self.texts = true,
        }
    }

    /// The narrowest GraphML type that holds all values exactly.
    fn type_name(self) -> &'static str {
        let numbers = self.integers || self.floats;
        match (self.texts, self.booleans, numbers) {
            (false, true, false) => "boolean",
            (false, false, true) if !self.floats => "long",
            (false, false, true) if !self.large => "double",
            _ => "string",
        }
    }
}

/// The properties of nodes and of edges, by name, with the number of their declaration.
#[derive(Default)]
pub struct GraphmlAttributes {
    names: [BTreeMap<String, PropertyValueTypes>; 2],
}

impl GraphmlAttributes {
    /// Draws entities and relationships by number.
    pub fn draw(
        out: &mut AnswerWriter<'_>,
        snapshot: &Snapshot,
        entities: &[u32],
        links: &[u32],
    ) -> Result<(), CommandError> {
        let mut attributes = GraphmlAttributes::default();
        for &number in entities {
            attributes.note(ObjectKind::Entity, &entity(snapshot, number)?.properties);
        }
        for &number in links {
            attributes.note(ObjectKind::Relationship, &link(snapshot, number)?.properties);
        }
        attributes.begin(out)?;
        for &number in entities {
            attributes.node(out, &entity(snapshot, number)?)?;
        }
        for &number in links {
            attributes.edge(out, &link(snapshot, number)?)?;
        }
        Ok(end(out)?)
    }

    /// Records the properties of an object that will be drawn.
    pub fn note(&mut self, kind: ObjectKind, properties: &PropertySlice) {
        let names = &mut self.names[kind as usize];
        for (name, value) in properties {
            match names.get_mut(name) {
                Some(values) => values.note(value),
                // Most names are known already, so the name is copied only the first time.
                None => {
                    let mut values = PropertyValueTypes::default();
                    values.note(value);
                    names.insert(name.clone(), values);
                }
            }
        }
    }

    /// Writes the text before the first node: declarations of all properties.
    pub fn begin(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        writeln!(out, "<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">")?;
        let mut key = |id: &str, of: &str, name: &str, type_name: &str| {
            let name = xml(name);
            writeln!(
                out,
                "  <key id=\"{id}\" for=\"{of}\" attr.name=\"{name}\" attr.type=\"{type_name}\"/>"
            )
        };
        for (id, of, name) in SYSTEM {
            key(id, of, name, "string")?;
        }
        for (letter, of, names) in [("n", "node", &self.names[0]), ("e", "edge", &self.names[1])] {
            for (at, (name, values)) in names.iter().enumerate() {
                key(&format!("{letter}{at}"), of, name, values.type_name())?;
            }
        }
        writeln!(out, "  <graph edgedefault=\"directed\">")
    }

    /// Writes an entity as a node.
    pub fn node(&self, out: &mut impl Write, entity: &Entity) -> io::Result<()> {
        write!(out, "    <node id=\"n{}\">", entity.number)?;
        let classes = entity.classes.join(" ");
        let id = entity.id.to_string();
        for (key, text) in [
            ("ni", &id),
            ("nk", &entity.key),
            ("ns", &entity.scope),
            ("nt", &entity.type_name),
            ("nc", &classes),
        ] {
            write!(out, "<data key=\"{key}\">{}</data>", xml(text))?;
        }
        self.properties(out, ObjectKind::Entity, &entity.properties)?;
        writeln!(out, "</node>")
    }

    /// Writes a relationship as an edge. Its ends may be drawn before or after it.
    pub fn edge(&self, out: &mut impl Write, link: &Relationship) -> io::Result<()> {
        let (from, to) = (link.from.number, link.to.number);
        write!(out, "    <edge id=\"e{}\" source=\"n{from}\" target=\"n{to}\">", link.number)?;
        let id = link.id.to_string();
        for (key, text) in [
            ("ei", &id),
            ("ek", &link.key),
            ("es", &link.scope),
            ("et", &link.type_name),
            ("ec", &link.class),
        ] {
            write!(out, "<data key=\"{key}\">{}</data>", xml(text))?;
        }
        self.properties(out, ObjectKind::Relationship, &link.properties)?;
        writeln!(out, "</edge>")
    }

    fn properties(
        &self,
        out: &mut impl Write,
        kind: ObjectKind,
        properties: &PropertySlice,
    ) -> io::Result<()> {
        let letter = if kind == ObjectKind::Entity { 'n' } else { 'e' };
        // Both are sorted by name, so one pass over the declared names finds all.
        let mut declared = self.names[kind as usize].keys().enumerate();
        for (name, value) in properties.iter().filter(|(_, value)| *value != Value::Null) {
            let Some((at, _)) = declared.find(|(_, known)| *known == name) else { continue };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            write!(out, "<data key=\"{letter}{at}\">{}</data>", xml(&text))?;
        }
        Ok(())
    }
}

/// Writes the text after the last edge.
pub fn end(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  </graph>\n</graphml>")
}

/// Reads a whole entity; its number comes from the graph, so a missing one is damage.
pub fn entity(snapshot: &Snapshot, number: u32) -> Result<Entity, CommandError> {
    snapshot
        .entity(number)?
        .ok_or_else(|| inconsistent(format_args!("entity number {number} is missing")))
}

/// Reads a whole relationship; its number comes from the graph, so a missing one is damage.
pub fn link(snapshot: &Snapshot, number: u32) -> Result<Relationship, CommandError> {
    snapshot
        .relationship(number)?
        .ok_or_else(|| inconsistent(format_args!("relationship number {number} is missing")))
}

/// Escapes text for content or an attribute of XML. Characters that XML 1.0 cannot hold at all are
/// spelt out.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // A reader would turn these into blanks or line feeds.
            '\t' | '\n' | '\r' => escaped.push_str(&format!("&#{};", c as u32)),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                escaped.extend(c.escape_unicode());
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_breaks_out_and_none_is_changed() {
        assert_eq!(
            xml("<a b='1'>&\"\u{1b}\n\u{202e}"),
            "&lt;a b=&apos;1&apos;&gt;&amp;&quot;\\u{1b}&#10;\u{202e}"
        );
    }

    #[test]
    fn a_property_has_the_narrowest_type_that_holds_all_its_values() {
        let int = Value::Int;
        for (values, expected) in [
            (vec![Value::Bool(true), Value::Null], "boolean"),
            (vec![int(1), int(-7)], "long"),
            (vec![int(9_007_199_254_740_993)], "long"),
            (vec![int(1), Value::Float(0.5)], "double"),
            (vec![int(9_007_199_254_740_993), Value::Float(0.5)], "string"),
            (vec![Value::UInt(u64::MAX)], "string"),
            (vec![int(1), Value::Bool(true)], "string"),
            (vec![int(1), Value::Text("x".into())], "string"),
            (vec![Value::List(vec![int(1)])], "string"),
            (vec![Value::Null], "string"),
        ] {
            let mut all = PropertyValueTypes::default();
            values.iter().for_each(|value| all.note(value));
            assert_eq!(all.type_name(), expected, "{values:?}");
        }
    }
}
