//! The two ends, the alternatives that find them, and the relationship between them.

use super::MappingChecker;
use super::expressions::KnownRoots;
use crate::graph::{NameKind, Value};
use crate::lang::toml_number;
use crate::mapping::entity_selection::EntitySelection;
use crate::mapping::expression::PathRoot;
use crate::mapping::format::{SpannedText, TomlTable};
use crate::mapping::model::{
    AmbiguityPolicy, EndDefinition, MatchAlternative, MatchStrategy, MissingPolicy,
    PropertyAssignment, RelationshipRules,
};
use toml::Spanned;
use toml::de::DeValue;

impl MappingChecker<'_> {
    /// The entities that a table asks for.
    pub(in crate::mapping) fn selection(&mut self, table: &TomlTable<'_>) -> EntitySelection {
        EntitySelection {
            scopes: self.scopes(&table.texts("scope")),
            types: self.names(NameKind::Type, &table.texts("type")),
            classes: self.names(NameKind::Class, &table.texts("class")),
        }
    }

    /// Reads one end. With a join, only the join finds its entity.
    pub(in crate::mapping) fn end(
        &mut self,
        top: &TomlTable<'_>,
        name: &'static str,
        joined: bool,
    ) -> Option<EndDefinition> {
        let table = top.table(name)?;
        let (root, own) = match name {
            "from" => (PathRoot::From, KnownRoots { from: true, ..KnownRoots::default() }),
            _ => (PathRoot::To, KnownRoots { to: true, ..KnownRoots::default() }),
        };
        let select = self.selection(&table);
        let filter = table.text("where").map(|text| {
            let condition = self.condition(&text, own);
            self.must_mention(&text, &condition, root, name);
            condition
        });
        // The entity of `from` is known when the one of `to` is looked for.
        let before = KnownRoots { from: name == "to", ..KnownRoots::ROW };
        // A join has no rows, so here an expression sees the entity of the end only.
        let seen = match joined {
            true => own,
            false => KnownRoots { from: before.from || own.from, to: own.to, ..KnownRoots::ROW },
        };
        let prefer = table.text("prefer").map(|text| {
            let value = self.condition(&text, seen);
            self.must_mention(&text, &value, root, name);
            value
        });
        let find = match joined {
            true => self.reject_own_match(&table, name),
            false => self.find(&table, name, root, before, seen),
        };
        let (missing, ambiguous) = self.policies(&table, name, joined);
        let span_of = |key| table.get(key).map_or(table.span.clone(), |v| v.span());
        // An end without scopes cannot look anything up; the fault is already reported.
        (!select.scopes.is_empty()).then_some(EndDefinition {
            select,
            filter,
            find: find?,
            missing,
            ambiguous,
            prefer,
            type_span: span_of(if table.has("type") { "type" } else { "class" }),
            scope_span: span_of("scope"),
            span: table.span.clone(),
        })
    }

    /// The policies for a row whose entity is missing, or is one of several.
    fn policies(
        &mut self,
        table: &TomlTable<'_>,
        name: &str,
        joined: bool,
    ) -> (MissingPolicy, AmbiguityPolicy) {
        let missing = match table.plain("missing").as_deref() {
            Some("error") => MissingPolicy::Error,
            _ => MissingPolicy::Skip,
        };
        let ambiguous = match table.plain("ambiguous").as_deref() {
            Some("skip") => AmbiguityPolicy::Skip,
            Some("all") => AmbiguityPolicy::All,
            // A join links all pairs that meet, so several entities are its normal case.
            None if joined => AmbiguityPolicy::All,
            _ => AmbiguityPolicy::Error,
        };
        for key in ["missing", "ambiguous", "prefer"] {
            if let Some(value) = table.get(key).filter(|_| joined && name == "from") {
                let words =
                    format!("a join looks for `to.`, so `{key}` has no meaning in `[from]`");
                let fault = self.error("M0112", words).at(value.span(), "");
                let help =
                    "say it in `[to]`, or limit edges with `cardinality` in `[relationship]`";
                self.push(fault.help(help));
            }
        }
        (missing, ambiguous)
    }

    fn reject_own_match(&mut self, table: &TomlTable<'_>, name: &str) -> Option<MatchStrategy> {
        for key in ["key", "id", "match"] {
            if let Some(value) = table.get(key) {
                let words = format!(
                    "`join` finds the entities of `[{name}]`, so `{key}` has no place here"
                );
                let fault = self.error("M0112", words).at(value.span(), "");
                self.push(
                    fault.help("remove it, or take the pairs from `[rows]` instead of `join`"),
                );
            }
        }
        Some(MatchStrategy::Joined)
    }

    fn find(
        &mut self,
        table: &TomlTable<'_>,
        name: &str,
        root: PathRoot,
        before: KnownRoots,
        seen: KnownRoots,
    ) -> Option<MatchStrategy> {
        let found = ["key", "id", "match"].iter().filter(|k| table.has(k)).count();
        if found != 1 {
            let words =
                format!("`[{name}]` needs exactly one of `key`, `id`, `match`; found {found}");
            let fault = self.error("M0109", words).at(table.span.clone(), "");
            self.push(fault.help("e.g. `key = \"okta-user:{row.login}\"`"));
            return None;
        }
        if let Some(text) = table.text("key") {
            return Some(MatchStrategy::Key(self.template(&text, before), text.span));
        }
        if let Some(text) = table.text("id") {
            return Some(MatchStrategy::Id(self.template(&text, before), text.span));
        }
        let alternatives = self.alternatives(table, "match", seen);
        for (alternative, text) in &alternatives {
            self.must_mention(text, &alternative.when, root, name);
        }
        Some(MatchStrategy::Match(alternatives.into_iter().map(|(a, _)| a).collect()))
    }

    /// The alternatives of `match` or `join`, each with the text of its condition.
    pub(in crate::mapping) fn alternatives(
        &mut self,
        table: &TomlTable<'_>,
        key: &str,
        known: KnownRoots,
    ) -> Vec<(MatchAlternative, SpannedText)> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let items: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let mut alternatives = Vec::new();
        for item in items {
            let inner = table.as_table(item);
            let text = match &inner {
                Some(inner) => inner.text("when"),
                None => table.as_text(item),
            };
            let Some(text) = text else { continue };
            let edge = KnownRoots { from: true, to: true, matched: true, ..known };
            let alternative = MatchAlternative {
                name: inner.as_ref().and_then(|t| t.plain("name")),
                when: self.condition(&text, known),
                text: text.value.clone(),
                properties: inner.map_or_else(Vec::new, |t| self.properties(&t, edge)),
                span: text.span.clone(),
            };
            alternatives.push((alternative, text));
        }
        alternatives
    }

    /// The properties of an edge, by ascending name.
    fn properties(
        &mut self,
        table: &TomlTable<'_>,
        known: KnownRoots,
    ) -> Vec<(String, PropertyAssignment)> {
        table.table("properties").map_or_else(Vec::new, |table| self.assignments(&table, known))
    }

    /// Names with their templates or literals, by ascending name; `*` is none of them.
    pub(in crate::mapping) fn assignments(
        &mut self,
        table: &TomlTable<'_>,
        known: KnownRoots,
    ) -> Vec<(String, PropertyAssignment)> {
        let mut properties = Vec::new();
        for (name, value) in table.entries().filter(|(name, _)| name.value != "*") {
            let name = self.name(NameKind::Property, &name);
            let property = match value.get_ref() {
                DeValue::String(_) => table
                    .as_text(value)
                    .map(|t| PropertyAssignment::Template(self.template(&t, known))),
                DeValue::Boolean(b) => Some(PropertyAssignment::Literal(Value::Bool(*b))),
                number => match toml_number(number) {
                    Some(number) => Some(PropertyAssignment::Literal(number)),
                    None => {
                        let words = "64 bits cannot hold this number exactly";
                        let fault = self.error("M0104", words).at(value.span(), "");
                        self.push(fault);
                        None
                    }
                },
            };
            properties.extend(name.zip(property));
        }
        properties.sort_by(|a, b| a.0.cmp(&b.0));
        properties
    }

    /// The class and the rules of the edge.
    pub(in crate::mapping) fn relationship(
        &mut self,
        top: &TomlTable<'_>,
        rows: bool,
    ) -> Option<(String, RelationshipRules)> {
        let table = top.table("relationship")?;
        let known =
            KnownRoots { row: rows, from: true, to: true, matched: true, ..KnownRoots::default() };
        let class = table.text("class").and_then(|text| self.class(&text));
        let cardinality = table.plain("cardinality").unwrap_or_else(|| "many-to-many".to_owned());
        let rules = RelationshipRules {
            type_name: table.text("type").map(|text| self.template(&text, known)),
            key: table.text("key").map(|text| self.template(&text, known)),
            properties: self.properties(&table, known),
            one_from: cardinality.starts_with("one-to"),
            one_to: cardinality.ends_with("to-one"),
            skip_conflicts: table.plain("conflict").as_deref() == Some("skip"),
            prefer: table.text("prefer").map(|text| self.condition(&text, known)),
            span: table.get("cardinality").map_or(table.span.clone(), |v| v.span()),
            cardinality,
        };
        for key in ["conflict", "prefer"] {
            if let Some(value) = table.get(key).filter(|_| !rules.one_from && !rules.one_to) {
                let words = format!("`{key}` settles nothing while `cardinality` is many-to-many");
                let fault = self.error("M0112", words).at(value.span(), "");
                self.push(fault.help("add e.g. `cardinality = \"one-to-many\"`, or remove it"));
            }
        }
        Some((class?, rules))
    }

    fn class(&mut self, text: &SpannedText) -> Option<String> {
        let upper = text.value.to_uppercase();
        if upper != text.value {
            let fault = self.error("M0304", format!("class `{}` is not upper case", text.value));
            let fault = fault.at(text.span.clone(), "");
            let patch = format!("\"{upper}\"");
            self.push(fault.patch("write it in upper case", text.span.clone(), patch));
            return None;
        }
        self.name(NameKind::Class, text)
    }
}
