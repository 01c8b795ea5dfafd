//! The reason why a row made its edge, or none: the run over one row, step by step.

use crate::lang::holds;
use crate::mapping::expression::PathRoot;
use crate::mapping::model::{Mapping, PairSource};
use crate::mapping::resolve::{
    EndLookup, ExprEnvironment, MappingGraph, MatchAttempt, ResolveError, RowOutcome, RowResolver,
    UndefinedProperty,
};
use crate::mapping::rows::{ReadOptions, RowFrame, RowReader};
use std::time::SystemTime;

/// The outcome of one row, and the steps that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowExplanation {
    /// `file:line`.
    pub place: String,
    /// Its bucket when taken alone: conflicts with other rows are not known here.
    pub bucket: RowOutcome,
    /// The reason why it made no edge; empty if it made one.
    pub reason: String,
    /// True if `where` left it out; then nothing was looked for.
    pub filtered: bool,
    /// The attempts for `from` and for `to`; none for a `to` that was not looked for.
    pub tries: [Vec<MatchAttempt>; 2],
    /// Keys of the edges that it makes.
    pub edges: Vec<String>,
    /// Properties that these lack, since a template is undefined.
    pub undefined: Vec<UndefinedProperty>,
}

impl Mapping {
    /// True if rows come from a file that people call `file`: its path as written, or its end.
    pub fn reads_file(&self, file: &str) -> bool {
        let PairSource::Rows { rows, .. } = &self.pairs else { return false };
        rows.files().iter().any(|facts| {
            let path = std::path::Path::new(&facts.shown);
            path.ends_with(file) || std::path::Path::new(file).ends_with(path)
        })
    }

    /// Explains the rows that begin on `line` of a file.
    ///
    /// # Errors
    ///
    /// Faults of the rows; the error of the graph.
    pub fn explain_row<G: MappingGraph>(
        &self,
        graph: &G,
        file: &str,
        line: u32,
    ) -> Result<Vec<RowExplanation>, ResolveError<G::Error>> {
        let PairSource::Rows { rows, filter, .. } = &self.pairs else { return Ok(Vec::new()) };
        let ends = EndLookup::read(self, graph)?;
        let rows = self.fetch(rows, graph)?.map_err(ResolveError::Faults)?;
        // Without `max_age` an old file can be explained too.
        let options = ReadOptions {
            max_age: None,
            now: SystemTime::UNIX_EPOCH,
            around: self.mentions_enclosing_data(),
        };
        let mut reader = RowReader::open(&rows, &options);
        let files = rows.files();
        let mut stories = Vec::new();
        while let Some(document) = reader.next() {
            let document = document.map_err(|fault| ResolveError::Faults(vec![fault]))?;
            let facts = files.get(document.file).cloned().unwrap_or_default();
            let asked = std::path::Path::new(&facts.shown).ends_with(file)
                || std::path::Path::new(file).ends_with(&facts.shown);
            if !asked {
                continue;
            }
            let mut explain = |row: &RowFrame<'_>| -> Result<(), ResolveError<G::Error>> {
                if row.line != line {
                    return Ok(());
                }
                let shared = self.shared();
                let env = ExprEnvironment::of_row(&shared, row, Some(&facts));
                let filtered = filter.as_ref().is_some_and(|filter| !holds(filter, &env));
                let mut tries = [Vec::new(), Vec::new()];
                if !filtered {
                    let from = ends.find(PathRoot::From, &env, &mut Vec::new());
                    tries[0] = ends.explain_attempts(PathRoot::From, &env);
                    // A search for `to` may name `from`; the first entity found stands for all.
                    let seen = from
                        .hits
                        .first()
                        .map(|&f| &ends.side(PathRoot::From).candidates[f as usize]);
                    let env = seen.map_or(env, |from| env.with(PathRoot::From, from));
                    if seen.is_some() || !ends.to_needs_from {
                        tries[1] = ends.explain_attempts(PathRoot::To, &env);
                    }
                }
                // A resolver of its own, so that earlier rows cannot make this one a duplicate.
                let mut resolver = RowResolver::new(&ends, graph, Some(&rows));
                resolver.row(row, document.file)?;
                let run = resolver.finish();
                let bucket = RowOutcome::ALL.into_iter().find(|b| run.count.of(*b) > 0);
                stories.push(RowExplanation {
                    place: format!("{}:{}", facts.shown, row.line),
                    bucket: bucket.unwrap_or(RowOutcome::Linked),
                    reason: run.unmatched.first().map_or(String::new(), |row| row.reason.clone()),
                    filtered,
                    tries,
                    edges: run.edges.iter().map(|edge| edge.draft.key.to_string()).collect(),
                    undefined: run.undefined,
                });
                Ok(())
            };
            self.rows_of(&rows, &document, reader.columns(), &mut explain)?;
        }
        Ok(stories)
    }
}
