//! Evaluating terms and conditions on the bindings and cells of a row.

use super::cell::{self, CellValue, EqualityMode};
use super::pattern::CompiledRegex;
use super::read::{EvalContext, InnerAnswers, QueryReadResult, QueryReader};
use super::resolved::{
    Predicate, PredicateOperand, PropertyOwner, ResolvedQuery, ScalarExpr, ScalarFunction,
};
use super::row_batch::BoundRelationships;
use super::syntax::{ArithmeticOp, ComparisonOp};
use super::{LimitError, QuestionError, number};
use crate::graph::{GraphRead, Value};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::rc::Rc;

impl<G: GraphRead> QueryReader<'_, G> {
    /// The value of a term.
    pub fn term(
        &self,
        term: &ScalarExpr,
        sight: &EvalContext<'_>,
    ) -> QueryReadResult<CellValue, G> {
        Ok(match term {
            ScalarExpr::Undefined => CellValue::Undefined,
            ScalarExpr::Value(value) | ScalarExpr::Written(value, _) => {
                CellValue::Value(value.clone())
            }
            ScalarExpr::Time(time) => CellValue::Value(Value::Int(*time)),
            ScalarExpr::Property(of, name) => self.property(*of, name, sight)?,
            ScalarExpr::Whole(of) => self.whole_object(*of, sight),
            ScalarExpr::All(of) => self.all_properties(*of, sight)?,
            ScalarExpr::Unwind(at) => sight.turns.get(*at).cloned().unwrap_or(CellValue::Undefined),
            ScalarExpr::Aggregate(at) => {
                sight.aggregates.get(*at).cloned().unwrap_or(CellValue::Undefined)
            }
            ScalarExpr::Column(at) => {
                sight.columns.get(*at).cloned().unwrap_or(CellValue::Undefined)
            }
            ScalarExpr::Minus(inner) => {
                let zero = CellValue::Value(Value::Int(0));
                number::arithmetic(&zero, ArithmeticOp::Subtract, &self.operand(inner, sight)?)
            }
            ScalarExpr::Binary(left, math, right) => {
                let (left, right) = (self.operand(left, sight)?, self.operand(right, sight)?);
                number::arithmetic(&left, *math, &right)
            }
            ScalarExpr::Call(ScalarFunction::Depth, terms) => match (&terms[..], sight.row) {
                ([ScalarExpr::Whole(PropertyOwner::Relationship(slot))], Some(row)) => {
                    match &row.hops[*slot] {
                        BoundRelationships::None => CellValue::Undefined,
                        hops => CellValue::Value(Value::Int(hops.numbers().len() as i64)),
                    }
                }
                _ => CellValue::Undefined,
            },
            ScalarExpr::Call(ScalarFunction::Coalesce, terms) => {
                for term in terms {
                    let cell = self.term(term, sight)?;
                    if !cell.is_undefined() {
                        return Ok(cell);
                    }
                }
                CellValue::Undefined
            }
            ScalarExpr::Call(ScalarFunction::Concat, terms) => self.concat(terms, sight)?,
            ScalarExpr::Call(ScalarFunction::Merge, terms) => self.merge(terms, sight)?,
            ScalarExpr::Call(function, terms) => match terms.first() {
                Some(term) => number::call(*function, &self.operand(term, sight)?),
                None => CellValue::Undefined,
            },
        })
    }

    /// A value that enters arithmetic or a function of one number.
    fn operand(&self, term: &ScalarExpr, sight: &EvalContext<'_>) -> QueryReadResult<CellValue, G> {
        let cell = self.term(term, sight)?;
        self.unlike.computed(term, &cell, "");
        Ok(cell)
    }

    /// One text of several values. It grows value by value, so that the limit refuses it before it is
    /// too large.
    fn concat(
        &self,
        terms: &[ScalarExpr],
        sight: &EvalContext<'_>,
    ) -> QueryReadResult<CellValue, G> {
        let (mut text, mut part) = (String::new(), self.meter.part());
        for term in terms {
            let cell = self.term(term, sight)?;
            let Some(value) = cell.value() else { continue };
            let more = match value {
                Value::Text(more) => Cow::Borrowed(more.as_ref()),
                other => Cow::Owned(other.to_string()),
            };
            self.meter.value(text.len() + more.len()).map_err(QuestionError::Limit)?;
            part.hold(more.len() as u64).map_err(QuestionError::Limit)?;
            self.spend(more.len() / 8)?;
            text.push_str(&more);
        }
        Ok(CellValue::Value(Value::Text(text.into())))
    }

    /// The items of several lists, each once.
    fn merge(
        &self,
        terms: &[ScalarExpr],
        sight: &EvalContext<'_>,
    ) -> QueryReadResult<CellValue, G> {
        let mut all: Vec<Value<'static>> = Vec::new();
        let mut known: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
        let (mut bytes, mut part) = (0, self.meter.part());
        for term in terms {
            let cell = self.term(term, sight)?;
            let items = match cell.value() {
                Some(Value::List(items)) => items.as_slice(),
                Some(value) => std::slice::from_ref(value),
                None => &[],
            };
            self.spend(items.len() * 50)?;
            for item in items {
                let same = known.entry(cell::identity_hash(item)).or_default();
                // Different values may share a hash.
                if same.iter().any(|&at| all[at] == *item) {
                    continue;
                }
                let own = cell::value_bytes(item);
                bytes += own;
                self.meter.value(bytes).map_err(QuestionError::Limit)?;
                part.hold(2 * own as u64).map_err(QuestionError::Limit)?;
                same.push(all.len());
                all.push(item.clone());
            }
        }
        Ok(CellValue::Value(Value::List(all)))
    }

    /// True if a condition holds.
    pub fn test(&self, test: &Predicate, sight: &EvalContext<'_>) -> QueryReadResult<bool, G> {
        match test {
            Predicate::Or(tests) => {
                for test in tests {
                    if self.test(test, sight)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Predicate::And(tests) => {
                for test in tests {
                    if !self.test(test, sight)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Predicate::Not(test) => Ok(!self.test(test, sight)?),
            Predicate::Compare { .. } => {
                self.fixed_verdict(test, sight, || self.settled(test, sight))
            }
        }
    }

    /// The verdict of a condition, made anew if it is one comparison.
    pub(super) fn settled(
        &self,
        test: &Predicate,
        sight: &EvalContext<'_>,
    ) -> QueryReadResult<bool, G> {
        match test {
            // A time on the left is no value of the graph: the comparison is made from the right.
            Predicate::Compare {
                left: left @ ScalarExpr::Time(time),
                op,
                negated,
                right,
                said,
            } => {
                let holds = self.compare_time(*time, *op, right, sight)?;
                self.unlike.settle(left, said);
                Ok(holds != *negated)
            }
            Predicate::Compare { left, op, negated, right, said } => {
                let cell = self.compared(left, sight)?;
                let holds = self.compare(&cell, *op, right, manner(left), sight)?;
                self.unlike.settle(left, said);
                Ok(holds != *negated)
            }
            _ => self.test(test, sight),
        }
    }

    /// One side of a comparison; a whole object is compared by its `_id`.
    fn compared(
        &self,
        term: &ScalarExpr,
        sight: &EvalContext<'_>,
    ) -> QueryReadResult<CellValue, G> {
        match self.term(term, sight)? {
            CellValue::Entity(number) => self.entity_property(number, "_id"),
            CellValue::Relationship(number) => self.relationship_property(number, "_id"),
            cell => Ok(cell),
        }
    }

    /// `date.now - 7 days < a.b`: the same seen from the other side.
    fn compare_time(
        &self,
        time: i64,
        op: ComparisonOp,
        right: &PredicateOperand,
        sight: &EvalContext<'_>,
    ) -> QueryReadResult<bool, G> {
        match right {
            PredicateOperand::Or(all) => {
                for right in all {
                    if self.compare_time(time, op, right, sight)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            PredicateOperand::And(all) => {
                for right in all {
                    if !self.compare_time(time, op, right, sight)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            PredicateOperand::Term(ScalarExpr::Time(right)) => Ok(op.keeps(time.cmp(right))),
            PredicateOperand::Term(term) => {
                let right = self.compared(term, sight)?;
                // The value moves to the left side, so the operator is turned around.
                Ok(right.value().is_some_and(|right| self.holds_time(right, op.turned(), time)))
            }
            PredicateOperand::Pattern(_) | PredicateOperand::Query(_) => Ok(false),
        }
    }

    fn compare(
        &self,
        left: &CellValue,
        op: ComparisonOp,
        right: &PredicateOperand,
        manner: EqualityMode,
        sight: &EvalContext<'_>,
    ) -> QueryReadResult<bool, G> {
        match right {
            PredicateOperand::Or(all) => {
                self.spend(all.len())?;
                for right in all {
                    if self.compare(left, op, right, manner, sight)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            PredicateOperand::And(all) => {
                for right in all {
                    if !self.compare(left, op, right, manner, sight)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            PredicateOperand::Pattern(pattern) => match left.value() {
                Some(left) => self.matches(left, pattern),
                None => Ok(false),
            },
            // Only equality asks for what is absent; the caller applies the negation.
            PredicateOperand::Term(ScalarExpr::Undefined) => {
                Ok(op == ComparisonOp::Equal && left.is_undefined())
            }
            PredicateOperand::Term(ScalarExpr::Time(time)) => {
                Ok(left.value().is_some_and(|left| self.holds_time(left, op, *time)))
            }
            PredicateOperand::Term(ScalarExpr::Value(right)) => match left.value() {
                Some(left) => self.holds(left, op, right, manner),
                None => Ok(false),
            },
            PredicateOperand::Term(ScalarExpr::Written(number, written)) => match left.value() {
                Some(left) => self.holds_written(left, op, number, written),
                None => Ok(false),
            },
            PredicateOperand::Term(term) => {
                let right = self.compared(term, sight)?;
                match left.value().zip(right.value()) {
                    Some((left, right)) => self.holds(left, op, right, manner),
                    None => Ok(false),
                }
            }
            PredicateOperand::Query(query) => self.is_answer(left, query, manner),
        }
    }

    /// True if any item is among the values of a query inside this one.
    fn is_answer(
        &self,
        left: &CellValue,
        query: &ResolvedQuery,
        manner: EqualityMode,
    ) -> QueryReadResult<bool, G> {
        let answers = self.answers(query, manner)?;
        let mut found = false;
        if let Some(left) = left.value() {
            cell::equality_keys(left, manner, &mut |key| found |= answers.contains(&key));
        }
        Ok(found)
    }

    /// True if `left op right` holds for any pair of items. The clock is looked at between the items of
    /// a list, which may be as long as an upload.
    fn holds(
        &self,
        left: &Value<'static>,
        op: ComparisonOp,
        right: &Value<'static>,
        manner: EqualityMode,
    ) -> QueryReadResult<bool, G> {
        let pairs = cell::value_bytes(right);
        for item in cell::items(left) {
            self.spend(1 + (pairs + cell::value_bytes(item)) / 16)?;
            if op.orders() {
                cell::items(right).iter().for_each(|right| self.unlike.ordered(item, right, None));
            }
            if cell::holds(item, op, right, manner) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same for a number of the query that is not written as the program prints it.
    fn holds_written(
        &self,
        left: &Value<'static>,
        op: ComparisonOp,
        number: &Value<'static>,
        written: &Value<'static>,
    ) -> QueryReadResult<bool, G> {
        let text = written.as_str().unwrap_or_default();
        for item in cell::items(left) {
            self.spend(1 + cell::value_bytes(item) / 16)?;
            if op.orders() {
                self.unlike.ordered(item, number, Some(text));
            }
            if cell::holds_written(item, op, number, text) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True if `left op time` holds for any item of `left`; `time` is in epoch milliseconds.
    fn holds_time(&self, left: &Value<'static>, op: ComparisonOp, time: i64) -> bool {
        cell::items(left).iter().filter(|_| op.orders()).for_each(|item| self.unlike.dated(item));
        cell::holds_time(left, op, time)
    }

    /// True if any item matches the pattern.
    fn matches(&self, left: &Value<'static>, pattern: &CompiledRegex) -> QueryReadResult<bool, G> {
        for item in cell::items(left) {
            let Some(text) = item.as_str() else { continue };
            // Nothing stops a match once it runs, so a text that may take long is refused before.
            if !pattern.is_quick_for(text.len()) {
                return Err(QuestionError::Limit(LimitError::Pattern));
            }
            self.spend(20 + text.len() * 2)?;
            if pattern.is_match(text) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The keys of the values of a query inside this one, asked once.
    fn answers(
        &self,
        query: &ResolvedQuery,
        manner: EqualityMode,
    ) -> QueryReadResult<Rc<InnerAnswers>, G> {
        // The query inside is shared and stays in place while this one runs: its address names it.
        let of = (std::ptr::from_ref(query), manner);
        if let Some(known) = self.answers.borrow().get(&of) {
            return Ok(Rc::clone(known));
        }
        let mut values = InnerAnswers::default();
        for row in (self.inner_rows)(self, query)? {
            let Some(value) = row.first().and_then(CellValue::value) else { continue };
            let mut held = 0;
            cell::equality_keys(value, manner, &mut |key| {
                held += key.bytes() + cell::KEPT;
                values.insert(key.into_owned());
            });
            self.hold(held)?;
        }
        let values = Rc::new(values);
        self.answers.borrow_mut().insert(of, Rc::clone(&values));
        Ok(values)
    }
}

/// The kind of equality that the left side of a comparison asks for.
pub(super) fn manner(left: &ScalarExpr) -> EqualityMode {
    match left {
        ScalarExpr::Property(_, name) if name.starts_with("tag.") => EqualityMode::Tag,
        ScalarExpr::Property(PropertyOwner::Relationship(_), name) if name == "_class" => {
            EqualityMode::Verb
        }
        ScalarExpr::Property(_, name) if name == "_class" => EqualityMode::Class,
        _ => EqualityMode::Plain,
    }
}
