//! Names: scopes, types, classes, verbs and properties, each stored once and known by a number.
//!
//! A graph has few *words*: names of scopes, types, class sets and verbs, which every question needs. They
//! lie together, in the order of their texts, and are read at once. Names of properties may be many,
//! made from what a source calls its tags: they are read where they are asked for, by number or by
//! text, so that no question takes longer because of those that it does not ask about.
//!
//! ```text
//!   names         chunk u32   up to 256 * text; number n is in chunk n / 256; an empty text was dropped
//!   name_numbers  text        number varint
//!   words         chunk u32   up to 1,024 * (number varint, text), ascending by text in all chunks
//! ```
//!
//! Numbers are given out once. Those that nothing uses any more are dropped by `gc`, and chunks without
//! any name go. Number 0 is the empty text, so it never names anything.

use super::StoreError;
use super::codec::{Cursor, proven, put_bytes, put_varint};
use super::snapshot::Table;
use super::tables;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Numbers in one chunk of names.
pub const NAMES_CHUNK: u32 = 256;

/// Words in one row.
const WORDS_CHUNK: usize = 1024;

/// How many names a database holds: a hundred thousand.
///
/// Sum: an honest inventory has some hundred names of properties, and ten thousand where every tag is
/// one. The limit is there for uploads that put values into names.
pub const NAMES_MAX: u32 = 100_000;

/// How many of them one job may add.
pub const NEW_NAMES_MAX: u32 = 50_000;

/// How many words a database holds: they are read by each question, which takes a millisecond then.
pub const WORDS_MAX: usize = 50_000;

/// How many types, and how many class sets or verbs, the live objects of one kind in one scope have.
pub const SCOPE_WORDS_MAX: usize = 10_000;

/// The names that every question needs.
#[derive(Clone, Default)]
pub struct Words {
    texts: String,
    /// Where each begins and ends, and its number, in the order of their texts.
    all: Vec<(u32, u32, u32)>,
    /// Places in `all` by number.
    places: FxHashMap<u32, u32>,
}

impl Words {
    /// Words by their texts, ascending.
    pub fn new<'w>(words: impl Iterator<Item = (&'w str, u32)>) -> Words {
        let mut all = Words::default();
        words.for_each(|(text, number)| all.push(text, number));
        all
    }

    fn push(&mut self, text: &str, number: u32) {
        let start = self.texts.len() as u32;
        self.texts.push_str(text);
        self.places.insert(number, self.all.len() as u32);
        self.all.push((start, self.texts.len() as u32, number));
    }

    /// Adds what a row holds. `None` if it is damaged.
    pub fn extend(&mut self, payload: &[u8]) -> Option<()> {
        let mut c = Cursor(payload);
        while !c.0.is_empty() {
            let (number, text) = (c.varint32()?, c.text()?);
            let last = self.all.last().map_or("", |last| self.text_at(last));
            if text <= last || self.places.contains_key(&number) {
                return None;
            }
            self.push(text, number);
        }
        Some(())
    }

    /// The payloads of the rows.
    pub fn rows(&self) -> Vec<Vec<u8>> {
        let row = |words: &[(u32, u32, u32)]| {
            let mut out = Vec::new();
            for word in words {
                put_varint(&mut out, word.2.into());
                put_bytes(&mut out, self.text_at(word).as_bytes());
            }
            out
        };
        self.all.chunks(WORDS_CHUNK).map(row).collect()
    }

    /// How many rows so many words take.
    pub fn row_count(words: u32) -> u32 {
        words.div_ceil(WORDS_CHUNK as u32)
    }

    fn text_at(&self, &(start, end, _): &(u32, u32, u32)) -> &str {
        &self.texts[start as usize..end as usize]
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.all.len() as u32
    }

    /// All of them with their numbers, ascending by text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.all.iter().map(|word| (self.text_at(word), word.2))
    }

    /// Their numbers.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.all.iter().map(|(_, _, number)| *number)
    }

    /// The text of a number, or the empty text if it is no word.
    #[inline]
    pub fn text(&self, number: u32) -> &str {
        self.places.get(&number).map_or("", |&at| self.text_at(&self.all[at as usize]))
    }

    /// The number of a text.
    pub fn number(&self, text: &str) -> Option<u32> {
        let at = self.all.binary_search_by(|word| self.text_at(word).cmp(text)).ok()?;
        Some(self.all[at].2)
    }
}

