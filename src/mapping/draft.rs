//! Rows become drafts of relationships; each row ends in exactly one bucket.

use super::check::{Mapping, Property};
use super::eval::{EndFacts, Env, holds, render};
use super::rows::Reader;
use super::template::Template;
use crate::graph::{
    DraftEnd, DraftRelationship, NameKind, Place, Value, check_name, default_relationship_key,
};
use crate::lang::Fault;
use rustc_hash::FxHashMap;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_128;

/// How many rows ended where. The buckets add up to `read`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCount {
    /// Rows read.
    pub read: u64,
    /// Left out by `where`.
    pub filtered: u64,
    /// Became a draft whose ends are not known to be missing.
    pub linked: u64,
    /// Said the same edge as an earlier row.
    pub duplicate: u64,
    /// A template had an undefined part, or made no key.
    pub undefined_key: u64,
    /// No entity to start at.
    pub missing_from: u64,
    /// No entity to end at.
    pub missing_to: u64,
    /// Neither.
    pub missing_both: u64,
}

impl RowCount {
    /// Moves one row from `linked` to the bucket of its missing ends.
    pub fn missing(&mut self, from: bool, to: bool) {
        let bucket = match (from, to) {
            (true, true) => &mut self.missing_both,
            (true, false) => &mut self.missing_from,
            (false, true) => &mut self.missing_to,
            (false, false) => return,
        };
        *bucket += 1;
        self.linked -= 1;
    }
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A relationship to propose.
    Draft(Box<DraftRelationship<'static>>),
    /// `where` left it out.
    Filtered,
    /// The same edge as the row on this line.
    Duplicate(u32),
    /// It makes no key, for this reason.
    UndefinedKey(String),
}

/// A row and its bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct MappedRow {
    /// Line of the file of rows, counted from 1.
    pub line: u32,
    /// Its bucket.
    pub outcome: Outcome,
}

/// The rows of a mapping as drafts. O(rows) memory: 40 bytes for each edge.
pub struct DraftRows<'m, E> {
    mapping: &'m Mapping,
    reader: Reader,
    end_type: E,
    /// Digest of the edge key, then the line and the digest of the edge; at 128 bits two edges
    /// with one digest do not happen.
    seen: FxHashMap<u128, (u32, u128)>,
    count: RowCount,
}

impl Mapping {
    /// Reads the rows. `end_type` tells the `_type` of the entity with a scope and key, if known.
    pub fn draft_rows<E: FnMut(&str, &str) -> Option<String>>(
        &self,
        end_type: E,
    ) -> DraftRows<'_, E> {
        let reader = Reader::open(&self.rows);
        DraftRows {
            mapping: self,
            reader,
            end_type,
            seen: FxHashMap::default(),
            count: RowCount::default(),
        }
    }

    /// The file of the rows, for people.
    pub fn rows_file(&self) -> String {
        self.rows.shown()
    }

    /// The refusal, if fewer rows were read than the guard asks for.
    pub fn refuse_few_rows(&self, read: u64) -> Option<Fault> {
        let words = || {
            let file = self.rows.written();
            format!(
                "refused: {read} rows were read from {file}; the limit is {}",
                self.guard.min_rows
            )
        };
        (read < self.guard.min_rows)
            .then(|| Fault::error("M0602", &self.source, words()).at(self.rows_span.clone(), ""))
    }
}

impl<E: FnMut(&str, &str) -> Option<String>> DraftRows<'_, E> {
    /// What was read so far.
    pub fn row_count(&self) -> RowCount {
        self.count
    }

    fn fold(&mut self, draft: DraftRelationship<'static>) -> Result<Outcome, Fault> {
        let line = draft.place.line;
        let unplaced = DraftRelationship { place: Place::default(), ..draft };
        let digest = xxh3_128(format!("{unplaced:?}").as_bytes());
        let key = xxh3_128(unplaced.key.as_bytes());
        match self.seen.get(&key) {
            None => {
                self.seen.insert(key, (line, digest));
                let place = Place { input: 0, line };
                Ok(Outcome::Draft(Box::new(DraftRelationship { place, ..unplaced })))
            }
            Some((first, same)) if *same == digest => Ok(Outcome::Duplicate(*first)),
            Some((first, _)) => {
                let words =
                    format!("two rows make the edge `{}` with different properties", unplaced.key);
                let fault = self.mapping.rows.fault("M0406", words, line);
                Err(fault.note(format!("the other row is {}:{first}", self.mapping.rows.shown())))
            }
        }
    }
}

