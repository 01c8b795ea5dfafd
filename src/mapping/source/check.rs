//! From the source file as written to the checked one. The checks of rows, expressions and lookups are
//! those of mapping files ([`MappingChecker`]).

use super::model::{
    EndRule, EntityContent, EntityRule, MergePolicy, MergeRules, PropertyRule, RelationshipRule,
    RowSet, SourceExample, SourceFile, SourceGuard, SourceTest, SourceTestQuestion,
};
use crate::graph::{NameKind, Value};
use crate::lang::{AccessStep, Diagnostic, NestedValue, SourceText, closest};
use crate::mapping::expression::{MappingExpr, MappingExprKind, PathRoot, Template};
use crate::mapping::format::{
    SOURCE_TOP, SpannedText, TomlTable, check_shape, is_named, toml_fault,
};
use crate::mapping::model::AmbiguityPolicy;
use crate::mapping::rows::{RowSource, columns_of};
use crate::mapping::validate::{
    KnownColumns, KnownRoots, MappingChecker, MappingProject, plain_properties,
};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::DeTable;

/// True if a file is a source file, and no mapping file.
pub(in crate::mapping) fn is_source(document: &DeTable<'_>) -> bool {
    let has = |name: &str| document.get(name).is_some();
    let list = document.get("relationship").is_some_and(|r| r.get_ref().as_array().is_some());
    has("entity") || list || (has("class") && !has("from") && !has("to"))
}

/// What an expression of a source may name.
const SOURCE: KnownRoots = KnownRoots { named: true, ..KnownRoots::ROW };
/// The same where both ends are known.
const SOURCE_EDGE: KnownRoots = KnownRoots { from: true, to: true, ..SOURCE };

/// Checks one file. `None` if a fault stops it; the faults say which. `given` stands in for the files of
/// its rows.
pub(in crate::mapping) fn check_source(
    file: &Path,
    source: &Arc<SourceText>,
    project: &MappingProject,
    given: Option<&[PathBuf]>,
    faults: &mut Vec<Diagnostic>,
) -> Option<SourceFile> {
    let document = match DeTable::parse(&source.text) {
        Ok(document) => document,
        Err(error) => {
            faults.push(toml_fault(source, &error));
            return None;
        }
    };
    check_shape(source, document.get_ref(), SOURCE_TOP, faults);
    let first_line = 0..source.text.find('\n').unwrap_or(source.text.len());
    let top = TomlTable { span: first_line, table: document.get_ref(), source };
    let checker = MappingChecker::new(file, source, project, given, faults);
    let mut checker =
        SourceChecker { checker, sets: Vec::new(), numbers: 0, built_in: given.is_some() };
    checker.source(&top)
}

struct SourceChecker<'a> {
    checker: MappingChecker<'a>,
    /// Names and columns of the row sets.
    sets: Vec<(String, Option<Vec<String>>)>,
    /// Numbers given out to rules.
    numbers: u32,
    built_in: bool,
}

