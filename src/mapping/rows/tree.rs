//! YAML and TOML as trees with lines.
//!
//! YAML is read by the core schema of YAML 1.2, with two exceptions that keep data whole: a number
//! with a leading zero is a text, since account numbers are written so; and the merge key `<<`,
//! which 1.2 dropped, still works. Aliases are copies, and their copies are counted.

use crate::graph::Value;
use crate::lang::{NestedList, NestedObject, NestedValue};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::collections::{HashMap, HashSet};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The deepest nesting of a document; each level is one more call on the stack.
const DEPTH_MAX: usize = 100;

/// The largest number of values that the aliases of a text may copy.
const NODES_MAX: usize = 2_000_000;

/// A value and the line it begins on.
#[derive(Clone, Debug)]
pub(super) struct DocumentNode {
    line: u32,
    kind: DocumentNodeKind,
}

#[derive(Clone, Debug)]
enum DocumentNodeKind {
    Plain(NestedValue),
    List(Vec<DocumentNode>),
    Object(Vec<(String, DocumentNode)>),
}

impl DocumentNode {
    fn size(&self) -> usize {
        1 + match &self.kind {
            DocumentNodeKind::Plain(_) => 0,
            DocumentNodeKind::List(items) => items.iter().map(DocumentNode::size).sum(),
            DocumentNodeKind::Object(members) => members.iter().map(|(_, node)| node.size()).sum(),
        }
    }

    /// The node as data that knows its lines.
    fn into_data(self) -> NestedValue {
        match self.kind {
            DocumentNodeKind::Plain(data) => data,
            DocumentNodeKind::List(items) => {
                let lines = items.iter().map(|item| item.line).collect();
                let items = items.into_iter().map(DocumentNode::into_data).collect();
                NestedValue::List(NestedList { items, lines })
            }
            DocumentNodeKind::Object(members) => NestedValue::Object(NestedObject {
                members: members.into_iter().map(|(n, node)| (n, node.into_data())).collect(),
                line: self.line,
            }),
        }
    }
}

/// A fault in a text. Line and column count from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DocumentError {
    pub words: String,
    pub line: u32,
    pub column: usize,
}

/// Reads the document of a TOML text.
///
/// # Errors
///
/// The first trouble.
pub(super) fn read_toml(text: &str) -> Result<NestedValue, DocumentError> {
    let error_at_byte = |words: &str, at: usize| {
        let before = text.get(..at).unwrap_or(text);
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let line = before.matches('\n').count() as u32 + 1;
        DocumentError { words: words.replace('\n', ", "), line, column }
    };
    let table = DeTable::parse(text)
        .map_err(|error| error_at_byte(error.message(), error.span().map_or(0, |s| s.start)))?;
    let breaks: Vec<usize> = text.match_indices('\n').map(|(i, _)| i).collect();
    let line = |at: usize| breaks.partition_point(|&b| b < at) as u32 + 1;
    Ok(table_node(table.get_ref(), 1, &line).into_data())
}

fn table_node(table: &DeTable<'_>, at_line: u32, line: &impl Fn(usize) -> u32) -> DocumentNode {
    // Members come in the order of their names; that of the file is the order of their places.
    let mut members: Vec<_> = table.iter().collect();
    members.sort_by_key(|(name, _)| name.span().start);
    let member = |(name, value): (&Spanned<_>, _)| {
        (AsRef::<str>::as_ref(name.get_ref()).to_owned(), value_node(value, line))
    };
    let members = members.into_iter().map(member).collect();
    DocumentNode { line: at_line, kind: DocumentNodeKind::Object(members) }
}

fn value_node(value: &Spanned<DeValue<'_>>, line: &impl Fn(usize) -> u32) -> DocumentNode {
    let start = value.span().start;
    let kind = match value.get_ref() {
        DeValue::Table(table) => return table_node(table, line(start), line),
        DeValue::Array(items) => {
            DocumentNodeKind::List(items.iter().map(|item| value_node(item, line)).collect())
        }
        // A number that 64 bits cannot hold stays the text that was written.
        DeValue::Integer(number) => DocumentNodeKind::Plain(
            NestedValue::from_toml(value.get_ref())
                .unwrap_or_else(|| NestedValue::Text(number.as_str().to_owned())),
        ),
        DeValue::Float(number) => DocumentNodeKind::Plain(
            NestedValue::from_toml(value.get_ref())
                .unwrap_or_else(|| NestedValue::Text(number.as_str().to_owned())),
        ),
        plain => {
            let data = NestedValue::from_toml(plain).unwrap_or(NestedValue::Null);
            DocumentNodeKind::Plain(data)
        }
    };
    DocumentNode { line: line(start), kind }
}

/// Reads the documents of a YAML text.
///
/// # Errors
///
/// The first trouble.
pub(super) fn read_yaml(text: &str) -> Result<Vec<NestedValue>, DocumentError> {
    let nodes = read_yaml_within(text, NODES_MAX, usize::MAX)?;
    Ok(nodes.into_iter().map(DocumentNode::into_data).collect())
}

