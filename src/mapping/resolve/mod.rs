//! A mapping against a graph: the edges it asks for, and the account of its rows.

mod absent_properties;
mod candidates;
mod capped_diagnostics;
mod conflict;
mod document_count;
mod ends;
mod environment;
mod index;
mod mapping_graph;
mod relationship_draft;
mod resolver;
mod row_counts;

pub(super) use capped_diagnostics::CappedDiagnostics;
pub(super) use document_count::{DocumentCount, keys_of};
pub use ends::MatchAttempt;
pub(super) use index::ConditionIndex;
pub use mapping_graph::{EndCandidate, EntityPresence, MappingGraph, PropertyProjection};
pub use resolver::PAIRS_MAX;
pub use row_counts::{RowCount, RowOutcome, UNMATCHED_LISTED, UndefinedProperty, UnmatchedRow};

pub(super) use conflict::RowRelationship;
pub(super) use ends::{EndLookup, display_value, name};
pub(super) use environment::{DocumentContext, ExprEnvironment, MappingConstants};
pub(super) use resolver::{ResolverOutput, RowResolver};

use crate::graph::{DraftRelationship, same_name};
use crate::lang::{Diagnostic, DiagnosticSeverity, NestedValue, closest, holds};
use crate::mapping::expression::PathRoot;
use crate::mapping::model::{EndDefinition, Mapping, PairSource, TestOutcome};
use crate::mapping::rows::{
    ColumnPositions, FrameContent, PassedOver, ReadOptions, RowDocument, RowFrame, RowReader,
    RowSource, each_row,
};
use crate::query::QueryRow;
use std::borrow::Cow;
use std::time::SystemTime;

/// The result of a mapping for its rows and a graph.
#[derive(Clone, Debug, Default)]
pub struct ResolvedMapping {
    /// The relationships that the job is to have, each key once.
    pub drafts: Vec<DraftRelationship<'static>>,
    /// The number of rows in each bucket.
    pub count: RowCount,
    /// Rows without an edge, the first [`UNMATCHED_LISTED`] of them.
    pub unmatched: Vec<UnmatchedRow>,
    /// Properties that linked rows leave out, the first [`UNMATCHED_LISTED`] of them.
    pub undefined: Vec<UndefinedProperty>,
    /// The number of all of them.
    pub undefined_count: u64,
    /// The inputs that the places in the drafts refer to by position: the files of rows, or the name
    /// of another source.
    pub inputs: Vec<String>,
    /// The files that were read, each with the digest of its bytes.
    pub digests: Vec<(String, String)>,
    /// The number of candidates of `from` and of `to`.
    pub candidates: [u64; 2],
    /// Lints that only the graph can give.
    pub warnings: Vec<Diagnostic>,
    /// The outcome of each promise of the file.
    pub promises: Vec<TestOutcome>,
}

/// The reason why a mapping could not be resolved.
#[derive(Debug)]
pub enum ResolveError<E> {
    /// The rows, the graph or the file do not allow it.
    Faults(Vec<Diagnostic>),
    /// The graph could not be read.
    Graph(E),
}

impl<E> From<E> for ResolveError<E> {
    fn from(error: E) -> ResolveError<E> {
        ResolveError::Graph(error)
    }
}

