//! Verdicts: conditions on properties, tested on many objects at once.
//!
//! A reader tells of many objects at once which of them share a value, and which numbers they have
//! (`PropertyCell`). So each value is compared once, however many objects have it, and no text is made
//! to be compared. What a comparison means, and what is noted of it, is in `evaluate`: a verdict here is
//! always one that was given there, or that of two numbers.

use super::cell::{CellValue, EqualityMode};
use super::evaluate::manner;
use super::read::{EvalContext, QueryReadResult, QueryReader};
use super::resolved::{Predicate, PredicateOperand, PropertyOwner, ScalarExpr};
use super::row_batch::BoundRelationships;
use super::syntax::ComparisonOp;
use crate::graph::{GraphRead, ObjectKind, PropertyCell, Value};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Dictionaries of one comparison whose verdicts are kept.
const DICTIONARIES_MAX: usize = 256;
/// Comparisons whose verdicts are kept.
const COMPARISONS_MAX: usize = 64;

/// The verdicts of one comparison on the values that it has met.
#[derive(Default)]
pub(super) struct KnownVerdicts {
    /// Held, so that its address is given to no other comparison.
    _said: Option<Arc<str>>,
    absent: Option<bool>,
    /// By dictionary and code.
    coded: FxHashMap<u64, Vec<Option<bool>>>,
}

impl KnownVerdicts {
    #[inline]
    fn get(&self, cell: PropertyCell) -> Option<bool> {
        match cell {
            PropertyCell::Absent => self.absent,
            PropertyCell::Coded { dictionary, code } => {
                *self.coded.get(&dictionary)?.get(code as usize)?
            }
            _ => None,
        }
    }

    fn put(&mut self, cell: PropertyCell, verdict: bool) {
        match cell {
            PropertyCell::Absent => self.absent = Some(verdict),
            PropertyCell::Coded { dictionary, code } => {
                if self.coded.len() >= DICTIONARIES_MAX && !self.coded.contains_key(&dictionary) {
                    self.coded.clear();
                }
                let verdicts = self.coded.entry(dictionary).or_default();
                let code = code as usize;
                if verdicts.len() <= code {
                    verdicts.resize(code + 1, None);
                }
                verdicts[code] = Some(verdict);
            }
            _ => {}
        }
    }
}

/// A comparison of one property with what does not depend on the row.
struct FixedComparison<'a> {
    /// The comparison as it is written: its address tells comparisons apart, also copies of one.
    said: &'a Arc<str>,
    name: &'a str,
    op: ComparisonOp,
    negated: bool,
    /// The integer that it compares with, if it compares with nothing else.
    integer: Option<i64>,
}

impl<'a> FixedComparison<'a> {
    fn of(test: &'a Predicate) -> Option<(PropertyOwner, FixedComparison<'a>)> {
        let Predicate::Compare { left, op, negated, right, said } = test else { return None };
        let ScalarExpr::Property(of, name) = left else { return None };
        if !is_fixed(right) {
            return None;
        }
        let integer = match right {
            PredicateOperand::Term(ScalarExpr::Value(Value::Int(integer)))
                if manner(left) == EqualityMode::Plain
                    && (*op == ComparisonOp::Equal || op.orders()) =>
            {
                Some(*integer)
            }
            _ => None,
        };
        let (op, negated) = (*op, *negated);
        Some((*of, FixedComparison { said, name, op, negated, integer }))
    }

    /// The verdict on a number. An integer is compared as `evaluate` does it; as it has no fraction,
    /// nothing can be noted of it.
    #[inline]
    fn of_number(&self, cell: PropertyCell) -> Option<bool> {
        let (PropertyCell::Number { scaled, decimals, .. }, Some(integer)) = (cell, self.integer)
        else {
            return None;
        };
        let other = integer.checked_mul(10i64.pow(decimals.into()))?;
        Some(self.op.keeps(scaled.cmp(&other)) != self.negated)
    }
}

fn address(said: &Arc<str>) -> usize {
    Arc::as_ptr(said).cast::<u8>().addr()
}

