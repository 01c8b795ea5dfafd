//! Reading properties of a row's objects, no more of each object than is asked for, and testing
//! conditions on them.

use super::cell::{self, CellValue, EqualityMode};
use super::mismatch::MismatchLog;
use super::pattern::CompiledRegex;
use super::resolved::{
    EntityTest, Predicate, PredicateOperand, PropertyOwner, ResolvedQuery, RowSlot, ScalarExpr,
    ScalarFunction, SelectorKind,
};
use super::spelling::has_class;
use super::syntax::{ArithmeticOp, ComparisonOp};
use super::{CostMeter, LimitError, QueryRow, QuestionError, number, run};
use crate::graph::{Entity, EntityFacts, GraphRead, Relationship, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;
use std::cell::{Cell as Shared, RefCell};
use std::rc::Rc;

/// Objects kept in memory before all are forgotten again, and the bytes of them.
const CACHE_MAX: usize = 1 << 15;
const CACHE_BYTES: u64 = 16 << 20;

/// No entity.
pub(super) const NONE: u32 = u32::MAX;

/// The relationships in one slot of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum BoundRelationships {
    #[default]
    None,
    One(u32),
    /// In order, from the left entity; may be empty.
    Many(Rc<[u32]>),
}

impl BoundRelationships {
    pub(super) fn numbers(&self) -> &[u32] {
        match self {
            BoundRelationships::None => &[],
            BoundRelationships::One(number) => std::slice::from_ref(number),
            BoundRelationships::Many(numbers) => numbers,
        }
    }
}

/// The verdict on an entity by its names: is it of the kinds and in the scope that a selector names?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SelectorVerdict {
    No,
    /// Its properties have to be looked at.
    Unknown,
    Yes,
}

impl From<bool> for SelectorVerdict {
    fn from(yes: bool) -> SelectorVerdict {
        if yes { SelectorVerdict::Yes } else { SelectorVerdict::No }
    }
}

/// One match of the pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BindingRow {
    pub entities: Vec<u32>,
    pub hops: Vec<BoundRelationships>,
}

impl BindingRow {
    /// Approximate size in bytes of a row that is kept.
    pub(super) fn bytes(&self) -> usize {
        let hops =
            self.hops.iter().map(|hops| size_of::<BoundRelationships>() + 4 * hops.numbers().len());
        size_of::<BindingRow>() + 4 * self.entities.len() + hops.sum::<usize>() + cell::KEPT
    }
}

/// The values that a term can see while it is evaluated.
#[derive(Clone, Copy, Default)]
pub(super) struct EvalContext<'a> {
    pub subject: Option<u32>,
    pub row: Option<&'a BindingRow>,
    pub turns: &'a [CellValue],
    pub aggregates: &'a [CellValue],
    pub columns: &'a [CellValue],
}

/// Reads a graph for one query.
pub(super) struct QueryReader<'g, G: GraphRead> {
    pub graph: &'g G,
    pub meter: &'g CostMeter,
    pub tested: Shared<u64>,
    pub unlike: MismatchLog,
    entities: RefCell<ObjectCache<Entity>>,
    relationships: RefCell<ObjectCache<Relationship>>,
    answers: RefCell<FxHashMap<*const ResolvedQuery, Rc<FxHashSet<String>>>>,
}

type QueryReadResult<T, G> = Result<T, QuestionError<<G as crate::graph::AdjacencyRead>::Error>>;

