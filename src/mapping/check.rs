//! From the mapping as written to the mapping as meant: every question of meaning is asked here.

use super::data::{Columns, Data, toml_number};
use super::expr::{Expr, ExprFault, ExprKind, Root, Step, parse_condition};
use super::project::{Project, tidy};
use super::raw::{Field, Table, Text, toml_fault, wrong_kind};
use super::rows::{RowSource, columns_of, data_format};
use super::template::{Template, parse_template};
use crate::graph::{NameKind, Value, check_name};
use crate::lang::{Fault, Source, closest};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What to do with a row whose end does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Leave the row out and report it.
    #[default]
    Skip,
    /// Stop.
    Error,
}

/// One end of the edge.
#[derive(Clone, Debug)]
pub struct End {
    /// The scope that owns the entity; aliases are resolved.
    pub scope: String,
    /// What a missing entity means.
    pub missing: Missing,
    pub(super) key: Template,
}

/// A property of the edge.
#[derive(Clone, Debug)]
pub(super) enum Property {
    Template(Template),
    Literal(Value<'static>),
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Fewer rows are refused.
    pub min_rows: u64,
    /// Deleting more of the live edges is refused, in percent, once there are 20.
    pub max_delete_percent: u64,
}

/// A checked mapping file.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The file, as given.
    pub file: PathBuf,
    /// The scope of the job.
    pub scope: String,
    /// A name for people.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Labels to select by.
    pub labels: Vec<(String, String)>,
    /// Whether it is applied.
    pub enabled: bool,
    /// The verb, in upper case.
    pub class: String,
    /// Where edges start.
    pub from: End,
    /// Where edges end.
    pub to: End,
    /// When to stop.
    pub guard: Guard,
    pub(super) type_name: Option<Template>,
    pub(super) key: Option<Template>,
    pub(super) properties: Vec<(String, Property)>,
    pub(super) rows: RowSource,
    pub(super) filter: Option<Expr>,
    pub(super) columns: Columns,
    pub(super) source: Arc<Source>,
    pub(super) scope_span: Range<usize>,
    pub(super) rows_span: Range<usize>,
}

/// Checks one file. `None` if a fault stops it; the faults say which.
pub(super) fn check(
    file: &Path,
    source: &Arc<Source>,
    project: &Project,
    faults: &mut Vec<Fault>,
) -> Option<Mapping> {
    let document = match DeTable::parse(&source.text) {
        Ok(document) => document,
        Err(error) => {
            faults.push(toml_fault(source, &error));
            return None;
        }
    };
    let checker = Checker { file, source, project, faults };
    checker.mapping(document.get_ref())
}

struct Checker<'a> {
    file: &'a Path,
    source: &'a Arc<Source>,
    project: &'a Project,
    faults: &'a mut Vec<Fault>,
}

/// Where an expression stands, which decides what it may name.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    Row,
    Edge,
}

const TOP: [&str; 13] = [
    "scope",
    "name",
    "description",
    "owner",
    "labels",
    "enabled",
    "format",
    "source",
    "sameScope",
    "rows",
    "relationship",
    "from",
    "to",
];

