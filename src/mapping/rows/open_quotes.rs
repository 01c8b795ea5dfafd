//! A watch over the input of the CSV parser, which takes a quote that is never closed for a cell up to
//! the end of the file: all rows behind it would be missing without a word.
//!
//! The watch also drops the carriage return of a line end: the parser would count lines late by it.
//! Inside of quotes every byte stays.

use std::cell::Cell;
use std::io::Read;
use std::rc::Rc;

/// What is known of an input from the bytes that were read so far.
#[derive(Debug, Default)]
pub(super) struct InputFacts {
    /// The line on which the open quote stands; 0 if none is open.
    quote: Cell<u32>,
    bytes: Cell<u64>,
    last: Cell<u8>,
    ended: Cell<bool>,
}

impl InputFacts {
    /// The line on which an open quote stands, counted from 1.
    pub(super) fn open_quote(&self) -> Option<u32> {
        (self.quote.get() > 0).then(|| self.quote.get())
    }

    /// The number of bytes handed through.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// True if the input was read to its end.
    pub(super) fn ended(&self) -> bool {
        self.ended.get()
    }

    /// True if the last byte so far ends a line.
    pub(super) fn ends_with_line(&self) -> bool {
        self.last.get() == b'\n'
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CellState {
    Start,
    Plain,
    Quoted,
    /// Behind a quote inside of quotes: another makes one quote, anything else ends the quotes.
    Quote,
}

/// Hands bytes through and follows their quotes.
pub(super) struct QuoteWatch<R> {
    inner: R,
    delimiter: u8,
    line: u32,
    state: CellState,
    open: Rc<InputFacts>,
    /// A carriage return outside of quotes that was held back.
    held: bool,
    /// Bytes that are followed already and wait to be handed through.
    ready: std::collections::VecDeque<u8>,
}

impl<R: Read> QuoteWatch<R> {
    /// Watches an input whose first line has this number.
    pub(super) fn new(inner: R, delimiter: u8, line: u32) -> (QuoteWatch<R>, Rc<InputFacts>) {
        let open = Rc::new(InputFacts::default());
        let (state, held) = (CellState::Start, false);
        let watch = QuoteWatch {
            inner,
            delimiter,
            line,
            state,
            open: Rc::clone(&open),
            held,
            ready: Default::default(),
        };
        (watch, open)
    }

    /// Follows the bytes and drops carriage returns of line ends; returns how many bytes are left.
    fn follow(&mut self, bytes: &mut [u8]) -> usize {
        let (mut at, mut kept) = (0, 0);
        while at < bytes.len() {
            // Most bytes stand inside of cells, where only these matter.
            let next = match self.state {
                CellState::Quoted => memchr::memchr2(b'"', b'\n', &bytes[at..]),
                CellState::Plain => memchr::memchr3(self.delimiter, b'\n', b'\r', &bytes[at..]),
                CellState::Start | CellState::Quote => Some(0),
            };
            let next = next.unwrap_or(bytes.len() - at);
            if kept < at {
                bytes.copy_within(at..at + next, kept);
            }
            kept += next;
            at += next;
            let Some(&byte) = bytes.get(at) else { break };
            self.state = match (self.state, byte) {
                (CellState::Start, b'"') => {
                    self.open.quote.set(self.line);
                    CellState::Quoted
                }
                (CellState::Quoted, b'"') => {
                    self.open.quote.set(0);
                    CellState::Quote
                }
                (CellState::Quote, b'"') => {
                    self.open.quote.set(self.line);
                    CellState::Quoted
                }
                (CellState::Quoted, _) => CellState::Quoted,
                (_, b'\n' | b'\r') => CellState::Start,
                (_, byte) if byte == self.delimiter => CellState::Start,
                _ => CellState::Plain,
            };
            self.line += u32::from(byte == b'\n');
            at += 1;
            // What follows the return is not known at the end of a chunk; a lone one ends a line too.
            let dropped =
                byte == b'\r' && self.state != CellState::Quoted && bytes.get(at) == Some(&b'\n');
            if !dropped {
                bytes[kept] = byte;
                kept += 1;
            }
        }
        kept
    }
}

impl<R: Read> Read for QuoteWatch<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.len() < 2 {
            // A return and what follows it must meet, so tiny buffers are served from a larger one.
            if self.ready.is_empty() && !buffer.is_empty() {
                let mut chunk = [0; 64];
                let read = self.read(&mut chunk)?;
                self.ready.extend(&chunk[..read]);
            }
            return std::io::Read::read(&mut self.ready, buffer);
        }
        if !self.ready.is_empty() {
            return std::io::Read::read(&mut self.ready, buffer);
        }
        // A return that ended the last chunk comes first, so that it meets what follows it.
        let held = usize::from(std::mem::take(&mut self.held));
        if held > 0 {
            buffer[0] = b'\r';
        }
        let mut read = held + self.inner.read(&mut buffer[held..])?;
        if read == held {
            self.open.ended.set(true);
        } else if buffer[read - 1] == b'\r' && self.state != CellState::Quoted {
            self.held = true;
            read -= 1;
            if read == 0 {
                return self.read(buffer);
            }
        }
        let kept = self.follow(&mut buffer[..read]);
        self.open.bytes.set(self.open.bytes.get() + kept as u64);
        if let Some(last) = kept.checked_sub(1) {
            self.open.last.set(buffer[last]);
        }
        // Nothing left of a chunk is not the end of the input.
        match kept == 0 && read > 0 {
            true => self.read(buffer),
            false => Ok(kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Option<u32> {
        let (mut watch, facts) = QuoteWatch::new(text.as_bytes(), b',', 1);
        let mut all = Vec::new();
        watch.read_to_end(&mut all).unwrap();
        assert_eq!(all, text.as_bytes());
        facts.open_quote()
    }

    #[test]
    fn returns_of_line_ends_are_dropped_outside_of_quotes() {
        struct Bytes<'b>(&'b [u8]);
        impl Read for Bytes<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                // Two bytes at a time, so that pairs lie across the borders.
                let len = self.0.len().min(2).min(buffer.len());
                buffer[..len].copy_from_slice(&self.0[..len]);
                self.0 = &self.0[len..];
                Ok(len)
            }
        }
        for (text, expected) in [
            ("a,b\r\nc,d\r\n", "a,b\nc,d\n"),
            ("a,\"x\r\ny\"\r\nc\r\n", "a,\"x\r\ny\"\nc\n"),
            ("a\rb\r", "a\rb\r"),
            ("ab\r\n", "ab\n"),
        ] {
            let (mut watch, _) = QuoteWatch::new(Bytes(text.as_bytes()), b',', 1);
            let mut all = Vec::new();
            watch.read_to_end(&mut all).unwrap();
            assert_eq!(String::from_utf8(all).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn an_open_quote_is_found_with_its_line() {
        assert_eq!(open("a,b\n\"x\ny\",2\n"), None);
        assert_eq!(open("a,b\n1,\"x\ny,2\n"), Some(2));
        assert_eq!(open("a\n\"say \"\"hi\"\"\"\n"), None);
        // A quote inside of a cell without quotes is a character.
        assert_eq!(open("size\n5\" disk\n"), None);
    }
}
