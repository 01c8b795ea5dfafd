//! The format of a mapping file as data: every table, every key, the kind of its value and what it
//! means.
//!
//! One list serves three readers, so they cannot disagree: the check of a file's shape (here), the
//! JSON Schema for editors ([`schema`]) and the words of faults. [`super::validate`] asks what
//! values *mean* together.

mod age;
mod schema;
mod source_keys;
mod toml_source;

pub use age::{format_age, parse_age};
pub use schema::{schema, source_schema};
pub(super) use source_keys::SOURCE_TOP;
pub(super) use toml_source::{SpannedText, TomlTable, toml_fault, wrong_kind};

use crate::lang::{Diagnostic, SourceText, closest};
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The kind of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum FormatKind {
    Text,
    /// A string, or a list of at least one.
    Texts,
    Bool,
    /// A whole number from 0 on.
    Whole,
    /// 0 to 100, with or without a fraction.
    Percent,
    /// A whole number, or a string such as `95%`.
    Amount,
    Choice(&'static [&'static str]),
    Table(&'static [FormatKey]),
    Tables(&'static [FormatKey]),
    /// Names of the user's choice, each with such a table.
    NamedTables(&'static [FormatKey]),
    /// Names of the user's choice, each with a string.
    NamedTexts,
    /// Property names with a template, number or boolean.
    Properties,
    /// Names with any plain value.
    Free,
    /// A list of tables of any names.
    FreeTables,
    /// Anything at all.
    Any,
    /// A condition, or a list of conditions and `{ when = ... }` tables.
    Conditions,
    /// One such table, or several under names of the user's choice.
    TableOrNamed(&'static [FormatKey]),
    /// Such a table or a list of them.
    TableOrTables(&'static [FormatKey]),
    /// A table of any names or a list of them.
    FreeOrTables,
    /// Names of the user's choice, each with a string or a list of strings.
    NamedTextLists,
    /// `"*"`, a list of names, or a table of templates, literals and `"*"`.
    SourceProperties,
    /// A way to merge, or one for each name.
    Merge,
    /// A string, a list of strings, or such a table.
    End(&'static [FormatKey]),
}

/// One key of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct FormatKey {
    pub name: &'static str,
    pub kind: FormatKind,
    /// Its meaning, for editors.
    pub about: &'static str,
    /// Set for keys that must be there: a line to show.
    pub example: Option<&'static str>,
}

pub(super) const fn key(name: &'static str, kind: FormatKind, about: &'static str) -> FormatKey {
    FormatKey { name, kind, about, example: None }
}

pub(super) const fn must(
    name: &'static str,
    kind: FormatKind,
    about: &'static str,
    example: &'static str,
) -> FormatKey {
    FormatKey { name, kind, about, example: Some(example) }
}

const SCOPES: &str =
    "Scope of the entity: an identifier, an @alias of tombolo.toml, or several of them.";
const TYPES: &str = "Only entities with one of these _type values.";
const CLASSES: &str = "Only entities with one of these _class values.";
const PROPERTIES: &str = "Properties of the edge: templates, numbers or booleans.";

/// The whole file.
pub(super) const TOP: &[FormatKey] = &[
    key("format", FormatKind::Whole, "Version of this file format. Default 1."),
    must(
        "scope",
        FormatKind::Text,
        "Scope of the CROSS_SCOPE job that owns these relationships. Stable: renaming it orphans the old edges.",
        "scope = \"okta-jamf-ownership\"",
    ),
    key("name", FormatKind::Text, "Short title. Default: the scope."),
    key("description", FormatKind::Text, "One sentence."),
    key("owner", FormatKind::Text, "Who answers for this mapping."),
    key("labels", FormatKind::NamedTexts, "Labels to select mappings by, e.g. team = \"it\"."),
    key("source", FormatKind::Text, "Always api for CROSS_SCOPE; may be left out."),
    key(
        "sameScope",
        FormatKind::Choice(&["allow", "reject"]),
        "Whether both ends may lie in one scope. Default allow.",
    ),
    key(
        "enabled",
        FormatKind::Bool,
        "false: checked, never applied; its edges stay as they are. Default true.",
    ),
    key("rows", FormatKind::Table(ROWS), "Where the pairs come from: something outside the graph."),
    key(
        "lookup",
        FormatKind::NamedTables(LOOKUP),
        "Tables for lookup('NAME', key), e.g. an alias and its canonical name.",
    ),
    must(
        "relationship",
        FormatKind::Table(RELATIONSHIP),
        "What the edge is.",
        "relationship = { class = \"OWNS\" }",
    ),
    must(
        "from",
        FormatKind::Table(END),
        "How the entity is found where the edge starts.",
        "from = { scope = \"okta-instance-id\", key = \"okta-user:{row.login}\" }",
    ),
    must(
        "to",
        FormatKind::Table(END),
        "How the entity is found where the edge ends.",
        "to = { scope = \"jamf-instance-id\", key = \"jamf-device:{row.device}\" }",
    ),
    key(
        "join",
        FormatKind::Conditions,
        "Condition between from. and to. entities; several are tried in order for each from.",
    ),
    key("guard", FormatKind::Table(GUARD), "When to stop before anything is written."),
    key("example", FormatKind::Tables(EXAMPLE), "A unit test without a database, run by check."),
    key(
        "test",
        FormatKind::Tables(TEST),
        "A promise about the graph as planned, kept before commit.",
    ),
];

/// The names of formats, as `format` takes them.
pub(super) const ROW_FORMATS: &[&str] =
    &["csv", "tsv", "json", "ndjson", "yaml", "toml", "xml", "xlsx", "ldif", "lines"];

pub(super) const ROWS: &[FormatKey] = &[
    key("file", FormatKind::Text, "One file, relative to this mapping."),
    key("files", FormatKind::Texts, "Globs, relative to this mapping; read in byte order of path."),
    key("inline", FormatKind::FreeTables, "The rows themselves."),
    key("query", FormatKind::Text, "J1QL: each row of its answer is a row."),
    key("entities", FormatKind::Table(ENTITIES), "Each of these entities is a row."),
    key(
        "format",
        FormatKind::Choice(ROW_FORMATS),
        "How the files are written. Default: by their extension.",
    ),
    key(
        "items",
        FormatKind::Texts,
        "Paths to the rows inside a document, e.g. resources[*]. Default: the document, or each element of a list.",
    ),
    key("columns", FormatKind::Texts, "Names of the columns of a file without a header."),
    key(
        "delimiter",
        FormatKind::Text,
        "One character between cells. Default: the one that the first line shows.",
    ),
    key(
        "encoding",
        FormatKind::Text,
        "The encoding of the texts, e.g. windows-1252. Default: what a byte order mark or an XML declaration says, else UTF-8.",
    ),
    key("skip", FormatKind::Whole, "Lines before the header or the first row. Default 0."),
    key("comment", FormatKind::Text, "One character that lines to pass over begin with."),
    key("sheet", FormatKind::Text, "The sheet of a workbook. Default: its first."),
    key(
        "pattern",
        FormatKind::Text,
        "With format = \"lines\": a regular expression, whose named groups are the columns.",
    ),
    key("null", FormatKind::Texts, "Texts that mean a missing value, e.g. NOASSERTION."),
    key(
        "inside",
        FormatKind::Text,
        "Files inside of an archive, e.g. *_groups.json. Default: all in a known format.",
    ),
    key("where", FormatKind::Text, "Keep only rows for which this holds."),
    key("max_age", FormatKind::Text, "Refuse files older than this, e.g. 36h."),
];

pub(super) const ENTITIES: &[FormatKey] = &[
    must("scope", FormatKind::Texts, SCOPES, "scope = \"@okta\""),
    key("type", FormatKind::Texts, TYPES),
    key("class", FormatKind::Texts, CLASSES),
    key("where", FormatKind::Text, "Only entities for which this holds, e.g. row.active = true."),
];

pub(super) const LOOKUP: &[FormatKey] = &[
    key("file", FormatKind::Text, "A table of rows, relative to this mapping."),
    key("key", FormatKind::Text, "Its column to look in."),
    key("value", FormatKind::Text, "Its column with the answer."),
    key("inline", FormatKind::Free, "The table itself: keys and their values."),
];

pub(super) const RELATIONSHIP: &[FormatKey] = &[
    must("class", FormatKind::Text, "_class, upper case, e.g. OWNS.", "class = \"OWNS\""),
    key("type", FormatKind::Text, "_type. Default: {from._type}_{class in lower case}_{to._type}."),
    key("key", FormatKind::Text, "_key. Default: {from._key}|{class in lower case}|{to._key}."),
    key("properties", FormatKind::Properties, PROPERTIES),
    key(
        "cardinality",
        FormatKind::Choice(&["one-to-one", "one-to-many", "many-to-one", "many-to-many"]),
        "How many edges an end may have in this job. Default many-to-many.",
    ),
    key(
        "conflict",
        FormatKind::Choice(&["error", "skip"]),
        "Edges that break the cardinality: stop (default), or leave all of them out and report.",
    ),
    key("prefer", FormatKind::Text, "Settles a conflict: the edge with the greatest value stays."),
];

pub(super) const END: &[FormatKey] = &[
    must("scope", FormatKind::Texts, SCOPES, "scope = \"okta-instance-id\""),
    key("type", FormatKind::Texts, TYPES),
    key("class", FormatKind::Texts, CLASSES),
    key("where", FormatKind::Text, "Only entities for which this holds, e.g. from.active = true."),
    key("key", FormatKind::Text, "Template of the entity's _key, e.g. okta-user:{row.login}."),
    key("id", FormatKind::Text, "Template of the entity's _id."),
    key(
        "match",
        FormatKind::Conditions,
        "Condition that finds the entity of a row; several are tried in order, the first that finds anything decides.",
    ),
    key(
        "missing",
        FormatKind::Choice(&["skip", "error"]),
        "No entity found: leave the row out (default), or stop.",
    ),
    key(
        "ambiguous",
        FormatKind::Choice(&["error", "skip", "all"]),
        "Several entities found: stop (default with rows), leave the row out, or link all (default of a join).",
    ),
    key(
        "prefer",
        FormatKind::Text,
        "Of several entities found the one with the greatest value wins.",
    ),
];

/// An alternative of `match` or `join`.
pub(super) const ALTERNATIVE: &[FormatKey] = &[
    must(
        "when",
        FormatKind::Text,
        "The condition.",
        "when = \"hostname(to.hostname) = hostname(row.host)\"",
    ),
    key("name", FormatKind::Text, "Its name in plans and explanations."),
    key("properties", FormatKind::Properties, PROPERTIES),
];

pub(super) const GUARD: &[FormatKey] = &[
    key(
        "min_rows",
        FormatKind::Whole,
        "Refuse fewer rows, or fewer entities of a join. Default 1.",
    ),
    key("min_edges", FormatKind::Whole, "Refuse if fewer edges would exist afterwards. Default 0."),
    key(
        "max_delete_percent",
        FormatKind::Percent,
        "Refuse to delete more of the live edges, once there are 20. Default 25.",
    ),
    key("max_delete", FormatKind::Whole, "Refuse to delete more edges than this."),
    key("max_create", FormatKind::Whole, "Refuse to create more edges than this."),
    key(
        "max_edges",
        FormatKind::Whole,
        "Stop before more edges than this are made, which takes memory. Default 2000000.",
    ),
    key("max_missing_percent", FormatKind::Percent, "Refuse if more of the rows found no end."),
    key(
        "fresh",
        FormatKind::NamedTexts,
        "Refuse if a scope was last synchronised longer ago, e.g. { \"@okta\" = \"24h\" }.",
    ),
];

pub(super) const EXAMPLE: &[FormatKey] = &[
    key("name", FormatKind::Text, "What it shows."),
    key("row", FormatKind::Any, "The row."),
    key("from", FormatKind::Free, "Properties of an entity of from."),
    key("to", FormatKind::Free, "Properties of an entity of to."),
    key("links", FormatKind::Bool, "Whether they must meet. Default true."),
    key("key", FormatKind::Text, "The _key that the edge must have."),
    key("properties", FormatKind::Free, "Properties that the edge must have."),
];

pub(super) const PAIR: &[FormatKey] = &[
    must("from", FormatKind::Text, "_key where the edge starts.", "from = \"okta-user:alice\""),
    must("to", FormatKind::Text, "_key where the edge ends.", "to = \"jamf-device:laptop-001\""),
];

pub(super) const TEST: &[FormatKey] = &[
    key("name", FormatKind::Text, "What is promised."),
    key(
        "severity",
        FormatKind::Choice(&["error", "warn"]),
        "Whether a broken promise stops the job. Default error.",
    ),
    key("edge", FormatKind::Table(PAIR), "This edge must be planned."),
    key("no_edge", FormatKind::Table(PAIR), "This edge must not be planned."),
    key("query", FormatKind::Text, "J1QL, asked of the graph as planned."),
    key(
        "expect",
        FormatKind::Amount,
        "How many rows it must have: a number, or e.g. > 0. Default 0.",
    ),
    key("covers", FormatKind::Choice(&["from", "to"]), "Entities of this end must have an edge."),
    key("where", FormatKind::Text, "Which of them."),
    key(
        "at_least",
        FormatKind::Amount,
        "How many: a number, or a share such as 95%. Default 100%.",
    ),
];

/// Looks at the shape of a whole file and reports everything that does not fit it.
pub(super) fn check_shape(
    source: &Arc<SourceText>,
    table: &DeTable<'_>,
    keys: &[FormatKey],
    faults: &mut Vec<Diagnostic>,
) {
    // A key missing at the top level has no table to point at, so the first line is shown.
    let first_line = 0..source.text.find('\n').unwrap_or(source.text.len());
    ShapeChecker { source, faults }.table("", first_line, table, keys);
}

/// The ways to merge what several items say of one property.
pub(super) const MERGES: &[&str] = &["first", "last", "union"];

/// True if a table of rows holds row sets with names, and is none itself.
pub(super) fn is_named(table: &DeTable<'_>) -> bool {
    // `entities` is the one key of a row set that has a table.
    let own = |name: &str| name == "entities";
    !table.is_empty()
        && table.iter().all(|(key, value)| {
            value.get_ref().as_table().is_some() && !own(key.get_ref().as_ref())
        })
}

struct ShapeChecker<'a> {
    source: &'a Arc<SourceText>,
    faults: &'a mut Vec<Diagnostic>,
}

impl ShapeChecker<'_> {
    fn table(&mut self, name: &str, span: Range<usize>, table: &DeTable<'_>, keys: &[FormatKey]) {
        for (key, value) in table.iter() {
            let written = key.get_ref().as_ref();
            match keys.iter().find(|k| k.name == written) {
                Some(known) => self.value(written, known.kind, value),
                None => self.unknown(name, written, key.span(), keys),
            }
        }
        for key in keys {
            let Some(example) = key.example else { continue };
            if !table.iter().any(|(k, _)| k.get_ref() == key.name) {
                let fault =
                    Diagnostic::error("M0103", self.source, format!("missing `{}`", key.name));
                let fault = fault.at(span.clone(), "");
                self.faults.push(fault.help(format!("e.g. `{example}`")));
            }
        }
    }

    fn unknown(&mut self, table: &str, name: &str, span: Range<usize>, keys: &[FormatKey]) {
        if name == "scope" && matches!(table, "from" | "to") {
            let words = "both ends of an edge of a source lie in its own scope";
            let fault = Diagnostic::error("M0102", self.source, words).at(span, "");
            let help = "edges between scopes stand in a mapping file: tombolo new";
            return self.faults.push(fault.help(help));
        }
        let place = match table {
            "" => "at the top level".to_owned(),
            table => format!("in `[{table}]`"),
        };
        let message = format!("unknown key `{name}` {place}");
        let fault = Diagnostic::error("M0102", self.source, message);
        let fault = fault.at(span.clone(), "not a key of this table");
        let names: Vec<&str> = keys.iter().map(|k| k.name).collect();
        self.faults.push(match closest(name, names.iter().copied()) {
            Some(similar) => fault.patch(format!("did you mean `{similar}`?"), span, similar),
            None => fault.help(format!("keys allowed here: {}", names.join(", "))),
        });
    }

    fn value(&mut self, name: &str, kind: FormatKind, value: &Spanned<DeValue<'_>>) {
        let inner = value.get_ref();
        let number = || match inner {
            DeValue::Integer(i) => {
                i64::from_str_radix(i.as_str(), i.radix()).ok().map(|i| i as f64)
            }
            DeValue::Float(f) => f.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let text = inner.as_str().is_some();
        let whole = inner.as_integer().is_some() && number().is_some_and(|n| n >= 0.0);
        let expected = match kind {
            FormatKind::Any => return,
            FormatKind::Text if text => return,
            FormatKind::Text => "a string",
            FormatKind::Texts => return self.texts(value),
            FormatKind::Bool if inner.as_bool().is_some() => return,
            FormatKind::Bool => "a boolean",
            FormatKind::Whole if whole => return,
            FormatKind::Whole => "a whole number from 0 on",
            FormatKind::Percent if number().is_some_and(|n| (0.0..=100.0).contains(&n)) => return,
            FormatKind::Percent => "a number from 0 to 100",
            FormatKind::Amount if text || whole => return,
            FormatKind::Amount => "a whole number or a string",
            FormatKind::Choice(choices) => return self.choice(choices, value),
            FormatKind::Table(keys) => match inner.as_table() {
                Some(table) => return self.table(name, value.span(), table, keys),
                None => "a table",
            },
            FormatKind::Tables(keys) => match inner.as_array() {
                Some(items) => {
                    return items.iter().for_each(|i| self.value(name, FormatKind::Table(keys), i));
                }
                None => "a list of tables",
            },
            FormatKind::NamedTables(keys) => return self.each(value, FormatKind::Table(keys)),
            FormatKind::NamedTexts => return self.each(value, FormatKind::Text),
            FormatKind::Properties => return self.properties(value),
            FormatKind::Free if inner.as_table().is_some() => return,
            FormatKind::Free => "a table",
            FormatKind::FreeTables => match inner.as_array() {
                Some(items) => {
                    return items.iter().for_each(|i| self.value(name, FormatKind::Free, i));
                }
                None => "a list of tables",
            },
            FormatKind::Conditions => return self.conditions(value),
            FormatKind::TableOrNamed(keys) => return self.table_or_named(name, value, keys),
            FormatKind::TableOrTables(keys) => match inner.as_array() {
                Some(_) => return self.value(name, FormatKind::Tables(keys), value),
                None => return self.value(name, FormatKind::Table(keys), value),
            },
            FormatKind::FreeOrTables => match inner.as_array() {
                Some(_) => return self.value(name, FormatKind::FreeTables, value),
                None => return self.value(name, FormatKind::Free, value),
            },
            FormatKind::NamedTextLists => return self.each(value, FormatKind::Texts),
            FormatKind::SourceProperties => return self.source_properties(value),
            FormatKind::Merge => match inner.as_table() {
                Some(_) => return self.each(value, FormatKind::Choice(MERGES)),
                None => return self.choice(MERGES, value),
            },
            FormatKind::End(keys) => match inner.as_table() {
                Some(table) => return self.table(name, value.span(), table, keys),
                None => return self.texts(value),
            },
        };
        self.faults.push(wrong_kind(self.source, expected, value));
    }

    fn each(&mut self, value: &Spanned<DeValue<'_>>, kind: FormatKind) {
        match value.get_ref().as_table() {
            Some(table) => table.iter().for_each(|(k, v)| self.value(k.get_ref(), kind, v)),
            None => self.faults.push(wrong_kind(self.source, "a table", value)),
        }
    }

    /// One table of the keys, or several with names: a key of the table with a value that is no table
    /// tells which.
    fn table_or_named(&mut self, name: &str, value: &Spanned<DeValue<'_>>, keys: &[FormatKey]) {
        let Some(table) = value.get_ref().as_table() else {
            return self.faults.push(wrong_kind(self.source, "a table", value));
        };
        match is_named(table) {
            false => self.table(name, value.span(), table, keys),
            true => table.iter().for_each(|(key, value)| match value.get_ref().as_table() {
                Some(table) => {
                    self.table(&format!("{name}.{}", key.get_ref()), value.span(), table, keys);
                }
                None => self.faults.push(wrong_kind(self.source, "a table", value)),
            }),
        }
    }

    fn source_properties(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::String(text) if text == "*" => {}
            DeValue::Array(_) => self.texts(value),
            DeValue::Table(table) => {
                for (name, value) in table.iter() {
                    let plain = matches!(
                        value.get_ref(),
                        DeValue::String(_)
                            | DeValue::Integer(_)
                            | DeValue::Float(_)
                            | DeValue::Boolean(_)
                    );
                    match name.get_ref() == "*" {
                        true => self.texts(value),
                        false if plain => {}
                        false => self.faults.push(wrong_kind(
                            self.source,
                            "a string, number or boolean",
                            value,
                        )),
                    }
                }
            }
            _ => {
                let expected = "\"*\", a list of names or a table";
                self.faults.push(wrong_kind(self.source, expected, value));
            }
        }
    }

    fn texts(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref().as_array() {
            Some(items) if !items.is_empty() => {
                items.iter().for_each(|i| self.value("", FormatKind::Text, i));
            }
            None if value.get_ref().as_str().is_some() => {}
            _ => {
                let expected = "a string or a list of at least one";
                self.faults.push(wrong_kind(self.source, expected, value));
            }
        }
    }

    fn choice(&mut self, choices: &[&str], value: &Spanned<DeValue<'_>>) {
        let list: Vec<String> = choices.iter().map(|c| format!("\"{c}\"")).collect();
        let list = match list.split_last() {
            Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => list.concat(),
        };
        match value.get_ref().as_str() {
            None => self.faults.push(wrong_kind(self.source, &list, value)),
            Some(text) if choices.contains(&text) => {}
            Some(text) => {
                let message = format!("expected {list}, found `{text}`");
                let fault = Diagnostic::error("M0104", self.source, message).at(value.span(), "");
                self.faults.push(match closest(text, choices.iter().copied()) {
                    Some(similar) => fault.patch(
                        "a similar value is allowed",
                        value.span(),
                        format!("\"{similar}\""),
                    ),
                    None => fault,
                });
            }
        }
    }

    fn properties(&mut self, value: &Spanned<DeValue<'_>>) {
        let Some(table) = value.get_ref().as_table() else {
            return self.faults.push(wrong_kind(self.source, "a table", value));
        };
        for (_, value) in table.iter() {
            let plain = matches!(
                value.get_ref(),
                DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)
            );
            if !plain {
                let fault = wrong_kind(self.source, "a string, number or boolean", value);
                self.faults.push(fault);
            }
        }
    }

    fn conditions(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::String(_) => {}
            DeValue::Array(items) if !items.is_empty() => {
                for item in items.iter() {
                    match item.get_ref() {
                        DeValue::String(_) => {}
                        DeValue::Table(table) => {
                            self.table("alternative", item.span(), table, ALTERNATIVE);
                        }
                        _ => {
                            let expected = "a condition or `{ when = ... }`";
                            self.faults.push(wrong_kind(self.source, expected, item));
                        }
                    }
                }
            }
            _ => {
                let expected = "a condition or a list of conditions";
                self.faults.push(wrong_kind(self.source, expected, value));
            }
        }
    }
}