fn read_yaml_within(
    text: &str,
    copies_max: usize,
    made_max: usize,
) -> Result<Vec<DocumentNode>, DocumentError> {
    let parser = Parser::new_from_str(text);
    let anchors = HashMap::new();
    let mut reader = YamlReader { parser, anchors, copied: 0, copies_max, made: 0, made_max };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::DocumentStart(_), _) => {
                // An anchor holds inside its own document only.
                reader.anchors.clear();
                let (event, span) = reader.next()?;
                documents.push(reader.node(event, span, 0)?);
            }
            _ => {}
        }
    }
}

/// The largest number of values in an uploaded YAML text, and of values that its aliases copy.
pub const YAML_VALUES_MAX: usize = 500_000;

/// The documents of a YAML text as JSON, for uploads: at most half a million values.
///
/// # Errors
///
/// The first trouble, with line and column.
pub fn yaml_documents(text: &str) -> Result<Vec<String>, String> {
    let nodes = read_yaml_within(text, YAML_VALUES_MAX, YAML_VALUES_MAX)
        .map_err(|trouble| format!("{}:{}: {}", trouble.line, trouble.column, trouble.words))?;
    Ok(nodes.into_iter().map(|node| node.into_data().to_json().to_string()).collect())
}

struct YamlReader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, DocumentNode>,
    copied: usize,
    copies_max: usize,
    made: usize,
    made_max: usize,
}

fn error_at(words: impl Into<String>, span: Span) -> DocumentError {
    let (line, column) = (span.start.line() as u32, span.start.col() + 1);
    DocumentError { words: words.into(), line, column }
}

impl<'t> YamlReader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), DocumentError> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let marker = error.marker();
                let (line, column) = (marker.line() as u32, marker.col() + 1);
                Err(DocumentError { words: error.info().to_owned(), line, column })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(
        &mut self,
        event: Event<'t>,
        span: Span,
        depth: usize,
    ) -> Result<DocumentNode, DocumentError> {
        if depth > DEPTH_MAX {
            return Err(error_at(format!("data nests deeper than {DEPTH_MAX}"), span));
        }
        self.made += 1;
        if self.made > self.made_max {
            return Err(error_at(format!("there are more than {} values", self.made_max), span));
        }
        let (kind, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                let is_text =
                    tag.as_ref().is_some_and(|t| t.is_yaml_core_schema() && t.suffix == "str");
                let data = match style == ScalarStyle::Plain && !is_text {
                    true => plain_scalar(&text),
                    false => NestedValue::Text(text.into_owned()),
                };
                (tagged(DocumentNodeKind::Plain(data), tag.as_deref(), span), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                (tagged(DocumentNodeKind::List(items), tag.as_deref(), span), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                let members = DocumentNodeKind::Object(self.members(depth)?);
                (tagged(members, tag.as_deref(), span), anchor)
            }
            _ => (DocumentNodeKind::Plain(NestedValue::Null), 0),
        };
        let node = DocumentNode { line: span.start.line() as u32, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// A copy of the node of an anchor.
    fn alias(&mut self, anchor: usize, span: Span) -> Result<DocumentNode, DocumentError> {
        // An anchor is known only after its node is complete.
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(error_at("an alias stands inside its own anchor", span));
        };
        // Aliases of aliases multiply: a few lines may stand for billions of values.
        self.copied += node.size();
        if self.copied > self.copies_max {
            let most = match self.copies_max % 1_000_000 {
                0 => format!("{} million", self.copies_max / 1_000_000),
                _ => self.copies_max.to_string(),
            };
            let words = format!("the aliases make more than {most} values");
            return Err(error_at(words, span));
        }
        Ok(node.clone())
    }

    fn members(&mut self, depth: usize) -> Result<Vec<(String, DocumentNode)>, DocumentError> {
        let mut members: Vec<(String, DocumentNode)> = Vec::new();
        let mut names = HashSet::new();
        let mut merged = Vec::new();
        loop {
            let (name, is_plain, place) = match self.next()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(name, style, ..), place) => {
                    (name.into_owned(), style == ScalarStyle::Plain, place)
                }
                (_, place) => return Err(error_at("a name must be a plain value", place)),
            };
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if name == "<<" && is_plain {
                merged.push((node, place));
            } else if names.insert(name.clone()) {
                members.push((name, node));
            } else {
                return Err(error_at(format!("`{name}` stands twice in one object"), place));
            }
        }
        // Merged members come last: the own members of an object win over them.
        for (node, place) in merged {
            let sources = match node.kind {
                DocumentNodeKind::List(items) => items,
                _ => vec![node],
            };
            for source in sources {
                let DocumentNodeKind::Object(inner) = source.kind else {
                    return Err(error_at("`<<` takes an object or a list of objects", place));
                };
                members.extend(inner.into_iter().filter(|(name, _)| names.insert(name.clone())));
            }
        }
        Ok(members)
    }
}