impl SourceChecker<'_> {
    fn source(&mut self, top: &TomlTable<'_>) -> Option<SourceFile> {
        self.checker.format_version(top);
        let own = top.text("scope");
        let scope = own.as_ref().and_then(|text| self.checker.scope(text));
        // Expressions name lookup tables, row sets and templates, so these are read first.
        self.checker.lookups(top);
        let lets = self.lets(top);
        let rows = self.row_sets(top);
        let classes = self.classes(top);
        let entities: Vec<Option<EntityRule>> =
            top.one_or_tables("entity").iter().map(|table| self.entity(table)).collect();
        let relationships: Vec<Option<RelationshipRule>> = top
            .one_or_tables("relationship")
            .iter()
            .map(|table| self.relationship(table, None))
            .collect();
        if !top.has("entity") && !top.has("relationship") {
            let fault = self.checker.error("M0107", "nothing says what the rows become");
            let help = "add `[[entity]]` with `rows`, `type` and `key`";
            self.checker.push(fault.at(top.span.clone(), "").help(help));
            return None;
        }
        let guard = self.guard(top);
        let examples = self.examples(top);
        let promises = self.promises(top);
        self.checker.lint_source(top, scope.as_deref());
        let source = SourceFile {
            file: self.checker.file.to_owned(),
            digest: crate::mapping::digest(self.checker.source.text.as_bytes()),
            name: top.plain("name"),
            description: top.plain("description"),
            owner: top.plain("owner"),
            labels: self.checker.labels(top),
            enabled: top.boolean("enabled").unwrap_or(true),
            scope: scope?,
            guard,
            promises,
            expressions: self.checker.expressions,
            rows: rows?,
            classes,
            lets,
            tables: std::mem::take(&mut self.checker.tables),
            junk: self.checker.project.junk.clone(),
            entities: entities.into_iter().collect::<Option<_>>()?,
            relationships: relationships.into_iter().collect::<Option<_>>()?,
            examples,
            source: Arc::clone(self.checker.source),
            scope_span: own?.span,
            rule_count: self.numbers as usize,
            around: self.checker.mentions_document,
            is_built_in: self.built_in,
        };
        Some(source)
    }

    fn next_number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers - 1
    }

    fn fault(&mut self, code: &'static str, words: &str, span: Range<usize>, help: &str) {
        let fault = self.checker.error(code, words).at(span, "");
        self.checker.push(if help.is_empty() { fault } else { fault.help(help) });
    }

    /// The templates with names, each after those that it names.
    fn lets(&mut self, top: &TomlTable<'_>) -> Vec<(String, Template)> {
        let Some(table) = top.table("let") else { return Vec::new() };
        let texts: Vec<(SpannedText, SpannedText)> = table
            .entries()
            .filter_map(|(name, value)| Some((name, table.as_text(value)?)))
            .collect();
        self.checker.lets = texts.iter().map(|(name, _)| name.value.clone()).collect();
        let lets: Vec<(String, Template)> = texts
            .iter()
            .map(|(name, text)| (name.value.clone(), self.checker.template(text, SOURCE)))
            .collect();
        for (at, (name, _)) in lets.iter().enumerate() {
            if let Some(around) = cycle(&lets, at) {
                let words = format!("`let.{name}` names itself: {}", around.join(" -> "));
                self.fault("M0706", &words, texts[at].0.span.clone(), "");
            }
        }
        lets
    }

    fn row_sets(&mut self, top: &TomlTable<'_>) -> Option<Vec<RowSet>> {
        let table = top.table("rows")?;
        let tables: Vec<(SpannedText, TomlTable<'_>)> = match is_named(table.table) {
            false => {
                let name =
                    SpannedText { value: String::new(), span: table.span.clone(), inner: None };
                vec![(name, table)]
            }
            true => table
                .entries()
                .filter_map(|(name, value)| Some((name, table.as_table(value)?)))
                .collect(),
        };
        self.checker.given_by_name = tables.len() > 1;
        let mut sets = Vec::new();
        for (name, table) in tables {
            let set = self.row_set(&table);
            // A built-in reads exports of several versions, which have other columns.
            let known = set.as_ref().filter(|_| !self.built_in);
            let columns = known.and_then(|set| columns_of(&set.rows));
            self.sets.push((name.value, columns));
            sets.push(set);
        }
        sets.into_iter().collect()
    }

    fn row_set(&mut self, table: &TomlTable<'_>) -> Option<RowSet> {
        for key in ["query", "entities"] {
            if let Some(value) = table.get(key) {
                let words = format!("rows of a source come from files, not from `{key}`");
                self.fault(
                    "M0112",
                    &words,
                    value.span(),
                    "rows of the graph belong to mapping files",
                );
                return None;
            }
        }
        let found = ["file", "files", "inline"].iter().filter(|key| table.has(key)).count();
        if found == 0 {
            let help = "e.g. `rows = { file = \"exports/users.json\" }`";
            self.fault(
                "M0108",
                "`rows` needs `file`, `files` or `inline`",
                table.span.clone(),
                help,
            );
            return None;
        }
        let rows = match table.has("inline") {
            true => self.checker.inline(table),
            false => self.checker.file_rows(table),
        };
        self.checker.columns = KnownColumns {
            names: rows.as_ref().filter(|_| !self.built_in).and_then(columns_of),
            file: table.plain("file").or_else(|| Some(rows.as_ref()?.shown())).unwrap_or_default(),
            texts: matches!(rows, Some(RowSource::Files(_))),
        };
        let filter = table.text("where").map(|text| self.checker.condition(&text, SOURCE));
        self.checker.columns = KnownColumns::default();
        let max_age = table.text("max_age").and_then(|text| self.checker.age(&text));
        Some(RowSet { rows: rows?, filter, max_age, span: table.span.clone() })
    }

    fn classes(&mut self, top: &TomlTable<'_>) -> Vec<(String, Vec<String>)> {
        let Some(table) = top.table("class") else { return Vec::new() };
        let mut classes = Vec::new();
        for (name, _) in table.entries() {
            let texts = table.texts(&name.value);
            classes.push((name.value, self.checker.names(NameKind::Class, &texts)));
        }
        classes
    }

    /// The row sets that a rule takes, by position.
    fn sets_of(&mut self, table: &TomlTable<'_>) -> Option<Vec<usize>> {
        if !table.has("rows") {
            return match self.sets.as_slice() {
                [_] | [] => Some(vec![0]),
                sets => {
                    let names: Vec<String> = sets.iter().map(|(n, _)| format!("\"{n}\"")).collect();
                    let help = format!("e.g. `rows = {}`", names[0]);
                    let words = format!("there are several row sets: {}", names.join(", "));
                    self.fault("M0103", &words, table.span.clone(), &help);
                    None
                }
            };
        }
        let mut found = Vec::new();
        for text in table.texts("rows") {
            match self.sets.iter().position(|(name, _)| *name == text.value) {
                Some(at) => found.push(at),
                None => {
                    let names: Vec<&str> = self.sets.iter().map(|(n, _)| n.as_str()).collect();
                    let help = match closest(&text.value, names.iter().copied()) {
                        Some(similar) => format!("did you mean `{similar}`?"),
                        None => format!("row sets: {}", names.join(", ")),
                    };
                    let words = format!("there is no row set `{}`", text.value);
                    self.fault("M0108", &words, text.span.clone(), &help);
                    return None;
                }
            }
        }
        Some(found)
    }

    /// Makes the columns of row sets known to the checks of expressions, unless items lead elsewhere.
    fn know_columns(&mut self, sets: &[usize], items: bool) {
        let mut names: Option<Vec<String>> = Some(Vec::new());
        for set in sets {
            match (self.sets.get(*set).and_then(|(_, columns)| columns.clone()), &mut names) {
                (Some(columns), Some(names)) => names.extend(columns),
                _ => names = None,
            }
        }
        let names = names.filter(|names| !items && !names.is_empty());
        let file = self.sets.get(sets.first().copied().unwrap_or(0));
        let file = file.map_or(String::new(), |(name, _)| match name.as_str() {
            "" => "the file of rows".to_owned(),
            name => format!("rows.{name}"),
        });
        self.checker.columns = KnownColumns { texts: names.is_some(), names, file };
    }

    fn items(&mut self, table: &TomlTable<'_>) -> Vec<MappingExpr> {
        let texts = table.texts("items");
        let known = KnownRoots { it: true, ..SOURCE };
        let mut items = Vec::new();
        for text in &texts {
            let expr = self.checker.items(text);
            // A path from the row names no column by itself: only calls and conditions are checked.
            if let MappingExprKind::Path(..) = &expr.kind {
                expr.walk(&mut |inner| {
                    if !std::ptr::eq(inner, &expr) {
                        self.checker.check_node(text, inner, known);
                    }
                });
            } else {
                self.checker.look(text, &expr, known);
            }
            items.push(expr);
        }
        items
    }

    fn entity(&mut self, table: &TomlTable<'_>) -> Option<EntityRule> {
        let rows = self.sets_of(table);
        self.know_columns(rows.as_deref().unwrap_or_default(), table.has("items"));
        let items = self.items(table);
        let filter = table.text("where").map(|text| self.checker.condition(&text, SOURCE));
        let content = self.content(table, "type", SOURCE);
        let relationships: Vec<Option<RelationshipRule>> = table
            .one_or_tables("relationship")
            .iter()
            .map(|inner| self.relationship(inner, rows.as_deref()))
            .collect();
        self.checker.columns = KnownColumns::default();
        Some(EntityRule {
            rows: rows?,
            items,
            filter,
            content: content?,
            raw: table.boolean("raw").unwrap_or(false),
            relationships: relationships.into_iter().collect::<Option<_>>()?,
            span: table.span.clone(),
        })
    }

    fn content(
        &mut self,
        table: &TomlTable<'_>,
        type_key: &str,
        known: KnownRoots,
    ) -> Option<EntityContent> {
        let type_name = table.text(type_key).map(|text| self.checker.template(&text, known));
        let classes = table.texts("class");
        let key = table.text("key");
        if key.is_none() && type_key == "create" {
            let help = "e.g. `{ create = \"okta_app\", key = \"okta-app:{row.id}\" }`";
            self.fault("M0103", "missing `key`", table.span.clone(), help);
        }
        let number = self.next_number();
        Some(EntityContent {
            number,
            type_name: type_name?,
            classes: classes.iter().map(|text| self.checker.template(text, known)).collect(),
            key: self.checker.template(&key?, known),
            name: table.text("name").map(|text| self.checker.template(&text, known)),
            properties: self.properties(table, known),
            except: table.texts("except").into_iter().map(|text| text.value).collect(),
            merge: self.merge(table),
        })
    }

    fn properties(&mut self, table: &TomlTable<'_>, known: KnownRoots) -> Vec<PropertyRule> {
        let whole = || {
            let kind = MappingExprKind::Path(PathRoot::Row, Vec::new());
            PropertyRule::Spread(MappingExpr { kind, span: 0..0 })
        };
        let Some(value) = table.get("properties") else { return Vec::new() };
        if value.get_ref().as_str() == Some("*") {
            return vec![whole()];
        }
        let mut rules = Vec::new();
        let Some(inner) = table.table("properties") else {
            for text in table.texts("properties") {
                let expr = self.checker.items(&text);
                let name = property_name(&expr);
                match (name, text.value.as_str()) {
                    (_, "*") => rules.push(whole()),
                    (Some(name), _) => {
                        self.checker.check_node(&text, &expr, known);
                        rules.push(PropertyRule::Path(name, expr));
                    }
                    (None, _) => {
                        let help = "a table gives it a name: `{ name = \"{first(row.path)}\" }`";
                        let words = "a name or a path of names is asked for here";
                        self.fault("M0201", words, text.span.clone(), help);
                    }
                }
            }
            return rules;
        };
        // What is said by name wins over what is spread, so the spreads come last.
        rules.extend(
            self.checker
                .assignments(&inner, known)
                .into_iter()
                .map(|(name, value)| PropertyRule::Assign(name, value)),
        );
        for text in inner.texts("*") {
            rules.push(match text.value.as_str() {
                "*" => whole(),
                _ => PropertyRule::Spread(self.checker.condition(&text, known)),
            });
        }
        rules
    }

    fn merge(&mut self, table: &TomlTable<'_>) -> MergeRules {
        let policy = |text: &str| match text {
            "last" => MergePolicy::Last,
            "union" => MergePolicy::Union,
            _ => MergePolicy::First,
        };
        if let Some(text) = table.plain("merge") {
            return MergeRules { named: Vec::new(), others: Some(policy(&text)) };
        }
        let Some(inner) = table.table("merge") else { return MergeRules::default() };
        let mut rules = MergeRules::default();
        for (name, value) in inner.entries() {
            let Some(text) = value.get_ref().as_str() else { continue };
            match name.value == "*" {
                true => rules.others = Some(policy(text)),
                false => rules.named.push((name.value, policy(text))),
            }
        }
        rules
    }

    /// A rule of an edge; `around` are the row sets of the entity that it belongs to.
    fn relationship(
        &mut self,
        table: &TomlTable<'_>,
        around: Option<&[usize]>,
    ) -> Option<RelationshipRule> {
        let rows = match around {
            Some(around) => {
                if let Some(value) = table.get("rows") {
                    let words = "an edge of an entity has the rows of the entity";
                    self.fault("M0112", words, value.span(), "remove `rows`");
                }
                Some(around.to_vec())
            }
            None => self.sets_of(table),
        };
        let outer = self.checker.columns.clone();
        if around.is_none() {
            self.know_columns(rows.as_deref().unwrap_or_default(), table.has("items"));
        } else if table.has("items") {
            self.checker.columns = KnownColumns::default();
        }
        let items = self.items(table);
        let filter = table.text("where").map(|text| self.checker.condition(&text, SOURCE));
        let class = table.text("class").map(|text| self.edge_class(&text));
        let type_name = table.text("type").map(|text| self.checker.template(&text, SOURCE_EDGE));
        let key = table.text("key").map(|text| self.checker.template(&text, SOURCE_EDGE));
        let from = self.end(table, "from", around.is_some());
        let to = self.end(table, "to", around.is_some());
        let properties = self.properties(table, SOURCE_EDGE);
        let merge = self.merge(table);
        self.checker.columns = outer;
        let (from, to) = (from?, to?);
        if matches!((&from, &to), (EndRule::Own, EndRule::Own)) {
            let help = "add `from` or `to`; the end that is left out is the entity";
            self.fault("M0103", "missing `from` or `to`", table.span.clone(), help);
            return None;
        }
        let mut rule = RelationshipRule {
            number: self.next_number(),
            rows: rows?,
            items,
            filter,
            class: class?,
            type_name,
            key,
            from,
            to,
            properties,
            except: table.texts("except").into_iter().map(|text| text.value).collect(),
            merge,
            late: false,
            names_ends: false,
            span: table.span.clone(),
        };
        (rule.late, rule.names_ends) = needs_of_ends(&rule);
        Some(rule)
    }

    fn edge_class(&mut self, text: &SpannedText) -> Template {
        let template = self.checker.template(text, SOURCE);
        let literal = template.expressions().next().is_none();
        if literal && text.value.to_uppercase() != text.value {
            let words = format!("class `{}` is not upper case", text.value);
            self.fault("M0304", &words, text.span.clone(), "write it in upper case");
        }
        template
    }

    fn end(&mut self, table: &TomlTable<'_>, name: &'static str, inner: bool) -> Option<EndRule> {
        let Some(value) = table.get(name) else {
            if inner {
                return Some(EndRule::Own);
            }
            let help = format!("e.g. `{name} = \"okta-user:{{row.id}}\"`");
            let words = format!("missing `{name}`");
            self.fault("M0103", &words, table.span.clone(), &help);
            return None;
        };
        let Some(end) = table.table(name) else {
            let texts = table.texts(name);
            let keys = texts.iter().map(|text| self.checker.template(text, SOURCE)).collect();
            return Some(EndRule::Keys(keys));
        };
        let found = ["match", "create"].iter().filter(|key| end.has(key)).count();
        if found != 1 {
            let words = format!("`{name}` needs exactly one of `match`, `create`; found {found}");
            let help = "a key alone is a text: `to = \"okta-user:{row.id}\"`";
            self.fault("M0109", &words, value.span(), help);
            return None;
        }
        if end.has("create") {
            for key in ["type", "ambiguous"] {
                if let Some(value) = end.get(key) {
                    let words = format!("`{key}` belongs to an end with `match`");
                    self.fault("M0112", &words, value.span(), "");
                }
            }
            return Some(EndRule::Create(Box::new(self.content(&end, "create", SOURCE)?)));
        }
        for key in ["class", "key", "name", "properties", "except"] {
            if let Some(value) = end.get(key) {
                let words = format!("`{key}` belongs to an end with `create`");
                self.fault("M0112", &words, value.span(), "");
            }
        }
        let root = if name == "from" { PathRoot::From } else { PathRoot::To };
        let known = match root {
            PathRoot::From => KnownRoots { from: true, ..SOURCE },
            _ => KnownRoots { to: true, ..SOURCE },
        };
        let alternatives = self.checker.alternatives(&end, "match", known);
        for (alternative, text) in &alternatives {
            self.checker.must_mention(text, &alternative.when, root, name);
        }
        Some(EndRule::Match {
            types: self.checker.names(NameKind::Type, &end.texts("type")),
            alternatives: alternatives.into_iter().map(|(a, _)| a).collect(),
            ambiguous: match end.plain("ambiguous").as_deref() {
                Some("skip") => AmbiguityPolicy::Skip,
                Some("all") => AmbiguityPolicy::All,
                _ => AmbiguityPolicy::Error,
            },
        })
    }

    fn guard(&mut self, top: &TomlTable<'_>) -> SourceGuard {
        let mut guard = SourceGuard::default();
        let Some(table) = top.table("guard") else { return guard };
        let percent = |key: &str| match table.number(key)? {
            Value::Int(i) => Some(i as f64),
            Value::Float(f) => Some(f),
            _ => None,
        };
        guard.min_rows = table.whole("min_rows").unwrap_or(guard.min_rows);
        guard.min_entities = table.whole("min_entities").unwrap_or(guard.min_entities);
        guard.max_delete_percent = percent("max_delete_percent");
        guard.max_delete = table.whole("max_delete");
        guard.max_create = table.whole("max_create");
        guard.max_missing_percent = percent("max_missing_percent");
        guard.max_objects = table.whole("max_objects").unwrap_or(guard.max_objects);
        guard.fresh = self.checker.fresh(&table);
        guard
    }

    fn examples(&mut self, top: &TomlTable<'_>) -> Vec<SourceExample> {
        let tables = top.tables("example");
        let numbered = tables.into_iter().zip(1..);
        numbered.filter_map(|(table, number)| self.example(number, &table)).collect()
    }

    fn example(&mut self, number: usize, table: &TomlTable<'_>) -> Option<SourceExample> {
        let rows = self.sets_of(table)?;
        let plain = |table: &TomlTable<'_>| plain_properties(table);
        Some(SourceExample {
            number,
            name: table.plain("name"),
            rows: *rows.first()?,
            stem: table.plain("stem").unwrap_or_else(|| "example".to_owned()),
            row: NestedValue::from_toml(table.get("row")?.get_ref())?,
            entities: table.one_or_tables("entity").iter().map(plain).collect(),
            relationships: table.one_or_tables("relationship").iter().map(plain).collect(),
            entity_count: table.whole("entities"),
            relationship_count: table.whole("relationships"),
            span: table.span.clone(),
        })
    }

    fn promises(&mut self, top: &TomlTable<'_>) -> Vec<SourceTest> {
        let tables = top.tables("test");
        tables.iter().filter_map(|table| self.promise(table)).collect()
    }

    fn promise(&mut self, table: &TomlTable<'_>) -> Option<SourceTest> {
        let asks = ["entity", "no_entity", "edge", "no_edge", "type", "query"];
        let given: Vec<&str> = asks.into_iter().filter(|key| table.has(key)).collect();
        let [ask] = given.as_slice() else {
            let list = asks.map(|ask| format!("`{ask}`")).join(", ");
            let words = format!("a test needs exactly one of {list}; found {}", given.len());
            self.fault("M0310", &words, table.span.clone(), "e.g. `entity = \"okta-user:alice\"`");
            return None;
        };
        if let Some(value) = table.get("expect").filter(|_| !matches!(*ask, "type" | "query")) {
            let words = "`expect` belongs to a test with `type` or `query`";
            self.fault("M0310", words, value.span(), "remove `expect`");
        }
        let (words, ask) = match *ask {
            "entity" | "no_entity" => {
                let (key, there) = (table.plain(ask)?, *ask == "entity");
                let made = if there { "is made" } else { "is not made" };
                (format!("entity `{key}` {made}"), SourceTestQuestion::Entity { key, there })
            }
            "edge" | "no_edge" => {
                let pair = table.table(ask)?;
                let (from, to, there) = (pair.plain("from")?, pair.plain("to")?, *ask == "edge");
                let made = if there { "is linked to" } else { "is not linked to" };
                let words = format!("`{from}` {made} `{to}`");
                (words, SourceTestQuestion::Edge { from, to, there })
            }
            "type" => {
                let type_name = table.plain("type")?;
                let (count, expect) = self.checker.expected(table, "> 0")?;
                let words = format!("{expect} entities of `{type_name}` are made");
                (words, SourceTestQuestion::Type { type_name, count, expect })
            }
            _ => {
                let text = table.text("query")?;
                let query = Box::new(self.checker.read_query(&text)?);
                let (rows, expect) = self.checker.expected(table, "0")?;
                (text.value, SourceTestQuestion::Query { query, rows, expect })
            }
        };
        Some(SourceTest {
            name: table.plain("name").unwrap_or(words),
            strict: table.plain("severity").as_deref() != Some("warn"),
            ask,
            span: table.span.clone(),
        })
    }
}

