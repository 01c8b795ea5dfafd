//! The reasons behind what a row made, item by item.

use super::account::SourceOutcome;
use super::model::SourceFile;
use super::run::SourceRun;
use crate::graph::InputLocation;
use crate::lang::Diagnostic;
use std::path::Path;
use std::time::SystemTime;

/// What became of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemExplanation {
    /// `file:line`.
    pub place: String,
    /// The bucket of the item.
    pub bucket: SourceOutcome,
    /// `_key` of what it made; empty if it made nothing.
    pub key: String,
    /// The reason why it made nothing; empty if it made something.
    pub reason: String,
}

impl SourceFile {
    /// True if rows come from a file that people call `file`: its path as written, or its end.
    pub fn reads_file(&self, file: &str) -> bool {
        self.row_files().iter().any(|shown| is_called(shown, file))
    }

    /// Explains the items that begin on a line of a file. All rows are read, since an end may be made by
    /// any of them.
    ///
    /// # Errors
    ///
    /// Faults of the rows.
    pub fn explain_line(
        &self,
        file: &str,
        line: u32,
        now: SystemTime,
    ) -> Result<Vec<ItemExplanation>, Vec<Diagnostic>> {
        let files = self.row_files();
        let Some(input) = files.iter().position(|shown| is_called(shown, file)) else {
            return Ok(Vec::new());
        };
        let place = InputLocation { input: input as u32, line };
        let mut run = SourceRun::watching(self, place);
        run.all_rows(now);
        let told = std::mem::take(&mut run.told);
        run.finish()?;
        Ok(told)
    }
}

fn is_called(shown: &str, file: &str) -> bool {
    let path = Path::new(shown);
    path.ends_with(file) || Path::new(file).ends_with(path)
}
