//! Heads: the fixed facts of each entity and relationship, by dense number.
//!
//! A chunk holds [`CHUNK`] consecutive numbers as integer columns and two columns of
//! text. Rows of numbers that were never given out, or were purged, are absent (`present` is 0).
//!
//! ```text
//!   rows u16 | columns: present scope type class from to created begin end version job block slot
//!            | key texts | display texts
//!   texts:   prefix length varint, prefix | column of end offsets | suffix bytes
//! ```
//!
//! A relationship whose key is `from|verb|to` stores no key: readers make it from the ends.

use super::codec::{ByteCursor, put_bytes};
use super::column::{EncodedColumn, put_column};

/// Numbers in one chunk, so that a chunk takes one or two pages of the engine.
pub const CHUNK: u32 = 512;

const COLUMNS: usize = 13;

/// The facts of one object. For an entity `from` and `to` are 0 and `class` is its class set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHead {
    /// Name number of the scope.
    pub scope: u32,
    /// Name number of `_type`.
    pub type_name: u32,
    /// Name number of the verb, or of the class set of an entity.
    pub class: u32,
    /// Number of the entity where a relationship starts.
    pub from: u32,
    /// Number of the entity where a relationship ends.
    pub to: u32,
    /// `_createdOn`, epoch milliseconds.
    pub created: i64,
    /// `_beginOn`, epoch milliseconds.
    pub begin: i64,
    /// `_endOn`, epoch milliseconds; 0 while live.
    pub end: i64,
    /// `_version`.
    pub version: u32,
    /// Sequence number of the job that last changed the object.
    pub job: u32,
    /// Block of bodies that holds the properties, or [`NO_BODY`].
    pub block: u32,
    /// Place inside that block.
    pub slot: u32,
    /// `_key`; empty for a relationship whose key is made from its ends.
    pub key: Box<str>,
    /// The property `displayName`, where it is a string.
    pub display: Option<Box<str>>,
}

/// The block number of an object without properties.
pub const NO_BODY: u32 = u32::MAX;

/// The number that a row has in a column; an absent row has zeros.
fn number(column: usize, head: Option<&ObjectHead>) -> u64 {
    let Some(h) = head else { return 0 };
    match column {
        0 => 1,
        1 => h.scope.into(),
        2 => h.type_name.into(),
        3 => h.class.into(),
        4 => h.from.into(),
        5 => h.to.into(),
        6 => h.created as u64,
        7 => h.begin as u64,
        8 => h.end as u64,
        9 => h.version.into(),
        10 => h.job.into(),
        11 => h.block.into(),
        _ => h.slot.into(),
    }
}

/// Rewrites a chunk with other heads in some rows, which ascend; a head of `None` makes a row
/// absent. Returns `None` if the stored chunk is damaged.
pub fn rewrite(
    stored: Option<HeadChunk<'_>>,
    edits: &[(usize, Option<&ObjectHead>)],
) -> Option<Vec<u8>> {
    let old = stored.as_ref().map_or(0, HeadChunk::len);
    let rows = edits.last().map_or(0, |(row, _)| row + 1).max(old);
    let mut out = Vec::with_capacity(rows * 24);
    out.extend_from_slice(&(rows as u16).to_le_bytes());
    let mut values = Vec::with_capacity(rows);
    for column in 0..COLUMNS {
        values.clear();
        if let Some(stored) = &stored {
            stored.columns[column].unpack(old, &mut values);
        }
        // Rows between the old end and an edit are absent: all zeros.
        values.resize(rows, 0);
        for (row, head) in edits {
            values[*row] = number(column, *head);
        }
        put_column(&mut out, &values);
    }
    let key = |head: &ObjectHead, out: &mut Vec<u8>| out.extend_from_slice(head.key.as_bytes());
    rewrite_texts(&mut out, stored.as_ref().map(|s| &s.keys), old, edits, rows, key)?;
    // A display text is stored behind one marker byte, so that an empty one differs from none.
    let display = |head: &ObjectHead, out: &mut Vec<u8>| {
        if let Some(display) = &head.display {
            out.push(b'=');
            out.extend_from_slice(display.as_bytes());
        }
    };
    rewrite_texts(&mut out, stored.as_ref().map(|s| &s.displays), old, edits, rows, display)?;
    Some(out)
}

