//! Documents: a JSON list of objects, or `{"entities": [...], "relationships": [...]}`, read object by
//! object, so that none is held as a whole.
//!
//! Only the brackets around the objects are read here, so that each object is known by its line and
//! column. What is written in it is found out later, by the same reader as for lines.

use super::parse::OBJECT_MAX;
use super::{InputDiagnostic, InputSource, ReadRow};
use crate::graph::{InputLocation, ObjectKind};
use crate::sync::SyncError;
use std::io::{self, Read};
use std::ops::ControlFlow;

/// Bytes that are read at once.
const READ: usize = 256 << 10;

/// The form that a document has.
const FORM: &str = "a list of objects, or an object with `entities` and `relationships`";

/// Takes an object, or the fault of one that cannot be taken, and may end the reading.
type RowVisitor<'v> = dyn FnMut(Result<ReadRow<'_>, InputDiagnostic>) -> ControlFlow<()> + 'v;

/// Reads a JSON document and hands its objects over; `visit` may end it. Returns the fault of a
/// document that is none.
///
/// # Errors
///
/// [`SyncError::Read`] if the input cannot be read.
pub fn read_document(
    input: &mut InputSource<'_>,
    number: u32,
    visit: &mut RowVisitor<'_>,
) -> Result<Option<InputDiagnostic>, SyncError> {
    let mut reader = DocumentReader {
        lines: !input.options.paths_only,
        number,
        bytes: ByteReader::new(&mut input.reader),
        object: Vec::new(),
        visit,
    };
    match reader.document() {
        Ok(()) | Err(DocumentStop::Asked) => Ok(None),
        Err(DocumentStop::Io(e)) => Err(SyncError::read(&input.name, e)),
        Err(DocumentStop::Fault(at, message)) => Ok(Some(InputDiagnostic {
            place: InputLocation { input: number, line: at.line },
            column: at.column,
            message,
            ..InputDiagnostic::default()
        })),
    }
}

/// The reason why reading ends early.
enum DocumentStop {
    Asked,
    Io(io::Error),
    Fault(TextPosition, String),
}

impl From<io::Error> for DocumentStop {
    fn from(e: io::Error) -> DocumentStop {
        DocumentStop::Io(e)
    }
}

/// A place in the text, counted from 1; columns are bytes.
#[derive(Clone, Copy)]
struct TextPosition {
    line: u32,
    column: u32,
}

/// A document while it is read.
struct DocumentReader<'r, 'v, R> {
    lines: bool,
    number: u32,
    bytes: ByteReader<R>,
    /// The text of the object that is read.
    object: Vec<u8>,
    visit: &'r mut RowVisitor<'v>,
}

impl<R: Read> DocumentReader<'_, '_, R> {
    fn document(&mut self) -> Result<(), DocumentStop> {
        match self.bytes.token()? {
            Some(b'[') => self.list("", None)?,
            Some(b'{') => self.members()?,
            _ => return self.unexpected(&format!("expected {FORM}")),
        }
        match self.bytes.token()? {
            None => Ok(()),
            Some(b'{') => self.unexpected(
                "a second document begins here; one object a line is NDJSON: name the file .ndjson",
            ),
            Some(_) => self.unexpected("text behind the end of the document"),
        }
    }

    /// `entities` and `relationships`, in any order.
    fn members(&mut self) -> Result<(), DocumentStop> {
        self.bytes.skip(1);
        let mut first = true;
        loop {
            match self.bytes.token()? {
                Some(b'}') => {
                    self.bytes.skip(1);
                    return Ok(());
                }
                Some(b',') if !first => {
                    self.bytes.skip(1);
                    self.bytes.token()?;
                }
                Some(_) if first => {}
                _ => return self.unexpected("expected `,` or `}`"),
            }
            first = false;
            let at = self.bytes.position();
            let (name, expected) = self.member(at)?;
            if self.bytes.token()? != Some(b':') {
                return self.unexpected("expected `:`");
            }
            self.bytes.skip(1);
            if self.bytes.token()? != Some(b'[') {
                return self.unexpected(&format!("`{name}` is no list of objects"));
            }
            self.list(name, Some(expected))?;
        }
    }

    /// The name of a member, which comes next.
    fn member(&mut self, at: TextPosition) -> Result<(&'static str, ObjectKind), DocumentStop> {
        if self.bytes.token()? != Some(b'"') {
            return self.unexpected("expected the name of a member");
        }
        self.value()?;
        let name = serde_json::from_slice::<String>(&self.object);
        match name.as_deref() {
            Ok("entities") => Ok(("entities", ObjectKind::Entity)),
            Ok("relationships") => Ok(("relationships", ObjectKind::Relationship)),
            Ok(name) => {
                let advice = match name.starts_with('_') {
                    true => "one object a line is NDJSON: name the file .ndjson",
                    false => {
                        "what another tool wrote is read by `tombolo import`, or by a source file"
                    }
                };
                Err(DocumentStop::Fault(
                    at,
                    format!(
                        "unknown member `{name}`, expected `entities` or `relationships`; {advice}"
                    ),
                ))
            }
            Err(_) => Err(DocumentStop::Fault(at, "this name is no JSON string".into())),
        }
    }

