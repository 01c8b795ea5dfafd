//! Reading: files and streams of objects, in pieces, on as many threads as there are cores.
//!
//! The reader cuts pieces of some megabytes at a newline. A worker checks and packs one while the
//! next is read. The pieces in flight bound the memory, not the file.

use super::batch::{BatchBuilder, BatchRules};
use super::parse::{InputDiagnostic, json_words};
use super::{InputNames, SyncError};
use crate::graph::{InputLocation, ObjectKind};
use crate::store::staging::ObjectBatch;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::io::Read;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

/// The text format of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFormat {
    /// One JSON object a line.
    Ndjson,
    /// A JSON list of objects, or `{"entities": [...], "relationships": [...]}`.
    Json,
    /// A header and rows; see [`super::csv_rows`].
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

/// Bytes of input that one batch is made from.
const PIECE: usize = 4 << 20;
/// Bytes that are read at once, so that their lines are counted while they are near the processor.
const READ: usize = 256 << 10;
/// Faults after which reading stops; the rest of a file of the wrong kind helps nobody.
const FAULTS_MAX: usize = 1_000;

/// Reads all inputs and hands over their batches in order; places count inputs from `first`.
///
/// # Errors
///
/// [`SyncError::Faults`] with every offending object, up to [`FAULTS_MAX`].
pub fn read_inputs(
    inputs: &mut [InputSource<'_>],
    first: u32,
    rules: &BatchRules,
    progress: &dyn Fn(u64),
    mut take: impl FnMut(ObjectBatch) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    // Earlier inputs only fill positions: no fault of this call is in them.
    let earlier = (0..first).map(|_| String::new());
    let names = InputNames(earlier.chain(inputs.iter().map(|input| input.name.clone())).collect());
    let mut faults = Vec::new();
    for (number, input) in (first..).zip(inputs.iter_mut()) {
        match input.format {
            InputFormat::Ndjson => {
                read_lines(input, number, rules, progress, &mut faults, &mut take)?;
            }
            InputFormat::Json => read_document(input, number, rules, &mut faults, &mut take)?,
            InputFormat::Csv => {
                super::csv_rows::read(input, number, rules, &mut faults, &mut take)?
            }
        }
        if faults.len() >= FAULTS_MAX {
            break;
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(SyncError::faults(&names, faults)) }
}

struct InputPiece {
    first_line: u32,
    /// A buffer that begins with the piece.
    bytes: Vec<u8>,
    len: usize,
}

/// The results of a piece, and its buffer, to be used again: new memory costs more than reading.
type PackedPiece = (ObjectBatch, Vec<InputDiagnostic>, Vec<u8>);

fn read_lines(
    input: &mut InputSource<'_>,
    number: u32,
    rules: &BatchRules,
    progress: &dyn Fn(u64),
    faults: &mut Vec<InputDiagnostic>,
    take: &mut impl FnMut(ObjectBatch) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let name = input.name.clone();
    std::thread::scope(|scope| {
        let (to_workers, pieces) =
            sync_channel::<(InputPiece, std::sync::mpsc::SyncSender<PackedPiece>)>(threads);
        let pieces = Arc::new(Mutex::new(pieces));
        for _ in 0..threads {
            let pieces = Arc::clone(&pieces);
            scope.spawn(move || work(&pieces, number, rules));
        }
        drop(pieces);
        // Results come back in the order of the pieces, whoever is done first.
        let mut waiting: std::collections::VecDeque<Receiver<PackedPiece>> = Default::default();
        let mut collect = |receiver: Receiver<PackedPiece>, used: &mut Vec<Vec<u8>>| {
            let (batch, found, buffer) = receiver.recv().map_err(|_| SyncError::worker_lost())?;
            used.push(buffer);
            faults.extend(found);
            // After the first fault reading only goes on to report more of them.
            if faults.is_empty() {
                take(batch)?;
            }
            Ok::<bool, SyncError>(faults.len() < FAULTS_MAX)
        };
        let mut reader =
            PieceReader { input, rest: Vec::new(), used: Vec::new(), line: 1, done: false };
        while let Some(piece) = reader.next(&name)? {
            progress(piece.len as u64);
            let (sender, receiver) = sync_channel(1);
            to_workers.send((piece, sender)).map_err(|_| SyncError::worker_lost())?;
            waiting.push_back(receiver);
            // So many pieces are in flight at most, which bounds the memory.
            if waiting.len() > threads
                && let Some(receiver) = waiting.pop_front()
                && !collect(receiver, &mut reader.used)?
            {
                return Ok(());
            }
        }
        drop(to_workers);
        for receiver in waiting {
            if !collect(receiver, &mut reader.used)? {
                break;
            }
        }
        Ok(())
    })
}

fn work(
    pieces: &Mutex<Receiver<(InputPiece, std::sync::mpsc::SyncSender<PackedPiece>)>>,
    number: u32,
    rules: &BatchRules,
) {
    loop {
        let next = match pieces.lock() {
            Ok(pieces) => pieces.recv(),
            Err(_) => return,
        };
        let Ok((piece, reply)) = next else { return };
        // The reader may have stopped at a fault; then nobody waits for this batch.
        let (batch, faults) = pack(&piece, number, rules);
        let _ = reply.send((batch, faults, piece.bytes));
    }
}

/// Cuts a stream into pieces that end with a line.
struct PieceReader<'i, 'a> {
    input: &'i mut InputSource<'a>,
    /// The bytes read after the last whole line.
    rest: Vec<u8>,
    /// Buffers of finished pieces.
    used: Vec<Vec<u8>>,
    line: u32,
    done: bool,
}

impl PieceReader<'_, '_> {
    fn next(&mut self, name: &str) -> Result<Option<InputPiece>, SyncError> {
        let mut bytes = self.used.pop().unwrap_or_default();
        let mut len = self.rest.len();
        // Buffers keep their length, so that each is cleared once and not for every piece.
        if bytes.len() < len + PIECE {
            bytes.resize(len + PIECE + PIECE / 16, 0);
        }
        bytes[..len].copy_from_slice(&self.rest);
        self.rest.clear();
        let (mut searched, mut lines) = (0, 0);
        let cut = loop {
            while !self.done && len < bytes.len() {
                let end = bytes.len().min(len + READ);
                match self.input.reader.read(&mut bytes[len..end]) {
                    Ok(0) => self.done = true,
                    Ok(n) => {
                        // The rest of the last piece has no end of a line, so only new bytes are
                        // counted.
                        let read = &bytes[len..len + n];
                        lines += memchr::memchr_iter(b'\n', read).count() as u32;
                        len += n;
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(SyncError::read(name, e)),
                }
            }
            if self.done {
                break len;
            }
            if let Some(at) = memchr::memrchr(b'\n', &bytes[searched..len]) {
                break searched + at + 1;
            }
            // A line longer than a piece: read on, it will be refused for its size.
            searched = len;
            bytes.resize(len + PIECE, 0);
        };
        self.rest.extend_from_slice(&bytes[cut..len]);
        if cut == 0 {
            return Ok(None);
        }
        let first_line = self.line;
        self.line += lines;
        Ok(Some(InputPiece { first_line, bytes, len: cut }))
    }
}

/// Checks and packs the lines of a piece.
fn pack(piece: &InputPiece, input: u32, rules: &BatchRules) -> (ObjectBatch, Vec<InputDiagnostic>) {
    let mut builder = BatchBuilder::new(rules);
    let mut faults = Vec::new();
    let text = &piece.bytes[..piece.len];
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', text).chain([text.len()]);
    for (line, end) in (piece.first_line..).zip(ends) {
        let place = InputLocation { input, line };
        let bytes = &text[start..end];
        start = end + 1;
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let spelling = rules.spelling(bytes);
        // Known lines are most of a repeated upload, so nothing else is asked before.
        if rules.known.as_ref().is_some_and(|known| known.mark(spelling)) {
            continue;
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                faults.extend(builder.push_digested(text, spelling, place, None).err());
            }
            Err(e) => faults.push(InputDiagnostic {
                place,
                column: e.valid_up_to() as u32 + 1,
                path: String::new(),
                key: None,
                message: "the line is not UTF-8".into(),
            }),
        }
        if faults.len() >= FAULTS_MAX {
            break;
        }
    }
    (builder.finish(), faults)
}

/// Reads a JSON document object by object, without holding it.
struct DocumentReader<'d, 'r, F> {
    rules: &'r BatchRules,
    input: u32,
    builder: Option<BatchBuilder<'r>>,
    bytes: usize,
    position: u32,
    faults: &'d mut Vec<InputDiagnostic>,
    take: F,
    stopped: Option<SyncError>,
}

fn read_document(
    input: &mut InputSource<'_>,
    number: u32,
    rules: &BatchRules,
    faults: &mut Vec<InputDiagnostic>,
    take: &mut impl FnMut(ObjectBatch) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    let reader = std::io::BufReader::with_capacity(1 << 20, &mut input.reader);
    let mut json = serde_json::Deserializer::from_reader(reader);
    let mut document = DocumentReader {
        rules,
        input: number,
        builder: None,
        bytes: 0,
        position: 0,
        faults,
        take,
        stopped: None,
    };
    let result = document.top(&mut json).and_then(|()| json.end());
    // An error of our own ends the JSON reader with another, which says nothing.
    if let Some(e) = document.stopped {
        return Err(e);
    }
    if let Err(e) = result {
        if e.is_io() {
            return Err(SyncError::read(&input.name, e.into()));
        }
        document.faults.push(InputDiagnostic {
            place: InputLocation { input: number, line: e.line() as u32 },
            column: e.column() as u32,
            path: String::new(),
            key: None,
            message: json_words(&e),
        });
        return Ok(());
    }
    document.flush()
}

impl<'r, F: FnMut(ObjectBatch) -> Result<(), SyncError>> DocumentReader<'_, 'r, F> {
    fn top<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(DocumentVisitor(self))
    }

    fn object(&mut self, raw: &RawValue, list: &str, expected: Option<ObjectKind>) {
        // Positions in a document are positions in its lists: JSON readers do not tell lines.
        let place = InputLocation { input: self.input, line: 0 };
        let rules = self.rules;
        let builder = self.builder.get_or_insert_with(|| BatchBuilder::new(rules));
        if let Err(mut fault) = builder.push_text(raw.get(), place, expected) {
            fault.path = format!("{list}[{}]{}", self.position, fault.path);
            self.faults.push(fault);
        }
        self.position += 1;
        self.bytes += raw.get().len();
        if self.bytes >= PIECE {
            self.stopped = self.flush().err();
        }
    }

    fn flush(&mut self) -> Result<(), SyncError> {
        self.bytes = 0;
        match self.builder.take() {
            Some(builder) if self.faults.is_empty() => (self.take)(builder.finish()),
            _ => Ok(()),
        }
    }
}