impl<'a> Checker<'a> {
    fn mapping(mut self, table: &DeTable<'_>) -> Option<Mapping> {
        let first_line = 0..self.source.text.find('\n').unwrap_or(self.source.text.len());
        let top = Table { name: "", span: first_line, table, source: self.source };
        let mut allowed = TOP.to_vec();
        allowed.push("guard");
        top.refuse_unknown(
            &allowed,
            &["join", "lookup", "example", "test", "moved_from"],
            self.faults,
        );
        self.header(&top);
        let scope = self.required(&top, "scope", "scope = \"okta-jamf-ownership\"");
        let scope = scope.and_then(|text| Some((self.scope(&text)?, text.span)));
        let rows = self.rows(&top);
        let columns = rows
            .as_ref()
            .map_or_else(Columns::new, |(rows, ..)| columns_of(rows).unwrap_or_default());
        let is_table = rows.as_ref().is_some_and(|(r, ..)| r.has_header()) && !columns.is_empty();
        let columns_known = is_table.then_some(&columns);
        let filter = rows.as_ref().and_then(|(_, filter, _)| filter.clone());
        let filter = filter.map(|text| self.condition(&text, columns_known));
        let edge = self.relationship(&top, columns_known);
        let from = self.end(&top, "from", columns_known);
        let to = self.end(&top, "to", columns_known);
        self.ends(&top, scope.as_ref(), from.as_ref(), to.as_ref());
        let guard = self.guard(&top);
        let plain = |key| top.text(key, &mut Vec::new()).given().map(|t: Text| t.value);
        let labels = self.labels(&top);
        let (rows, _, rows_span) = rows?;
        let (class, type_name, key, properties) = edge?;
        let (scope, scope_span) = scope?;
        Some(Mapping {
            file: self.file.to_owned(),
            name: plain("name"),
            description: plain("description"),
            owner: plain("owner"),
            labels,
            enabled: !matches!(
                top.get("enabled").map(|v| v.get_ref()),
                Some(DeValue::Boolean(false))
            ),
            scope,
            class,
            from: from?.0,
            to: to?.0,
            guard,
            type_name,
            key,
            properties,
            rows,
            filter,
            columns,
            source: Arc::clone(self.source),
            scope_span,
            rows_span,
        })
    }

    fn error(&self, code: &'static str, message: impl Into<String>) -> Fault {
        Fault::error(code, self.source, message)
    }

    fn required(&mut self, table: &Table<'_, '_>, key: &str, example: &str) -> Option<Text> {
        let field = table.text(key, self.faults);
        if field == Field::Absent {
            let fault = self.error("M0103", format!("missing `{key}`"));
            self.faults.push(fault.at(table.span.clone(), "").help(format!("e.g. `{example}`")));
        }
        field.given()
    }

    /// The keys of the top level that only describe.
    fn header(&mut self, top: &Table<'_, '_>) {
        for key in ["name", "description"] {
            top.text(key, self.faults);
        }
        if top.text("owner", self.faults) == Field::Absent {
            let help =
                "add owner = \"team@example.com\": refusals and unmatched rows go to somebody";
            let fault = Fault::warning("W02", self.source, "mapping has no owner");
            self.faults.push(fault.at(0..0, "").help(help));
        }
        top.read("enabled", "a boolean", self.faults, |v| v.get_ref().as_bool());
        if let Field::Given(source) = top.text("source", self.faults)
            && source.value != "api"
        {
            let fault = self.error("M0110", "`source` must be \"api\" for a CROSS_SCOPE job");
            self.faults.push(fault.at(source.span, "").help("the file of rows goes into `[rows]`"));
        }
        let format = top.read("format", "an integer", self.faults, |v| {
            Some((v.get_ref().as_integer()?.as_str().to_owned(), v.span()))
        });
        if let Field::Given((format, span)) = format
            && format != "1"
        {
            let message =
                format!("mapping format {format} is newer than this program (it knows 1)");
            let help = "upgrade, or remove `format` if the file uses nothing newer";
            let fault = self.error("M0105", message).at(span, "").help(help);
            self.faults.push(fault);
        }
    }

    fn labels(&mut self, top: &Table<'_, '_>) -> Vec<(String, String)> {
        let table = top.read("labels", "a table", self.faults, |v| v.get_ref().as_table());
        let mut labels = Vec::new();
        for (key, value) in table.given().into_iter().flat_map(|t| t.iter()) {
            match value.get_ref().as_str() {
                Some(text) => labels.push((key.get_ref().to_string(), text.to_owned())),
                None => self.faults.push(wrong_kind(self.source, "a string", value)),
            }
        }
        labels
    }

