//! The row that says who may call a server over this file. The store does not interpret its bytes.
//!
//! It is no part of the graph: writing it raises no revision, so it makes no plan stale. Its table
//! is made with the first row, so a table without the row means that the row was lost.

use super::codec::{seal, unseal};
use super::tables::ACCESS;
use super::{DatabaseFile, Snapshot, StoreError};
use redb::{ReadTransaction, ReadableDatabase, TableError, WriteTransaction};

/// The only key of the table.
const KEY: &[u8] = b"access";
const NAME: &str = "access";

/// The row, if the file ever had one.
pub(super) fn read(transaction: &ReadTransaction) -> Result<Option<Vec<u8>>, StoreError> {
    let table = match transaction.open_table(ACCESS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    match table.get(KEY)? {
        Some(sealed) => Ok(Some(unseal(NAME, KEY, sealed.value())?.to_vec())),
        // To read this as "anybody may call" would open a closed database.
        None => Err(StoreError::corrupt(NAME, KEY, "row is missing")),
    }
}

/// Writes the row, if there is one, into another file as well.
pub(super) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), StoreError> {
    let Some(row) = read(from)? else { return Ok(()) };
    to.open_table(ACCESS)?.insert(KEY, &seal(NAME, KEY, row)[..])?;
    Ok(())
}

impl DatabaseFile {
    /// The row as of now.
    pub fn access(&self) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            DatabaseFile::Reader(database) => read(&database.begin_read()?),
            DatabaseFile::Writer(database) => read(&database.begin_read()?),
        }
    }

    /// Replaces the row by the one that `edit` returns; `None` leaves everything as it is.
    ///
    /// # Errors
    ///
    /// Errors of `edit` and of the store; then nothing has changed.
    pub fn edit_access<T, E: From<StoreError>>(
        &self,
        edit: impl FnOnce(Option<Vec<u8>>) -> Result<(T, Option<Vec<u8>>), E>,
    ) -> Result<T, E> {
        let DatabaseFile::Writer(database) = self else {
            return Err(StoreError::Engine("the database is open for reading only".into()).into());
        };
        let mut transaction = database.begin_write().map_err(StoreError::from)?;
        transaction.set_quick_repair(true);
        // The writer excludes all others, so this is what it replaces.
        let (value, row) = edit(self.access()?)?;
        let Some(row) = row else { return Ok(value) };
        let put = || -> Result<(), StoreError> {
            transaction.open_table(ACCESS)?.insert(KEY, &seal(NAME, KEY, row)[..])?;
            Ok(transaction.commit()?)
        };
        put()?;
        Ok(value)
    }
}

impl Snapshot {
    /// The row of this state.
    pub fn access(&self) -> Result<Option<Vec<u8>>, StoreError> {
        read(self.transaction())
    }
}