/// The name of a property that a path of names says: `b.c`, or the one name.
fn property_name(expr: &MappingExpr) -> Option<String> {
    let MappingExprKind::Path(PathRoot::Row, steps) = &expr.kind else { return None };
    let names = steps.iter().map(|step| match step {
        AccessStep::Name(name) => Some(name.as_str()),
        _ => None,
    });
    let names: Vec<&str> = names.collect::<Option<_>>()?;
    (!names.is_empty()).then(|| names.join("."))
}

/// Whether an edge needs more of its ends than their keys, or an end that is looked for; and whether it
/// names the keys of its ends.
fn needs_of_ends(rule: &RelationshipRule) -> (bool, bool) {
    let several = |end: &EndRule| matches!(end, EndRule::Keys(keys) if keys.len() > 1);
    let matched = |end: &EndRule| matches!(end, EndRule::Match { .. });
    let mut names_ends = false;
    let mut names_more = false;
    each_template(rule, &mut |expr| {
        expr.walk(&mut |expr| {
            if let MappingExprKind::Path(PathRoot::From | PathRoot::To, steps) = &expr.kind {
                names_ends = true;
                names_more |=
                    !matches!(steps.as_slice(), [AccessStep::Name(name)] if name == "_key");
            }
        });
    });
    let late = matched(&rule.from)
        || matched(&rule.to)
        || names_more
        || (names_ends && (several(&rule.from) || several(&rule.to)));
    (late, names_ends)
}

