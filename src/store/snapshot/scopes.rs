//! Scopes, jobs and what belongs to them: rows, deletions, pins.

use super::{Snapshot, get, missing};
use crate::graph::{IdHash, NameLookup, ObjectKind, Value};
use crate::store::StoreError;
use crate::store::codec::{ByteCursor, proven, take_value};
use crate::store::rows::{JobRow, ScopeRow};
use crate::store::tables;
use redb::ReadableTable;
use uuid::Uuid;

impl Snapshot {
    /// The row of a scope, by name number.
    pub fn scope_row(&self, scope: u32) -> Result<Option<ScopeRow>, StoreError> {
        if self.past.is_some() {
            let rows = self.known_scopes()?;
            let found = rows.binary_search_by_key(&scope, |(number, _)| *number);
            return Ok(found.ok().map(|at| rows[at].1.clone()));
        }
        let key = tables::number_key(scope);
        get(&self.scopes, tables::SCOPES, "scopes", &key, ScopeRow::decode)
    }

    /// The row of a scope, by its name; the row of a new scope if none is stored.
    pub fn scope_row_of(&self, scope: &str) -> Result<ScopeRow, StoreError> {
        match self.name_number(scope) {
            Some(number) => Ok(self.scope_row(number)?.unwrap_or_default()),
            None => Ok(ScopeRow::default()),
        }
    }

    /// The name numbers of the scopes that have live entities, ascending.
    pub fn entity_scopes(&self) -> Result<impl Iterator<Item = u32> + '_, StoreError> {
        let live = |row: &ScopeRow| row.count(ObjectKind::Entity).live > 0;
        Ok(self.known_scopes()?.iter().filter(move |(_, row)| live(row)).map(|(number, _)| *number))
    }

    /// All scopes with their rows, by ascending name number.
    pub fn scope_rows(&self) -> Result<Vec<(u32, ScopeRow)>, StoreError> {
        Ok(self.known_scopes()?.to_vec())
    }

    /// The name numbers of all scopes, ascending.
    pub fn scope_numbers(&self) -> Result<impl Iterator<Item = u32> + '_, StoreError> {
        Ok(self.known_scopes()?.iter().map(|(number, _)| *number))
    }

    pub(in crate::store) fn known_scopes(&self) -> Result<&[(u32, ScopeRow)], StoreError> {
        if let Some(known) = self.scope_cache.get() {
            return Ok(known);
        }
        let mut rows = Vec::new();
        for row in self.scopes.iter()? {
            let (key, sealed) = row?;
            let (key, damaged) = (key.value(), "contents make no sense");
            let number = key.try_into().map(u32::from_be_bytes).ok();
            let scope = ScopeRow::decode(proven("scopes", key, sealed.value())?);
            let row = number.zip(scope);
            rows.push(row.ok_or_else(|| StoreError::corrupt("scopes", key, damaged))?);
        }
        if let Some(past) = &self.past {
            rows = past.scopes(&rows)?;
        }
        Ok(self.scope_cache.get_or_init(|| rows))
    }

    pub(super) fn job_name(&self, sequence: u32) -> Result<(Uuid, String), StoreError> {
        if let Some(known) = self.jobs_kept.borrow_mut().get(&sequence) {
            return Ok(known.clone());
        }
        let key = tables::number_key(sequence);
        let job = self.job(sequence)?.ok_or_else(|| missing("jobs", &key))?;
        let known = (job.id, job.source);
        let mut kept = self.jobs_kept.borrow_mut();
        let bytes = size_of_val(&known) + known.1.len();
        kept.make_room(&sequence, bytes, |_, _| {});
        kept.insert(sequence, known.clone(), bytes);
        Ok(known)
    }

    /// The id of the stored job with this sequence number, which is much cheaper than all of it.
    pub fn job_id(&self, sequence: u32) -> Result<Option<Uuid>, StoreError> {
        let key = tables::number_key(sequence);
        get(&self.jobs, tables::JOBS, "jobs", &key, |p| Some(Uuid::from_bytes(*p.first_chunk()?)))
    }

    /// The stored job with this sequence number.
    pub fn job(&self, sequence: u32) -> Result<Option<JobRow>, StoreError> {
        get(&self.jobs, tables::JOBS, "jobs", &tables::number_key(sequence), JobRow::decode)
    }

    /// The numbers of the objects of a kind that the job with this sequence number deleted.
    pub fn deletions(&self, sequence: u32, kind: ObjectKind) -> Result<Vec<u32>, StoreError> {
        let key = tables::deletion_key(sequence, kind);
        let read = |p: &[u8]| {
            let mut c = ByteCursor(p);
            (0..c.u32()?).map(|_| c.u32()).collect()
        };
        Ok(get(&self.deletions, tables::DELETIONS, "deletions", &key, read)?.unwrap_or_default())
    }

    /// The pinned properties of an entity, as a body record.
    pub fn pins(&self, scope: u32, id: IdHash) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(past) = &self.past
            && let Some(then) = past.pins(scope, id)?
        {
            return Ok(then);
        }
        get(&self.pins, tables::PINS, "pins", &tables::pin_key(scope, id), |p| Some(p.to_vec()))
    }

    /// The pinned properties of an entity by ascending name.
    pub fn pinned(
        &self,
        scope: u32,
        id: IdHash,
    ) -> Result<Vec<(String, Value<'static>)>, StoreError> {
        let Some(record) = self.pins(scope, id)? else { return Ok(Vec::new()) };
        let mut c = ByteCursor(&record);
        let read = (|| {
            let mut pinned = Vec::new();
            for _ in 0..c.varint()? {
                let name = c.text()?.to_owned();
                let value = take_value(&mut ByteCursor(c.bytes()?))?;
                pinned.push((name, value.into_owned()));
            }
            Some(pinned)
        })();
        read.ok_or_else(|| StoreError::corrupt("pins", &[], "contents make no sense"))
    }

    /// Calls `visit` with the scope and record of all pins.
    pub(in crate::store) fn for_each_pin(
        &self,
        mut visit: impl FnMut(u32, &[u8]),
    ) -> Result<(), StoreError> {
        for row in self.pins.iter()? {
            let (key, sealed) = row?;
            let key = key.value();
            let record = proven("pins", key, sealed.value())?;
            let scope = key.first_chunk().map(|scope| u32::from_be_bytes(*scope));
            let scope = scope.ok_or_else(|| StoreError::corrupt("pins", key, "key is short"))?;
            visit(scope, record);
        }
        Ok(())
    }

    /// True if any entity has pins.
    pub fn has_pins(&self) -> Result<bool, StoreError> {
        let past = match &self.past {
            Some(past) => past.has_pins()?,
            None => false,
        };
        Ok(past || self.pins.iter()?.next().is_some())
    }
}
