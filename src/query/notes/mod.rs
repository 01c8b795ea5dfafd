//! Notes beside an answer: the part of a query that made it empty, and parts that do not mean what
//! they seem to.
//!
//! An empty answer looks like an all-clear. So the parts of the query are tried on the graph, one
//! after the other, until one leaves nothing: a name that nothing has, a property that is missing or
//! of another kind, a condition that excludes all, a step that leads nowhere. This is only done for an
//! answer that is empty or suspicious, and in bounded time.
//!
//! `pattern` finds the step; `values` finds the reason why a condition does not hold.

mod names;
mod pattern;
mod suspicion;
mod values;

pub(super) use values::literal;

use super::meant::*;
use super::read::{Reader, Row, Sight};
use super::syntax::Op;
use super::{Answer, Cell, Exceeded, Limits, Meter, Profile, Stop};
use crate::graph::{GraphRead, ScopeCounts};
use std::time::Duration;
use values::Reasons;

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
pub struct Note {
    /// A sentence for people, small letter first, no full stop.
    pub text: String,
    /// True if the question itself may be mistaken: a name that nothing has, a comparison that can
    /// never hold. Otherwise the note describes the data.
    pub doubt: bool,
}

type Reads<T, G> = Result<T, Stop<<G as crate::graph::Adjacency>::Error>>;

/// The remarks on an answer.
pub(super) fn notes<G: GraphRead>(
    graph: &G,
    query: &Checked,
    answer: &Answer,
    profile: &Profile,
    limits: &Limits,
) -> Reads<Vec<Note>, G> {
    // The answer is there already, so the search for a reason has limits of its own.
    let limits = Limits { time: Some(TIME), steps: STEPS, ..limits.clone() };
    let counts = graph.counts()?;
    let meter = Meter::new(limits);
    let mut about = About { reader: Reader::new(graph, &meter), counts, notes: Vec::new() };
    // A count of nothing is a row.
    let nothing = answer.is_empty() || profile.matches == 0 && !answer.is_empty();
    let looked = match nothing {
        true => about.empty(query),
        false => about.misleading(query, answer),
    };
    match looked {
        Ok(()) => {}
        Err(Stop::Limit(what @ Exceeded::Cancelled)) => return Err(Stop::Limit(what)),
        Err(Stop::Limit(_)) if nothing && about.notes.is_empty() => {
            about.say(false, "why nothing was found was not found out: it would take too long");
        }
        Err(Stop::Limit(_)) => {}
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
struct About<'g, G: GraphRead> {
    reader: Reader<'g, G>,
    counts: Vec<ScopeCounts>,
    notes: Vec<Note>,
}

/// One subject that a condition is tried on.
enum Thing {
    /// An entity, by WITH.
    Subject(u32),
    /// A match, by WHERE.
    Row(Row),
    /// A row of columns, by HAVING.
    Columns(Vec<Cell>),
}

impl Thing {
    fn sight(&self) -> Sight<'_> {
        match self {
            Thing::Subject(number) => Sight { subject: Some(*number), ..Sight::default() },
            Thing::Row(row) => Sight { row: Some(row), ..Sight::default() },
            Thing::Columns(columns) => Sight { columns, ..Sight::default() },
        }
    }
}

/// The subjects that a condition is tried on.
struct Sample {
    things: Vec<Thing>,
    /// True if these are all there are.
    whole: bool,
    /// The name of one of them.
    name: String,
}

impl Sample {
    /// `212 DataStore`.
    fn counted(&self) -> String {
        let more = if self.whole { "" } else { "the first " };
        let name = if self.name == "*" { "entities" } else { &self.name };
        format!("{more}{} {name}", self.things.len())
    }
}

