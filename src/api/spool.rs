//! Answers on their way out: written once, kept in memory while they are small and else in a file
//! that nobody else sees, and sent from there piece by piece.
//!
//! So an answer costs a few kilobytes of memory however long it is, its status is known before its
//! first byte is sent, and no thread waits for a client that reads slowly. The files lie beside the
//! database, have no names, and vanish with the process.

use super::api_error::ApiError;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Bytes, Frame, SizeHint};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tombolo::limits::MemoryPool;

/// Bytes that are written or sent at a time; an answer of no more stays in memory.
const PIECE: usize = 64 << 10;

/// The room that answers have on disk.
pub struct SpoolRoom {
    folder: PathBuf,
    /// Bytes of one answer.
    each: u64,
    /// Bytes of all answers that are being sent or kept.
    all: MemoryPool,
}

impl SpoolRoom {
    /// Room in `folder`, for answers of `each` bytes and for some of them side by side.
    pub fn new(folder: PathBuf, each: u64) -> SpoolRoom {
        SpoolRoom { folder, each, all: MemoryPool::new(each.saturating_mul(4)) }
    }

    /// True if so much room is taken that answers that wait for a next page should go.
    pub fn is_crowded(&self) -> bool {
        self.all.taken() > self.all.size() / 2
    }
}

/// The reason that an answer is not written to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SpoolError {
    TooLarge,
    NoRoom,
}

/// An answer that is being written.
pub struct SpoolWriter {
    room: Arc<SpoolRoom>,
    /// Bytes that are not in the file yet.
    text: Vec<u8>,
    file: Option<File>,
    written: u64,
    taken: u64,
    refusal: Option<SpoolError>,
}

impl SpoolWriter {
    /// An empty answer.
    pub fn new(room: &Arc<SpoolRoom>) -> SpoolWriter {
        let room = Arc::clone(room);
        SpoolWriter { room, text: Vec::new(), file: None, written: 0, taken: 0, refusal: None }
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.written + self.text.len() as u64
    }

    /// The limit that stopped the writing, if one did.
    pub fn refused(&self) -> Option<ApiError> {
        let most = self.room.each >> 20;
        self.refusal.map(|refusal| match refusal {
            SpoolError::TooLarge => {
                let message = format!("the answer has more than {most} MiB");
                ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "ANSWER_TOO_LARGE", message).hint(
                    "add LIMIT and SKIP, or ask for less; `tombolo serve --max-answer` raises it",
                )
            }
            SpoolError::NoRoom => {
                let message = "the answers under way take all the room that they may";
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_ANSWERS", message)
                    .hint("read those that were asked for, then ask again")
            }
        })
    }

    /// Moves the bytes in memory to the file.
    fn spill(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.room.folder)?),
        };
        let more = self.text.len() as u64;
        // Room is taken before the bytes are written, and given back when the answer is dropped.
        if !self.room.all.take(more) {
            self.refusal = Some(SpoolError::NoRoom);
            return Err(io::Error::other("no room for answers"));
        }
        self.taken += more;
        file.write_all(&self.text)?;
        self.written += more;
        self.text.clear();
        Ok(())
    }

    /// The whole answer.
    ///
    /// # Errors
    ///
    /// Any error of writing; [`SpoolWriter::refused`] tells a limit.
    pub fn finish(mut self) -> Result<Arc<SpooledAnswer>, ApiError> {
        // An answer that never spilled stays in memory.
        if self.file.is_some() && !self.text.is_empty() {
            let spilt = self.spill();
            spilt.map_err(|e| self.refused().unwrap_or_else(|| unwritten(&e)))?;
        }
        let (text, file) = (std::mem::take(&mut self.text), self.file.take());
        // The room now belongs to the finished answer, so dropping the spool gives none back.
        let taken = std::mem::take(&mut self.taken);
        Ok(Arc::new(SpooledAnswer { room: Arc::clone(&self.room), text, file, taken }))
    }
}

impl Write for SpoolWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.len() + bytes.len() as u64 > self.room.each {
            self.refusal = Some(SpoolError::TooLarge);
            return Err(io::Error::other("the answer is too large"));
        }
        if self.text.len() + bytes.len() > PIECE && !self.text.is_empty() {
            self.spill()?;
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        self.room.all.give_back(self.taken);
    }
}

/// The error of an answer that the disk does not take.
pub fn unwritten(e: &io::Error) -> ApiError {
    match e.kind() {
        io::ErrorKind::StorageFull => {
            let message = "the disk is too full for this answer";
            ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "DISK_FULL", message)
        }
        _ => {
            tracing::error!(error = %e, "an answer cannot be written");
            let message = "the answer cannot be written now";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "STORAGE_UNAVAILABLE", message)
        }
    }
}

