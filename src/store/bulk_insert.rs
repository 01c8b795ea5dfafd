//! Rows on their way into a table. New rows that follow each other are inserted in one go.
//!
//! Inserted alone, each new row makes the engine look for its place and build the page above it
//! anew, which takes longer than the row itself. A load has only such rows.

use super::StoreError;
use super::tables::StoredBytes;
use redb::{CursorError, Table};
use std::ops::Bound;

/// A row, sealed.
pub struct SealedRow {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub sealed: Vec<u8>,
    /// True if the table probably has no row of this key yet.
    pub new: bool,
}

/// A table that takes rows in ascending order of their keys. Reads from it may lack the last rows.
/// [`BulkInserter::end`] inserts them; without it they are lost.
pub struct BulkInserter<'r, 't> {
    /// The table, without the rows that wait.
    pub table: &'r mut Table<'t, StoredBytes, StoredBytes>,
    waiting: Vec<SealedRow>,
}

/// Rows that are inserted in one go, at most: half a megabyte of pages.
const MOST: usize = if cfg!(test) { 7 } else { 128 };
/// Fewer rows than this are inserted one by one.
const FEW: usize = 4;

impl<'r, 't> BulkInserter<'r, 't> {
    /// No row waits yet.
    pub fn new(table: &'r mut Table<'t, StoredBytes, StoredBytes>) -> BulkInserter<'r, 't> {
        BulkInserter { table, waiting: Vec::new() }
    }

    /// Takes a row; one of the same key is replaced.
    pub fn put(&mut self, row: SealedRow) -> Result<(), StoreError> {
        debug_assert!(self.waiting.last().is_none_or(|last| last.key < row.key));
        if !row.new {
            // Keys ascend, so the rows that wait come before this one.
            self.end()?;
            self.table.insert(&row.key[..], &row.sealed[..])?;
            return Ok(());
        }
        self.waiting.push(row);
        if self.waiting.len() == MOST { self.end() } else { Ok(()) }
    }

    /// Inserts the rows that wait.
    pub fn end(&mut self) -> Result<(), StoreError> {
        let mut rest = &self.waiting[..];
        while let Some(first) = rest.first()
            && rest.len() >= FEW
        {
            let mut cursor = self.table.lower_bound_mut(Bound::Included(&first.key[..]))?;
            let mut put = 0;
            for SealedRow { key, sealed, .. } in rest {
                match cursor.insert_before(&key[..], &sealed[..]) {
                    Ok(()) => put += 1,
                    // Another row lies between, or is this one.
                    Err(CursorError::UnorderedKey) => break,
                    Err(e) => return Err(e.into()),
                }
            }
            cursor.close()?;
            if put == 0 {
                self.table.insert(&first.key[..], &first.sealed[..])?;
                put = 1;
            }
            rest = &rest[put..];
        }
        for SealedRow { key, sealed, .. } in rest {
            self.table.insert(&key[..], &sealed[..])?;
        }
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;
    use redb::{Builder, ReadableTable, TableDefinition};
    use std::collections::{BTreeMap, BTreeSet};

    const TABLE: TableDefinition<StoredBytes, StoredBytes> = TableDefinition::new("rows");

    proptest! {
        /// Runs end up in the table, expected rows and others.
        #[test]
        fn rows_are_put_as_if_one_by_one(
            rounds in prop::collection::vec((prop::collection::btree_set(0..200u8, 0..60), 0..4u8), 1..6),
        ) {
            let database = Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
            let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            for (round, (keys, guess)) in (0..).zip(rounds) {
                let keys: BTreeSet<u8> = keys;
                let writer = database.begin_write().unwrap();
                {
                    let mut table = writer.open_table(TABLE).unwrap();
                    let mut runs = BulkInserter::new(&mut table);
                    for key in keys {
                        // Some fill a page of the engine, as most rows do.
                        let sealed = vec![round; if key % 3 == 0 { 4040 } else { 20 }];
                        let new = match guess {
                            0 => false,
                            1 => true,
                            2 => !model.contains_key(&vec![key]),
                            _ => key % 2 == 0,
                        };
                        model.insert(vec![key], sealed.clone());
                        runs.put(SealedRow { key: vec![key], sealed, new }).unwrap();
                    }
                    runs.end().unwrap();
                    let all = table.iter().unwrap().map(|row| {
                        let (key, value) = row.unwrap();
                        (key.value().to_vec(), value.value().to_vec())
                    });
                    prop_assert_eq!(all.collect::<Vec<_>>(), model.clone().into_iter().collect::<Vec<_>>());
                }
                writer.commit().unwrap();
            }
        }
    }
}