fn rewrite_texts(
    out: &mut Vec<u8>,
    stored: Option<&TextColumn<'_>>,
    old: usize,
    edits: &[(usize, Option<&ObjectHead>)],
    rows: usize,
    put: impl Fn(&ObjectHead, &mut Vec<u8>),
) -> Option<()> {
    let mut bytes = Vec::new();
    let mut ends = Vec::with_capacity(rows);
    let mut edits = edits.iter().peekable();
    for row in 0..rows {
        let mut edited = None;
        // The last edit of a row wins, as in the columns.
        while let Some((_, head)) = edits.next_if(|(at, _)| *at == row) {
            edited = Some(*head);
        }
        match (edited, stored) {
            (Some(Some(head)), _) => put(head, &mut bytes),
            (None, Some(stored)) if row < old => stored.append(row, &mut bytes)?,
            _ => {}
        }
        ends.push(bytes.len());
    }
    let text = |row: usize| &bytes[if row == 0 { 0 } else { ends[row - 1] }..ends[row]];
    put_texts(out, (0..rows).map(text));
    Some(())
}

fn put_texts<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a [u8]> + Clone) {
    let prefix = common_prefix(texts.clone());
    put_bytes(out, prefix);
    let mut end = 0;
    let ends: Vec<u64> = texts
        .clone()
        .map(|text| {
            end += text.len().saturating_sub(prefix.len()) as u64;
            end
        })
        .collect();
    put_column(out, &ends);
    for text in texts.filter(|text| !text.is_empty()) {
        out.extend_from_slice(&text[prefix.len()..]);
    }
}

/// The bytes that all texts but empty ones begin with. At least one byte shorter than the shortest
/// text, so that only an empty text has an empty suffix.
fn common_prefix<'a>(texts: impl Iterator<Item = &'a [u8]>) -> &'a [u8] {
    let mut texts = texts.filter(|t| !t.is_empty());
    let Some(first) = texts.next() else { return &[] };
    let mut len = first.len() - 1;
    for text in texts {
        let same = first.iter().zip(text).take_while(|(a, b)| a == b).count();
        len = len.min(same).min(text.len() - 1);
    }
    &first[..len]
}

/// A column of texts as it lies in the file.
#[derive(Clone, Copy)]
struct TextColumn<'a> {
    prefix: &'a [u8],
    ends: EncodedColumn<'a>,
    suffixes: &'a [u8],
}

