//! Tokens as the server asks for them: who calls, as of this moment.
//!
//! The module `db/access.rs` says what tokens are and where they lie.

use std::sync::{Arc, Mutex, PoisonError};
use tombolo::db::{AccessControl, Database};
use tombolo::{Error, store::StoreError};

/// The row that was read last, as it lay in the file, and its contents.
type CachedAccess = (Option<Vec<u8>>, Arc<AccessControl>);

/// The tokens, kept as long as the row in the file is the same byte for byte. So a token that any
/// process revokes ends with the next request, whatever the clock and the length of the row say.
#[derive(Default)]
pub struct AccessCache(Mutex<CachedAccess>);

impl AccessCache {
    /// The tokens as of now. Reads the file, and may wait for it.
    ///
    /// A database that was closed and has no row any more is another file in its place. It was not
    /// opened by name, so as long as this server runs nobody is let in.
    pub fn access(&self, database: &Database) -> Result<Arc<AccessControl>, Error> {
        let row = database.access_row()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != row {
            if row.is_none() && known.1.closed {
                return Ok(Arc::new(AccessControl::nobody()));
            }
            let access =
                AccessControl::read(row.as_deref()).map_err(|e: StoreError| Error::Store(e))?;
            *known = (row, Arc::new(access));
        }
        Ok(Arc::clone(&known.1))
    }
}
