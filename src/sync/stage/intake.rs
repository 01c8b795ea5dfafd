//! Intake: inputs of every format into batches, on as many threads as there are cores.
//!
//! The reader cuts pieces of some megabytes at a newline. A worker checks and packs one while the
//! next is read. The pieces in flight bound the memory, not the file.

use super::batch::BatchBuilder;
use super::rules::BatchRules;
use crate::graph::InputLocation;
use crate::store::staging::ObjectBatch;
use crate::store::{NextGroup, pipeline};
use crate::sync::faults::FaultCollector;
use crate::sync::read::{
    InputDiagnostic, InputFormat, InputPiece, InputSource, NestedValues, OBJECT_MAX, PIECE,
    PieceReader, ReadRow, read_csv, read_document, without_nested,
};
use crate::sync::{InputNames, SyncError};
use std::ops::ControlFlow;

/// Reads all inputs and hands over their batches in order; places count inputs from `first`.
///
/// # Errors
///
/// [`SyncError::Faults`] with every kind of fault, how often it is met and where first.
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
    let mut intake = BatchIntake { rules, faults: FaultCollector::default(), take: &mut take };
    for (number, input) in (first..).zip(inputs.iter_mut()) {
        input.decode();
        match input.format {
            InputFormat::Ndjson => intake.lines(input, number, progress)?,
            InputFormat::Json => intake.document(input, number)?,
            InputFormat::Csv => intake.table(input, number)?,
        }
    }
    let faults = intake.faults;
    if faults.is_empty() { Ok(()) } else { Err(SyncError::Faults(faults.named(&names))) }
}

/// The taker of batches, and the faults so far.
struct BatchIntake<'t> {
    rules: &'t BatchRules,
    faults: FaultCollector,
    take: &'t mut dyn FnMut(ObjectBatch) -> Result<(), SyncError>,
}

impl BatchIntake<'_> {
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
        let (rules, nested) = (self.rules, input.options.nested);
        let gather = |(reader, _): &mut (PieceReader<'_, '_>, &mut Self)| {
            let Some(piece) = reader.next()? else { return Ok(NextGroup::End) };
            progress(piece.len() as u64);
            Ok(NextGroup::Group(piece))
        };
        let pack = |piece: InputPiece| {
            let (batch, found) = pack(&piece, number, rules, nested);
            Ok((batch, found, piece.into_buffer()))
        };
        let mut state = (PieceReader::new(input), self);
        // One piece more than there are cores: each is a buffer of megabytes that is touched anew.
        pipeline(&mut state, 1, gather, pack, |(reader, intake), (batch, found, buffer)| {
            reader.give_back(buffer);
            intake.faults.join(found);
            intake.batch(batch)
        })
    }

    /// Reads a JSON document object by object.
    fn document(&mut self, input: &mut InputSource<'_>, number: u32) -> Result<(), SyncError> {
        let (rules, nested) = (self.rules, input.options.nested);
        let mut builder = None::<BatchBuilder<'_>>;
        let mut stopped = None;
        let read = read_document(input, number, &mut |row: Result<ReadRow<'_>, _>| {
            let open = builder.get_or_insert_with(|| BatchBuilder::new(rules));
            self.faults.extend(row.and_then(|row| push(open, &row, nested)).err());
            if let Some(full) = open.take_full() {
                stopped = self.batch(full).err();
            }
            match stopped.is_some() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if let Some(e) = stopped {
            return Err(e);
        }
        self.faults.extend(read?);
        builder.map_or(Ok(()), |rest| self.batch(rest.finish()))
    }

    /// Reads a table of cells row by row.
    fn table(&mut self, input: &mut InputSource<'_>, number: u32) -> Result<(), SyncError> {
        let mut builder = BatchBuilder::new(self.rules);
        read_csv(input, number, &mut |row| {
            self.faults.extend(row.and_then(|row| builder.push_row(&row)).err());
            builder.take_full().map_or(Ok(()), |full| self.batch(full))
        })?;
        self.batch(builder.finish())
    }
}

/// Packs a row, of which nested members become what the caller says.
fn push(
    builder: &mut BatchBuilder<'_>,
    row: &ReadRow<'_>,
    nested: NestedValues,
) -> Result<(), InputDiagnostic> {
    builder.push_row(&ReadRow { text: &without_nested(row.text, nested), ..*row })
}

/// Checks and packs the lines of a piece.
fn pack(
    piece: &InputPiece,
    input: u32,
    rules: &BatchRules,
    nested: NestedValues,
) -> (ObjectBatch, FaultCollector) {
    let mut builder = BatchBuilder::new(rules);
    let mut faults = FaultCollector::default();
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
            faults.add(InputDiagnostic {
                place,
                message: format!(
                    "the line has {PIECE} bytes or more, an object at most {OBJECT_MAX}"
                ),
                ..InputDiagnostic::default()
            });
            continue;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                let row = ReadRow::alone(text, place);
                let pushed = match nested {
                    NestedValues::Refuse => builder.push_digested(&row, spelling),
                    nested => push(&mut builder, &row, nested),
                };
                faults.extend(pushed.err());
            }
            Err(e) => faults.add(InputDiagnostic {
                place,
                column: e.valid_up_to() as u32 + 1,
                message: "the line is not UTF-8".into(),
                ..InputDiagnostic::default()
            }),
        }
    }
    (builder.finish(), faults)
}