impl<'a> TextColumn<'a> {
    fn take(cursor: &mut ByteCursor<'a>, rows: usize) -> Option<TextColumn<'a>> {
        let prefix = cursor.bytes()?;
        let ends = EncodedColumn::take(cursor, rows)?;
        // End offsets ascend, so the last one is the length of all suffixes.
        let len = if rows == 0 { 0 } else { ends.get(rows - 1) };
        let suffixes = cursor.take(usize::try_from(len).ok()?)?;
        Some(TextColumn { prefix, ends, suffixes })
    }

    fn get(&self, row: usize) -> Option<String> {
        let mut text = Vec::new();
        self.append(row, &mut text)?;
        String::from_utf8(text).ok()
    }

    /// Appends the text of a row.
    fn append(&self, row: usize, out: &mut Vec<u8>) -> Option<()> {
        let start = if row == 0 { 0 } else { self.ends.get(row - 1) as usize };
        let suffix = self.suffixes.get(start..self.ends.get(row) as usize)?;
        if !suffix.is_empty() {
            out.extend_from_slice(self.prefix);
            out.extend_from_slice(suffix);
        }
        Some(())
    }
}

/// One chunk as it lies in the file; any row can be read by itself.
#[derive(Clone, Copy)]
pub struct HeadChunk<'a> {
    rows: usize,
    columns: [EncodedColumn<'a>; COLUMNS],
    keys: TextColumn<'a>,
    displays: TextColumn<'a>,
}

impl<'a> HeadChunk<'a> {
    /// Finds the columns of a chunk. `None` if it is damaged.
    pub fn parse(payload: &'a [u8]) -> Option<HeadChunk<'a>> {
        let mut cursor = ByteCursor(payload);
        let rows = usize::from(u16::from_le_bytes(cursor.array()?));
        if rows > CHUNK as usize {
            return None;
        }
        let mut columns = [EncodedColumn::Constant(0); COLUMNS];
        for column in &mut columns {
            *column = EncodedColumn::take(&mut cursor, rows)?;
        }
        let keys = TextColumn::take(&mut cursor, rows)?;
        let displays = TextColumn::take(&mut cursor, rows)?;
        cursor.0.is_empty().then_some(HeadChunk { rows, columns, keys, displays })
    }

    /// Scope, type and class, if all rows are stored with the same.
    pub fn shared_names(&self) -> Option<[u32; 3]> {
        let [_, scope, type_name, class, ..] = self.columns;
        match [scope, type_name, class] {
            [
                EncodedColumn::Constant(scope),
                EncodedColumn::Constant(type_name),
                EncodedColumn::Constant(class),
            ] => Some([scope as u32, type_name as u32, class as u32]),
            _ => None,
        }
    }

    /// Number of rows, absent ones included.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// True if the row holds an object.
    pub fn present(&self, row: usize) -> bool {
        row < self.rows && self.columns[0].get(row) == 1
    }

    /// True if the row holds an object that is not soft-deleted.
    pub fn live(&self, row: usize) -> bool {
        self.present(row) && self.columns[8].get(row) == 0
    }

    /// Name number of the scope of a present row.
    pub fn scope(&self, row: usize) -> u32 {
        self.columns[1].get32(row)
    }

    /// Name number of the type of a present row.
    pub fn type_name(&self, row: usize) -> u32 {
        self.columns[2].get32(row)
    }

    /// Name number of the class (set) of a present row.
    pub fn class(&self, row: usize) -> u32 {
        self.columns[3].get32(row)
    }

    /// The ends of a present relationship.
    pub fn ends(&self, row: usize) -> (u32, u32) {
        (self.columns[4].get32(row), self.columns[5].get32(row))
    }

    /// Block and slot of the properties of a present row; the block may be [`NO_BODY`].
    pub fn body(&self, row: usize) -> (u32, u32) {
        (self.columns[11].get32(row), self.columns[12].get32(row))
    }

    /// Sequence number of the job that last changed a present row.
    pub fn job(&self, row: usize) -> u32 {
        self.columns[10].get32(row)
    }

    /// `_endOn` of a present row; 0 while live.
    pub fn end(&self, row: usize) -> i64 {
        self.columns[8].get(row) as i64
    }

    /// The key of a present row. `None` if its text is damaged.
    pub fn key(&self, row: usize) -> Option<String> {
        self.keys.get(row)
    }

    /// The property `displayName` of a present row, where it is a string. `None` if its text is
    /// damaged.
    pub fn display(&self, row: usize) -> Option<Option<String>> {
        let mut display = self.displays.get(row)?;
        let some = display.starts_with('=');
        Some(some.then(|| display.split_off(1)))
    }

    /// The facts of every row: scope, type, class, both ends, block and slot, and true if the row
    /// is live; `None` if it is absent. Unpacks column by column, which is quicker than
    /// [`HeadChunk::scope`] and the others row by row.
    pub fn facts(&self) -> impl Iterator<Item = Option<([u32; 7], bool)>> {
        let [present, end] = [0, 8].map(|column| self.unpacked(column));
        let facts = [1, 2, 3, 4, 5, 11, 12].map(|column| self.unpacked(column));
        (0..self.rows).map(move |row| {
            let row_facts = || (facts.each_ref().map(|f| f[row] as u32), end[row] == 0);
            (present[row] == 1).then(row_facts)
        })
    }

    /// 1 for every row that holds an object, else 0.
    pub fn all_present(&self) -> Vec<u64> {
        self.unpacked(0)
    }

    /// [`HeadChunk::scope`] of every row.
    pub fn all_scopes(&self) -> Vec<u64> {
        self.unpacked(1)
    }

    /// The block of [`HeadChunk::body`] of every row.
    pub fn all_blocks(&self) -> Vec<u64> {
        self.unpacked(11)
    }

    fn unpacked(&self, column: usize) -> Vec<u64> {
        let mut values = Vec::with_capacity(self.rows);
        self.columns[column].unpack(self.rows, &mut values);
        values
    }

    /// Appends the key of a present row. `None` if it is damaged.
    pub fn append_key(&self, row: usize, out: &mut Vec<u8>) -> Option<()> {
        self.keys.append(row, out)
    }

    /// All of a row. `None` if it is absent or its text is damaged.
    pub fn get(&self, row: usize) -> Option<ObjectHead> {
        if !self.present(row) {
            return None;
        }
        let c = |i: usize| self.columns[i].get(row);
        let display = self.displays.get(row)?;
        Some(ObjectHead {
            scope: c(1) as u32,
            type_name: c(2) as u32,
            class: c(3) as u32,
            from: c(4) as u32,
            to: c(5) as u32,
            created: c(6) as i64,
            begin: c(7) as i64,
            end: c(8) as i64,
            version: c(9) as u32,
            job: c(10) as u32,
            block: c(11) as u32,
            slot: c(12) as u32,
            key: self.keys.get(row)?.into(),
            display: display.strip_prefix('=').map(Into::into),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heads() -> impl Strategy<Value = Option<ObjectHead>> {
        let texts = ("[a-z]{1,3}:[a-zäö]{0,9}", proptest::option::of("[a-z]{0,9}"));
        let numbers = (any::<u32>(), 0..3u32, any::<i64>(), any::<u32>());
        proptest::option::of((texts, numbers).prop_map(|((key, display), (a, b, c, d))| {
            ObjectHead {
                scope: b,
                type_name: a,
                from: d,
                begin: c,
                version: b,
                key: key.into(),
                display: display.map(Into::into),
                ..ObjectHead::default()
            }
        }))
    }

    fn encode(rows: &[Option<ObjectHead>]) -> Vec<u8> {
        let edits: Vec<_> = rows.iter().map(Option::as_ref).enumerate().collect();
        rewrite(None, &edits).expect("nothing is stored")
    }

    fn decode(bytes: &[u8]) -> Option<Vec<Option<ObjectHead>>> {
        let chunk = HeadChunk::parse(bytes)?;
        let row = |row| if chunk.present(row) { chunk.get(row).map(Some) } else { Some(None) };
        (0..chunk.len()).map(row).collect()
    }

    proptest! {
        #[test]
        fn heads_come_back_as_they_were(rows in prop::collection::vec(heads(), 0..50)) {
            let bytes = encode(&rows);
            prop_assert_eq!(decode(&bytes).expect("whole"), rows);
        }

        #[test]
        fn a_chunk_takes_other_heads_in_some_rows(
            mut rows in prop::collection::vec(heads(), 0..50),
            edits in prop::collection::btree_map(0..60usize, heads(), 0..20),
        ) {
            let bytes = encode(&rows);
            let stored = HeadChunk::parse(&bytes).expect("whole");
            let list: Vec<_> = edits.iter().map(|(row, head)| (*row, head.as_ref())).collect();
            let bytes = rewrite(Some(stored), &list).expect("whole");
            for (row, head) in edits {
                rows.resize(rows.len().max(row + 1), None);
                rows[row] = head;
            }
            prop_assert_eq!(decode(&bytes).expect("whole"), rows);
        }

        #[test]
        fn rubbish_is_no_chunk_and_no_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