    /// A list of objects, which comes next.
    fn list(
        &mut self,
        name: &'static str,
        expected: Option<ObjectKind>,
    ) -> Result<(), DocumentStop> {
        self.bytes.skip(1);
        let mut position = 0;
        loop {
            match self.bytes.token()? {
                Some(b']') => {
                    self.bytes.skip(1);
                    return Ok(());
                }
                Some(b',') if position > 0 => {
                    self.bytes.skip(1);
                    self.bytes.token()?;
                }
                Some(_) if position == 0 => {}
                _ => return self.unexpected("expected `,` or `]`"),
            }
            let at = self.bytes.position();
            let len = self.value()?;
            let line = if self.lines { at.line } else { 0 };
            let row = ReadRow {
                text: "",
                place: InputLocation { input: self.number, line },
                column: at.column,
                expected,
                element: Some((name, position)),
            };
            position += 1;
            let fault = |message| {
                let fault =
                    InputDiagnostic { place: row.place, message, ..InputDiagnostic::default() };
                Err(row.in_document(fault))
            };
            let read = match std::str::from_utf8(&self.object) {
                _ if len > OBJECT_MAX as u64 => {
                    fault(format!("object has {len} bytes, at most {OBJECT_MAX} are allowed"))
                }
                Ok(text) => Ok(ReadRow { text, ..row }),
                Err(_) => fault("the object is not UTF-8".into()),
            };
            if (self.visit)(read).is_break() {
                return Err(DocumentStop::Asked);
            }
        }
    }

    /// Takes the value that comes next into `object`, up to the largest size of one, and returns
    /// its length.
    fn value(&mut self) -> Result<u64, DocumentStop> {
        let began = self.bytes.position();
        self.object.clear();
        let (mut len, mut depth, mut string) = (0, 0_u32, StringState::Outside);
        loop {
            let rest = self.bytes.rest()?;
            if rest.is_empty() {
                let TextPosition { line, column } = began;
                let message = match (len, depth) {
                    (0, _) => "the document ends where a value is expected".to_owned(),
                    (_, 0) if !string.is_inside() => break,
                    _ => {
                        format!("the document ends inside the value that began at {line}:{column}")
                    }
                };
                return Err(DocumentStop::Fault(self.bytes.position(), message));
            }
            let (taken, ended) = value_part(rest, len == 0, &mut depth, &mut string);
            let room = (OBJECT_MAX + 1).saturating_sub(self.object.len());
            self.object.extend_from_slice(&rest[..taken.min(room)]);
            len += taken as u64;
            self.bytes.skip(taken);
            if ended {
                break;
            }
        }
        match len {
            0 => self.unexpected("expected a value").map(|()| 0),
            len => Ok(len),
        }
    }

    fn unexpected<T>(&mut self, words: &str) -> Result<T, DocumentStop> {
        let at = self.bytes.position();
        let words = match self.bytes.token()? {
            None => format!("the document ends here: {words}"),
            Some(_) => words.to_owned(),
        };
        Err(DocumentStop::Fault(at, words))
    }
}

/// Whether a text inside a value is passed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StringState {
    Outside,
    Inside,
    /// The next byte is escaped.
    Escape,
}

impl StringState {
    fn is_inside(self) -> bool {
        self != StringState::Outside
    }
}

/// How many of these bytes belong to the value, and true if it ends behind them.
fn value_part(
    bytes: &[u8],
    first: bool,
    depth: &mut u32,
    string: &mut StringState,
) -> (usize, bool) {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (*string, byte) {
            (StringState::Escape, _) => {
                *string = StringState::Inside;
                at += 1;
            }
            (StringState::Inside, _) => match memchr::memchr2(b'"', b'\\', &bytes[at..]) {
                None => return (bytes.len(), false),
                Some(len) => {
                    let quote = bytes[at + len] == b'"';
                    *string = if quote { StringState::Outside } else { StringState::Escape };
                    at += len + 1;
                    if quote && *depth == 0 {
                        return (at, true);
                    }
                }
            },
            (StringState::Outside, b'"') => {
                if *depth == 0 && !(first && at == 0) {
                    return (at, true);
                }
                *string = StringState::Inside;
                at += 1;
            }
            (_, b'{' | b'[') => {
                if *depth == 0 && !(first && at == 0) {
                    return (at, true);
                }
                *depth += 1;
                at += 1;
            }
            (_, b'}' | b']') => {
                if *depth == 0 {
                    return (at, true);
                }
                *depth -= 1;
                at += 1;
                if *depth == 0 {
                    return (at, true);
                }
            }
            (_, b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') if *depth == 0 => return (at, true),
            _ => at += 1,
        }
    }
    (at, false)
}

