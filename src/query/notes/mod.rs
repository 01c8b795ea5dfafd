//! Notes beside an answer: the part of a query that made it empty, and parts that do not mean what
//! they seem to.
//!
//! An empty answer looks like an all-clear. So the parts of the query are tried on the graph, one
//! after the other, until one leaves nothing: a name that nothing has, a property that is missing or
//! of another kind, a condition that excludes all, a step that leads nowhere. This is only done for an
//! answer that is empty or suspicious, and in bounded time.
//!
//! `pattern` finds the step; `values` finds the reason why a condition does not hold.

mod distribution;
mod names;
mod pattern;
mod reached;
mod suspicion;
mod values;

pub(super) use distribution::literal;

use super::read::{EvalContext, QueryReader};
use super::resolved::*;
use super::row_batch::BindingRow;
use super::syntax::ComparisonOp;
use super::{
    CellValue, CostMeter, LimitError, QueryAnswer, QueryProfile, QuestionError, QuestionLimits,
};
use crate::graph::{GraphRead, ScopeCounts};
use std::time::Duration;
use values::ConditionReasons;

/// Longest search for a reason.
const TIME: Duration = Duration::from_secs(1);
/// Most entities and relationships that the search for a reason looks at.
const STEPS: u64 = 3_000_000;
/// Characters of one comparison that a note repeats.
const SAID: usize = 200;
/// Most entities or matches that a condition is tried on.
const SAMPLE: usize = 50_000;

/// One remark on an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerNote {
    /// A sentence for people, small letter first, no full stop.
    pub text: String,
    /// True if the question itself may be mistaken: a name that nothing has, a comparison that can
    /// never hold. Otherwise the note describes the data.
    pub doubt: bool,
}

type NotesResult<T, G> = Result<T, QuestionError<<G as crate::graph::AdjacencyRead>::Error>>;

/// The remarks on an answer.
pub(super) fn notes<G: GraphRead>(
    graph: &G,
    query: &ResolvedQuery,
    answer: &QueryAnswer,
    profile: &QueryProfile,
    limits: &QuestionLimits,
) -> NotesResult<Vec<AnswerNote>, G> {
    // The answer is there already, so the search for a reason has limits of its own.
    let limits = QuestionLimits { time: Some(TIME), steps: STEPS, ..limits.clone() };
    let counts = graph.counts()?;
    let meter = CostMeter::new(limits);
    let mut about =
        AnswerExplainer { reader: super::reader(graph, &meter), counts, notes: Vec::new() };
    // A count of nothing is a row.
    let nothing = answer.is_empty() || profile.matches == 0 && !answer.is_empty();
    let looked = match nothing {
        true => about.empty(query),
        false => about.misleading(query, answer),
    };
    match looked {
        Ok(()) => {}
        Err(QuestionError::Limit(what @ LimitError::Cancelled)) => {
            return Err(QuestionError::Limit(what));
        }
        Err(QuestionError::Limit(_)) if nothing && about.notes.is_empty() => {
            about.say(false, "why nothing was found was not found out: it would take too long");
        }
        Err(QuestionError::Limit(_)) => {}
        Err(stop) => return Err(stop),
    }
    if nothing && about.notes.is_empty() {
        about.say(false, "each part of the question finds something, all of it together nothing");
    }
    let mut notes = about.notes;
    // If all values are of another kind, the notes above have told the reason already.
    if !nothing || !notes.iter().any(|note| note.doubt) {
        notes.extend(profile.unlike.iter().cloned());
    }
    notes.dedup();
    Ok(notes)
}

/// The search for notes on one query.
struct AnswerExplainer<'g, G: GraphRead> {
    reader: QueryReader<'g, G>,
    counts: Vec<ScopeCounts>,
    notes: Vec<AnswerNote>,
}

/// One subject that a condition is tried on.
enum ConditionSubject {
    /// An entity, by WITH.
    Subject(u32),
    /// A match, by WHERE.
    Row(BindingRow),
    /// A row of columns, by HAVING.
    Columns(Vec<CellValue>),
}