    /// The scope that `text` names, literally or by alias.
    fn scope(&mut self, text: &Text) -> Option<String> {
        if let Some(alias) = text.value.strip_prefix('@') {
            if let Some(scope) = self.project.aliases.get(alias) {
                return Some(scope.clone());
            }
            let names: Vec<&str> = self.project.aliases.keys().map(String::as_str).collect();
            let fault = self.error("M0303", format!("unknown scope alias `@{alias}`"));
            let fault = fault.at(text.span.clone(), "").help(match self.project.has_file {
                true => format!("aliases in tombolo.toml: {}", names.join(", ")),
                false => "aliases stand in `[scopes]` of tombolo.toml; there is none".to_owned(),
            });
            self.faults.push(match closest(alias, names.iter().copied()).zip(text.inner) {
                Some((similar, _)) => fault.patch(
                    "an alias with a similar name exists",
                    text.place(&(1..text.value.len())),
                    similar,
                ),
                None => fault,
            });
            return None;
        }
        self.name(NameKind::Scope, text)
    }

    fn name(&mut self, kind: NameKind, text: &Text) -> Option<String> {
        match check_name(kind, &text.value) {
            Ok(()) => Some(text.value.clone()),
            Err(error) => {
                let fault = self.error("M0111", error.to_string()).at(text.span.clone(), "");
                self.faults.push(fault);
                None
            }
        }
    }

