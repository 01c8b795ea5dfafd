//! Values of the table `history`: what stood at a place before a change.
//!
//! ```text
//!   heads      n varint | column of (number in the group * 4, plus 1 if the key stayed, plus 2 if the
//!              display text stayed) | a chunk of n heads, see heads.rs; a text that stayed is empty
//!   edges      a segment of a delta, see edges.rs: edges that came, and edges that went
//!   scopes     0 if there was no row, else 1 and the row
//!   pins       hash of the entity id u64 | 0 if there were none, else 1 and the record
//!   revisions  milliseconds i64 | next entity u32 | next relationship u32 | next job u32, all as they
//!              were before
//! ```

use super::SPAN;
use super::keys::group_of;
use crate::store::codec::{ByteCursor, put_varint};
use crate::store::column::{EncodedColumn, put_column};
use crate::store::heads::{self, CHUNK, HeadChunk, ObjectHead};

/// Heads in one row, at most: as many as a chunk may have.
pub const HEADS_MAX: usize = CHUNK as usize;

/// A head as it was before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedHead {
    /// Number of the object.
    pub number: u32,
    /// The head. A text that stayed is empty here.
    pub head: ObjectHead,
    /// True if the key was the same after the change.
    pub key_stayed: bool,
    /// True if the display text was the same after the change.
    pub display_stayed: bool,
}

impl RecordedHead {
    /// The record of a change from `before` to `after`; `None` if nothing changed.
    pub fn of(number: u32, before: ObjectHead, after: Option<&ObjectHead>) -> Option<RecordedHead> {
        if after == Some(&before) {
            return None;
        }
        let mut head = before;
        let key_stayed = after.is_some_and(|after| after.key == head.key);
        let display_stayed = after.is_some_and(|after| after.display == head.display);
        if key_stayed {
            head.key = Box::default();
        }
        if display_stayed {
            head.display = None;
        }
        Some(RecordedHead { number, head, key_stayed, display_stayed })
    }

    /// Takes the texts that stayed from the version after it.
    pub fn complete(&mut self, after: &RecordedHead) {
        if self.key_stayed && !after.key_stayed {
            self.head.key.clone_from(&after.head.key);
            self.key_stayed = false;
        }
        if self.display_stayed && !after.display_stayed {
            self.head.display.clone_from(&after.head.display);
            self.display_stayed = false;
        }
    }

    /// The head, with the texts that stayed until now.
    pub fn completed(mut self, now: Option<&ObjectHead>) -> Option<ObjectHead> {
        if self.key_stayed {
            self.head.key.clone_from(&now?.key);
        }
        if self.display_stayed {
            self.head.display.clone_from(&now?.display);
        }
        Some(self.head)
    }
}

/// The value of a row of heads, all of one group, at most [`HEADS_MAX`], by ascending number.
pub fn encode_heads(records: &[RecordedHead]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.len() * 32);
    put_varint(&mut out, records.len() as u64);
    let place = |r: &RecordedHead| {
        u64::from(r.number % SPAN) * 4 + u64::from(r.key_stayed) + 2 * u64::from(r.display_stayed)
    };
    let places: Vec<u64> = records.iter().map(place).collect();
    put_column(&mut out, &places);
    let edits: Vec<(usize, Option<&ObjectHead>)> =
        records.iter().map(|r| Some(&r.head)).enumerate().collect();
    out.extend(heads::rewrite(None, &edits).expect("BUG: nothing is stored that could be damaged"));
    out
}

/// A row of heads as it lies in the file.
pub struct HeadsRow<'a> {
    group: u32,
    len: usize,
    places: EncodedColumn<'a>,
    chunk: HeadChunk<'a>,
}

impl<'a> HeadsRow<'a> {
    /// Finds the columns of a row. `None` if it is damaged.
    pub fn parse(group: u32, payload: &'a [u8]) -> Option<HeadsRow<'a>> {
        let mut cursor = ByteCursor(payload);
        let len = usize::try_from(cursor.varint()?).ok().filter(|len| *len <= HEADS_MAX)?;
        let places = EncodedColumn::take(&mut cursor, len)?;
        let chunk = HeadChunk::parse(cursor.0)?;
        (chunk.len() == len).then_some(HeadsRow { group, len, places, chunk })
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The number of the object of a record.
    pub fn number(&self, at: usize) -> u32 {
        // A damaged place is no number of the group; it names another one, and `verify` tells.
        self.group.wrapping_mul(SPAN).wrapping_add((self.places.get(at) / 4) as u32)
    }

    /// The position of the record of an object. Numbers ascend.
    pub fn find(&self, number: u32) -> Option<usize> {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = (low + high) / 2;
            if self.number(middle) < number { low = middle + 1 } else { high = middle }
        }
        (low < self.len && self.number(low) == number).then_some(low)
    }

    /// A record. `None` if it is damaged.
    pub fn get(&self, at: usize) -> Option<RecordedHead> {
        let flags = self.places.get(at) % 4;
        Some(RecordedHead {
            number: self.number(at),
            head: self.chunk.get(at)?,
            key_stayed: flags & 1 == 1,
            display_stayed: flags & 2 == 2,
        })
    }

    /// All records. `None` if one is damaged, or if they are out of order.
    pub fn all(&self) -> Option<Vec<RecordedHead>> {
        let all: Option<Vec<RecordedHead>> = (0..self.len).map(|at| self.get(at)).collect();
        all.filter(|all| {
            all.is_sorted_by(|a, b| a.number < b.number)
                && all.iter().all(|record| group_of(record.number) == self.group)
        })
    }
}

/// A row of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisionRow {
    /// The time of the commit, in epoch milliseconds; never before that of the commit before it.
    pub time: i64,
    /// The next number of each kind before the commit.
    pub next_number: [u32; 2],
    /// The next sequence number of a job before the commit.
    pub next_job: u32,
}

impl RevisionRow {
    /// The value of the row.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.time.to_le_bytes().to_vec();
        for n in [self.next_number[0], self.next_number[1], self.next_job] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        out
    }

    /// Reads a row. `None` if it is damaged.
    pub fn decode(payload: &[u8]) -> Option<RevisionRow> {
        let mut c = ByteCursor(payload);
        let row = RevisionRow {
            time: c.u64()? as i64,
            next_number: [c.u32()?, c.u32()?],
            next_job: c.u32()?,
        };
        c.0.is_empty().then_some(row)
    }
}

/// Something that was there or not, as bytes: the value of a row of scopes.
pub fn encode_optional(contents: Option<&[u8]>) -> Vec<u8> {
    let mut out = vec![u8::from(contents.is_some())];
    out.extend_from_slice(contents.unwrap_or_default());
    out
}

/// Reads what was there or not. The outer `None` means that it is damaged.
pub fn decode_optional(payload: &[u8]) -> Option<Option<&[u8]>> {
    match payload.split_first()? {
        (0, []) => Some(None),
        (1, contents) => Some(Some(contents)),
        _ => None,
    }
}