impl Mapping {
    /// Resolves the mapping against a graph.
    ///
    /// # Errors
    ///
    /// All faults of the rows and of their ends; or the error of the graph.
    pub fn resolve<G: MappingGraph>(
        &self,
        graph: &G,
        now: SystemTime,
    ) -> Result<ResolvedMapping, ResolveError<G::Error>> {
        let ends = EndLookup::read(self, graph)?;
        let mut resolved = ResolvedMapping {
            candidates: [PathRoot::From, PathRoot::To]
                .map(|r| ends.side(r).candidates.len() as u64),
            ..ResolvedMapping::default()
        };
        // Before the rows: with a wrong scope or type every row would lack an end.
        let faults = self.check_selections(&ends, graph, &mut resolved.warnings)?;
        if !faults.is_empty() {
            return Err(ResolveError::Faults(faults));
        }
        let run = match &self.pairs {
            PairSource::Join(_) => {
                resolved.inputs = vec![self.file.display().to_string()];
                let mut resolver = RowResolver::new(&ends, graph, None);
                resolver.join()?;
                resolver.finish()
            }
            PairSource::Rows { rows, max_age, .. } => {
                let rows = self.fetch(rows, graph)?.map_err(ResolveError::Faults)?;
                let options = ReadOptions {
                    // An override for this run wins over the file.
                    max_age: self.guard.max_age.or(*max_age),
                    now,
                    around: self.mentions_enclosing_data(),
                };
                let mut reader = RowReader::open(&rows, &options);
                let mut resolver = RowResolver::new(&ends, graph, Some(&rows));
                let mut seen = DocumentCount::default();
                while let Some(document) = reader.next() {
                    match document {
                        Ok(document) => {
                            let file = document.file;
                            let mut row = |row: &RowFrame<'_>| {
                                seen.rows += 1;
                                match resolver.should_stop() {
                                    true => Ok(()),
                                    false => resolver.row(row, file),
                                }
                            };
                            self.rows_of(&rows, &document, reader.columns(), &mut row)?;
                            seen.document(&document);
                        }
                        Err(fault) => resolver.fault(fault),
                    }
                    if resolver.should_stop() {
                        break;
                    }
                }
                if let Some(fault) = seen.nothing_found(&rows) {
                    resolver.fault(fault);
                }
                let skipped = reader.passed_over().clone();
                if skipped.lines > 0 {
                    resolved.warnings.push(self.passed_over(&skipped));
                }
                resolved.inputs = rows.files().into_iter().map(|file| file.shown).collect();
                resolved.digests = reader.digests();
                resolver.finish()
            }
        };
        if !run.faults.is_empty() {
            return Err(ResolveError::Faults(run.faults));
        }
        resolved.count = run.count;
        resolved.unmatched = run.unmatched;
        (resolved.undefined, resolved.undefined_count) = (run.undefined, run.undefined_count);
        resolved.promises = self.run_tests(&ends, &run.edges);
        resolved.drafts = run.edges.into_iter().filter(|e| e.kept).map(|e| e.draft).collect();
        Ok(resolved)
    }

    /// Calls `visit` for each row of a document until it fails.
    pub(super) fn rows_of<E>(
        &self,
        rows: &RowSource,
        document: &RowDocument,
        columns: &ColumnPositions,
        visit: &mut dyn FnMut(&RowFrame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let files = rows.files();
        let context = DocumentContext { shared: self.shared(), file: files.get(document.file) };
        let mut outcome = Ok(());
        each_row(&document.frame(columns), rows.items(), &context, &mut |row| {
            if outcome.is_ok() {
                outcome = visit(row);
            }
        });
        outcome
    }

    /// A warning about lines that did not fit the pattern of their file.
    fn passed_over(&self, skipped: &PassedOver) -> Diagnostic {
        let words = match skipped.lines {
            1 => format!("1 line does not fit `pattern`: {}", skipped.first),
            lines => format!("{lines} lines do not fit `pattern`, the first is {}", skipped.first),
        };
        Diagnostic::warning("M0406", &self.source, words).at(self.rows_span(), "")
    }

    /// Fetches rows that come from the graph, as if they stood in the file. Other sources stay as they
    /// are.
    pub(super) fn fetch<'s, G: MappingGraph>(
        &self,
        rows: &'s RowSource,
        graph: &G,
    ) -> Result<Result<Cow<'s, RowSource>, Vec<Diagnostic>>, G::Error> {
        let numbered = |rows: Vec<NestedValue>, shown: &str| {
            let rows = rows.into_iter().zip(1..).map(|(row, line)| (line, row)).collect();
            Ok(Cow::Owned(RowSource::Inline { rows, shown: shown.to_owned() }))
        };
        match rows {
            RowSource::Query(query) => match graph.ask(query)? {
                Ok(rows) => {
                    let row = |members: QueryRow| {
                        let member = |(name, value)| (name, NestedValue::from_value(value));
                        NestedValue::Object(
                            members.into_iter().map(member).collect::<Vec<_>>().into(),
                        )
                    };
                    Ok(numbered(rows.into_iter().map(row).collect(), "query"))
                }
                Err(why) => {
                    let words = format!("the query of `rows` was stopped: {why}");
                    let fault = Diagnostic::error("M0506", &self.source, words);
                    let fault = fault.at(self.rows_span(), "");
                    Ok(Err(vec![fault.help("add conditions or `LIMIT` to the query")]))
                }
            },
            RowSource::Entities { select, filter } => {
                let mut all = Vec::new();
                graph.entities(select, &PropertyProjection::All, &mut |candidate| {
                    all.push(candidate.into_data());
                })?;
                if let Some(filter) = filter {
                    let shared = self.shared();
                    all.retain(|data| {
                        let row = RowFrame::document(FrameContent::Data(data), 0);
                        holds(filter, &ExprEnvironment::of_row(&shared, &row, None))
                    });
                }
                Ok(numbered(all, "entity"))
            }
            here => Ok(Ok(Cow::Borrowed(here))),
        }
    }

    /// Reports empty scopes, and types, classes and properties that no entity has: they are mistakes
    /// more often than intended.
    fn check_selections<G: MappingGraph>(
        &self,
        ends: &EndLookup<'_>,
        graph: &G,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Vec<Diagnostic>, G::Error> {
        let mut faults = Vec::new();
        for root in [PathRoot::From, PathRoot::To] {
            let end = self.end(root);
            // An end with other entities can still work, so it gets warnings and no errors.
            let nothing = ends.side(root).selected == 0;
            let mut types: Vec<(String, u64)> = Vec::new();
            for scope in &end.select.scopes {
                let here = graph.types(scope)?;
                if here.is_empty() {
                    let words = format!("scope `{scope}` holds no entities");
                    let known = graph.scopes()?;
                    let help = match known.is_empty() {
                        true => "the database is empty: `tombolo sync` loads entities".to_owned(),
                        false => {
                            let known: Vec<String> =
                                known.iter().take(10).map(|s| format!("`{s}`")).collect();
                            format!("known scopes: {} (run `tombolo scopes`)", known.join(", "))
                        }
                    };
                    let at = end.scope_span.clone();
                    match nothing {
                        true => faults.push(
                            Diagnostic::error("M0501", &self.source, words).at(at, "").help(help),
                        ),
                        false => warnings.push(
                            Diagnostic::warning("M0501", &self.source, words).at(at, "").help(help),
                        ),
                    }
                }
                types.extend(here);
            }
            if types.is_empty() {
                continue;
            }
            if !nothing {
                let found = self.absent_properties(root, &ends.side(root).absent, graph)?;
                let is_error = |fault: &Diagnostic| fault.severity == DiagnosticSeverity::Error;
                let (errors, others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_error);
                faults.extend(errors);
                warnings.extend(others);
            }
            let mut classes: Vec<(String, u64)> = Vec::new();
            for scope in &end.select.scopes {
                classes.extend(graph.classes(scope)?);
            }
            let mut absent = self.absent(end, "type", &end.select.types, &types, |a, b| a == b);
            absent.extend(self.absent(end, "class", &end.select.classes, &classes, same_name));
            for fault in absent {
                match nothing {
                    true => {
                        faults.push(Diagnostic { severity: DiagnosticSeverity::Error, ..fault })
                    }
                    false => warnings.push(fault),
                }
            }
        }
        Ok(faults)
    }

    /// A warning for each type or class that is asked for and that no entity has.
    fn absent(
        &self,
        end: &EndDefinition,
        kind: &str,
        asked: &[String],
        known: &[(String, u64)],
        same: impl Fn(&str, &str) -> bool,
    ) -> Vec<Diagnostic> {
        let absent = asked.iter().filter(|asked| !known.iter().any(|(name, _)| same(name, asked)));
        let fault = |asked: &String| {
            let scopes = end.select.scopes.join("`, `");
            let words = format!("no entity in scope `{scopes}` has {kind} `{asked}`");
            let similar = closest(asked, known.iter().map(|(name, _)| name.as_str()));
            let list = |(name, count): &(String, u64)| format!("`{name}` ({count})");
            let help = match similar {
                Some(similar) => format!("did you mean `{similar}`?"),
                None => {
                    let known: Vec<String> = known.iter().take(10).map(list).collect();
                    let plural = if kind == "class" { "classes" } else { "types" };
                    format!("{plural} there: {}", known.join(", "))
                }
            };
            let at = end.type_span.clone();
            Diagnostic::warning("M0502", &self.source, words).at(at, "").help(help)
        };
        absent.map(fault).collect()
    }
}
