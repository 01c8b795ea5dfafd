//! Lines: a stream, cut into pieces of some megabytes at the ends of lines.

use super::InputSource;
use crate::sync::SyncError;

/// Bytes of input that one batch is made from.
pub const PIECE: usize = 4 << 20;

/// Bytes that are read at once, so that their lines are counted while they are near the processor.
const READ: usize = 256 << 10;

/// Whole lines of an input.
pub struct InputPiece {
    first_line: u32,
    /// A buffer that begins with the piece.
    bytes: Vec<u8>,
    len: usize,
}

impl InputPiece {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Its lines without their ends, each with its number in the input.
    pub fn lines(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let text = &self.bytes[..self.len];
        let mut start = 0;
        let ends = memchr::memchr_iter(b'\n', text).chain([text.len()]);
        (self.first_line..).zip(ends.map(move |end| {
            let line = &text[start..end];
            start = end + 1;
            line.strip_suffix(b"\r").unwrap_or(line)
        }))
    }

    /// Its buffer, to be used again: new memory costs more than reading.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

/// Cuts a stream into pieces that end with a line.
pub struct PieceReader<'i, 'a> {
    input: &'i mut InputSource<'a>,
    /// The bytes read after the last whole line.
    rest: Vec<u8>,
    /// Buffers of finished pieces.
    used: Vec<Vec<u8>>,
    line: u32,
    done: bool,
}

impl<'i, 'a> PieceReader<'i, 'a> {
    /// Nothing is read yet.
    pub fn new(input: &'i mut InputSource<'a>) -> PieceReader<'i, 'a> {
        PieceReader { input, rest: Vec::new(), used: Vec::new(), line: 1, done: false }
    }

    /// Takes a buffer back.
    pub fn give_back(&mut self, buffer: Vec<u8>) {
        self.used.push(buffer);
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`SyncError::Read`] if the input cannot be read.
    pub fn next(&mut self) -> Result<Option<InputPiece>, SyncError> {
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
                    Err(e) => return Err(SyncError::read(&self.input.name, e)),
                }
            }
            if self.done {
                break len;
            }
            if let Some(at) = memchr::memrchr(b'\n', &bytes[searched..len]) {
                break searched + at + 1;
            }
            // A line longer than a piece will be refused for its size, so the beginning is enough.
            searched = len;
            len = self.pass_over_line(&mut bytes, len)?;
            lines += memchr::memchr_iter(b'\n', &bytes[searched..len]).count() as u32;
        };
        self.rest.extend_from_slice(&bytes[cut..len]);
        if cut == 0 {
            return Ok(None);
        }
        let first_line = self.line;
        self.line += lines;
        Ok(Some(InputPiece { first_line, bytes, len: cut }))
    }

    /// Reads up to the end of the line that fills `bytes` up to `len`, and keeps nothing of it. Its
    /// end and what was read behind it are put at `len`. Returns where that ends.
    fn pass_over_line(&mut self, bytes: &mut Vec<u8>, len: usize) -> Result<usize, SyncError> {
        bytes.resize(len + READ, 0);
        loop {
            match self.input.reader.read(&mut bytes[len..]) {
                Ok(0) => {
                    self.done = true;
                    return Ok(len);
                }
                Ok(n) => {
                    if let Some(at) = memchr::memchr(b'\n', &bytes[len..len + n]) {
                        bytes.copy_within(len + at..len + n, len);
                        return Ok(len + n - at);
                    }
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(SyncError::read(&self.input.name, e)),
            }
        }
    }
}