impl ConditionSubject {
    fn sight(&self) -> EvalContext<'_> {
        match self {
            ConditionSubject::Subject(number) => {
                EvalContext { subject: Some(*number), ..EvalContext::default() }
            }
            ConditionSubject::Row(row) => {
                EvalContext { row: Some(row.view()), ..EvalContext::default() }
            }
            ConditionSubject::Columns(columns) => EvalContext { columns, ..EvalContext::default() },
        }
    }
}

/// The subjects that a condition is tried on.
struct ConditionSample {
    things: Vec<ConditionSubject>,
    /// True if these are all there are.
    whole: bool,
    /// The name of one of them.
    name: String,
}

impl ConditionSample {
    /// `212 DataStore`.
    fn counted(&self) -> String {
        let more = if self.whole { "" } else { "the first " };
        let name = if self.name == "*" { "entities" } else { &self.name };
        format!("{more}{} {name}", self.things.len())
    }
}

impl<G: GraphRead> AnswerExplainer<'_, G> {
    fn say(&mut self, doubt: bool, text: impl Into<String>) {
        self.notes.push(AnswerNote { text: text.into(), doubt });
    }

    /// Finds the part of a query that leaves nothing.
    fn empty(&mut self, query: &ResolvedQuery) -> NotesResult<(), G> {
        if query.limit == Some(0) {
            self.say(false, "`LIMIT 0` keeps nothing");
            return Ok(());
        }
        // Each later check assumes that the earlier ones found nothing: names, pattern, WHERE, page.
        if self.unknown_names(query)? || self.empty_pattern(query)? {
            return Ok(());
        }
        if let Some(filter) = &query.filter {
            let sample = self.matches(query, &query.ops)?;
            if !self.passes(filter, &sample, "WHERE", query)? {
                return Ok(());
            }
        }
        self.empty_page(query)
    }

    /// HAVING and SKIP, when there are rows.
    fn empty_page(&mut self, query: &ResolvedQuery) -> NotesResult<(), G> {
        let mut all = ResolvedQuery { skip: 0, limit: None, ..query.clone() };
        if let QueryOutput::Table(table) = &query.output
            && let Some(having) = &table.having
        {
            let mut table = table.clone();
            table.having = None;
            // Naming all columns keeps those that only HAVING asks.
            table.names.resize(table.columns.len(), String::new());
            all.output = QueryOutput::Table(table);
            let rows = super::execute::inner_rows(&self.reader, &all)?;
            let things: Vec<ConditionSubject> =
                rows.into_iter().map(ConditionSubject::Columns).collect();
            let name = if things.len() == 1 { "row" } else { "rows" }.to_owned();
            let sample = ConditionSample { things, whole: true, name };
            if !self.passes(having, &sample, "HAVING", query)? {
                return Ok(());
            }
            all.output = query.output.clone();
        }
        if query.skip > 0 {
            let (answer, _) = super::execute::run(&self.reader, &all)?;
            let (skip, rows) = (query.skip, answer.len());
            if rows as u64 <= skip && rows > 0 {
                self.say(false, format!("`SKIP {skip}` passes over all {rows} rows"));
            }
        }
        Ok(())
    }

    /// True if anything passes a condition; else adds a note on the part that excludes all.
    fn passes(
        &mut self,
        test: &Predicate,
        sample: &ConditionSample,
        clause: &str,
        query: &ResolvedQuery,
    ) -> NotesResult<bool, G> {
        let parts = match test {
            Predicate::And(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut passed = vec![0usize; parts.len()];
        let mut together = 0;
        for thing in &sample.things {
            self.reader.work(1)?;
            let mut all = true;
            for (part, passed) in parts.iter().zip(&mut passed) {
                let holds = self.reader.test(part, &thing.sight())?;
                *passed += usize::from(holds);
                all &= holds;
            }
            together += usize::from(all);
        }
        if together > 0 || sample.things.is_empty() {
            return Ok(together > 0);
        }
        if !passed.contains(&0) {
            let each: Vec<String> = parts
                .iter()
                .zip(&passed)
                .map(|(part, n)| format!("`{}` leaves {n}", said(part)))
                .collect();
            let text = format!("{}; {clause} {}, together 0", sample.counted(), each.join(", "));
            self.say(false, text);
            return Ok(false);
        }
        for (part, _) in parts.iter().zip(&passed).filter(|(_, passed)| **passed == 0) {
            let ConditionReasons { doubts, told, idle } = self.reasons(part, sample, query)?;
            let excludes = format!("{}; {clause} {} leaves 0", sample.counted(), said(part));
            match told {
                // A property that is missing or of another kind explains all of it.
                _ if !doubts.is_empty() => self.notes.extend(doubts),
                Some(told) => self.say(false, format!("{excludes}; {told}")),
                None => self.say(false, excludes),
            }
            self.notes.extend(idle);
        }
        Ok(false)
    }
}

/// A condition in the words of the query.
fn said(test: &Predicate) -> String {
    let list = |tests: &[Predicate], between: &str| {
        tests.iter().map(said).collect::<Vec<_>>().join(between)
    };
    match test {
        Predicate::Compare { said, .. } => shortened(said),
        // Alternatives have brackets of their own.
        Predicate::Not(test) if matches!(**test, Predicate::Or(_)) => format!("NOT {}", said(test)),
        Predicate::Not(test) => format!("NOT ({})", said(test)),
        Predicate::And(tests) => list(tests, " AND "),
        Predicate::Or(tests) => format!("({})", list(tests, " OR ")),
    }
}

/// The beginning of a long comparison.
pub(super) fn shortened(said: &str) -> String {
    match said.char_indices().nth(SAID) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said.to_owned(),
    }
}