/// An answer that was written.
pub struct SpooledAnswer {
    room: Arc<SpoolRoom>,
    text: Vec<u8>,
    file: Option<File>,
    taken: u64,
}

impl SpooledAnswer {
    /// Its bytes.
    pub fn len(&self) -> u64 {
        if self.file.is_some() { self.taken } else { self.text.len() as u64 }
    }

    /// Bytes that it takes in memory.
    pub fn in_memory(&self) -> usize {
        self.text.capacity() + 512
    }

    fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let len = (range.end - range.start) as usize;
        match &self.file {
            None => {
                let start = range.start as usize;
                Ok(Bytes::copy_from_slice(&self.text[start..start + len]))
            }
            Some(file) => {
                let mut bytes = vec![0; len];
                file.read_exact_at(&mut bytes, range.start)?;
                Ok(bytes.into())
            }
        }
    }
}

impl Drop for SpooledAnswer {
    fn drop(&mut self) {
        self.room.all.give_back(self.taken);
    }
}

/// A part of a body.
pub enum BodySegment {
    /// Text of our own.
    Text(Bytes),
    /// A part of an answer.
    Range(Arc<SpooledAnswer>, Range<u64>),
}

impl BodySegment {
    /// Text of our own.
    pub fn text(text: impl Into<Bytes>) -> BodySegment {
        BodySegment::Text(text.into())
    }

    /// A whole answer.
    pub fn whole(spooled: Arc<SpooledAnswer>) -> BodySegment {
        let len = spooled.len();
        BodySegment::Range(spooled, 0..len)
    }

    fn len(&self) -> u64 {
        match self {
            BodySegment::Text(text) => text.len() as u64,
            BodySegment::Range(_, range) => range.end - range.start,
        }
    }
}

/// A body that is read from its pieces as it is sent.
struct SegmentedBody {
    queue: VecDeque<BodySegment>,
    left: u64,
}

impl hyper::body::Body for SegmentedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            let Some(first) = self.queue.front_mut() else { return Poll::Ready(None) };
            if first.len() == 0 {
                self.queue.pop_front();
                continue;
            }
            let read = match first {
                BodySegment::Text(text) => Ok(std::mem::take(text)),
                BodySegment::Range(spooled, range) => {
                    let end = range.end.min(range.start + PIECE as u64);
                    let now = range.start..end;
                    range.start = end;
                    // It was written a moment ago, so it is in the memory of the system.
                    tokio::task::block_in_place(|| spooled.read(now))
                }
            };
            if let Ok(bytes) = &read {
                self.left -= bytes.len() as u64;
            }
            return Poll::Ready(Some(read.map(Frame::data)));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A JSON response of several pieces.
pub fn response(pieces: Vec<BodySegment>) -> Response {
    let left = pieces.iter().map(BodySegment::len).sum();
    let mut response = Body::new(SegmentedBody { queue: pieces.into(), left }).into_response();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(each: u64) -> Arc<SpoolRoom> {
        Arc::new(SpoolRoom::new(std::env::temp_dir(), each))
    }

    #[test]
    fn what_is_written_is_read_whatever_its_length() {
        let room = room(1 << 20);
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 7] {
            let text: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let mut spool = SpoolWriter::new(&room);
            for part in text.chunks(1_000) {
                spool.write_all(part).unwrap();
            }
            assert_eq!(spool.len(), len as u64);
            let whole = spool.finish().ok().unwrap();
            assert_eq!(whole.len(), len as u64);
            assert_eq!(whole.file.is_some(), len > PIECE, "{len}");
            for range in [0..len, len / 3..len / 2] {
                let read = whole.read(range.start as u64..range.end as u64).unwrap();
                assert_eq!(read, text[range]);
            }
            assert!(room.all.taken() == 0 || len > PIECE);
        }
        assert_eq!(room.all.taken(), 0, "room is given back with the answer");
    }

    #[test]
    fn what_is_too_large_is_refused_with_its_limit() {
        let room = room(1 << 20);
        let mut spool = SpoolWriter::new(&room);
        let long = vec![b'x'; 100 << 10];
        let end = (0..20).find_map(|_| spool.write_all(&long).err());
        assert!(end.is_some());
        assert!(spool.refused().is_some_and(|fault| fault.message().contains("1 MiB")));
        drop(spool);
        assert_eq!(room.all.taken(), 0);
    }
}
