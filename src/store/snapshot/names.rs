//! Names by their number, and numbers by their name.
//!
//! Scopes, types, classes and verbs are words, which are read with the snapshot. Names of
//! properties may be many, so they are read when they are asked for.

use super::caches::NUMBERS_MAX;
use super::{ReadTable, Snapshot, get, missing};
use crate::graph::NameLookup;
use crate::store::StoreError;
use crate::store::codec::proven;
use crate::store::names::{self, NameBook, NameChunk};
use crate::store::tables::{self, ByteTableDefinition};
use redb::ReadableTable;
use std::cell::OnceCell;
use std::rc::Rc;

impl Snapshot {
    /// The names as a writer begins with them.
    pub(in crate::store) fn name_book(&self) -> Result<NameBook, StoreError> {
        let stored = self.transaction.open_table(tables::NAME_NUMBERS)?;
        Ok(NameBook::new(Some(stored), self.meta.next_name, self.meta.names))
    }

    pub(super) fn opened<'t>(
        &self,
        table: &'t OnceCell<ReadTable>,
        definition: ByteTableDefinition,
    ) -> Result<&'t ReadTable, StoreError> {
        match table.get() {
            Some(table) => Ok(table),
            None => {
                let opened = self.transaction.open_table(definition)?;
                Ok(table.get_or_init(|| opened))
            }
        }
    }

    /// The number of a name, also of a property, if anything is or was called so.
    pub fn property_number(&self, text: &str) -> Result<Option<u32>, StoreError> {
        if let Some(&known) = self.numbers_kept.borrow().get(text) {
            return Ok(known);
        }
        let table = self.opened(&self.name_numbers, tables::NAME_NUMBERS)?;
        let number = names::number_of(table, text)?;
        let mut kept = self.numbers_kept.borrow_mut();
        // Questions can ask for any text, so the map must not grow without a limit.
        if kept.len() == NUMBERS_MAX {
            kept.clear();
        }
        kept.insert(text.into(), number);
        Ok(number)
    }

    /// Calls `read` with the name of a number, also of a property.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if there is no such name: every number in the file has one.
    pub fn with_name<R>(&self, number: u32, read: impl FnOnce(&str) -> R) -> Result<R, StoreError> {
        let at = number / names::NAMES_CHUNK;
        let last = self.last_names.borrow().as_ref().filter(|(last, _)| *last == at).cloned();
        let chunk = match last {
            Some((_, chunk)) => chunk,
            None => {
                let kept = self.names_kept.borrow_mut().get(&at).map(Rc::clone);
                let chunk = match kept {
                    Some(chunk) => chunk,
                    None => self.read_names(at)?,
                };
                *self.last_names.borrow_mut() = Some((at, Rc::clone(&chunk)));
                chunk
            }
        };
        let key = names::chunk_key(number);
        let named = chunk.text(number).map(read);
        named.ok_or_else(|| StoreError::corrupt("names", &key, "a name is missing"))
    }

    pub(super) fn read_names(&self, at: u32) -> Result<Rc<NameChunk>, StoreError> {
        let key = tables::number_key(at);
        let table = self.opened(&self.names, tables::NAMES)?;
        let chunk = get(table, tables::NAMES, "names", &key, NameChunk::parse)?
            .ok_or_else(|| missing("names", &key))?;
        let (chunk, mut kept) = (Rc::new(chunk), self.names_kept.borrow_mut());
        kept.make_room(&at, chunk.bytes(), |_, _| {});
        kept.insert(at, Rc::clone(&chunk), chunk.bytes());
        Ok(chunk)
    }

    /// Calls `visit` with all names and their numbers, in ascending order of the numbers.
    pub(in crate::store) fn for_each_name(
        &self,
        mut visit: impl FnMut(u32, &str),
    ) -> Result<(), StoreError> {
        for row in self.opened(&self.names, tables::NAMES)?.iter()? {
            let (key, sealed) = row?;
            let key = key.value();
            let damaged = || StoreError::corrupt("names", key, "contents make no sense");
            let first = key.try_into().map(u32::from_be_bytes).ok();
            let first = first.and_then(|chunk| chunk.checked_mul(names::NAMES_CHUNK));
            let chunk = NameChunk::parse(proven("names", key, sealed.value())?);
            let (first, chunk) = first.zip(chunk).ok_or_else(damaged)?;
            let named = (first..).zip(chunk.iter()).filter(|(_, name)| !name.is_empty());
            named.for_each(|(number, name)| visit(number, name));
        }
        Ok(())
    }

    /// The number of names that have a row in the table of numbers.
    pub(in crate::store) fn count_name_numbers(&self) -> Result<u64, StoreError> {
        let table = self.opened(&self.name_numbers, tables::NAME_NUMBERS)?;
        Ok(redb::ReadableTableMetadata::len(table)?)
    }
}

impl NameLookup for Snapshot {
    fn name(&self, number: u32) -> &str {
        self.words.text(number)
    }

    fn name_number(&self, text: &str) -> Option<u32> {
        self.words.number(text)
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(u32, &str)) {
        self.words.iter().for_each(|(text, number)| visit(number, text));
    }
}