/// A comparison inside a condition, with its place among NOT and OR.
#[derive(Clone, Copy)]
struct ComparisonLeaf<'t> {
    left: &'t ScalarExpr,
    op: ComparisonOp,
    negated: bool,
    right: &'t PredicateOperand,
    said: &'t str,
    /// True if it stands behind NOT.
    not: bool,
    /// True if another comparison may hold in its place.
    either: bool,
}

impl ComparisonLeaf<'_> {
    /// The comparison in the words of the query, with its NOT.
    fn words(&self) -> String {
        match self.not {
            true => format!("NOT ({})", shortened(self.said)),
            false => shortened(self.said),
        }
    }
}

/// The comparisons of a condition.
fn leaves(test: &Predicate) -> Vec<ComparisonLeaf<'_>> {
    fn add<'t>(test: &'t Predicate, not: bool, either: bool, found: &mut Vec<ComparisonLeaf<'t>>) {
        match test {
            // NOT turns OR into AND, and the other way round.
            Predicate::Or(tests) => {
                tests.iter().for_each(|test| add(test, not, either || !not, found))
            }
            Predicate::And(tests) => {
                tests.iter().for_each(|test| add(test, not, either || not, found))
            }
            Predicate::Not(test) => add(test, !not, either, found),
            Predicate::Compare { left, op, negated, right, said } => {
                let negated = not != *negated;
                found.push(ComparisonLeaf { left, op: *op, negated, right, said, not, either });
            }
        }
    }
    let mut found = Vec::new();
    add(test, false, false, &mut found);
    found
}

/// The entity test of a slot, wherever in the pattern it is bound.
fn test_of(query: &ResolvedQuery, slot: RowSlot) -> Option<&EntityTest> {
    fn within(steps: &[PatternStep], slot: RowSlot) -> Option<&EntityTest> {
        steps.iter().find_map(|step| match step {
            PatternStep::Hop(hop) if hop.to == slot => Some(&hop.target),
            PatternStep::Join(join) if join.to == slot => Some(&join.target),
            PatternStep::Group { steps, .. } | PatternStep::Not(steps) => within(steps, slot),
            PatternStep::Hop(_) | PatternStep::Join(_) => None,
        })
    }
    if slot == 0 { Some(&query.start) } else { within(&query.ops, slot) }
}

/// A selector in the words of the query, without its condition.
fn words(test: &EntityTest) -> String {
    super::plan_words::words(&EntityTest { with: None, ..test.clone() })
}