struct DocumentVisitor<'t, 'd, 'r, F>(&'t mut DocumentReader<'d, 'r, F>);

impl<'de, F: FnMut(ObjectBatch) -> Result<(), SyncError>> Visitor<'de>
    for DocumentVisitor<'_, '_, '_, F>
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects, or an object with `entities` and `relationships`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        ListVisitor { document: self.0, name: "", expected: None }.read(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            self.0.position = 0;
            let expected = match name.as_str() {
                "entities" => ObjectKind::Entity,
                "relationships" => ObjectKind::Relationship,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    return Err(serde::de::Error::custom(format!(
                        "unknown member `{name}`, expected `entities` or `relationships`"
                    )));
                }
            };
            map.next_value_seed(ListVisitor {
                document: self.0,
                name: &name,
                expected: Some(expected),
            })?;
        }
        Ok(())
    }
}

struct ListVisitor<'t, 'n, 'd, 'r, F> {
    document: &'t mut DocumentReader<'d, 'r, F>,
    name: &'n str,
    expected: Option<ObjectKind>,
}

impl<F: FnMut(ObjectBatch) -> Result<(), SyncError>> ListVisitor<'_, '_, '_, '_, F> {
    fn read<'de, A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element::<Box<RawValue>>()? {
            self.document.object(&raw, self.name, self.expected);
            if self.document.stopped.is_some() || self.document.faults.len() >= FAULTS_MAX {
                return Err(serde::de::Error::custom("reading stopped"));
            }
        }
        Ok(())
    }
}

impl<'de, F: FnMut(ObjectBatch) -> Result<(), SyncError>> DeserializeSeed<'de>
    for ListVisitor<'_, '_, '_, '_, F>
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(ObjectBatch) -> Result<(), SyncError>> Visitor<'de>
    for ListVisitor<'_, '_, '_, '_, F>
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.read(seq)
    }
}
