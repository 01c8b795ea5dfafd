//! Intake: inputs of every format into batches, on as many threads as there are cores.
//!
//! The reader cuts pieces of some megabytes at a newline. A worker checks and packs one while the
//! next is read. The pieces in flight bound the memory, not the file.

use super::batch::BatchBuilder;
use super::rules::BatchRules;
use crate::graph::InputLocation;
use crate::store::staging::ObjectBatch;
use crate::store::{NextGroup, pipeline};
use crate::sync::read::{
    InputDiagnostic, InputFormat, InputPiece, InputSource, OBJECT_MAX, PIECE, PieceReader, ReadRow,
    read_csv, read_document,
};
use crate::sync::{InputNames, SyncError};
use std::ops::ControlFlow;

/// Faults after which reading stops; the rest of a file of the wrong kind helps nobody.
const FAULTS_MAX: usize = 1_000;

/// Reads all inputs and hands over their batches in order; places count inputs from `first`.
///
/// # Errors
///
/// [`SyncError::Faults`] with every offending object, up to [`FAULTS_MAX`].
pub fn read_inputs(
    inputs: &mut [InputSource<'_>],
    first: u32,
    rules: &BatchRules,
    progress: &dyn Fn(u64),
    mut take: impl FnMut(ObjectBatch) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    // Earlier inputs only fill positions: no fault of this call is in them.
    let earlier = (0..first).map(|_| String::new());
    let names = InputNames(earlier.chain(inputs.iter().map(|input| input.name.clone())).collect());
    let mut intake = BatchIntake { rules, faults: Vec::new(), take: &mut take };
    for (number, input) in (first..).zip(inputs.iter_mut()) {
        match input.format {
            InputFormat::Ndjson => intake.lines(input, number, progress)?,
            InputFormat::Json => intake.document(input, number)?,
            InputFormat::Csv => intake.table(input, number)?,
        }
        if intake.is_full() {
            break;
        }
    }
    let faults = intake.faults;
    if faults.is_empty() { Ok(()) } else { Err(SyncError::faults(&names, faults)) }
}

/// The taker of batches, and the faults so far.
struct BatchIntake<'t> {
    rules: &'t BatchRules,
    faults: Vec<InputDiagnostic>,
    take: &'t mut dyn FnMut(ObjectBatch) -> Result<(), SyncError>,
}

impl BatchIntake<'_> {
    /// True if more faults would help nobody.
    fn is_full(&self) -> bool {
        self.faults.len() >= FAULTS_MAX
    }

    /// Hands a batch over. After the first fault reading only goes on to report more of them.
    fn batch(&mut self, batch: ObjectBatch) -> Result<(), SyncError> {
        if self.faults.is_empty() { (self.take)(batch) } else { Ok(()) }
    }

    /// Reads an input line by line: pieces are packed on all cores and taken in their order.
    fn lines(
        &mut self,
        input: &mut InputSource<'_>,
        number: u32,
        progress: &dyn Fn(u64),
    ) -> Result<(), SyncError> {
        let rules = self.rules;
        let gather = |(reader, intake): &mut (PieceReader<'_, '_>, &mut Self)| {
            if intake.is_full() {
                return Ok(NextGroup::End);
            }
            let Some(piece) = reader.next()? else { return Ok(NextGroup::End) };
            progress(piece.len() as u64);
            Ok(NextGroup::Group(piece))
        };
        let pack = |piece: InputPiece| {
            let (batch, found) = pack(&piece, number, rules);
            Ok((batch, found, piece.into_buffer()))
        };
        let mut state = (PieceReader::new(input), self);
        // One piece more than there are cores: each is a buffer of megabytes that is touched anew.
        pipeline(&mut state, 1, gather, pack, |(reader, intake), (batch, found, buffer)| {
            reader.give_back(buffer);
            if !intake.is_full() {
                intake.faults.extend(found);
            }
            intake.batch(batch)
        })
    }

    /// Reads a JSON document object by object.
    fn document(&mut self, input: &mut InputSource<'_>, number: u32) -> Result<(), SyncError> {
        let rules = self.rules;
        let mut builder = None::<BatchBuilder<'_>>;
        let mut stopped = None;
        let read = read_document(input, number, &mut |row: ReadRow<'_>| {
            let open = builder.get_or_insert_with(|| BatchBuilder::new(rules));
            self.faults.extend(open.push_row(&row).err());
            if let Some(full) = open.take_full() {
                stopped = self.batch(full).err();
            }
            match stopped.is_some() || self.is_full() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        // An error of ours ends the JSON reader with another, which says nothing.
        if let Some(e) = stopped {
            return Err(e);
        }
        // Likewise where it was stopped because there are faults enough.
        let last = read?;
        if !self.is_full() {
            self.faults.extend(last);
        }
        builder.map_or(Ok(()), |rest| self.batch(rest.finish()))
    }

    /// Reads a table of cells row by row.
    fn table(&mut self, input: &mut InputSource<'_>, number: u32) -> Result<(), SyncError> {
        let mut builder = BatchBuilder::new(self.rules);
        read_csv(input, number, &mut |row| {
            // Rows behind so many faults are only passed over.
            if self.is_full() {
                return Ok(());
            }
            self.faults.extend(row.and_then(|row| builder.push_row(&row)).err());
            builder.take_full().map_or(Ok(()), |full| self.batch(full))
        })?;
        self.batch(builder.finish())
    }
}

/// Checks and packs the lines of a piece.
fn pack(piece: &InputPiece, input: u32, rules: &BatchRules) -> (ObjectBatch, Vec<InputDiagnostic>) {
    let mut builder = BatchBuilder::new(rules);
    let mut faults = Vec::new();
    for (line, bytes) in piece.lines() {
        let place = InputLocation { input, line };
        let spelling = rules.spelling(bytes);
        // Known lines are most of a repeated upload, so nothing else is asked before.
        if rules.known.as_ref().is_some_and(|known| known.mark(spelling)) {
            continue;
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if bytes.len() >= PIECE {
            // The reader keeps only the beginning of such a line.
            faults.push(line_fault(
                place,
                0,
                format!("the line has {PIECE} bytes or more, an object at most {OBJECT_MAX}"),
            ));
            continue;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                faults.extend(builder.push_digested(&ReadRow::alone(text, place), spelling).err());
            }
            Err(e) => {
                let column = e.valid_up_to() as u32 + 1;
                faults.push(line_fault(place, column, "the line is not UTF-8".into()));
            }
        }
        if faults.len() >= FAULTS_MAX {
            break;
        }
    }
    (builder.finish(), faults)
}

fn line_fault(place: InputLocation, column: u32, message: String) -> InputDiagnostic {
    InputDiagnostic { place, column, path: String::new(), key: None, message }
}
