//! Rows: where they come from and how they are read, one document after the other.
//!
//! Files of cells, JSON, YAML, TOML, XML, sheets and lines, each also packed or inside of an archive;
//! tables in the mapping itself; and rows that the graph gives, which [`super::resolve`] fetches.
//! [`frame`] finds the rows inside of a document. The meaning of a row is not known here.

#[cfg(feature = "containers")]
mod archive;
#[cfg(not(feature = "containers"))]
#[path = "no_containers/archive.rs"]
mod archive;
mod cells;
mod files;
mod format;
mod frame;
mod json;
mod ldif;
mod open_quotes;
mod raw_document;
mod reader;
#[cfg(feature = "containers")]
mod sheet;
#[cfg(not(feature = "containers"))]
#[path = "no_containers/sheet.rs"]
mod sheet;
mod tree;
mod xml;

pub use tree::{YAML_VALUES_MAX, yaml_documents};

pub(super) use archive::members as archive_members;
pub(super) use files::{glob, normalize_path};
pub(super) use format::archive_kind;
pub(super) use frame::{FrameContent, ItemContext, RowFrame, each_item, each_row};
pub(super) use raw_document::{DocumentFault, RawDocument};
pub(super) use reader::{PassedOver, ReadOptions, RowReader, columns_of};

use self::format::FileFormat;
use crate::graph::InputLocation;
use crate::lang::{Diagnostic, NestedValue, SourceText};
use crate::mapping::entity_selection::EntitySelection;
use crate::mapping::expression::MappingExpr;
use crate::query::Query;
use regex::Regex;
use rustc_hash::FxHashMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// Names of columns and their positions; empty for rows that are not cells.
pub(super) type ColumnPositions = FxHashMap<String, usize>;

/// A document of rows as it is read: a row of cells, or data that may hold many rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RowContent {
    /// Cells in the order of the columns.
    Cells(csv::StringRecord),
    Data(NestedValue),
}

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

/// A document and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RowDocument {
    pub content: RowContent,
    /// Its position in the list that it was taken from, where the list itself is not read.
    pub position: Option<usize>,
    /// The position of its file among the files.
    pub file: usize,
    /// The line it begins on, counted from 1; without lines its number.
    pub line: u32,
}

impl RowDocument {
    /// The document as the frame that nothing is around.
    pub(super) fn frame<'a>(&'a self, columns: &'a ColumnPositions) -> RowFrame<'a> {
        let content = match &self.content {
            RowContent::Cells(cells) => FrameContent::Cells(cells, columns),
            RowContent::Data(data) => FrameContent::Data(data),
        };
        let frame = RowFrame::document(content, self.line);
        RowFrame { key: self.position.map(crate::lang::PlaceKey::Position), ..frame }
    }
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
#[derive(Clone, Debug, Default)]
pub(super) struct RowFileSet {
    pub files: Vec<RowFile>,
    /// Paths to the rows inside of a document; none for the document itself.
    pub items: Vec<MappingExpr>,
    /// Names of the columns of files without a header.
    pub columns: Option<Vec<String>>,
    /// The delimiter of cells, if it is not that of the format.
    pub delimiter: Option<u8>,
    /// Lines before the first row or the header.
    pub skip: u64,
    /// The character that a line to pass over begins with.
    pub comment: Option<u8>,
    /// The sheet of a workbook; else its first.
    pub sheet: Option<String>,
    /// The parts of a line, for files of lines.
    pub pattern: Option<Regex>,
    /// Texts that mean a missing value.
    pub nulls: Vec<String>,
}

/// One file of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowFile {
    pub path: PathBuf,
    /// The name inside of the archive that `path` is.
    pub member: Option<String>,
    /// The path seen from the folder of the mapping.
    pub name: String,
    pub format: FileFormat,
    /// The encoding of its texts, if it is not UTF-8 and no mark in the file says it.
    pub encoding: Option<&'static encoding_rs::Encoding>,
}

impl RowFile {
    /// A file, in the format that is given or that its name says.
    ///
    /// # Errors
    ///
    /// Words about a name that says no format.
    pub(super) fn new(
        path: PathBuf,
        name: String,
        format: Option<&str>,
    ) -> Result<RowFile, String> {
        let format = format::file_format(&path, format)?;
        Ok(RowFile { path, member: None, name, format, encoding: None })
    }

    /// A file inside of an archive.
    ///
    /// # Errors
    ///
    /// Words about a name that says no format.
    pub(super) fn in_archive(
        path: PathBuf,
        name: &str,
        member: String,
        format: Option<&str>,
    ) -> Result<RowFile, String> {
        let format = format::file_format(member.as_ref(), format)?;
        let name = format!("{name}/{member}");
        Ok(RowFile { path, member: Some(member), name, format, encoding: None })
    }

    /// The path for people.
    fn shown(&self) -> String {
        match &self.member {
            Some(member) => format!("{}/{member}", self.path.display()),
            None => self.path.display().to_string(),
        }
    }

    /// The name without folder, packing and format.
    fn stem(&self) -> String {
        format::stem(self.member.as_ref().map_or(self.path.as_path(), |member| member.as_ref()))
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
        let text = files::open(self).ok().and_then(|file| {
            // A line of a document may be all of it, and people see the beginning only.
            let mut lines = BufReader::new(file).lines();
            let line = lines.nth(number - 1)?.ok()?;
            Some(line.trim_end_matches('\r').chars().take(LINE_SHOWN).collect::<String>())
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

/// The characters of a line that a fault shows.
const LINE_SHOWN: usize = 2_000;

impl RowSource {
    /// Paths to the rows inside of a document.
    pub(super) fn items(&self) -> &[MappingExpr] {
        match self {
            RowSource::Files(rows) => &rows.items,
            _ => &[],
        }
    }

    /// The files, as expressions and people see them. Places in drafts refer to them by position.
    pub(super) fn files(&self) -> Vec<FileFacts> {
        match self {
            RowSource::Files(rows) => rows
                .files
                .iter()
                .map(|file| FileFacts {
                    shown: file.shown(),
                    path: file.name.clone(),
                    stem: file.stem(),
                })
                .collect(),
            other => vec![FileFacts {
                shown: other.shown(),
                path: other.shown(),
                stem: format::stem(other.shown().as_ref()),
            }],
        }
    }

    /// The files, as they are opened.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        match self {
            RowSource::Files(rows) => rows.files.iter().map(|file| file.path.clone()).collect(),
            _ => Vec::new(),
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
