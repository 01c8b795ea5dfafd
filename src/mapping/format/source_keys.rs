//! The format of a source file as data: every table, every key, the kind of its value and what it
//! means. Tables that mapping files have too are those of [`super`].

use super::{FormatKey, FormatKind, LOOKUP, PAIR, ROWS, key, must};

/// The whole file.
pub(in crate::mapping) const SOURCE_TOP: &[FormatKey] = &[
    key("format", FormatKind::Whole, "Version of this file format. Default 1."),
    must(
        "scope",
        FormatKind::Text,
        "Scope of the DIFF job that owns these entities and relationships. What the rows no longer give is deleted from it.",
        "scope = \"okta\"",
    ),
    key("name", FormatKind::Text, "Short title. Default: the scope."),
    key("description", FormatKind::Text, "One sentence."),
    key("owner", FormatKind::Text, "Who answers for this source."),
    key("labels", FormatKind::NamedTexts, "Labels to select by, e.g. team = \"it\"."),
    key("enabled", FormatKind::Bool, "false: checked, never applied. Default true."),
    must(
        "rows",
        FormatKind::TableOrNamed(ROWS),
        "Where the rows come from: one row set, or several as [rows.NAME].",
        "rows = { file = \"exports/users.json\" }",
    ),
    key(
        "class",
        FormatKind::NamedTextLists,
        "The _class of a type; \"*\" stands for all other types.",
    ),
    key(
        "let",
        FormatKind::NamedTexts,
        "Templates with a name, worked out where `let.NAME` stands.",
    ),
    key(
        "lookup",
        FormatKind::NamedTables(LOOKUP),
        "Tables for lookup('NAME', key), e.g. an alias and its canonical name.",
    ),
    key("entity", FormatKind::TableOrTables(ENTITY), "Each item of the rows makes an entity."),
    key(
        "relationship",
        FormatKind::TableOrTables(RELATIONSHIP),
        "Each item of the rows makes an edge.",
    ),
    key("guard", FormatKind::Table(GUARD), "When to stop before anything is written."),
    key("example", FormatKind::Tables(EXAMPLE), "A unit test without a database, run by check."),
    key(
        "test",
        FormatKind::Tables(TEST),
        "A promise about what the rows make, kept before commit.",
    ),
    key(
        "recognize",
        FormatKind::TableOrTables(RECOGNIZE),
        "How `tombolo import` tells this format; of several tables any one is enough.",
    ),
];

const ITEMS: &str =
    "Paths to the items inside of a row, e.g. jobs.*.steps[*]. Default: the row itself.";
const MERGE: &str = "What several items with one key become where they disagree: first, last or union; for all properties or by name.";
const ROW_SETS: &str = "Names of row sets. May be left out when there is one.";
const PROPERTIES: &str = "\"*\" for all of the row, a list of names and paths, or a table of templates in which \"*\" spreads maps.";

pub(super) const ENTITY: &[FormatKey] = &[
    key("rows", FormatKind::Texts, ROW_SETS),
    key("items", FormatKind::Texts, ITEMS),
    key("where", FormatKind::Text, "Only items for which this holds."),
    must("type", FormatKind::Text, "Template of the _type.", "type = \"okta_user\""),
    key(
        "class",
        FormatKind::Texts,
        "Templates of the _class. Default: that of the type in [class].",
    ),
    must("key", FormatKind::Text, "Template of the _key.", "key = \"okta-user:{row.id}\""),
    key(
        "name",
        FormatKind::Text,
        "Template of displayName. Default: the row's displayName or name, else the key.",
    ),
    key("properties", FormatKind::SourceProperties, PROPERTIES),
    key("except", FormatKind::Texts, "Properties to leave out."),
    key("raw", FormatKind::Bool, "true keeps the whole row as raw data. Default false."),
    key("merge", FormatKind::Merge, MERGE),
    key(
        "relationship",
        FormatKind::TableOrTables(RELATIONSHIP),
        "Edges of this entity; the end that is left out is the entity.",
    ),
];