/// Calls `visit` for the expressions of an edge beside those of its ends.
fn each_template(rule: &RelationshipRule, visit: &mut dyn FnMut(&MappingExpr)) {
    for template in [Some(&rule.class), rule.type_name.as_ref(), rule.key.as_ref()] {
        template.into_iter().flat_map(Template::expressions).for_each(&mut *visit);
    }
    for property in &rule.properties {
        match property {
            PropertyRule::Spread(expr) | PropertyRule::Path(_, expr) => visit(expr),
            PropertyRule::Assign(_, crate::mapping::model::PropertyAssignment::Template(text)) => {
                text.expressions().for_each(&mut *visit);
            }
            PropertyRule::Assign(..) => {}
        }
    }
}

/// The names on the way from a template back to itself.
fn cycle(lets: &[(String, Template)], start: usize) -> Option<Vec<String>> {
    fn named(template: &Template) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        template.walk(&mut |expr| {
            if let MappingExprKind::Path(PathRoot::Let, steps) = &expr.kind
                && let Some(AccessStep::Name(name)) = steps.first()
            {
                names.insert(name.clone());
            }
        });
        names
    }
    let mut seen = BTreeSet::new();
    let mut open = vec![(start, vec![lets[start].0.clone()])];
    while let Some((at, path)) = open.pop() {
        for name in named(&lets[at].1) {
            let mut path = path.clone();
            path.push(name.clone());
            if name == lets[start].0 {
                return Some(path);
            }
            let next = lets.iter().position(|(known, _)| *known == name);
            if let Some(next) = next.filter(|_| seen.insert(name)) {
                open.push((next, path));
            }
        }
    }
    None
}