impl<'g, G: GraphRead> QueryReader<'g, G> {
    pub fn new(graph: &'g G, meter: &'g CostMeter) -> QueryReader<'g, G> {
        QueryReader {
            graph,
            meter,
            tested: Shared::new(0),
            unlike: MismatchLog::default(),
            entities: RefCell::default(),
            relationships: RefCell::default(),
            answers: RefCell::default(),
        }
    }

    /// Counts work and stops a query that does too much of it.
    pub fn work(&self, steps: u64) -> QueryReadResult<(), G> {
        self.meter.work(steps).map_err(QuestionError::Limit)
    }

    /// Counts work other than walking edges, in units.
    pub fn spend(&self, units: usize) -> QueryReadResult<(), G> {
        self.meter.spend(units as u64).map_err(QuestionError::Limit)
    }

    /// Stops a query whose time is over.
    pub fn time(&self) -> QueryReadResult<(), G> {
        self.meter.look().map_err(QuestionError::Limit)
    }

    /// Refuses more rows than may be held.
    pub fn room(&self, rows: usize) -> QueryReadResult<(), G> {
        self.meter.room(rows).map_err(QuestionError::Limit)
    }

    /// Counts bytes that are about to be kept until the query ends.
    pub fn hold(&self, bytes: usize) -> QueryReadResult<(), G> {
        self.meter.hold(bytes as u64).map_err(QuestionError::Limit)
    }

    /// Counts a cell that is kept until the query ends.
    pub fn keep(&self, cell: CellValue) -> QueryReadResult<CellValue, G> {
        let bytes = cell.bytes();
        // Reading it took about as long as copying it a few times.
        self.spend(200 + bytes / 2)?;
        self.hold(bytes)?;
        Ok(cell)
    }

    pub fn entity(&self, number: u32) -> QueryReadResult<Option<Rc<Entity>>, G> {
        Ok(cached(&self.entities, number, || self.graph.entity(number))?)
    }

    pub fn relationship(&self, number: u32) -> QueryReadResult<Option<Rc<Relationship>>, G> {
        Ok(cached(&self.relationships, number, || self.graph.relationship(number))?)
    }

    fn entity_property(&self, number: u32, name: &str) -> QueryReadResult<CellValue, G> {
        match number {
            NONE => Ok(CellValue::Undefined),
            number => Ok(cell_of(self.graph.entity_value(number, name)?)),
        }
    }

    fn relationship_property(&self, number: u32, name: &str) -> QueryReadResult<CellValue, G> {
        Ok(cell_of(self.graph.relationship_value(number, name)?))
    }

    /// A property. For several relationships: the list of its values, of those that have it.
    pub fn property(
        &self,
        of: PropertyOwner,
        name: &str,
        sight: &EvalContext<'_>,
    ) -> QueryReadResult<CellValue, G> {
        match (of, sight.row) {
            (PropertyOwner::Subject, _) => {
                self.entity_property(sight.subject.unwrap_or(NONE), name)
            }
            (PropertyOwner::Entity(slot), Some(row)) => {
                self.entity_property(row.entities[slot], name)
            }
            (PropertyOwner::Relationship(slot), Some(row)) => match &row.hops[slot] {
                BoundRelationships::None => Ok(CellValue::Undefined),
                BoundRelationships::One(number) => self.relationship_property(*number, name),
                BoundRelationships::Many(numbers) => {
                    let (mut items, mut bytes) = (Vec::new(), 0);
                    for &number in numbers.iter() {
                        let cell = self.relationship_property(number, name)?;
                        bytes += cell.bytes();
                        // The limit on one value holds for the list that is built here too.
                        self.meter.value(bytes).map_err(QuestionError::Limit)?;
                        match cell {
                            CellValue::Value(Value::List(more)) => items.extend(more),
                            CellValue::Value(value) => items.push(value),
                            _ => {}
                        }
                    }
                    Ok(CellValue::Value(Value::List(items)))
                }
            },
            _ => Ok(CellValue::Undefined),
        }
    }

    fn whole_object(&self, of: PropertyOwner, sight: &EvalContext<'_>) -> CellValue {
        let entity = |slot: RowSlot| sight.row.map_or(NONE, |row| row.entities[slot]);
        match of {
            PropertyOwner::Subject => sight.subject.map_or(CellValue::Undefined, CellValue::Entity),
            PropertyOwner::Entity(slot) if entity(slot) == NONE => CellValue::Undefined,
            PropertyOwner::Entity(slot) => CellValue::Entity(entity(slot)),
            PropertyOwner::Relationship(slot) => {
                match sight.row.map_or(&[][..], |row| row.hops[slot].numbers()) {
                    [.., last] => CellValue::Relationship(*last),
                    [] => CellValue::Undefined,
                }
            }
        }
    }

    fn all_properties(
        &self,
        of: PropertyOwner,
        sight: &EvalContext<'_>,
    ) -> QueryReadResult<CellValue, G> {
        let mut members = Vec::new();
        let (names, properties): (&[&str], _) = match self.whole_object(of, sight) {
            CellValue::Entity(number) => {
                let entity = self.entity(number)?;
                (
                    &[
                        "_id",
                        "_key",
                        "_scope",
                        "_type",
                        "_class",
                        "_source",
                        "_createdOn",
                        "_beginOn",
                        "_version",
                    ],
                    entity.map(|entity| entity.properties.clone()),
                )
            }
            CellValue::Relationship(number) => {
                let link = self.relationship(number)?;
                (
                    &[
                        "_id",
                        "_key",
                        "_scope",
                        "_type",
                        "_class",
                        "_fromEntityKey",
                        "_toEntityKey",
                        "_source",
                        "_createdOn",
                        "_beginOn",
                        "_version",
                    ],
                    link.map(|link| link.properties.clone()),
                )
            }
            other => return Ok(other),
        };
        for name in names {
            if let CellValue::Value(value) = self.property(of, name, sight)? {
                members.push(((*name).to_owned(), value));
            }
        }
        members.extend(properties.unwrap_or_default());
        Ok(CellValue::Object(members))
    }

    /// All properties of an entity, kept until the query ends.
    pub fn counted_members(&self, number: u32) -> QueryReadResult<QueryRow, G> {
        let members = self.members(number)?;
        let bytes = members.iter().map(|(name, value)| name.len() + cell::value_bytes(value));
        self.hold(bytes.sum())?;
        Ok(members)
    }

    /// All properties of an entity.
    fn members(&self, number: u32) -> QueryReadResult<QueryRow, G> {
        let sight = EvalContext { subject: Some(number), ..EvalContext::default() };
        Ok(match self.all_properties(PropertyOwner::Subject, &sight)? {
            CellValue::Object(members) => members,
            _ => Vec::new(),
        })
    }

    /// A cell as one value.
    pub fn flat(&self, cell: CellValue) -> QueryReadResult<Value<'static>, G> {
        Ok(match cell {
            CellValue::Value(value) => value,
            CellValue::Entity(number) => match self.entity_property(number, "_key")? {
                CellValue::Value(key) => key,
                _ => Value::Null,
            },
            CellValue::Relationship(number) => match self.relationship_property(number, "_key")? {
                CellValue::Value(key) => key,
                _ => Value::Null,
            },
            CellValue::Undefined | CellValue::Object(_) => Value::Null,
        })
    }

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
            PredicateOperand::Query(query) => {
                let answers = self.answers(query)?;
                let item = |value: &Value<'static>| {
                    let mut found = false;
                    cell::equality_keys(value, manner, |key| found |= answers.contains(&key));
                    found
                };
                Ok(match left.value() {
                    Some(Value::List(items)) => items.iter().any(item),
                    Some(value) => item(value),
                    None => false,
                })
            }
        }
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

    /// The values of a query inside this one, asked once.
    fn answers(&self, query: &ResolvedQuery) -> QueryReadResult<Rc<FxHashSet<String>>, G> {
        // The query inside is shared and stays in place while this one runs: its address names it.
        let key = std::ptr::from_ref(query);
        if let Some(known) = self.answers.borrow().get(&key) {
            return Ok(Rc::clone(known));
        }
        let mut values = FxHashSet::default();
        for row in run::table_rows(self, query)? {
            let Some(cell) = row.first() else { continue };
            let items = match cell.value() {
                Some(Value::List(items)) => items.as_slice(),
                Some(value) => std::slice::from_ref(value),
                None => continue,
            };
            for item in items {
                let mut held = 0;
                cell::equality_keys(item, EqualityMode::Plain, |key| {
                    held += key.len() + cell::KEPT;
                    values.insert(key);
                });
                self.hold(held)?;
            }
        }
        let values = Rc::new(values);
        self.answers.borrow_mut().insert(key, Rc::clone(&values));
        Ok(values)
    }

    /// The verdict of a selector on an entity, from the entity's names alone.
    pub fn selected(&self, facts: &EntityFacts, test: &EntityTest) -> SelectorVerdict {
        let graph = self.graph;
        if test.scope.as_ref().is_some_and(|scope| graph.name(facts.scope) != scope) {
            return SelectorVerdict::No;
        }
        let each = test.any.iter().map(|kind| self.of_kind(facts, kind));
        // One alternative is enough, so the best verdict counts.
        each.max().unwrap_or(SelectorVerdict::No)
    }

    fn of_kind(&self, facts: &EntityFacts, kind: &SelectorKind) -> SelectorVerdict {
        let graph = self.graph;
        match kind {
            SelectorKind::Any => SelectorVerdict::Yes,
            SelectorKind::Class(class) => {
                SelectorVerdict::from(has_class(graph.name(facts.classes), class))
            }
            SelectorKind::Type(name) => SelectorVerdict::from(graph.name(facts.type_name) == name),
            SelectorKind::Words(_) => SelectorVerdict::Unknown,
            SelectorKind::All(tests) => {
                // Names cannot answer a condition on properties.
                let each = |test: &EntityTest| match &test.with {
                    Some(_) => self.selected(facts, test).min(SelectorVerdict::Unknown),
                    None => self.selected(facts, test),
                };
                tests.iter().map(each).min().unwrap_or(SelectorVerdict::Yes)
            }
        }
    }

    /// True if an entity is what a pattern asks for; `selected` is the verdict from its names alone.
    pub fn fits(
        &self,
        number: u32,
        test: &EntityTest,
        selected: SelectorVerdict,
    ) -> QueryReadResult<bool, G> {
        self.tested.set(self.tested.get() + 1);
        let fits = match selected {
            SelectorVerdict::No => false,
            SelectorVerdict::Yes => true,
            SelectorVerdict::Unknown => self.matches_by_properties(number, test)?,
        };
        match &test.with {
            Some(with) if fits => {
                self.test(with, &EvalContext { subject: Some(number), ..EvalContext::default() })
            }
            _ => Ok(fits),
        }
    }

    /// True if a selector means an entity, for entities whose names alone do not tell.
    fn matches_by_properties(&self, number: u32, test: &EntityTest) -> QueryReadResult<bool, G> {
        let Some(facts) = self.graph.entity_facts(number)? else { return Ok(false) };
        for kind in &test.any {
            let is = match (kind, self.of_kind(&facts, kind)) {
                (_, SelectorVerdict::No) => false,
                (_, SelectorVerdict::Yes) => true,
                (SelectorKind::Words(words), _) => self.has_words(number, words)?,
                (SelectorKind::All(tests), _) => {
                    let mut all = true;
                    for test in tests {
                        all = all && self.fits(number, test, self.selected(&facts, test))?;
                    }
                    all
                }
                _ => false,
            };
            if is {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Full text: true if each word is part of some value of the entity, whatever the case.
    fn has_words(&self, number: u32, words: &[String]) -> QueryReadResult<bool, G> {
        let Some(entity) = self.entity(number)? else { return Ok(false) };
        // Each word is looked for in every text of the entity.
        self.spend(entity.bytes() as usize * words.len())?;
        let mut texts = vec![
            entity.key.to_lowercase(),
            entity.type_name.to_lowercase(),
            entity.id.to_string(),
            entity.scope.to_lowercase(),
        ];
        texts.extend(entity.classes.iter().map(|class| class.to_lowercase()));
        for (_, value) in &entity.properties {
            match value {
                Value::Text(text) => texts.push(text.to_lowercase()),
                Value::List(items) => {
                    texts.extend(items.iter().filter_map(Value::as_str).map(str::to_lowercase));
                }
                Value::Null => {}
                other => texts.push(other.to_string()),
            }
        }
        Ok(words.iter().all(|word| texts.iter().any(|text| text.contains(word))))
    }
}

/// Objects that were read whole, by number.
struct ObjectCache<T> {
    kept: FxHashMap<u32, Rc<T>>,
    bytes: u64,
}

impl<T> Default for ObjectCache<T> {
    fn default() -> ObjectCache<T> {
        ObjectCache { kept: FxHashMap::default(), bytes: 0 }
    }
}

/// An object that knows its approximate size.
trait ApproximateSize {
    /// Approximate size in bytes.
    fn bytes(&self) -> u64;
}

fn members_bytes(members: &[(String, Value<'static>)]) -> u64 {
    members.iter().map(|(name, value)| (name.len() + cell::value_bytes(value) + 24) as u64).sum()
}

impl ApproximateSize for Entity {
    fn bytes(&self) -> u64 {
        512 + members_bytes(&self.properties)
            + self.raw_data.as_ref().map_or(0, |raw| raw.len() as u64)
    }
}

impl ApproximateSize for Relationship {
    fn bytes(&self) -> u64 {
        512 + members_bytes(&self.properties)
    }
}

/// The object of this number from `cache`, or else read into it.
fn cached<T: ApproximateSize, E>(
    cache: &RefCell<ObjectCache<T>>,
    number: u32,
    read: impl FnOnce() -> Result<Option<T>, E>,
) -> Result<Option<Rc<T>>, E> {
    if let Some(known) = cache.borrow().kept.get(&number) {
        return Ok(Some(Rc::clone(known)));
    }
    let Some(object) = read()?.map(Rc::new) else { return Ok(None) };
    let mut cache = cache.borrow_mut();
    let bytes = object.bytes();
    if cache.kept.len() >= CACHE_MAX || cache.bytes + bytes > CACHE_BYTES {
        *cache = ObjectCache::default();
    }
    // An object larger than the whole cache is not kept: it is read again each time.
    if bytes <= CACHE_BYTES {
        cache.bytes += bytes;
        cache.kept.insert(number, Rc::clone(&object));
    }
    Ok(Some(object))
}

/// The kind of equality that the left side of a comparison asks for.
fn manner(left: &ScalarExpr) -> EqualityMode {
    match left {
        ScalarExpr::Property(_, name) if name.starts_with("tag.") => EqualityMode::Tag,
        ScalarExpr::Property(PropertyOwner::Relationship(_), name) if name == "_class" => {
            EqualityMode::Verb
        }
        ScalarExpr::Property(_, name) if name == "_class" => EqualityMode::Class,
        _ => EqualityMode::Plain,
    }
}

/// A cell of a stored value; null counts as absent.
fn cell_of(value: Option<Value<'static>>) -> CellValue {
    match value {
        None | Some(Value::Null) => CellValue::Undefined,
        Some(value) => CellValue::Value(value),
    }
}
