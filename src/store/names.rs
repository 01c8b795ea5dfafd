//! Names: scopes, types, classes, verbs and properties, each stored once and known by a number.
//!
//! A graph has few *words*: names of scopes, types, class sets and verbs, which every question
//! needs. They lie together, sorted by text, and are read at once. Names of properties may be many,
//! for example if a source makes them from its tags. They are read only when asked for, by number
//! or by text, so they slow no question that does not ask for them.
//!
//! ```text
//!   names         chunk u32   up to 256 * text; number n is in chunk n / 256; an empty text was dropped
//!   name_numbers  text        number varint
//!   words         chunk u32   up to 1,024 * (number varint, text), ascending by text in all chunks
//! ```
//!
//! Each number is given out once. `gc` drops unused names, and a chunk that has no name left.
//! Number 0 is the empty text, so it never names anything.

use super::StoreError;
use super::codec::{ByteCursor, proven, put_bytes, put_varint};
use super::snapshot::ReadTable;
use super::tables;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Numbers in one chunk of names.
pub const NAMES_CHUNK: u32 = 256;

/// Words in one row.
const WORDS_CHUNK: usize = 1024;

/// Names that a database can hold: a hundred thousand.
///
/// An honest inventory has some hundred names of properties, or ten thousand where every tag is
/// one. The limit stops uploads that put values into names.
pub const NAMES_MAX: u32 = 100_000;

/// Names that one job may add.
pub const NEW_NAMES_MAX: u32 = 50_000;

/// Words that a database can hold. Each question reads them all, which takes a millisecond at this
/// limit.
pub const WORDS_MAX: usize = 50_000;

/// Types, and class sets or verbs, that the live objects of one kind in one scope may have.
pub const SCOPE_WORDS_MAX: usize = 10_000;

/// The names that every question needs.
#[derive(Clone, Default)]
pub struct WordDictionary {
    texts: String,
    /// Start and end in `texts` and number of each word, sorted by text.
    all: Vec<(u32, u32, u32)>,
    /// Places in `all` by number.
    places: FxHashMap<u32, u32>,
}

impl WordDictionary {
    /// Words by their texts, ascending.
    pub fn new<'w>(words: impl Iterator<Item = (&'w str, u32)>) -> WordDictionary {
        let mut all = WordDictionary::default();
        words.for_each(|(text, number)| all.push(text, number));
        all
    }

    fn push(&mut self, text: &str, number: u32) {
        let start = self.texts.len() as u32;
        self.texts.push_str(text);
        self.places.insert(number, self.all.len() as u32);
        self.all.push((start, self.texts.len() as u32, number));
    }

    /// Adds the words of a row. `None` if it is damaged.
    pub fn extend(&mut self, payload: &[u8]) -> Option<()> {
        let mut c = ByteCursor(payload);
        while !c.0.is_empty() {
            let (number, text) = (c.varint32()?, c.text()?);
            let last = self.all.last().map_or("", |last| self.text_at(last));
            // Lookups by text are binary searches, so the order is checked here once.
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

    /// The number of rows that so many words take.
    pub fn row_count(words: u32) -> u32 {
        words.div_ceil(WORDS_CHUNK as u32)
    }

    fn text_at(&self, &(start, end, _): &(u32, u32, u32)) -> &str {
        &self.texts[start as usize..end as usize]
    }

    /// The number of words.
    pub fn count(&self) -> u32 {
        self.all.len() as u32
    }

    /// All words with their numbers, ascending by text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.all.iter().map(|word| (self.text_at(word), word.2))
    }

    /// The numbers of all words.
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
    /// Reads a chunk. `None` if the row is damaged.
    pub fn parse(payload: &[u8]) -> Option<NameChunk> {
        let (mut c, mut chunk) =
            (ByteCursor(payload), NameChunk { texts: String::new(), ends: vec![] });
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
pub fn number_of(table: &ReadTable, text: &str) -> Result<Option<u32>, StoreError> {
    let key = text.as_bytes();
    let Some(guard) = redb::ReadableTable::get(table, key)? else { return Ok(None) };
    let mut c = ByteCursor(proven("name_numbers", key, guard.value())?);
    match c.varint32() {
        Some(number) if c.0.is_empty() => Ok(Some(number)),
        _ => Err(StoreError::corrupt("name_numbers", key, "contents make no sense")),
    }
}

/// The names of a write transaction: the stored ones, which are looked up when first met, and new
/// ones.
#[derive(Default)]
pub struct NameBook {
    /// The table of numbers as of the beginning of the transaction.
    stored: Option<ReadTable>,
    met: FxHashMap<Arc<str>, u32>,
    /// New names, in the order of their numbers, from `first` on.
    new: Vec<Arc<str>>,
    first: u32,
    /// Names that may be added before the database is full.
    room: u32,
    /// New names that each job added.
    added: BTreeMap<u32, u32>,
}

impl NameBook {
    /// The names of a database that has `names` in use and gives out `first` next.
    pub(super) fn new(stored: Option<ReadTable>, first: u32, names: u32) -> NameBook {
        let room = NAMES_MAX.saturating_sub(names);
        NameBook { stored, first, room, ..NameBook::default() }
    }

    /// The number of a text. If it has none, it gets one now, counted against the job.
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
        // The table of before the transaction suffices: new names are all in `met`.
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

    /// The text of a number that was given out in this transaction.
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
            let words = WordDictionary::new(texts.iter().enumerate().map(|(at, t)| (t.as_str(), number(at))));
            let mut back = WordDictionary::default();
            for row in words.rows() {
                prop_assert_eq!(back.extend(&row), Some(()));
            }
            prop_assert_eq!(words.rows().len() as u32, WordDictionary::row_count(words.count()));
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
            let _ = (NameChunk::parse(&bytes).is_some(), WordDictionary::default().extend(&bytes));
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
