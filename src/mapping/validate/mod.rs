//! From the mapping as written to the checked mapping: all checks of meaning are here.
//!
//! Shapes are already checked ([`super::format`]). The check goes on after a fault, so that one run
//! reports all of them; a mapping comes out only where enough is known to build it.

mod ends;
mod expressions;
mod guards_and_tests;
mod lints;
mod lookups;
mod pairs;
mod project;
mod row_files;

pub(super) use expressions::{KnownColumns, KnownRoots};
pub(super) use project::{MappingProject, root_of};

use crate::graph::{NameKind, check_name};
use crate::lang::{Diagnostic, SourceText, closest};
use crate::mapping::format::{SpannedText, TOP, TomlTable, check_shape, toml_fault};
use crate::mapping::model::{LookupTables, Mapping, MatchStrategy, PairSource};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// Checks one file. `None` if a fault stops it; the faults say which.
pub(super) fn check(
    file: &Path,
    source: &Arc<SourceText>,
    project: &MappingProject,
    faults: &mut Vec<Diagnostic>,
) -> Option<Mapping> {
    let document = match DeTable::parse(&source.text) {
        Ok(document) => document,
        Err(error) => {
            faults.push(toml_fault(source, &error));
            return None;
        }
    };
    check_shape(source, document.get_ref(), TOP, faults);
    let first_line = 0..source.text.find('\n').unwrap_or(source.text.len());
    let top = TomlTable { span: first_line, table: document.get_ref(), source };
    MappingChecker::new(file, source, project, None, faults).mapping(&top)
}

/// The check of one file. Source files are checked by it too, in [`super::source`].
pub(super) struct MappingChecker<'a> {
    pub file: &'a Path,
    pub source: &'a Arc<SourceText>,
    pub project: &'a MappingProject,
    /// Files that stand in for those that the rows name.
    given: Option<&'a [PathBuf]>,
    /// True if each row set takes those of them whose names fit.
    pub given_by_name: bool,
    faults: &'a mut Vec<Diagnostic>,
    /// The known columns of the rows.
    pub columns: KnownColumns,
    pub tables: LookupTables,
    used_tables: BTreeSet<String>,
    /// The names of templates.
    pub lets: Vec<String>,
    pub expressions: usize,
    /// True if any expression asks for the document around a row.
    pub mentions_document: bool,
}

