//! Documents as they were written, which any thread can read: the reader of a file only parts them.

use super::json::plain_words;
use super::reader::RowFileError;
use super::{RowContent, RowDocument, RowFileSet, RowSource};
use crate::graph::InputLocation;
use crate::lang::{Diagnostic, LineIndex, NestedValue};

/// The text of a line; `None` if it is blank or a comment.
pub(super) fn line_text<'l>(
    bytes: &'l [u8],
    line: u32,
    rows: &RowFileSet,
) -> Result<Option<&'l str>, RowFileError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.trim(),
        Err(error) => {
            let words = format!("byte {} of the line is not UTF-8", error.valid_up_to());
            let broken = RowFileError::parser(words, line, None);
            return Err(RowFileError { ends_file: false, ..broken });
        }
    };
    let comment = rows.comment.is_some_and(|sign| text.as_bytes().first() == Some(&sign));
    Ok((!text.is_empty() && !comment).then_some(text))
}

/// A document as it was written. Reading it is left to whoever has a core free.
#[derive(Debug)]
pub(in crate::mapping) struct RawDocument {
    pub(super) content: RawContent,
    /// Its position in the list that it was taken from.
    pub(super) position: Option<usize>,
    /// The position of its file among the files.
    pub file: usize,
    pub(super) line: u32,
    /// The bytes that it was written with, or about so many.
    pub weight: usize,
}

#[derive(Debug)]
pub(super) enum RawContent {
    Read(RowContent),
    /// A line of JSON; blank ones and comments are no documents.
    Line(Vec<u8>),
    /// An element of a list of JSON.
    Element(Vec<u8>),
}

/// The bytes that a row in the mapping file itself counts as.
pub(super) const INLINE_WEIGHT: usize = 256;

/// A fault of one document; the others of its file can be read.
pub(in crate::mapping) struct DocumentFault {
    file: usize,
    error: RowFileError,
}

impl DocumentFault {
    /// The code of the fault.
    pub(in crate::mapping) fn code(&self) -> &'static str {
        self.error.code
    }

    /// The fault with its line, which is read once more for it.
    pub(in crate::mapping) fn diagnostic(self, source: &RowSource) -> Diagnostic {
        match source {
            RowSource::Files(rows) => self.error.fault(&rows.files[self.file]),
            other => {
                let place = InputLocation { input: 0, line: self.error.line };
                other.fault(self.error.code, self.error.words, place)
            }
        }
    }
}

impl RawDocument {
    /// Reads the document; `None` if it turns out to be none.
    pub(in crate::mapping) fn read(
        self,
        source: &RowSource,
    ) -> Option<Result<RowDocument, DocumentFault>> {
        let RawDocument { content, position, file, line, .. } = self;
        let none = RowFileSet::default();
        let rows = if let RowSource::Files(rows) = source { rows } else { &none };
        let read = match content {
            RawContent::Read(content) => Ok(Some(content)),
            RawContent::Line(bytes) => line_text(&bytes, line, rows).and_then(|text| {
                text.map(|text| json_line(text, line).map(RowContent::Data)).transpose()
            }),
            RawContent::Element(bytes) => {
                list_element(&bytes, line).map(|data| data.map(RowContent::Data))
            }
        };
        let document = match read {
            Ok(content) => Ok(RowDocument { content: content?, position, file, line }),
            Err(error) => Err(DocumentFault { file, error }),
        };
        Some(document.map(|document| without_nulls(document, &rows.nulls)))
    }
}

/// The data of an element of a list; `None` for one that is null.
fn list_element(bytes: &[u8], line: u32) -> Result<Option<NestedValue>, RowFileError> {
    // Each element is a document of its own, so a fault ends it and not the file.
    let broken = |words: String, line| RowFileError {
        ends_file: false,
        ..RowFileError::parser(words, line, None)
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|_| broken("the element is not UTF-8".to_owned(), line))?;
    let data = NestedValue::from_json(text, &LineIndex::of(text, line))
        .map_err(|e| broken(plain_words(&e), line + (e.line() as u32).saturating_sub(1)))?;
    Ok((data != NestedValue::Null).then_some(data))
}

fn json_line(text: &str, line: u32) -> Result<NestedValue, RowFileError> {
    // Each line is a document of its own, so a fault ends the line and not the file.
    NestedValue::from_json(text, &LineIndex::of(text, line)).map_err(|e| {
        let broken = RowFileError::parser(plain_words(&e), line, Some(e.column()));
        RowFileError { ends_file: false, ..broken }
    })
}

/// The document without the texts that mean a missing value.
fn without_nulls(document: RowDocument, nulls: &[String]) -> RowDocument {
    if nulls.is_empty() {
        return document;
    }
    let is_null = |text: &str| nulls.iter().any(|null| null == text);
    let content = match document.content {
        RowContent::Cells(cells) if cells.iter().any(is_null) => RowContent::Cells(
            cells.iter().map(|cell| if is_null(cell) { "" } else { cell }).collect(),
        ),
        RowContent::Data(mut data) => {
            clear_nulls(&mut data, &is_null);
            RowContent::Data(data)
        }
        cells => cells,
    };
    RowDocument { content, ..document }
}

fn clear_nulls(data: &mut NestedValue, is_null: &impl Fn(&str) -> bool) {
    match data {
        NestedValue::Text(text) if is_null(text) => *data = NestedValue::Null,
        NestedValue::List(list) => {
            list.items.iter_mut().for_each(|item| clear_nulls(item, is_null))
        }
        NestedValue::Object(object) => {
            object.members.iter_mut().for_each(|(_, value)| clear_nulls(value, is_null));
        }
        _ => {}
    }
}
