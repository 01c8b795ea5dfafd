//! Reading: from the bytes of an input to rows, one object each.
//!
//! A row is the text of one object with its place. Lines, documents and tables of cells come to the
//! same rows; `scan.rs` and `parse.rs` find out what is written in one. Nothing here knows modes,
//! scopes or the graph: that is up to the next stage, `stage/`.

mod csv_rows;
mod document;
mod lines;
mod parse;
mod scan;
mod values;

pub use csv_rows::read_csv;
pub use document::read_document;
pub use lines::{InputPiece, PIECE, PieceReader};
pub use parse::{
    CLASSES_MAX, DraftObject, IGNORED, InputDiagnostic, OBJECT_MAX, PROPERTIES_MAX,
    is_relationship, parse_members,
};
pub use scan::{MemberSpan, ObjectScanner, ObjectShape};
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

/// One input of a job.
pub struct InputSource<'a> {
    /// Its name in messages, e.g. the path.
    pub name: String,
    /// Its format.
    pub format: InputFormat,
    /// The text, already decompressed.
    pub reader: Box<dyn Read + Send + 'a>,
}

/// One object of an input, still as written: what reading hands to staging.
#[derive(Clone, Copy, Debug)]
pub struct ReadRow<'t> {
    /// The text of the object.
    pub text: &'t str,
    /// Its place in the input.
    pub place: InputLocation,
    /// The kind that the document around it asks for.
    pub expected: Option<ObjectKind>,
    /// The list of a document that it stands in, and its position there.
    pub element: Option<(&'t str, u32)>,
}

impl<'t> ReadRow<'t> {
    /// An object that stands by itself.
    pub fn alone(text: &'t str, place: InputLocation) -> ReadRow<'t> {
        ReadRow { text, place, expected: None, element: None }
    }

    /// Adds the place in its document to a fault of the row.
    pub fn in_document(&self, fault: InputDiagnostic) -> InputDiagnostic {
        match self.element {
            Some((list, position)) => {
                InputDiagnostic { path: format!("{list}[{position}]{}", fault.path), ..fault }
            }
            None => fault,
        }
    }
}
