//! Rows: where they come from and how they are read, one after the other.
//!
//! Files of cells, JSON, YAML and TOML, each also packed; tables in the mapping itself; and rows
//! that the graph gives, which [`super::resolve`] fetches. The meaning of a row is not known here.

mod files;
mod format;
mod items;
mod json;
mod reader;
mod tree;

pub use tree::{YAML_VALUES_MAX, yaml_documents};

pub(super) use files::{glob, normalize_path};
pub(super) use format::file_format;
pub(super) use items::parse_items;
pub(super) use reader::{ReadOptions, RowReader, columns_of};

use self::format::FileFormat;
use self::items::ItemPath;
use crate::graph::InputLocation;
use crate::lang::{Diagnostic, SourceText};
use crate::mapping::data::{NestedValue, RowContent};
use crate::mapping::entity_selection::EntitySelection;
use crate::mapping::expression::MappingExpr;
use crate::query::Query;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

/// Names of columns and their positions; empty for rows that are not cells.
pub(super) type ColumnPositions = HashMap<String, usize>;

/// The members of `file`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileFacts {
    /// The path, for people.
    pub shown: String,
    /// The path as expressions see it: relative to the mapping file.
    pub path: String,
    /// The name without folder and extensions.
    pub stem: String,
}

/// A row and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LocatedRow {
    pub row: RowContent,
    /// The object around the row, where rows come from inside a document.
    pub parent: Option<Arc<NestedValue>>,
    /// The document.
    pub doc: Option<Arc<NestedValue>>,
    /// The position of its file among the files.
    pub file: usize,
    /// The line it begins on, counted from 1; without lines the number of the row.
    pub line: u32,
}

/// The source of the rows of a mapping.
#[derive(Clone, Debug)]
pub(super) enum RowSource {
    /// Rows with their lines, and the name of their source.
    Inline {
        rows: Vec<(u32, NestedValue)>,
        shown: String,
    },
    Files(RowFileSet),
    /// Each row of its answer is a row.
    Query(Box<Query>),
    /// Each of these entities is a row.
    Entities {
        select: EntitySelection,
        filter: Option<MappingExpr>,
    },
}

/// Files of rows, read as one.
#[derive(Clone, Debug)]
pub(super) struct RowFileSet {
    pub files: Vec<RowFile>,
    pub items: Option<ItemPath>,
    /// Names of the columns of files without a header.
    pub columns: Option<Vec<String>>,
    /// The delimiter of cells, if it is not that of the format.
    pub delimiter: Option<u8>,
}

/// One file of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowFile {
    pub path: PathBuf,
    /// The path seen from the folder of the mapping.
    pub name: String,
    pub format: FileFormat,
}

impl RowFile {
    /// The path for people.
    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// A fault in a line of the file. Line and column count from 1; without a column the fault is about
    /// the whole line.
    fn fault(
        &self,
        code: &'static str,
        words: String,
        line: u32,
        column: Option<usize>,
    ) -> Diagnostic {
        let number = line.max(1) as usize;
        // The line is read once more: faults are rare, and the lines of a file are not kept.
        let text = files::unpack(&self.path, self.format.compression).ok().and_then(|file| {
            let line = BufReader::new(file).split(b'\n').nth(number - 1)?.ok()?;
            Some(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
        });
        let text = text.unwrap_or_default();
        let range = match column {
            None => 0..text.len(),
            Some(column) => {
                // Columns count characters, ranges count bytes.
                let mut places = text.char_indices().map(|(i, _)| i).chain([text.len()]);
                let start = places.nth(column.max(1) - 1).unwrap_or(text.len());
                start..places.next().unwrap_or(start)
            }
        };
        Diagnostic::error(code, &SourceText::line(self.shown(), text, number), words).at(range, "")
    }
}

impl RowSource {
    /// The files, as expressions and people see them. Places in drafts refer to them by position.
    pub(super) fn files(&self) -> Vec<FileFacts> {
        match self {
            RowSource::Files(rows) => rows
                .files
                .iter()
                .map(|file| FileFacts {
                    shown: file.shown(),
                    path: file.name.clone(),
                    stem: format::stem(&file.path),
                })
                .collect(),
            other => vec![FileFacts {
                shown: other.shown(),
                path: other.shown(),
                stem: format::stem(other.shown().as_ref()),
            }],
        }
    }

    /// The name of the source, for people.
    pub(super) fn shown(&self) -> String {
        match self {
            RowSource::Inline { shown, .. } => shown.clone(),
            RowSource::Files(rows) => match rows.files.as_slice() {
                [file] => file.shown(),
                files => format!("{} files", files.len()),
            },
            RowSource::Query(_) => "query".to_owned(),
            RowSource::Entities { .. } => "entity".to_owned(),
        }
    }

    /// A fault in a row.
    pub(super) fn fault(
        &self,
        code: &'static str,
        words: String,
        place: InputLocation,
    ) -> Diagnostic {
        match self {
            RowSource::Files(rows) if (place.input as usize) < rows.files.len() => {
                rows.files[place.input as usize].fault(code, words, place.line, None)
            }
            other => {
                let source = SourceText::line(other.shown(), "", place.line as usize);
                Diagnostic::error(code, &source, words).at(0..0, "")
            }
        }
    }
}