/// One chunk of names.
pub struct NameChunk {
    texts: String,
    ends: Vec<u32>,
}

impl NameChunk {
    /// `None` if the row is damaged.
    pub fn parse(payload: &[u8]) -> Option<NameChunk> {
        let (mut c, mut chunk) =
            (Cursor(payload), NameChunk { texts: String::new(), ends: vec![] });
        while !c.0.is_empty() {
            chunk.texts.push_str(c.text()?);
            chunk.ends.push(chunk.texts.len() as u32);
        }
        (chunk.ends.len() <= NAMES_CHUNK as usize).then_some(chunk)
    }

    /// The name with a number of this chunk; `None` if it was never given out, or dropped.
    pub fn text(&self, number: u32) -> Option<&str> {
        let at = (number % NAMES_CHUNK) as usize;
        let start = if at == 0 { 0 } else { *self.ends.get(at - 1)? };
        let text = &self.texts[start as usize..*self.ends.get(at)? as usize];
        (!text.is_empty()).then_some(text)
    }

    /// All names, by their place in the chunk; empty ones were dropped.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let start = |at: usize| if at == 0 { 0 } else { self.ends[at - 1] as usize };
        (0..self.ends.len()).map(move |at| &self.texts[start(at)..self.ends[at] as usize])
    }

    /// Bytes in memory, about.
    pub fn bytes(&self) -> usize {
        self.texts.len() + 4 * self.ends.len()
    }
}

/// The payload of a chunk of names.
pub fn encode_chunk<'n>(names: impl Iterator<Item = &'n str>) -> Vec<u8> {
    let mut out = Vec::new();
    names.for_each(|name| put_bytes(&mut out, name.as_bytes()));
    out
}

/// Looks a text up in the table of numbers.
pub fn number_of(table: &Table, text: &str) -> Result<Option<u32>, StoreError> {
    let key = text.as_bytes();
    let Some(guard) = redb::ReadableTable::get(table, key)? else { return Ok(None) };
    let mut c = Cursor(proven("name_numbers", key, guard.value())?);
    match c.varint32() {
        Some(number) if c.0.is_empty() => Ok(Some(number)),
        _ => Err(StoreError::corrupt("name_numbers", key, "contents make no sense")),
    }
}

/// The names of a write transaction: those that are stored, looked up as they are met, and new ones.
#[derive(Default)]
pub struct NameBook {
    /// What is stored, as of the beginning of the transaction.
    stored: Option<Table>,
    met: FxHashMap<Arc<str>, u32>,
    /// New ones, from the number that the transaction began with.
    new: Vec<Arc<str>>,
    first: u32,
    /// How many may be added before the database is full.
    room: u32,
    /// How many of the new ones each job added.
    added: BTreeMap<u32, u32>,
}

impl NameBook {
    /// Of a database that has `names` in use and gives out `first` next.
    pub(super) fn new(stored: Option<Table>, first: u32, names: u32) -> NameBook {
        let room = NAMES_MAX.saturating_sub(names);
        NameBook { stored, first, room, ..NameBook::default() }
    }

    /// The number of a text, given out now, to a job, if it has none.
    ///
    /// # Errors
    ///
    /// [`StoreError::NamesFull`] if the database or the job has as many names as it may have.
    pub fn intern(&mut self, text: &str, job: u32) -> Result<u32, StoreError> {
        if text.is_empty() {
            return Ok(0);
        }
        if let Some(&number) = self.met.get(text) {
            return Ok(number);
        }
        let stored = match &self.stored {
            Some(table) => number_of(table, text)?,
            None => None,
        };
        let number = match stored {
            Some(number) => number,
            None => self.add(text, job)?,
        };
        self.met.insert(text.into(), number);
        Ok(number)
    }

