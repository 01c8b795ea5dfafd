//! The reason why a row made its edge, or none: the run over one row, step by step.

use super::account::Bucket;
use super::candidates::MappingGraph;
use super::ends::{Ends, Try};
use super::eval::{Env, holds};
use super::expr::Root;
use super::model::{Mapping, Pairs};
use super::resolve::ResolveError;
use super::resolver::Resolver;
use super::rows::{ReadOptions, Reader};
use std::time::SystemTime;

/// The outcome of one row, and the steps that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// `file:line`.
    pub place: String,
    /// Its bucket when taken alone: conflicts with other rows are not known here.
    pub bucket: Bucket,
    /// The reason why it made no edge; empty if it made one.
    pub reason: String,
    /// True if `where` left it out; then nothing was looked for.
    pub filtered: bool,
    /// The attempts for `from` and for `to`.
    pub tries: [Vec<Try>; 2],
    /// Keys of the edges that it makes.
    pub edges: Vec<String>,
}

impl Mapping {
    /// True if rows come from a file that people call `file`: its path as written, or its end.
    pub fn reads_file(&self, file: &str) -> bool {
        let Pairs::Rows { rows, .. } = &self.pairs else { return false };
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
    ) -> Result<Vec<Story>, ResolveError<G::Error>> {
        let Pairs::Rows { rows, filter, .. } = &self.pairs else { return Ok(Vec::new()) };
        let ends = Ends::read(self, graph)?;
        let rows = self.fetch(rows, graph)?.map_err(ResolveError::Faults)?;
        // Without `max_age` an old file can be explained too.
        let options =
            ReadOptions { max_age: None, now: SystemTime::UNIX_EPOCH, around: self.asks_around() };
        let mut reader = Reader::open(&rows, &options);
        let files = rows.files();
        let mut stories = Vec::new();
        while let Some(row) = reader.next() {
            let row = row.map_err(|fault| ResolveError::Faults(vec![fault]))?;
            let facts = files.get(row.file).cloned().unwrap_or_default();
            let asked = std::path::Path::new(&facts.shown).ends_with(file)
                || std::path::Path::new(file).ends_with(&facts.shown);
            if row.line != line || !asked {
                continue;
            }
            let shared = self.shared();
            let env = Env::of_row(&shared, &row, reader.columns(), &facts);
            let filtered = filter.as_ref().is_some_and(|filter| !holds(filter, &env));
            let mut tries = [Vec::new(), Vec::new()];
            if !filtered {
                let from = ends.find(Root::From, &env, &mut Vec::new());
                tries[0] = ends.tries(Root::From, &env);
                // A search for `to` may name `from`; the first entity found stands for all.
                let seen =
                    from.hits.first().map(|&f| &ends.side(Root::From).candidates[f as usize]);
                let env = seen.map_or(env, |from| env.with(Root::From, from));
                tries[1] = ends.tries(Root::To, &env);
            }
            // A resolver of its own, so that earlier rows cannot make this one a duplicate.
            let mut resolver = Resolver::new(&ends, graph, Some(&rows));
            resolver.row(&row, reader.columns())?;
            let run = resolver.finish();
            let bucket = Bucket::ALL.into_iter().find(|b| run.count.of(*b) > 0);
            stories.push(Story {
                place: format!("{}:{}", facts.shown, row.line),
                bucket: bucket.unwrap_or(Bucket::Linked),
                reason: run.unmatched.first().map_or(String::new(), |row| row.reason.clone()),
                filtered,
                tries,
                edges: run.edges.iter().map(|edge| edge.draft.key.to_string()).collect(),
            });
        }
        Ok(stories)
    }
}