impl<E: FnMut(&str, &str) -> Option<String>> Iterator for DraftRows<'_, E> {
    type Item = Result<MappedRow, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let mapping = self.mapping;
        let (line, row) = match self.reader.next(&mapping.rows)? {
            Ok(row) => row,
            Err(fault) => return Some(Err(fault)),
        };
        let written = mapping.rows.written();
        let stem = Path::new(written).file_stem().unwrap_or_default().to_string_lossy();
        let env = Env {
            row: &row,
            columns: &mapping.columns,
            file_path: written,
            file_stem: &stem,
            line,
            ends: None,
        };
        let outcome = match &mapping.filter {
            Some(filter) if !holds(filter, &env) => Outcome::Filtered,
            _ => match mapping.draft(&env, &mut self.end_type) {
                Err(reason) => Outcome::UndefinedKey(reason),
                Ok(draft) => match self.fold(draft) {
                    Ok(outcome) => outcome,
                    Err(fault) => return Some(Err(fault)),
                },
            },
        };
        self.count.read += 1;
        *match &outcome {
            Outcome::Draft(_) => &mut self.count.linked,
            Outcome::Filtered => &mut self.count.filtered,
            Outcome::Duplicate(_) => &mut self.count.duplicate,
            Outcome::UndefinedKey(_) => &mut self.count.undefined_key,
        } += 1;
        Some(Ok(MappedRow { line, outcome }))
    }
}

fn name(template: &Template, env: &Env<'_>, kind: NameKind) -> Result<String, String> {
    let value = render(template, env).map_err(|part| format!("`{part}` is undefined"))?;
    let text = match value {
        Value::Text(text) => text.into_owned(),
        other => other.to_string(),
    };
    check_name(kind, &text).map_err(|e| e.to_string())?;
    Ok(text)
}

impl Mapping {
    fn draft(
        &self,
        env: &Env<'_>,
        end_type: &mut impl FnMut(&str, &str) -> Option<String>,
    ) -> Result<DraftRelationship<'static>, String> {
        let mut end = |end: &super::check::End| -> Result<EndFacts, String> {
            let key = name(&end.key, env, NameKind::Key)?;
            let type_name = end_type(&end.scope, &key);
            Ok(EndFacts { scope: end.scope.clone(), key, type_name })
        };
        let (from, to) = (end(&self.from)?, end(&self.to)?);
        let env = Env { ends: Some((&from, &to)), ..*env };
        let verb = self.class.to_lowercase();
        let key = match &self.key {
            Some(key) => name(key, &env, NameKind::Key)?,
            None => default_relationship_key(&from.key, &self.class, &to.key),
        };
        check_name(NameKind::Key, &key).map_err(|e| e.to_string())?;
        let type_name = match (&self.type_name, &from.type_name, &to.type_name) {
            (Some(template), ..) => name(template, &env, NameKind::Type)?,
            (None, Some(from), Some(to)) => format!("{from}_{verb}_{to}"),
            // Such a draft is skipped for its missing end.
            (None, ..) => verb,
        };
        let properties = self.properties.iter().filter_map(|(name, property)| {
            let value = match property {
                Property::Literal(value) => value.clone(),
                Property::Template(template) => render(template, &env).ok()?.into_owned(),
            };
            Some((name.clone().into(), value))
        });
        let properties = properties.collect();
        let place = Place { input: 0, line: env.line };
        let draft_end = |facts: &EndFacts| DraftEnd {
            key: Some(facts.key.clone().into()),
            scope: Some(facts.scope.clone().into()),
            id: None,
        };
        Ok(DraftRelationship {
            key: key.into(),
            id: None,
            scope: Some(self.scope.clone().into()),
            type_name: type_name.into(),
            class: self.class.clone().into(),
            from: draft_end(&from),
            to: draft_end(&to),
            properties,
            raw_data: None,
            place,
        })
    }
}