    fn add(&mut self, text: &str, job: u32) -> Result<u32, StoreError> {
        let added = self.added.entry(job).or_default();
        if *added == NEW_NAMES_MAX {
            let what = "new names of properties, types, classes, verbs and scopes in one job";
            return Err(StoreError::names_full(what, NEW_NAMES_MAX as usize));
        }
        if self.new.len() as u32 >= self.room {
            let what = "names of properties, types, classes, verbs and scopes in the database";
            return Err(StoreError::names_full(what, NAMES_MAX as usize));
        }
        let number = self.first.checked_add(self.new.len() as u32).filter(|n| *n < u32::MAX);
        let number =
            number.ok_or_else(|| StoreError::Engine("the database gave out 2^32 names".into()))?;
        *added += 1;
        self.new.push(text.into());
        Ok(number)
    }

    /// The names that are new, in the order of their numbers.
    pub(super) fn new_names(&self) -> &[Arc<str>] {
        &self.new
    }

    /// The text of a number that was met in this transaction.
    pub(super) fn text(&self, number: u32) -> Option<&str> {
        Some(self.new.get(number.checked_sub(self.first)? as usize)?)
    }
}

/// Key of a name in the table of numbers.
pub fn number_payload(number: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(5);
    put_varint(&mut out, number.into());
    out
}

/// Key of the row that holds a name.
pub fn chunk_key(number: u32) -> [u8; 4] {
    tables::number_key(number / NAMES_CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_come_back_from_their_rows(
            texts in prop::collection::btree_set("[a-zäö]{1,9}", 0..3000),
            seed: u32,
        ) {
            let number = |at: usize| (at as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
            let words = Words::new(texts.iter().enumerate().map(|(at, t)| (t.as_str(), number(at))));
            let mut back = Words::default();
            for row in words.rows() {
                prop_assert_eq!(back.extend(&row), Some(()));
            }
            prop_assert_eq!(words.rows().len() as u32, Words::row_count(words.count()));
            prop_assert!(back.iter().eq(words.iter()));
            for (at, text) in texts.iter().enumerate() {
                prop_assert_eq!(back.number(text), Some(number(at)));
                prop_assert_eq!(back.text(number(at)), text.as_str());
            }
            prop_assert_eq!(back.number("ZZ"), None);
        }

        #[test]
        fn a_chunk_gives_what_was_put(texts in prop::collection::vec("[a-z]{0,9}", 0..256)) {
            let chunk = NameChunk::parse(&encode_chunk(texts.iter().map(String::as_str))).unwrap();
            prop_assert!(chunk.iter().eq(texts.iter().map(String::as_str)));
            for (at, text) in texts.iter().enumerate() {
                let known = Some(text.as_str()).filter(|text| !text.is_empty());
                prop_assert_eq!(chunk.text(512 + at as u32), known);
            }
            prop_assert_eq!(chunk.text(255), texts.get(255).map(String::as_str));
        }

        #[test]
        fn rubbish_is_no_name_and_no_panic(bytes: Vec<u8>) {
            let _ = (NameChunk::parse(&bytes).is_some(), Words::default().extend(&bytes));
        }
    }

    #[test]
    fn a_job_and_a_database_have_so_many_names_and_no_more() {
        let mut book = NameBook::new(None, 1, 0);
        for i in 0..NEW_NAMES_MAX {
            assert_eq!(book.intern(&format!("a{i}"), 0).unwrap(), 1 + i);
        }
        let full =
            |result: Result<u32, StoreError>| matches!(result, Err(StoreError::NamesFull { .. }));
        assert!(full(book.intern("one more", 0)));
        assert_eq!(book.intern("a7", 1).unwrap(), 8, "known ones cost nothing");
        for i in NEW_NAMES_MAX..NAMES_MAX {
            book.intern(&format!("b{i}"), 1 + i % 2).unwrap();
        }
        assert!(full(book.intern("one more", 3)));
        assert_eq!(book.intern("", 3).unwrap(), 0);
    }
}
