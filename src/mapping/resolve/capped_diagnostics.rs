//! The faults of a run over many rows: a few of each kind are told, the rest is counted.

use crate::lang::Diagnostic;
use rustc_hash::FxHashMap;

/// The number of faults of one code that are reported; the rest is counted.
const TOLD: usize = 10;

/// Faults, at most [`TOLD`] of each code.
#[derive(Default)]
pub(in crate::mapping) struct CappedDiagnostics {
    pub list: Vec<Diagnostic>,
    more: FxHashMap<&'static str, (usize, usize)>,
}

impl CappedDiagnostics {
    /// Counts a fault of this code. True if it is to be reported too.
    pub(in crate::mapping) fn admits_another(&mut self, code: &'static str) -> bool {
        let (told, left_out) = self.more.entry(code).or_default();
        match *told < TOLD {
            true => *told += 1,
            false => *left_out += 1,
        }
        *left_out == 0
    }

    pub(in crate::mapping) fn finish(mut self) -> Vec<Diagnostic> {
        // From the back: the note about the rest goes to the last fault of its code.
        for fault in self.list.iter_mut().rev() {
            if let Some((_, left_out @ 1..)) = self.more.remove(fault.code) {
                fault.notes.push(format!("and {left_out} more like this"));
            }
        }
        self.list
    }
}