impl<'a> MappingChecker<'a> {
    /// Begins the check of a file; `given` stands in for the files of its rows.
    pub(super) fn new(
        file: &'a Path,
        source: &'a Arc<SourceText>,
        project: &'a MappingProject,
        given: Option<&'a [PathBuf]>,
        faults: &'a mut Vec<Diagnostic>,
    ) -> MappingChecker<'a> {
        MappingChecker {
            file,
            source,
            project,
            given,
            given_by_name: false,
            faults,
            columns: KnownColumns::default(),
            tables: LookupTables::new(),
            used_tables: BTreeSet::new(),
            lets: Vec::new(),
            expressions: 0,
            mentions_document: false,
        }
    }

    fn mapping(&mut self, top: &TomlTable<'_>) -> Option<Mapping> {
        self.header(top);
        let own = top.text("scope");
        let scope = own.as_ref().and_then(|text| self.scope(text));
        // Expressions name lookup tables and columns, so tables and rows are read before the ends.
        self.lookups(top);
        let pairs = self.pairs(top);
        let joined = top.has("join");
        let edge = self.relationship(top, !joined);
        let from = self.end(top, "from", joined);
        let to = self.end(top, "to", joined);
        let same_scope = self.scopes_of_ends(top, own.as_ref(), scope.as_deref());
        let guard = self.guard(top);
        let examples = self.examples(top);
        let promises = self.promises(top);
        // Last, when every use of a lookup table was seen.
        self.lint_file(top, scope.as_deref());
        // Nothing returns before this line, so that one run reports all faults.
        let (class, edge) = edge?;
        let mapping = Mapping {
            file: self.file.to_owned(),
            digest: crate::mapping::digest(self.source.text.as_bytes()),
            name: top.plain("name"),
            description: top.plain("description"),
            owner: top.plain("owner"),
            labels: self.labels(top),
            enabled: top.boolean("enabled").unwrap_or(true),
            scope: scope?,
            class,
            from: from?,
            to: to?,
            guard,
            promises,
            expressions: self.expressions,
            same_scope,
            pairs: pairs?,
            edge,
            tables: std::mem::take(&mut self.tables),
            junk: self.project.junk.clone(),
            examples,
            source: Arc::clone(self.source),
            scope_span: own?.span,
        };
        let joined = matches!(mapping.from.find, MatchStrategy::Joined);
        (joined == matches!(mapping.pairs, PairSource::Join(_))).then_some(mapping)
    }

    pub(super) fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self.source, message)
    }

    pub(super) fn push(&mut self, fault: Diagnostic) {
        self.faults.push(fault);
    }

    /// The keys of the top level that only describe.
    fn header(&mut self, top: &TomlTable<'_>) {
        if let Some(source) = top.text("source").filter(|s| s.value != "api") {
            let fault = self.error("M0110", "`source` must be \"api\" for a CROSS_SCOPE job");
            let fault = fault.at(source.span, "");
            self.push(fault.help("the file of rows goes into `[rows]`"));
        }
        self.format_version(top);
    }

    /// Refuses a file of a format that is not known here.
    pub(super) fn format_version(&mut self, top: &TomlTable<'_>) {
        if let Some((format, value)) = top.whole("format").zip(top.get("format"))
            && format != 1
        {
            let message = match format {
                0 => "there is no mapping format 0".to_owned(),
                _ => format!("mapping format {format} is newer than this program (it knows 1)"),
            };
            let fault = self.error("M0105", message).at(value.span(), "");
            self.push(fault.help("upgrade, or remove `format` if the file uses nothing newer"));
        }
    }

    pub(super) fn labels(&self, top: &TomlTable<'_>) -> Vec<(String, String)> {
        let Some(table) = top.table("labels") else { return Vec::new() };
        let text =
            |(name, value): (SpannedText, _)| Some((name.value, table.as_text(value)?.value));
        table.entries().filter_map(text).collect()
    }

    /// The scope that `text` names, literally or by alias.
    pub(super) fn scope(&mut self, text: &SpannedText) -> Option<String> {
        let Some(alias) = text.value.strip_prefix('@') else {
            return self.name(NameKind::Scope, text);
        };
        if let Some(scope) = self.project.aliases.get(alias) {
            return Some(scope.clone());
        }
        let names: Vec<&str> = self.project.aliases.keys().map(String::as_str).collect();
        let fault = self.error("M0303", format!("unknown scope alias `@{alias}`"));
        let fault = fault.at(text.span.clone(), "").help(match self.project.has_file {
            true => format!("aliases in tombolo.toml: {}", names.join(", ")),
            false => format!(
                "aliases stand in `[scopes]` of tombolo.toml, e.g. `{alias} = \"…\"`; there is no \
                 such file in {} or above",
                self.project.shown_root
            ),
        });
        let similar = closest(alias, names.iter().copied());
        let fault = match similar.zip(text.inner) {
            Some((similar, _)) => fault.patch(
                "an alias with a similar name exists",
                text.place(&(1..text.value.len())),
                similar,
            ),
            None => fault,
        };
        self.push(fault);
        None
    }

    fn scopes(&mut self, texts: &[SpannedText]) -> Vec<String> {
        let mut scopes: Vec<String> = texts.iter().filter_map(|text| self.scope(text)).collect();
        let mut seen = BTreeSet::new();
        scopes.retain(|scope| seen.insert(scope.clone()));
        scopes
    }

    pub(super) fn name(&mut self, kind: NameKind, text: &SpannedText) -> Option<String> {
        match check_name(kind, &text.value) {
            Ok(()) => Some(text.value.clone()),
            Err(error) => {
                let fault = self.error("M0111", error.to_string()).at(text.span.clone(), "");
                self.push(fault);
                None
            }
        }
    }

    /// Names of a kind, e.g. the types of an end.
    pub(super) fn names(&mut self, kind: NameKind, texts: &[SpannedText]) -> Vec<String> {
        texts.iter().filter_map(|text| self.name(kind, text)).collect()
    }

    /// Checks that the ends lie outside the job's own scope, and in different scopes if the file asks
    /// for that. Returns true if both ends may lie in one scope.
    fn scopes_of_ends(
        &mut self,
        top: &TomlTable<'_>,
        own: Option<&SpannedText>,
        scope: Option<&str>,
    ) -> bool {
        let ends = ["from", "to"].map(|name| {
            let texts = top.table(name).map(|t| t.texts("scope")).unwrap_or_default();
            let resolve = |text: SpannedText| {
                // An unknown alias is reported where the end is read.
                let alias = text.value.strip_prefix('@');
                let scope = alias.and_then(|a| self.project.aliases.get(a)).cloned();
                (scope.unwrap_or_else(|| text.value.clone()), text.span)
            };
            (name, texts.into_iter().map(resolve).collect::<Vec<_>>())
        });
        if let Some((own, scope)) = own.zip(scope) {
            for (name, texts) in &ends {
                for (_, span) in texts.iter().filter(|(end, _)| end == scope) {
                    let words = "a mapping cannot link entities of its own scope";
                    let fault = self
                        .error("M0302", words)
                        .context(own.span.clone(), "the scope of this job")
                        .at(span.clone(), format!("the scope of `{name}`"))
                        .note("CROSS_SCOPE relationships join entities that live outside the job's scope")
                        .help(format!("name the scope that owns the entities of `{name}`"));
                    self.push(fault);
                }
            }
        }
        let allowed = top.plain("sameScope").as_deref() != Some("reject");
        let [(_, from), (_, to)] = &ends;
        if !allowed
            && let ([from], [to]) = (from.as_slice(), to.as_slice())
            && from.0 == to.0
        {
            let words = format!("Same-scope relationships rejected: both ends are in `{}`", to.0);
            let fault = self
                .error("M0302", words)
                .context(from.1.clone(), "the scope of `from`")
                .at(to.1.clone(), "the scope of `to`");
            self.push(fault);
        }
        allowed
    }
}

/// Properties of the user's choice with plain values, e.g. of an example.
pub(super) fn plain_properties(
    table: &TomlTable<'_>,
) -> Vec<(String, crate::graph::Value<'static>)> {
    let value = |value: &DeValue<'_>| crate::lang::NestedValue::from_toml(value)?.into_value();
    table
        .entries()
        .filter_map(|(name, given)| Some((name.value, value(given.get_ref())?)))
        .collect()
}
