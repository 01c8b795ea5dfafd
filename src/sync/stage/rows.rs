//! Rows for somebody else: inputs are read and checked as for a job, and the text of each row is
//! handed over, so that it can be sent to a server, which would refuse it otherwise.

use super::batch::BatchBuilder;
use super::record::StagedRecord;
use super::rules::BatchRules;
use crate::graph::{IdHash, InputLocation, ObjectKind};
use crate::store::staging::{ObjectBatch, StagedObject};
use crate::sync::faults::FaultCollector;
use crate::sync::read::{
    InputDiagnostic, InputFormat, InputSource, PieceReader, ReadRow, read_csv, read_document,
    without_nested,
};
use crate::sync::{InputNames, SyncError};
use std::ops::ControlFlow;

/// Rows that are checked together.
const ROWS: usize = 20_000;

/// Reads all inputs and hands over the text of each row, its nested members moved. Rows for which
/// `passes` is true are not checked. Nothing is handed over behind the first fault.
///
/// # Errors
///
/// [`SyncError::Faults`] with every kind of fault, also for a repeated key unless `repeats` are
/// allowed, and errors of `visit`.
pub fn read_rows(
    inputs: &mut [InputSource<'_>],
    rules: &BatchRules,
    repeats: bool,
    passes: fn(&str) -> bool,
    visit: &mut dyn FnMut(&str) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    let names = InputNames(inputs.iter().map(|input| input.name.clone()).collect());
    let mut check = RowCheck {
        builder: BatchBuilder::new(rules),
        rows: 0,
        keys: (!repeats).then(Vec::new),
        faults: FaultCollector::default(),
        rules,
        passes,
        visit,
    };
    for (number, input) in (0..).zip(inputs.iter_mut()) {
        input.decode();
        let nested = input.options.nested;
        let mut row = |row: Result<ReadRow<'_>, InputDiagnostic>| match row {
            Ok(row) => check.row(&ReadRow { text: &without_nested(row.text, nested), ..row }),
            Err(fault) => {
                check.faults.add(fault);
                Ok(())
            }
        };
        match input.format {
            InputFormat::Ndjson => lines(input, number, &mut row)?,
            InputFormat::Csv => read_csv(input, number, &mut row)?,
            InputFormat::Json => {
                let mut stopped = Ok(());
                let last = read_document(input, number, &mut |one| {
                    stopped = row(one);
                    match stopped {
                        Ok(()) => ControlFlow::Continue(()),
                        Err(_) => ControlFlow::Break(()),
                    }
                });
                stopped?;
                check.faults.extend(last?);
            }
        }
    }
    check.finish(&names)
}

fn lines(
    input: &mut InputSource<'_>,
    number: u32,
    row: &mut dyn FnMut(Result<ReadRow<'_>, InputDiagnostic>) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    let mut reader = PieceReader::new(input);
    while let Some(piece) = reader.next()? {
        for (line, bytes) in piece.lines() {
            let place = InputLocation { input: number, line };
            match std::str::from_utf8(bytes) {
                Ok(text) if text.trim_ascii().is_empty() => {}
                Ok(text) => row(Ok(ReadRow::alone(text, place)))?,
                Err(e) => row(Err(InputDiagnostic {
                    place,
                    column: e.valid_up_to() as u32 + 1,
                    message: "the line is not UTF-8".into(),
                    ..InputDiagnostic::default()
                }))?,
            }
        }
        reader.give_back(piece.into_buffer());
    }
    Ok(())
}

/// The hash of an object, its kind, and its place.
type SeenKey = (IdHash, ObjectKind, InputLocation);

struct RowCheck<'c, 'r> {
    builder: BatchBuilder<'r>,
    rows: usize,
    /// `None` if keys may repeat.
    keys: Option<Vec<SeenKey>>,
    faults: FaultCollector,
    rules: &'r BatchRules,
    passes: fn(&str) -> bool,
    visit: &'c mut dyn FnMut(&str) -> Result<(), SyncError>,
}

impl RowCheck<'_, '_> {
    fn row(&mut self, row: &ReadRow<'_>) -> Result<(), SyncError> {
        if !(self.passes)(row.text) {
            self.faults.extend(self.builder.push_row(row).err());
            self.rows += 1;
            if self.rows == ROWS {
                self.flush()?;
            }
        }
        if self.faults.is_empty() { (self.visit)(row.text) } else { Ok(()) }
    }

    /// Takes the keys of the rows so far and forgets the rest of them.
    fn flush(&mut self) -> Result<(), SyncError> {
        let builder = std::mem::replace(&mut self.builder, BatchBuilder::new(self.rules));
        self.rows = 0;
        let Some(keys) = &mut self.keys else { return Ok(()) };
        let batch = builder.finish();
        let entities = batch.entities.iter().map(|one| (ObjectKind::Entity, one));
        let relationships =
            batch.relationships.iter().map(|one| (ObjectKind::Relationship, &one.object));
        for (kind, object) in entities.chain(relationships) {
            keys.push((object.id, kind, place_of(&batch, kind, object)?));
        }
        Ok(())
    }

    fn finish(mut self, names: &InputNames) -> Result<(), SyncError> {
        self.flush()?;
        let mut keys = self.keys.take().unwrap_or_default();
        keys.sort_unstable_by_key(|(id, kind, place)| (*id, *kind as usize, *place));
        for pair in keys.windows(2) {
            let [(id, kind, first), (other, same, place)] = [pair[0], pair[1]];
            if id == other && kind == same {
                let first = names.place(first).unwrap_or_default();
                self.faults.add(InputDiagnostic {
                    place,
                    message: repeated(&first),
                    ..InputDiagnostic::default()
                });
            }
        }
        match self.faults.is_empty() {
            true => Ok(()),
            false => Err(SyncError::Faults(self.faults.named(names))),
        }
    }
}

/// The message of a key that stands twice in an upload.
pub(in crate::sync) fn repeated(first: &str) -> String {
    format!(
        "this `_key` stands twice in the upload, first at {first}; leave one out, or let the \
         latest win with --ignore-duplicates"
    )
}

fn place_of(
    batch: &ObjectBatch,
    kind: ObjectKind,
    object: &StagedObject,
) -> Result<InputLocation, SyncError> {
    let record = StagedRecord::read(kind, &batch.records, (object.offset, object.len));
    Ok(record.ok_or_else(SyncError::damaged_stage)?.place)
}
