//! Reading: from the bytes of an input to rows, one object each.
//!
//! A row is the text of one object with its place. Lines, documents and tables of cells come to the
//! same rows; `scan.rs` and `parse.rs` find out what is written in one. Nothing here knows modes,
//! scopes or the graph: that is up to the next stage, `stage/`.

mod csv_rows;
mod document;
mod encoding;
mod lines;
mod nested;
mod parse;
mod scan;
mod table;
mod values;

pub use csv_rows::read_csv;
pub use document::read_document;
pub use encoding::Utf8Reader;
pub use lines::{InputPiece, PIECE, PieceReader};
pub use nested::{NestedValues, without_nested};
pub use parse::{
    CLASSES_MAX, DraftObject, IGNORED, InputDiagnostic, OBJECT_MAX, PINS, PROPERTIES_MAX,
    is_relationship, parse_members, pinned_properties,
};
pub use scan::{MemberSpan, ObjectScanner, ObjectShape};
pub use table::{TableError, TableFault, TableReader, TableRow};
pub use values::{STRING_MAX, json_words};

use crate::graph::{InputLocation, ObjectKind};
use std::io::Read;

/// The text format of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFormat {
    /// One JSON object a line.
    Ndjson,
    /// A JSON list of objects, or `{"entities": [...], "relationships": [...]}`.
    Json,
    /// A header and rows; see [`read_csv`].
    Csv,
}

/// What the caller says about an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputOptions {
    /// The delimiter of a table; `None` if the header shows it.
    pub delimiter: Option<u8>,
    /// What becomes of members that can be no property.
    pub nested: NestedValues,
    /// True if the places of a document are paths alone: the body of a request has no lines that
    /// its sender knows.
    pub paths_only: bool,
}

/// One input of a job.
pub struct InputSource<'a> {
    /// Its name in messages, e.g. the path.
    pub name: String,
    /// Its format.
    pub format: InputFormat,
    /// What the caller says about it.
    pub options: InputOptions,
    /// The text, already decompressed.
    pub reader: Box<dyn Read + Send + 'a>,
}

impl<'a> InputSource<'a> {
    /// An input about which nothing is said.
    pub fn new(
        name: impl Into<String>,
        format: InputFormat,
        reader: Box<dyn Read + Send + 'a>,
    ) -> InputSource<'a> {
        InputSource { name: name.into(), format, options: InputOptions::default(), reader }
    }

    /// Lets whoever reads it see UTF-8, whatever it is written in.
    pub fn decode(&mut self) {
        let reader = std::mem::replace(&mut self.reader, Box::new(std::io::empty()));
        self.reader = Box::new(Utf8Reader::new(reader));
    }
}

/// One object of an input, still as written: what reading hands to staging.
#[derive(Clone, Copy, Debug)]
pub struct ReadRow<'t> {
    /// The text of the object.
    pub text: &'t str,
    /// Its place in the input.
    pub place: InputLocation,
    /// Column in which it begins, counted from 1; 0 if it stands alone in its lines.
    pub column: u32,
    /// The kind that the document around it asks for.
    pub expected: Option<ObjectKind>,
    /// The list of a document that it stands in, and its position there.
    pub element: Option<(&'t str, u32)>,
}

impl<'t> ReadRow<'t> {
    /// An object that stands by itself.
    pub fn alone(text: &'t str, place: InputLocation) -> ReadRow<'t> {
        ReadRow { text, place, column: 0, expected: None, element: None }
    }

    /// Adds the place in its document to a fault of the row.
    pub fn in_document(&self, fault: InputDiagnostic) -> InputDiagnostic {
        match self.element {
            Some((list, position)) => {
                let first = fault.place.line == self.place.line && fault.column > 0;
                let column = fault.column + if first { self.column.max(1) - 1 } else { 0 };
                let path = format!("{list}[{position}]{}", fault.path);
                InputDiagnostic { path, column, ..fault }
            }
            None => fault,
        }
    }
}