/// True if the right side of a comparison is the same for all rows.
fn is_fixed(right: &PredicateOperand) -> bool {
    match right {
        PredicateOperand::Or(all) | PredicateOperand::And(all) => all.iter().all(is_fixed),
        PredicateOperand::Term(term) => matches!(
            term,
            ScalarExpr::Undefined
                | ScalarExpr::Value(_)
                | ScalarExpr::Written(..)
                | ScalarExpr::Time(_)
        ),
        PredicateOperand::Pattern(_) | PredicateOperand::Query(_) => true,
    }
}

impl<G: GraphRead> QueryReader<'_, G> {
    /// The verdict of a condition that compares one property of one object with what is the same for all
    /// rows, if it is known or two numbers tell it. `settle` gives it otherwise.
    pub(super) fn fixed_verdict(
        &self,
        test: &Predicate,
        sight: &EvalContext<'_>,
        settle: impl FnOnce() -> QueryReadResult<bool, G>,
    ) -> QueryReadResult<bool, G> {
        let Some((of, fixed)) = FixedComparison::of(test) else { return settle() };
        let Some((kind, number)) = single_object(of, sight) else { return settle() };
        let cell = self.property_cell(kind, number, fixed.name)?;
        if let Some(verdict) = fixed.of_number(cell).or_else(|| self.known_verdict(&fixed, cell)) {
            self.spend(1)?;
            return Ok(verdict);
        }
        let verdict = settle()?;
        self.learn(&fixed, cell, verdict);
        Ok(verdict)
    }

    /// The cell of one object.
    fn property_cell(
        &self,
        kind: ObjectKind,
        number: u32,
        name: &str,
    ) -> QueryReadResult<PropertyCell, G> {
        let mut cells = self.cell_room.take();
        cells.clear();
        let read = self.graph.property_cells(kind, &[number], name, &mut cells);
        let cell = cells.first().copied();
        self.cell_room.replace(cells);
        read?;
        Ok(cell.unwrap_or(PropertyCell::Unread))
    }

    fn known_verdict(&self, fixed: &FixedComparison<'_>, cell: PropertyCell) -> Option<bool> {
        self.verdicts.borrow().get(&address(fixed.said))?.get(cell)
    }

    fn learn(&self, fixed: &FixedComparison<'_>, cell: PropertyCell, verdict: bool) {
        if !matches!(cell, PropertyCell::Absent | PropertyCell::Coded { .. }) {
            return;
        }
        let mut known = self.take_verdicts(fixed);
        known.put(cell, verdict);
        self.verdicts.borrow_mut().insert(address(fixed.said), known);
    }

    /// The verdicts of a comparison, to be put back once there are more.
    fn take_verdicts(&self, fixed: &FixedComparison<'_>) -> KnownVerdicts {
        let mut all = self.verdicts.borrow_mut();
        let known = all.remove(&address(fixed.said));
        if all.len() >= COMPARISONS_MAX {
            all.clear();
        }
        known.unwrap_or_else(|| KnownVerdicts {
            _said: Some(Arc::clone(fixed.said)),
            ..KnownVerdicts::default()
        })
    }

    /// Keeps those of some entities for which a condition on the subject holds. They stay in order.
    pub(super) fn retain_subjects(
        &self,
        test: &Predicate,
        numbers: &mut Vec<u32>,
    ) -> QueryReadResult<(), G> {
        if let Predicate::And(tests) = test {
            return tests.iter().try_for_each(|test| self.retain_subjects(test, numbers));
        }
        let mut verdicts = Vec::with_capacity(numbers.len());
        self.subjects_hold(test, numbers, &mut verdicts)?;
        let mut verdict = verdicts.into_iter();
        numbers.retain(|_| verdict.next() == Some(true));
        Ok(())
    }

    /// Appends a verdict for each of some entities.
    fn subjects_hold(
        &self,
        test: &Predicate,
        numbers: &[u32],
        verdicts: &mut Vec<bool>,
    ) -> QueryReadResult<(), G> {
        match test {
            Predicate::And(tests) => self.combined(tests, false, numbers, verdicts),
            Predicate::Or(tests) => self.combined(tests, true, numbers, verdicts),
            Predicate::Not(test) => {
                let from = verdicts.len();
                self.subjects_hold(test, numbers, verdicts)?;
                verdicts[from..].iter_mut().for_each(|verdict| *verdict = !*verdict);
                Ok(())
            }
            Predicate::Compare { .. } => self.compare_subjects(test, numbers, verdicts),
        }
    }

    /// Several tests, each of the entities that the ones before it left open: those that it does not
    /// hold for (`any`), or those that it holds for.
    fn combined(
        &self,
        tests: &[Predicate],
        any: bool,
        numbers: &[u32],
        verdicts: &mut Vec<bool>,
    ) -> QueryReadResult<(), G> {
        let from = verdicts.len();
        verdicts.extend(numbers.iter().map(|_| !any));
        let mut open: Vec<usize> = (0..numbers.len()).collect();
        for test in tests {
            let left: Vec<u32> = open.iter().map(|&at| numbers[at]).collect();
            let mut each = Vec::with_capacity(left.len());
            self.subjects_hold(test, &left, &mut each)?;
            let mut each = each.into_iter();
            open.retain(|&at| {
                let decided = each.next() == Some(any);
                if decided {
                    verdicts[from + at] = any;
                }
                !decided
            });
        }
        Ok(())
    }

    fn compare_subjects(
        &self,
        test: &Predicate,
        numbers: &[u32],
        verdicts: &mut Vec<bool>,
    ) -> QueryReadResult<(), G> {
        let alone = |number: u32| {
            self.settled(test, &EvalContext { subject: Some(number), ..EvalContext::default() })
        };
        let Some((PropertyOwner::Subject, fixed)) = FixedComparison::of(test) else {
            for &number in numbers {
                verdicts.push(alone(number)?);
            }
            return Ok(());
        };
        self.spend(numbers.len())?;
        let mut cells = Vec::with_capacity(numbers.len());
        self.graph.property_cells(ObjectKind::Entity, numbers, fixed.name, &mut cells)?;
        let mut known = self.take_verdicts(&fixed);
        for (&number, &cell) in numbers.iter().zip(&cells) {
            let verdict = match fixed.of_number(cell).or_else(|| known.get(cell)) {
                Some(verdict) => verdict,
                None => {
                    let verdict = alone(number)?;
                    known.put(cell, verdict);
                    verdict
                }
            };
            verdicts.push(verdict);
        }
        self.verdicts.borrow_mut().insert(address(fixed.said), known);
        Ok(())
    }

    /// The value of a cell of an object.
    pub(super) fn value_of_cell(
        &self,
        cell: PropertyCell,
        kind: ObjectKind,
        number: u32,
        name: &str,
    ) -> QueryReadResult<CellValue, G> {
        match (cell, kind) {
            (PropertyCell::Absent, _) => Ok(CellValue::Undefined),
            (PropertyCell::Number { .. }, _) => {
                Ok(cell.number().map_or(CellValue::Undefined, CellValue::Value))
            }
            (_, ObjectKind::Entity) => self.entity_property(number, name),
            (_, ObjectKind::Relationship) => self.relationship_property(number, name),
        }
    }
}

/// The one object whose property a term asks for; `None` for several, or none.
pub(super) fn single_object(
    of: PropertyOwner,
    sight: &EvalContext<'_>,
) -> Option<(ObjectKind, u32)> {
    let entity =
        |number| (number != super::row_batch::NONE).then_some((ObjectKind::Entity, number));
    match (of, sight.row) {
        (PropertyOwner::Subject, _) => entity(sight.subject?),
        (PropertyOwner::Entity(slot), Some(row)) => entity(row.entities[slot]),
        (PropertyOwner::Relationship(slot), Some(row)) => match &row.hops[slot] {
            BoundRelationships::One(number) => Some((ObjectKind::Relationship, *number)),
            _ => None,
        },
        _ => None,
    }
}