pub(super) const RELATIONSHIP: &[FormatKey] = &[
    key("rows", FormatKind::Texts, ROW_SETS),
    key("items", FormatKind::Texts, ITEMS),
    key("where", FormatKind::Text, "Only items for which this holds."),
    must("class", FormatKind::Text, "Template of the _class, e.g. HAS.", "class = \"HAS\""),
    key("type", FormatKind::Text, "_type. Default: {from._type}_{class in lower case}_{to._type}."),
    key("key", FormatKind::Text, "_key. Default: {from._key}|{class in lower case}|{to._key}."),
    key(
        "from",
        FormatKind::End(END),
        "Where the edge starts: a key, several of which the first that exists is taken, or a table.",
    ),
    key(
        "to",
        FormatKind::End(END),
        "Where the edge ends: a key, several of which the first that exists is taken, or a table.",
    ),
    key("properties", FormatKind::SourceProperties, PROPERTIES),
    key("except", FormatKind::Texts, "Properties to leave out."),
    key("merge", FormatKind::Merge, MERGE),
];

pub(super) const END: &[FormatKey] = &[
    key(
        "match",
        FormatKind::Conditions,
        "Condition that finds the entity of this scope; several are tried in order.",
    ),
    key("type", FormatKind::Texts, "Only entities with one of these _type values."),
    key(
        "ambiguous",
        FormatKind::Choice(&["error", "skip", "all"]),
        "Several entities found: stop (default), make no edge, or link all.",
    ),
    key("create", FormatKind::Text, "Template of a _type: makes the entity if no row does."),
    key("class", FormatKind::Texts, "Templates of the _class of the entity that is made."),
    key("key", FormatKind::Text, "Template of the _key of the entity that is made."),
    key("name", FormatKind::Text, "Template of its displayName."),
    key("properties", FormatKind::SourceProperties, PROPERTIES),
    key("except", FormatKind::Texts, "Properties to leave out."),
];

pub(super) const GUARD: &[FormatKey] = &[
    key("min_rows", FormatKind::Whole, "Refuse fewer rows. Default 1."),
    key("min_entities", FormatKind::Whole, "Refuse to make fewer entities. Default 0."),
    key(
        "max_delete_percent",
        FormatKind::Percent,
        "Refuse to delete more of the live objects. Default: the guard of the scope, which holds the job.",
    ),
    key("max_delete", FormatKind::Whole, "Refuse to delete more objects than this."),
    key("max_create", FormatKind::Whole, "Refuse to create more objects than this."),
    key("max_missing_percent", FormatKind::Percent, "Refuse if more of the references dangle."),
    key(
        "max_objects",
        FormatKind::Whole,
        "Stop before more objects than this are made, which takes memory. Default 20000000.",
    ),
    key(
        "fresh",
        FormatKind::NamedTexts,
        "Refuse if a scope was last synchronised longer ago, e.g. { \"@hr\" = \"24h\" }.",
    ),
];

pub(super) const EXAMPLE: &[FormatKey] = &[
    key("name", FormatKind::Text, "What it shows."),
    key(
        "rows",
        FormatKind::Text,
        "The row set that the row stands for. May be left out when there is one.",
    ),
    key("stem", FormatKind::Text, "What `file.stem` is."),
    must("row", FormatKind::Any, "The row.", "row = { id = \"1\" }"),
    key(
        "entity",
        FormatKind::FreeOrTables,
        "Entities that it must make: _key, and what else they must have.",
    ),
    key(
        "relationship",
        FormatKind::FreeOrTables,
        "Edges that it must make: class, from and to, and what else they must have.",
    ),
    key("entities", FormatKind::Whole, "How many entities it must make."),
    key("relationships", FormatKind::Whole, "How many edges it must make."),
];

pub(super) const TEST: &[FormatKey] = &[
    key("name", FormatKind::Text, "What is promised."),
    key(
        "severity",
        FormatKind::Choice(&["error", "warn"]),
        "Whether a broken promise stops the job. Default error.",
    ),
    key("entity", FormatKind::Text, "This _key must be made."),
    key("no_entity", FormatKind::Text, "This _key must not be made."),
    key("edge", FormatKind::Table(PAIR), "This edge must be made."),
    key("no_edge", FormatKind::Table(PAIR), "This edge must not be made."),
    key("type", FormatKind::Text, "Entities of this _type are counted; see expect."),
    key("query", FormatKind::Text, "J1QL, asked of the graph as planned."),
    key(
        "expect",
        FormatKind::Amount,
        "How many there must be: a number, or e.g. > 0. Default > 0.",
    ),
];

pub(super) const RECOGNIZE: &[FormatKey] = &[
    key("keys", FormatKind::Texts, "Paths that the first document has."),
    key("columns", FormatKind::Texts, "Columns that the header has."),
    key("name", FormatKind::Texts, "Patterns of the name of the file."),
    key("where", FormatKind::Text, "What holds for the first row."),
    key("format", FormatKind::Text, "How a file is written whose name does not say it."),
];