impl<G: GraphRead> About<'_, G> {
    fn say(&mut self, doubt: bool, text: impl Into<String>) {
        self.notes.push(Note { text: text.into(), doubt });
    }

    /// Finds the part of a query that leaves nothing.
    fn empty(&mut self, query: &Checked) -> Reads<(), G> {
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
    fn empty_page(&mut self, query: &Checked) -> Reads<(), G> {
        let mut all = Checked { skip: 0, limit: None, ..query.clone() };
        if let Output::Table(table) = &query.output
            && let Some(having) = &table.having
        {
            let mut table = table.clone();
            table.having = None;
            // Naming all columns keeps those that only HAVING asks.
            table.names.resize(table.columns.len(), String::new());
            all.output = Output::Table(table);
            let rows = super::run::table_rows(&self.reader, &all)?;
            let things: Vec<Thing> = rows.into_iter().map(Thing::Columns).collect();
            let name = if things.len() == 1 { "row" } else { "rows" }.to_owned();
            let sample = Sample { things, whole: true, name };
            if !self.passes(having, &sample, "HAVING", query)? {
                return Ok(());
            }
            all.output = query.output.clone();
        }
        if query.skip > 0 {
            let (answer, _) = super::run::run(&self.reader, &all)?;
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
        test: &Test,
        sample: &Sample,
        clause: &str,
        query: &Checked,
    ) -> Reads<bool, G> {
        let parts = match test {
            Test::And(parts) => parts.as_slice(),
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
            let Reasons { doubts, told, idle } = self.reasons(part, sample, query)?;
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
fn said(test: &Test) -> String {
    let list =
        |tests: &[Test], between: &str| tests.iter().map(said).collect::<Vec<_>>().join(between);
    match test {
        Test::Compare { said, .. } => shortened(said),
        // Alternatives have brackets of their own.
        Test::Not(test) if matches!(**test, Test::Or(_)) => format!("NOT {}", said(test)),
        Test::Not(test) => format!("NOT ({})", said(test)),
        Test::And(tests) => list(tests, " AND "),
        Test::Or(tests) => format!("({})", list(tests, " OR ")),
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
struct Leaf<'t> {
    left: &'t Term,
    op: Op,
    negated: bool,
    right: &'t Values,
    said: &'t str,
    /// True if it stands behind NOT.
    not: bool,
    /// True if another comparison may hold in its place.
    either: bool,
}

impl Leaf<'_> {
    /// The comparison in the words of the query, with its NOT.
    fn words(&self) -> String {
        match self.not {
            true => format!("NOT ({})", shortened(self.said)),
            false => shortened(self.said),
        }
    }
}

/// The comparisons of a condition.
fn leaves(test: &Test) -> Vec<Leaf<'_>> {
    fn add<'t>(test: &'t Test, not: bool, either: bool, found: &mut Vec<Leaf<'t>>) {
        match test {
            // NOT turns OR into AND, and the other way round.
            Test::Or(tests) => tests.iter().for_each(|test| add(test, not, either || !not, found)),
            Test::And(tests) => tests.iter().for_each(|test| add(test, not, either || not, found)),
            Test::Not(test) => add(test, !not, either, found),
            Test::Compare { left, op, negated, right, said } => {
                let negated = not != *negated;
                found.push(Leaf { left, op: *op, negated, right, said, not, either });
            }
        }
    }
    let mut found = Vec::new();
    add(test, false, false, &mut found);
    found
}

/// The entity test of a slot, wherever in the pattern it is bound.
fn test_of(query: &Checked, slot: Slot) -> Option<&EntityTest> {
    fn within(steps: &[Step], slot: Slot) -> Option<&EntityTest> {
        steps.iter().find_map(|step| match step {
            Step::Hop(hop) if hop.to == slot => Some(&hop.target),
            Step::Join(join) if join.to == slot => Some(&join.target),
            Step::Group { steps, .. } | Step::Not(steps) => within(steps, slot),
            Step::Hop(_) | Step::Join(_) | Step::From(_) => None,
        })
    }
    if slot == 0 { Some(&query.start) } else { within(&query.ops, slot) }
}

/// A selector in the words of the query, without its condition.
fn words(test: &EntityTest) -> String {
    super::plan::words(&EntityTest { with: None, ..test.clone() })
}
