//! Encodings: whatever an input is written in, what follows reads UTF-8 without a byte order mark.
//!
//! Spreadsheets put a mark before UTF-8, and PowerShell writes UTF-16. The first bytes tell which it
//! is: no text of ours begins with a NUL or has one at its second byte. UTF-8 passes through as it is.

use std::io::{self, ErrorKind, Read};

/// Bytes of UTF-16 that are turned into UTF-8 at once.
const PIECE: usize = 64 << 10;

/// A reader that gives UTF-8, whatever it reads.
pub struct Utf8Reader<R> {
    input: R,
    encoding: Encoding,
    /// UTF-8 that waits to be read, from `at` on.
    ready: Vec<u8>,
    at: usize,
}

enum Encoding {
    /// Nothing was read.
    Unknown,
    Utf8,
    Utf16 {
        big_endian: bool,
        /// Bytes that are no whole character yet.
        rest: Vec<u8>,
        line: u64,
    },
}

impl<R: Read> Utf8Reader<R> {
    /// Nothing is read yet.
    pub fn new(input: R) -> Utf8Reader<R> {
        Utf8Reader { input, encoding: Encoding::Unknown, ready: Vec::new(), at: 0 }
    }

    /// Reads the first bytes and learns the encoding from them.
    fn begin(&mut self) -> io::Result<()> {
        let mut head = Vec::new();
        (&mut self.input).take(4).read_to_end(&mut head)?;
        if head.starts_with(b"\xFF\xFE\0\0") || head.starts_with(b"\0\0\xFE\xFF") {
            return Err(wrong("it is UTF-32; write it as UTF-8"));
        }
        let utf16 =
            |big_endian, rest: &[u8]| Encoding::Utf16 { big_endian, rest: rest.to_vec(), line: 1 };
        self.encoding = match head[..] {
            [0xEF, 0xBB, 0xBF, ..] => {
                self.ready = head[3..].to_vec();
                Encoding::Utf8
            }
            [0xFF, 0xFE, ..] => utf16(false, &head[2..]),
            [0xFE, 0xFF, ..] => utf16(true, &head[2..]),
            [first, 0, ..] if first != 0 => utf16(false, &head),
            [0, second, ..] if second != 0 => utf16(true, &head),
            _ => {
                self.ready = head;
                Encoding::Utf8
            }
        };
        Ok(())
    }

    /// Turns the next piece of UTF-16 into UTF-8. False at the end.
    fn decode(&mut self) -> io::Result<bool> {
        let Encoding::Utf16 { big_endian, rest, line } = &mut self.encoding else {
            return Ok(false);
        };
        let read = (&mut self.input).take(PIECE as u64).read_to_end(rest)?;
        if read == 0 && rest.is_empty() {
            return Ok(false);
        }
        let unit = |pair: &[u8; 2]| match big_endian {
            true => u16::from_be_bytes(*pair),
            false => u16::from_le_bytes(*pair),
        };
        let (pairs, odd) = rest.as_chunks::<2>();
        let mut units: Vec<u16> = pairs.iter().map(unit).collect();
        let mut kept = odd.to_vec();
        // The second half of a pair of surrogates may be in the next piece.
        if read > 0 && units.last().is_some_and(|unit| (0xD800..0xDC00).contains(unit)) {
            units.pop();
            kept.splice(0..0, pairs[pairs.len() - 1]);
        }
        if read == 0 && !kept.is_empty() {
            return Err(wrong("it ends in the middle of a UTF-16 character"));
        }
        *rest = kept;
        self.ready.clear();
        self.at = 0;
        for character in char::decode_utf16(units) {
            let character =
                character.map_err(|e| wrong(&format!("line {line} is not UTF-16: {e}")))?;
            *line += u64::from(character == '\n');
            let mut bytes = [0; 4];
            self.ready.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
        }
        Ok(true)
    }
}

fn wrong(words: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, words)
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(self.encoding, Encoding::Unknown) {
            self.begin()?;
        }
        while self.at == self.ready.len() {
            if matches!(self.encoding, Encoding::Utf8) {
                return self.input.read(buffer);
            }
            if !self.decode()? {
                return Ok(0);
            }
        }
        let n = buffer.len().min(self.ready.len() - self.at);
        buffer[..n].copy_from_slice(&self.ready[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives one byte at a time, so that every boundary is met.
    struct Slow<'b>(&'b [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = buffer.len().min(1);
            self.0.read(&mut buffer[..n])
        }
    }

    fn read(bytes: &[u8]) -> String {
        let mut text = String::new();
        match Utf8Reader::new(Slow(bytes)).read_to_string(&mut text) {
            Ok(_) => text,
            Err(e) => format!("error: {e}"),
        }
    }

    fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        assert_eq!(read(b"\xEF\xBB\xBFab"), "ab");
        assert_eq!(read(b"\xEF\xBB\xBF"), "");
        assert_eq!(read("é".as_bytes()), "é");
        assert_eq!(read(b""), "");
        assert_eq!(read(b"{"), "{");
    }

    #[test]
    fn utf_16_is_read_in_both_orders_with_and_without_a_mark() {
        for big_endian in [false, true] {
            for text in ["a", "_key,_type\r\nü😀,t\n", "\u{FEFF}[{}]"] {
                let plain = text.trim_start_matches('\u{FEFF}');
                assert_eq!(read(&utf16(text, big_endian)), plain);
            }
        }
    }

    #[test]
    fn a_text_that_is_cut_or_wrong_is_refused() {
        assert!(read(b"\xFF\xFEa\0b").starts_with("error: it ends"));
        assert!(read(b"\xFF\xFEa\0\n\0\0\xDCb\0").starts_with("error: line 2 is not UTF-16"));
        assert!(read(b"\xFF\xFE\0\0a\0\0\0").starts_with("error: it is UTF-32"));
    }
}
