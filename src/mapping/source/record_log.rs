//! Logs of records: what a run makes, in the order in which it was made. The end of a log is in memory,
//! and what is before it in a file that vanishes with the process. A small run never touches the disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Records, one after the other.
#[derive(Debug, Default)]
pub(super) struct RecordLog {
    /// The end of the log.
    tail: Vec<u8>,
    /// Where the end begins.
    start: u64,
    file: Mutex<Option<File>>,
    /// Where each run of records that was appended begins.
    runs: Vec<u64>,
}

/// Bytes that stay in memory.
const TAIL_MAX: usize = 8 << 20;
/// Bytes of runs that are read together.
const READ: u64 = 256 << 10;

impl RecordLog {
    /// The number of bytes.
    pub(super) fn len(&self) -> u64 {
        self.start + self.tail.len() as u64
    }

    /// Appends whole records, and returns where they begin.
    ///
    /// # Errors
    ///
    /// Those of the temporary file.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<u64> {
        let at = self.len();
        if records.is_empty() {
            return Ok(at);
        }
        self.runs.push(at);
        self.tail.extend_from_slice(records);
        if self.tail.len() > TAIL_MAX {
            let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
            let file = match file {
                Some(file) => file,
                None => file.insert(tempfile::tempfile()?),
            };
            file.seek(SeekFrom::Start(self.start))?;
            file.write_all(&self.tail)?;
            self.start += self.tail.len() as u64;
            self.tail.clear();
        }
        Ok(at)
    }

    /// Reads bytes, wherever they are.
    ///
    /// # Errors
    ///
    /// Those of the temporary file.
    pub(super) fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let filed = self.start.saturating_sub(range.start).min(bytes.len() as u64) as usize;
        if filed > 0 {
            // Each use of the file seeks first, so a panic elsewhere leaves it as it was.
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let file = file.as_mut().ok_or(io::ErrorKind::UnexpectedEof)?;
            file.seek(SeekFrom::Start(range.start))?;
            file.read_exact(&mut bytes[..filed])?;
        }
        if filed < bytes.len() {
            let at = (range.start + filed as u64 - self.start) as usize;
            let found = self.tail.get(at..at + bytes.len() - filed);
            bytes[filed..].copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        }
        Ok(bytes)
    }

    /// The log from a place on, in pieces of whole records.
    pub(super) fn pieces_from(&self, start: u64) -> Vec<Range<u64>> {
        let mut pieces: Vec<Range<u64>> = Vec::new();
        let first = self.runs.partition_point(|run| *run < start);
        for (at, run) in self.runs.iter().enumerate().skip(first) {
            let end = self.runs.get(at + 1).copied().unwrap_or(self.len());
            match pieces.last_mut() {
                Some(piece) if piece.end - piece.start < READ => piece.end = end,
                _ => pieces.push(*run..end),
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_from_memory_and_from_the_file() {
        let mut log = RecordLog::default();
        let run = |at: u8| vec![at; 1 << 20];
        for at in 0..40 {
            assert_eq!(log.append(&run(at)).unwrap(), u64::from(at) << 20);
        }
        assert_eq!(log.append(&[]).unwrap(), log.len());
        assert!(log.start > 0 && !log.tail.is_empty());
        for at in 0..40 {
            let start = u64::from(at) << 20;
            assert_eq!(log.read(start..start + (1 << 20)).unwrap(), run(at));
        }
        let across = log.start - 3..log.start + 3;
        let at = (log.start >> 20) as u8;
        assert_eq!(log.read(across).unwrap(), [at - 1, at - 1, at - 1, at, at, at]);
        let pieces = log.pieces_from(1 << 20);
        assert_eq!((pieces.len(), pieces[0].start, pieces[38].end), (39, 1 << 20, log.len()));
        assert!(log.read(log.len() - 1..log.len() + 1).is_err());
    }
}
