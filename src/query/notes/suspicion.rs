//! Parts of a question that say nothing, although it has an answer: a property that nothing has in
//! `!=`, `= undefined`, RETURN or ORDER BY, a comparison of kinds whose opposite always holds.

use super::values::{NAMED, SYSTEM, Spread, never};
use super::{About, Leaf, Reads, leaves, test_of};
use crate::graph::GraphRead;
use crate::query::meant::*;
use crate::query::{Answer, Cell};

/// Entities that are asked for a property at most.
const ASKED: usize = 20_000;

impl<G: GraphRead> About<'_, G> {
    /// Says what is suspicious about an answer that is not empty.
    pub(super) fn misleading(&mut self, query: &Checked, answer: &Answer) -> Reads<(), G> {
        self.unknown_exclusions(query)?;
        self.idle_conditions(&query.start)?;
        self.idle_steps(&query.ops)?;
        if let Some(filter) = &query.filter {
            let mut all = Vec::new();
            leaves(filter, false, &mut all);
            for leaf in &all {
                if let Term::Property(Of::Entity(slot), _) = leaf.left
                    && let Some(test) = test_of(query, *slot)
                {
                    self.idle(leaf, test)?;
                }
            }
        }
        self.empty_columns(query, answer)
    }

    fn idle_steps(&mut self, steps: &[Step]) -> Reads<(), G> {
        for step in steps {
            match step {
                Step::Hop(hop) => self.idle_conditions(&hop.target)?,
                Step::Join(join) => self.idle_conditions(&join.target)?,
                Step::Group { steps, .. } => self.idle_steps(steps)?,
                // What must not be there and asks a property that nothing has is never there.
                Step::Not(steps) => self.vain_steps(steps)?,
                Step::From(_) => {}
            }
        }
        Ok(())
    }

    fn vain_steps(&mut self, steps: &[Step]) -> Reads<(), G> {
        for step in steps {
            let test = match step {
                Step::Hop(hop) => &hop.target,
                Step::Join(join) => &join.target,
                Step::Group { .. } | Step::Not(_) | Step::From(_) => continue,
            };
            let mut all = Vec::new();
            test.with.iter().for_each(|with| leaves(with, false, &mut all));
            for leaf in all.iter().filter(|leaf| !holds_for_nothing(leaf)) {
                self.doubt(leaf, test, "is never there")?;
            }
        }
        Ok(())
    }

    fn idle_conditions(&mut self, test: &EntityTest) -> Reads<(), G> {
        let mut all = Vec::new();
        test.with.iter().for_each(|with| leaves(with, false, &mut all));
        all.iter().try_for_each(|leaf| self.idle(leaf, test))
    }

    /// A comparison that holds for what is undefined.
    fn idle(&mut self, leaf: &Leaf<'_>, test: &EntityTest) -> Reads<(), G> {
        match holds_for_nothing(leaf) {
            true => self.doubt(leaf, test, "holds for all of them"),
            false => Ok(()),
        }
    }

    fn doubt(&mut self, leaf: &Leaf<'_>, test: &EntityTest, so: &str) -> Reads<(), G> {
        let Term::Property(_, name) = leaf.left else { return Ok(()) };
        if let Some(text) = self.nobody_has(name, test)? {
            self.say(true, format!("{text}; `{}` {so}", leaf.said));
            return Ok(());
        }
        // What is there may be of another kind; the first values mostly tell that it is not.
        let mut spread = Spread::default();
        let sample = self.of_kind(test, NAMED)?;
        for thing in &sample.things {
            let before = spread.present;
            spread.add(&self.reader.property(Of::Subject, name, &thing.sight())?);
            if spread.present > before && never(leaf, name, &spread).is_none() {
                return Ok(());
            }
        }
        if let Some(text) = never(leaf, name, &spread) {
            self.say(true, format!("{text}; `{}` {so}", leaf.said));
        }
        Ok(())
    }

    /// Says that no entity of the kinds of a selector has a property.
    fn nobody_has(&self, name: &str, test: &EntityTest) -> Reads<Option<String>, G> {
        if SYSTEM.contains(&name) {
            return Ok(None);
        }
        let most = match self.reader.graph.name_number(name) {
            // The store numbers the names of properties: this one was never uploaded.
            None => NAMED,
            Some(_) => ASKED,
        };
        let sample = self.of_kind(test, most)?;
        for thing in &sample.things {
            if !self.reader.property(Of::Subject, name, &thing.sight())?.is_undefined() {
                return Ok(None);
            }
        }
        if sample.things.is_empty() || !sample.whole && most == ASKED {
            return Ok(None);
        }
        let whose = super::words(test);
        self.absent(Of::Subject, name, &whose, &sample)
    }

    /// Columns and sort keys that nothing has.
    fn empty_columns(&mut self, query: &Checked, answer: &Answer) -> Reads<(), G> {
        let mut asked: Vec<&Term> = Vec::new();
        match (&query.output, answer) {
            (Output::List { order }, _) => asked.extend(order.iter().map(|(term, _)| term)),
            (Output::Table(table), Answer::Table { rows, .. }) => {
                // Where `a.*` stands for many columns, the others have moved.
                let wide = table.columns.iter().any(|term| matches!(term, Term::All(_)));
                let empty = |at: usize| {
                    let nothing = |cell: Option<&Cell>| match cell {
                        Some(Cell::Value(crate::graph::Value::Int(0))) => true,
                        cell => cell.is_none_or(Cell::is_undefined),
                    };
                    wide || rows.iter().all(|row| nothing(row.get(at)))
                };
                let shown = (0..table.columns.len()).filter(|at| empty(*at));
                for at in shown {
                    collect(&table.columns[at], table, &mut asked);
                }
            }
            _ => {}
        }
        for term in asked {
            if let Term::Property(Of::Entity(slot), name) = term
                && let Some(test) = test_of(query, *slot)
                && let Some(text) = self.nobody_has(name, test)?
            {
                self.say(true, text);
            }
        }
        Ok(())
    }
}

/// Whether a comparison holds where its property is undefined.
fn holds_for_nothing(leaf: &Leaf<'_>) -> bool {
    fn undefined(right: &Values) -> bool {
        match right {
            Values::Or(all) => all.iter().any(undefined),
            Values::And(all) => all.iter().all(undefined),
            right => matches!(right, Values::Term(Term::Undefined)),
        }
    }
    leaf.negated != undefined(leaf.right)
}

/// The properties that a column shows or counts.
fn collect<'t>(term: &'t Term, table: &'t Table, found: &mut Vec<&'t Term>) {
    match term {
        Term::Property(..) => found.push(term),
        Term::Aggregate(at) => collect(&table.aggregates[*at].argument, table, found),
        Term::Unwind(at) => collect(&table.unwinds[*at], table, found),
        Term::Minus(term) => collect(term, table, found),
        Term::Binary(left, _, right) => {
            collect(left, table, found);
            collect(right, table, found);
        }
        Term::Call(_, terms) => terms.iter().for_each(|term| collect(term, table, found)),
        _ => {}
    }
}