/// A value with a tag that YAML does not know, as an object: `!Ref x` is `{ Ref: x }`.
fn tagged(kind: DocumentNodeKind, tag: Option<&Tag>, span: Span) -> DocumentNodeKind {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() && !tag.suffix.is_empty() => {
            let inner = DocumentNode { line: span.start.line() as u32, kind };
            DocumentNodeKind::Object(vec![(tag.suffix.clone(), inner)])
        }
        _ => kind,
    }
}

/// The value of an unquoted scalar. A number that 64 bits cannot hold stays a text.
fn plain_scalar(text: &str) -> NestedValue {
    let number = plain_number(text);
    match text {
        "" | "~" | "null" | "Null" | "NULL" => NestedValue::Null,
        "true" | "True" | "TRUE" => NestedValue::Bool(true),
        "false" | "False" | "FALSE" => NestedValue::Bool(false),
        _ => number.map_or_else(|| NestedValue::Text(text.to_owned()), NestedValue::Number),
    }
}

/// The number that an unquoted scalar is; `None` if it is none, or 64 bits cannot hold it.
fn plain_number(text: &str) -> Option<Value<'static>> {
    let radix = |prefix, radix| {
        let digits = text.strip_prefix(prefix)?;
        digits.chars().all(|c| c.is_digit(radix)).then(|| i64::from_str_radix(digits, radix).ok())
    };
    if let Some(integer) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return integer.map(Value::Int);
    }
    let digits = text.trim_start_matches(['-', '+']);
    let leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if !looks_like_number(text) || leading_zero {
        return None;
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    match Value::number(unsigned) {
        Some(number) => Some(number),
        // `.5` and `5.` are numbers here, though not in JSON.
        None if digits.starts_with('.') || digits.ends_with('.') => {
            let float = unsigned.parse::<f64>().ok().filter(|f| f.is_finite());
            float.map(Value::Float)
        }
        None => None,
    }
}

/// Sign, digits with at most one point among them, and an exponent.
fn looks_like_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.strip_prefix(['-', '+']).unwrap_or(exponent)),
        None => (unsigned, "0"),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && digits(exponent)
        && !exponent.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Result<Vec<NestedValue>, String> {
        read_yaml(text).map_err(|t| format!("{}:{} {}", t.line, t.column, t.words))
    }

    fn same(text: &str, json: &str) {
        assert_eq!(yaml(text), Ok(vec![NestedValue::parse_json(json).unwrap()]), "{text}");
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        same(
            "a: 5\nb: '5'\nc: yes\nd: ~\ne: True",
            r#"{"a":5,"b":"5","c":"yes","d":null,"e":true}"#,
        );
        same("- 0x1F\n- 0o17\n- +3\n- 1.5\n- .5", "[31,15,3,1.5,0.5]");
        same(
            "- 012345678901\n- 1.2.3\n- e5\n-\n- !!str 5",
            r#"["012345678901","1.2.3","e5",null,"5"]"#,
        );
        same("a: 123456789012345678901234567890", r#"{"a":"123456789012345678901234567890"}"#);
        same("tag: 12e34567", r#"{"tag":"12e34567"}"#);
        same("a: !Ref x\nb: !GetAtt [x, y]", r#"{"a":{"Ref":"x"},"b":{"GetAtt":["x","y"]}}"#);
    }

    #[test]
    fn aliases_and_merge_keys_are_copies() {
        same(
            "a: &x {k: 1, l: 2}\nb: *x\nc: {<<: *x, k: 3}",
            r#"{"a":{"k":1,"l":2},"b":{"k":1,"l":2},"c":{"k":3,"l":2}}"#,
        );
        let bomb = (1..40).fold("a0: &a0 [x, x, x]\n".to_owned(), |text, i| {
            let old = format!("*a{}", i - 1);
            text + &format!("a{i}: &a{i} [{old}, {old}, {old}]\n")
        });
        assert!(yaml(&bomb).unwrap_err().contains("2 million"));
        assert!(yaml("a: &x [*x]").is_err());
    }

    #[test]
    fn troubles_have_a_place() {
        assert_eq!(yaml("a: 1\na: 2").unwrap_err(), "2:1 `a` stands twice in one object");
        assert!(yaml(&"[".repeat(5000)).is_err());
        assert!(yaml("a: [1\nb: 2").unwrap_err().starts_with("2:"));
        let toml = read_toml("a = 1\nb = [\n").unwrap_err();
        assert_eq!((toml.line >= 2, toml.column > 0), (true, true));
    }

    #[test]
    fn documents_and_items_know_their_lines() {
        let nodes = read_yaml("---\na: 1\n---\nlist:\n  - x\n  - y\n").unwrap();
        let Some(NestedValue::List(list)) = nodes[1].member("list") else { panic!("no list") };
        assert_eq!(list.lines, [5, 6]);
        let node = read_toml("x = 1\n[[app]]\nname = 'a'\n\n[[app]]\nname = 'b'\n").unwrap();
        let Some(NestedValue::List(list)) = node.member("app") else { panic!("no list") };
        assert_eq!(list.lines, [2, 5]);
    }
}