    fn table<'t, 'i>(&mut self, top: &Table<'t, 'i>, name: &'static str) -> Field<Table<'t, 'i>>
    where
        'a: 't,
    {
        let source = self.source;
        top.read(name, "a table", self.faults, |value| {
            Some(Table { name, span: value.span(), table: value.get_ref().as_table()?, source })
        })
    }

    fn required_table<'t, 'i>(
        &mut self,
        top: &Table<'t, 'i>,
        name: &'static str,
        example: &str,
    ) -> Option<Table<'t, 'i>>
    where
        'a: 't,
    {
        let field = self.table(top, name);
        if matches!(field, Field::Absent) {
            let fault = self.error("M0103", format!("missing `{name}`"));
            self.faults.push(fault.at(top.span.clone(), "").help(format!("e.g. `{example}`")));
        }
        field.given()
    }

    fn rows(&mut self, top: &Table<'_, '_>) -> Option<(RowSource, Option<Text>, Range<usize>)> {
        let field = self.table(top, "rows");
        match (matches!(field, Field::Absent), top.get("join")) {
            (true, None) => {
                let fault = self.error("M0107", "nothing says which entities belong together");
                let help = "add `[rows]` (a file, a query, a list) or `join` (a condition between `from.` and `to.`)";
                self.faults.push(fault.at(top.span.clone(), "").help(help));
            }
            (false, Some(join)) => {
                let message =
                    "a mapping takes its pairs from `[rows]` or from `join`, not from both";
                let rows = top.get("rows").map_or(0..0, |v| v.span());
                let fault = self.error("M0106", message).context(rows, "rows are given here");
                self.faults.push(fault.at(join.span(), "and a join here"));
            }
            _ => {}
        }
        let table = field.given()?;
        let later = ["files", "query", "entities", "items", "columns", "delimiter", "max_age"];
        table.refuse_unknown(&["file", "inline", "format", "where"], &later, self.faults);
        let sources = ["file", "files", "inline", "query", "entities"];
        let found = sources.iter().filter(|k| table.get(k).is_some()).count();
        if found != 1 {
            let list = sources.map(|s| format!("`{s}`")).join(", ");
            let fault =
                self.error("M0108", format!("`rows` needs exactly one of {list}; found {found}"));
            let fault = fault.at(table.span.clone(), "");
            self.faults.push(fault.help("this version reads `file` and `inline`"));
            return None;
        }
        let filter = table.text("where", self.faults).given();
        let format = table.text("format", self.faults).given();
        let source = match table.get("inline") {
            Some(inline) => self.inline(inline)?,
            None => self.file_rows(&table, format.as_ref())?,
        };
        Some((source, filter, table.span))
    }

    fn inline(&mut self, inline: &Spanned<DeValue<'_>>) -> Option<RowSource> {
        let Some(items) = inline.get_ref().as_array() else {
            self.faults.push(wrong_kind(self.source, "an array", inline));
            return None;
        };
        let mut rows = Vec::new();
        for item in items.iter() {
            match Data::from_toml(item.get_ref()) {
                Some(data @ Data::Object(_)) => {
                    rows.push((self.source.place(item.span().start).0 as u32, data));
                }
                _ => self.faults.push(wrong_kind(self.source, "a table", item)),
            }
        }
        Some(RowSource::Inline { rows, shown: self.file.display().to_string() })
    }

    fn file_rows(&mut self, table: &Table<'_, '_>, format: Option<&Text>) -> Option<RowSource> {
        let file = table.text("file", self.faults).given()?;
        let folder = self.file.parent().unwrap_or(Path::new(""));
        let path = tidy(&folder.join(&file.value));
        let absolute = tidy(&std::path::absolute(&path).ok()?);
        let resolved = absolute.canonicalize().ok();
        let root = self.project.root.canonicalize().ok();
        let escapes = resolved.zip(root).is_some_and(|(path, root)| !path.starts_with(root));
        if !absolute.starts_with(&self.project.root) || escapes {
            let message = format!("path `{}` leaves the project directory", file.value);
            let fault = self.error("M0306", message).at(file.span, "");
            self.faults.push(fault.help(format!("the project is {}", self.project.root.display())));
            return None;
        }
        if !absolute.is_file() {
            let fault = self.error("M0305", format!("file `{}` does not exist", file.value));
            let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let help =
                format!("paths are relative to the mapping file: looked in {}", shown.display());
            self.faults.push(fault.at(file.span, "").help(help));
            return None;
        }
        let name = match format {
            Some(format) => format.value.clone(),
            None => {
                path.extension().map_or_else(String::new, |e| e.to_string_lossy().to_lowercase())
            }
        };
        let Some(format_found) = data_format(&name) else {
            let fault = self.error("M0104", format!("expected a format of rows, found `{name}`"));
            let span = format.map_or(file.span, |f| f.span.clone());
            self.faults.push(fault.at(span, "").help("formats: csv, tsv, json, ndjson"));
            return None;
        };
        Some(RowSource::File { path, written: file.value, format: format_found })
    }

    #[allow(clippy::type_complexity)] // The four facts of an edge; the caller takes them apart.
    fn relationship(
        &mut self,
        top: &Table<'_, '_>,
        columns: Option<&Columns>,
    ) -> Option<(String, Option<Template>, Option<Template>, Vec<(String, Property)>)> {
        let table =
            self.required_table(top, "relationship", "relationship = { class = \"OWNS\" }")?;
        let later = ["cardinality", "conflict", "prefer"];
        table.refuse_unknown(&["class", "type", "key", "properties"], &later, self.faults);
        let class = self.required(&table, "class", "class = \"OWNS\"");
        let class = class.and_then(|text| self.class(&text));
        let mut template = |key| {
            let text = table.text(key, self.faults).given()?;
            Some(self.template(&text, Known::Edge, columns))
        };
        let (type_name, key) = (template("type"), template("key"));
        let given = table.read("properties", "a table", self.faults, |v| v.get_ref().as_table());
        let mut properties = Vec::new();
        for (name, value) in given.given().into_iter().flat_map(|t| t.iter()) {
            let text = Text { value: name.get_ref().to_string(), span: name.span(), inner: None };
            let name = self.name(NameKind::Property, &text);
            let property = self.property(value, columns);
            properties.extend(name.zip(property));
        }
        properties.sort_by(|a, b| a.0.cmp(&b.0));
        Some((class?, type_name, key, properties))
    }

    fn class(&mut self, text: &Text) -> Option<String> {
        let upper = text.value.to_uppercase();
        if upper != text.value {
            let fault = self.error("M0304", format!("class `{}` is not upper case", text.value));
            let fault = fault.at(text.span.clone(), "");
            let patch = format!("\"{upper}\"");
            self.faults.push(fault.patch("write it in upper case", text.span.clone(), patch));
            return None;
        }
        self.name(NameKind::Class, text)
    }

    fn property(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        columns: Option<&Columns>,
    ) -> Option<Property> {
        let literal = match value.get_ref() {
            DeValue::String(text) => {
                let text = Text::new(self.source, text, value.span());
                return Some(Property::Template(self.template(&text, Known::Edge, columns)));
            }
            DeValue::Boolean(b) => Some(Value::Bool(*b)),
            number => toml_number(number),
        };
        if literal.is_none() {
            self.faults.push(wrong_kind(self.source, "a string, number or boolean", value));
        }
        literal.map(Property::Literal)
    }

    fn end(
        &mut self,
        top: &Table<'_, '_>,
        name: &'static str,
        columns: Option<&Columns>,
    ) -> Option<(End, Range<usize>)> {
        let example = format!(
            "{name} = {{ scope = \"okta-instance-id\", key = \"okta-user:{{row.login}}\" }}"
        );
        let table = self.required_table(top, name, &example)?;
        let later = ["id", "match", "type", "class", "where", "ambiguous", "prefer"];
        table.refuse_unknown(&["scope", "key", "missing"], &later, self.faults);
        let scope = self.required(&table, "scope", "scope = \"okta-instance-id\"");
        let scope = scope.and_then(|text| Some((self.scope(&text)?, text.span)));
        let found = ["key", "id", "match"].iter().filter(|k| table.get(k).is_some()).count();
        if found != 1 {
            let message =
                format!("`[{name}]` needs exactly one of `key`, `id`, `match`; found {found}");
            let fault = self.error("M0109", message).at(table.span.clone(), "");
            self.faults.push(
                fault.help("this version knows `key`, e.g. `key = \"okta-user:{row.login}\"`"),
            );
        }
        let key = table.text("key", self.faults).given();
        let key = key.map(|text| self.template(&text, Known::Row, columns));
        let missing = match table.text("missing", self.faults).given() {
            None => Missing::Skip,
            Some(text) if text.value == "skip" => Missing::Skip,
            Some(text) if text.value == "error" => Missing::Error,
            Some(text) => {
                let message = format!("expected \"skip\" or \"error\", found `{}`", text.value);
                let fault = self.error("M0104", message).at(text.span, "");
                self.faults.push(fault);
                Missing::Skip
            }
        };
        let (scope, span) = scope?;
        Some((End { scope, missing, key: key? }, span))
    }

    /// What the scopes of job and ends must not be.
    fn ends(
        &mut self,
        top: &Table<'_, '_>,
        own: Option<&(String, Range<usize>)>,
        from: Option<&(End, Range<usize>)>,
        to: Option<&(End, Range<usize>)>,
    ) {
        for (name, end) in [("from", from), ("to", to)] {
            if let (Some((own, own_span)), Some((end, span))) = (own, end)
                && *own == end.scope
            {
                let fault = self.error("M0302", "a mapping cannot link entities of its own scope");
                let fault = fault
                    .context(own_span.clone(), "the scope of this job")
                    .at(span.clone(), format!("the scope of `{name}`"))
                    .note(
                        "CROSS_SCOPE relationships join entities that live outside the job's scope",
                    )
                    .help(format!("name the scope that owns the entities of `{name}`"));
                self.faults.push(fault);
            }
        }
        let Some(same) = top.text("sameScope", self.faults).given() else { return };
        if same.value != "allow" && same.value != "reject" {
            let message = format!("expected \"allow\" or \"reject\", found `{}`", same.value);
            let fault = self.error("M0104", message).at(same.span, "");
            return self.faults.push(fault);
        }
        if let (Some((from, from_span)), Some((to, to_span))) = (from, to)
            && same.value == "reject"
            && from.scope == to.scope
        {
            let message =
                format!("Same-scope relationships rejected: both ends are in `{}`", to.scope);
            let fault =
                self.error("M0302", message).context(from_span.clone(), "the scope of `from`");
            self.faults.push(fault.at(to_span.clone(), "the scope of `to`"));
        }
    }

    fn guard(&mut self, top: &Table<'_, '_>) -> Guard {
        let mut guard = Guard { min_rows: 1, max_delete_percent: 25 };
        let Some(table) = self.table(top, "guard").given() else { return guard };
        let later = ["min_edges", "max_delete", "max_create", "max_missing_percent", "fresh"];
        table.refuse_unknown(&["min_rows", "max_delete_percent"], &later, self.faults);
        let mut number = |key| {
            let value = table.read(key, "a whole number", self.faults, |v| {
                v.get_ref().as_integer()?.as_str().parse::<u64>().ok()
            });
            value.given()
        };
        guard.min_rows = number("min_rows").unwrap_or(guard.min_rows);
        guard.max_delete_percent = number("max_delete_percent").unwrap_or(guard.max_delete_percent);
        guard
    }

    fn condition(&mut self, text: &Text, columns: Option<&Columns>) -> Expr {
        let (expr, faults) = parse_condition(&text.value);
        self.take(text, faults);
        expr.walk(&mut |e| self.path(text, e, Known::Row, columns));
        expr
    }

    fn template(&mut self, text: &Text, known: Known, columns: Option<&Columns>) -> Template {
        let (template, faults) = parse_template(&text.value);
        self.take(text, faults);
        template.walk(&mut |e| self.path(text, e, known, columns));
        template
    }

    /// Moves faults of an expression to their place in the file.
    fn take(&mut self, text: &Text, faults: Vec<ExprFault>) {
        for fault in faults {
            let place = text.place(&fault.span);
            let mut moved = self.error(fault.code, fault.message).at(place.clone(), fault.label);
            moved.helps.extend(fault.help);
            self.faults.push(match fault.patch.filter(|_| text.inner.is_some()) {
                Some((title, replacement)) => moved.patch(title, place, replacement),
                None => moved,
            });
        }
    }

    /// Whether a path may stand where it stands.
    fn path(&mut self, text: &Text, expr: &Expr, known: Known, columns: Option<&Columns>) {
        let ExprKind::Path(root, steps) = &expr.kind else { return };
        let first = match steps.as_slice() {
            [Step::Name(name)] => Some(name.as_str()),
            _ => None,
        };
        let end = matches!(first, Some("_key" | "_scope" | "_type")) && known == Known::Edge;
        match root {
            Root::Row => self.column(text, expr, first, columns),
            Root::File if matches!(first, Some("path" | "stem" | "line")) => {}
            Root::From | Root::To if end => {}
            _ => {
                let written = text.value.get(expr.span.clone()).unwrap_or_default();
                let root = written.split(['.', '[']).next().unwrap_or_default();
                let fault = self.error("M0205", format!("`{root}.` is not known yet here"));
                let fault = fault.at(text.place(&expr.span), "");
                self.faults.push(fault.help(match known {
                    Known::Row => "known here: row, file.path, file.stem, file.line",
                    Known::Edge => "known here: row, file.path, file.stem, file.line, and `_key`, `_scope`, `_type` of from and to",
                }));
            }
        }
    }

    fn column(&mut self, text: &Text, expr: &Expr, name: Option<&str>, columns: Option<&Columns>) {
        let (Some(columns), Some(name)) = (columns, name) else { return };
        if columns.contains_key(name) {
            return;
        }
        let file = self.rows_file();
        let mut names: Vec<(&usize, &str)> = columns.iter().map(|(n, i)| (i, n.as_str())).collect();
        names.sort_unstable();
        let names: Vec<&str> = names.into_iter().map(|(_, n)| n).collect();
        let fault = self.error("M0401", format!("`{file}` has no column `{name}`"));
        let fault = fault.at(text.place(&expr.span), "used here");
        let fault = fault.note(format!("its columns: {}", names.join(", ")));
        self.faults.push(match closest(name, names.iter().copied()) {
            Some(similar) => fault.help(format!("did you mean `row.{similar}`?")),
            None => fault,
        });
    }

    /// The file of rows, as written.
    fn rows_file(&self) -> String {
        let table = DeTable::parse(&self.source.text).ok();
        let rows = table.as_ref().and_then(|t| t.get_ref().get("rows"));
        let file = rows.and_then(|r| r.get_ref().as_table()?.get("file"));
        file.and_then(|f| f.get_ref().as_str()).unwrap_or("inline").to_owned()
    }
}
