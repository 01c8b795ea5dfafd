//! Names, words and labels that a commit adds: they are numbered while the graph is written, and
//! stored at its end.

use super::{GraphWriter, put};
use crate::store::StoreError;
use crate::store::codec::unseal;
use crate::store::labels::LABELS_MAX;
use crate::store::names::{self, NameChunk, WordDictionary};
use crate::store::tables;
use redb::ReadableTable;
use std::collections::BTreeMap;

impl GraphWriter {
    /// The names of a chunk as they are stored.
    pub(in crate::store) fn name_chunk(&self, key: &[u8]) -> Result<Option<NameChunk>, StoreError> {
        let table = self.table(tables::NAMES)?;
        let Some(guard) = table.get(key)? else { return Ok(None) };
        let chunk = NameChunk::parse(unseal("names", key, guard.value())?);
        let damaged = || StoreError::corrupt("names", key, "contents make no sense");
        Ok(Some(chunk.ok_or_else(damaged)?))
    }

    /// Stores the names that are new.
    pub(super) fn put_names(&mut self) -> Result<(), StoreError> {
        let first = self.meta.next_name;
        let new = self.names.new_names();
        if new.is_empty() {
            return Ok(());
        }
        let count = new.len() as u32;
        let (mut rest, mut number) = (new, first);
        while !rest.is_empty() {
            let key = names::chunk_key(number);
            let before = (number % names::NAMES_CHUNK) as usize;
            let here = rest.len().min(names::NAMES_CHUNK as usize - before);
            let (here, behind) = rest.split_at(here);
            let stored = self.name_chunk(&key)?;
            // Those of a chunk that went because all of its names did are empty.
            let old = stored.iter().flat_map(NameChunk::iter).chain(std::iter::repeat(""));
            let all = old.take(before).chain(here.iter().map(|name| &**name));
            let payload = names::encode_chunk(all);
            put(&mut self.table(tables::NAMES)?, tables::NAMES, &key, payload)?;
            (rest, number) = (behind, number + here.len() as u32);
        }
        let mut numbers: Vec<(&str, u32)> = new.iter().map(|name| &**name).zip(first..).collect();
        // Keys in ascending order fill the pages of the engine one after the other.
        numbers.sort_unstable();
        let mut table = self.table(tables::NAME_NUMBERS)?;
        for (name, number) in numbers {
            let payload = names::number_payload(number);
            put(&mut table, tables::NAME_NUMBERS, name.as_bytes(), payload)?;
        }
        drop(table);
        self.meta.next_name += count;
        self.meta.names += count;
        Ok(())
    }

    /// Stores the new words: the names and the counted types, classes and verbs of the scopes that
    /// were touched.
    pub(super) fn put_words(&mut self) -> Result<(), StoreError> {
        let mut new: BTreeMap<String, u32> = BTreeMap::new();
        for (&scope, row) in &self.scopes {
            let before = new.len();
            for number in row.words().chain([scope]) {
                if number != 0 && self.words.text(number).is_empty() {
                    new.insert(self.name(number)?, number);
                }
            }
            if new.len() == before {
                continue;
            }
            // Limits are asked only of what is new: a scope beyond them can still be synced.
            let many = |words: usize| words > names::SCOPE_WORDS_MAX;
            if row.counts.iter().any(|of| many(of.types.len()) || many(of.classes.len())) {
                let what = "types, class sets or verbs in one scope";
                let full = StoreError::names_full(what, names::SCOPE_WORDS_MAX);
                return Err(full.of_scope(&self.name(scope)?));
            }
            if self.words.count() as usize + new.len() > names::WORDS_MAX {
                let what = "scopes, types, class sets and verbs in the database";
                let full = StoreError::names_full(what, names::WORDS_MAX);
                return Err(full.of_scope(&self.name(scope)?));
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let mut all: Vec<(&str, u32)> = self.words.iter().collect();
        all.extend(new.iter().map(|(text, number)| (text.as_str(), *number)));
        all.sort_unstable();
        let words = WordDictionary::new(all.into_iter());
        self.replace_words(words)
    }

    /// Replaces all words.
    pub(in crate::store) fn replace_words(
        &mut self,
        words: WordDictionary,
    ) -> Result<(), StoreError> {
        let mut table = self.table(tables::WORDS)?;
        for (chunk, payload) in (0..).zip(words.rows()) {
            put(&mut table, tables::WORDS, &tables::number_key(chunk), payload)?;
        }
        for chunk in
            WordDictionary::row_count(words.count())..WordDictionary::row_count(self.meta.words)
        {
            table.remove(&tables::number_key(chunk)[..])?;
        }
        drop(table);
        self.meta.words = words.count();
        self.words = words;
        Ok(())
    }

    /// The text of a name, new or stored.
    pub(super) fn name(&self, number: u32) -> Result<String, StoreError> {
        if let Some(text) = self.names.text(number) {
            return Ok(text.to_owned());
        }
        let key = names::chunk_key(number);
        let chunk = self.name_chunk(&key)?;
        let text = chunk.as_ref().and_then(|chunk| chunk.text(number)).map(str::to_owned);
        text.ok_or_else(|| StoreError::corrupt("names", &key, "a name is missing"))
    }

    pub(super) fn put_labels(&mut self) -> Result<(), StoreError> {
        self.meta.labels = self.labels.count();
        let mut changed = self.labels.changed_rows().peekable();
        if changed.peek().is_none() {
            return Ok(());
        }
        if self.labels.in_use() > LABELS_MAX {
            let what = "combinations of scope, type and verb of relationships in the database";
            return Err(StoreError::names_full(what, LABELS_MAX));
        }
        let mut table = self.table(tables::LABELS)?;
        for (row, payload) in changed {
            put(&mut table, tables::LABELS, &tables::number_key(row), payload)?;
        }
        Ok(())
    }
}