/// Bytes with the line and column of the next one.
struct ByteReader<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    done: bool,
    position: TextPosition,
}

impl<R: Read> ByteReader<R> {
    fn new(input: R) -> ByteReader<R> {
        let position = TextPosition { line: 1, column: 1 };
        ByteReader { input, buffer: Vec::new(), at: 0, done: false, position }
    }

    fn position(&self) -> TextPosition {
        self.position
    }

    /// The bytes that were read and not taken; none at the end.
    fn rest(&mut self) -> io::Result<&[u8]> {
        while self.at == self.buffer.len() && !self.done {
            self.buffer.clear();
            self.at = 0;
            let read = (&mut self.input).take(READ as u64).read_to_end(&mut self.buffer)?;
            self.done = read == 0;
        }
        Ok(&self.buffer[self.at..])
    }

    /// The next byte that is no blank.
    fn token(&mut self) -> io::Result<Option<u8>> {
        loop {
            let rest = self.rest()?;
            let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            match rest.iter().position(|byte| !blank(byte)) {
                None if rest.is_empty() => return Ok(None),
                None => {
                    let all = rest.len();
                    self.skip(all);
                }
                Some(len) => {
                    let byte = rest[len];
                    self.skip(len);
                    return Ok(Some(byte));
                }
            }
        }
    }

    /// Takes bytes that were read.
    fn skip(&mut self, len: usize) {
        let taken = &self.buffer[self.at..self.at + len];
        self.position = match memchr::memrchr(b'\n', taken) {
            Some(last) => TextPosition {
                line: self.position.line + memchr::memchr_iter(b'\n', taken).count() as u32,
                column: (len - last) as u32,
            },
            None => TextPosition { column: self.position.column + len as u32, ..self.position },
        };
        self.at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::InputFormat;

    /// What is read, one byte at a time: each row, then the fault of the document.
    fn read(text: &str) -> Vec<String> {
        struct Slow<'b>(&'b [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let n = buffer.len().min(1);
                self.0.read(&mut buffer[..n])
            }
        }
        let reader = Box::new(Slow(text.as_bytes()));
        let mut input = InputSource::new("a.json", InputFormat::Json, reader);
        let mut rows = Vec::new();
        let fault = read_document(&mut input, 0, &mut |row| {
            rows.push(match row {
                Ok(row) => {
                    let (list, position) = row.element.expect("an element");
                    format!("{}:{} {list}[{position}] {}", row.place.line, row.column, row.text)
                }
                Err(fault) => format!("{} {}", fault.path, fault.message),
            });
            ControlFlow::Continue(())
        });
        let fault = fault.expect("it can be read");
        rows.extend(fault.map(|f| format!("{}:{} {}", f.place.line, f.column, f.message)));
        rows
    }

    #[test]
    fn every_object_is_known_by_its_line_and_column() {
        assert_eq!(read("[]"), Vec::<String>::new());
        assert_eq!(
            read("[{\"a\":\"]\\\"\"},\n  {\"b\":[1,{}]} ]\n"),
            ["1:2 [0] {\"a\":\"]\\\"\"}", "2:3 [1] {\"b\":[1,{}]}"]
        );
        assert_eq!(
            read("{ \"relationships\": [ 7 ],\n\"entities\":[\"x\"]}"),
            ["1:22 relationships[0] 7", "2:13 entities[0] \"x\""]
        );
    }

    #[test]
    fn a_fault_of_the_document_stands_where_it_is() {
        let fault = |text: &str| read(text).pop().expect(text);
        assert!(fault("{\n \"Buckets\": [\n {}]}").starts_with("2:2 unknown member `Buckets`"));
        assert!(fault("{\n \"Buckets\": [\n {}]}").contains("tombolo import"));
        assert!(fault("{\"_key\":\"a\"}").contains(".ndjson"));
        assert!(fault("{\"entities\":[]}\n{}").starts_with("2:1 a second document"));
        assert!(fault("[{}").starts_with("1:4 the document ends here: expected `,` or `]`"));
        assert!(fault("[{}\n,{\"a\":[").contains("ends inside the value that began at 2:2"));
        assert!(fault("[{} {}]").starts_with("1:5 expected `,` or `]`"));
        assert!(fault("[{},]").starts_with("1:5 expected a value"));
        assert!(fault("").starts_with("1:1 the document ends here: expected a list"));
        assert!(fault("7").starts_with("1:1 expected a list"));
        assert!(fault("{\"entities\":{}}").starts_with("1:13 `entities` is no list"));
    }

    #[test]
    fn an_object_that_is_too_large_is_a_fault_and_the_rest_is_read() {
        let long = format!("[{{\"a\":\"{}\"}},{{}}]", "x".repeat(OBJECT_MAX));
        let rows = read(&long);
        assert!(rows[0].starts_with("[0] object has 1048584 bytes"), "{}", rows[0]);
        assert!(rows[1].ends_with("[1] {}"));
    }
}
