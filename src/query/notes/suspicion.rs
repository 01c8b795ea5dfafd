//! Parts of a question that have no effect, although it has an answer: a property that nothing has in
//! `!=`, `= undefined`, RETURN or ORDER BY, or a comparison of kinds whose opposite always holds.

use super::distribution::{ValueDistribution, literals, quoted};
use super::values::{NAMED, SYSTEM, never};
use super::{AnswerExplainer, ComparisonLeaf, NotesResult, leaves, test_of};
use crate::graph::{GraphRead, Value};
use crate::query::access_path;
use crate::query::cell::items;
use crate::query::operators::CandidateCursor;
use crate::query::read::EvalContext;
use crate::query::resolved::*;
use crate::query::selection::SelectorVerdict;
use crate::query::syntax::ComparisonOp;
use crate::query::{CellValue, QueryAnswer};

/// Most entities that are asked for a property.
const ASKED: usize = 20_000;

impl<G: GraphRead> AnswerExplainer<'_, G> {
    /// Adds notes on suspicious parts of a query whose answer is not empty.
    pub(super) fn misleading(
        &mut self,
        query: &ResolvedQuery,
        answer: &QueryAnswer,
    ) -> NotesResult<(), G> {
        self.odd_names(query)?;
        self.idle_conditions(&query.start)?;
        self.idle_steps(&query.ops)?;
        if let Some(filter) = &query.filter {
            for leaf in &leaves(filter) {
                match leaf.left {
                    ScalarExpr::Property(PropertyOwner::Entity(slot), _) => {
                        if let Some(test) = test_of(query, *slot) {
                            self.idle(leaf, test)?;
                        }
                    }
                    ScalarExpr::Property(of @ PropertyOwner::Relationship(_), name) => {
                        if let (Some(so), Some(text)) =
                            (always(leaf), self.no_relationship_has(query, *of, name)?)
                        {
                            self.say(true, format!("{text}; `{}` {so}", leaf.words()));
                        }
                    }
                    _ => {}
                }
            }
        }
        self.empty_columns(query, answer)
    }

    fn idle_steps(&mut self, steps: &[PatternStep]) -> NotesResult<(), G> {
        for step in steps {
            match step {
                PatternStep::Hop(hop) => self.idle_conditions(&hop.target)?,
                PatternStep::Join(join) => self.idle_conditions(&join.target)?,
                PatternStep::Group { steps, .. } => self.idle_steps(steps)?,
                // A chain that asks a property which nothing has is never there, so it excludes nothing.
                PatternStep::Not(steps) => self.vain_steps(steps)?,
            }
        }
        Ok(())
    }

    fn vain_steps(&mut self, steps: &[PatternStep]) -> NotesResult<(), G> {
        for step in steps {
            let test = match step {
                PatternStep::Hop(hop) => &hop.target,
                PatternStep::Join(join) => &join.target,
                PatternStep::Group { .. } | PatternStep::Not(_) => continue,
            };
            let all = test.with.iter().flat_map(leaves);
            for leaf in all.filter(|leaf| !holds_for_nothing(leaf)) {
                self.doubt(&leaf, test, "is never there")?;
            }
        }
        Ok(())
    }

    fn idle_conditions(&mut self, test: &EntityTest) -> NotesResult<(), G> {
        for leaf in test.with.iter().flat_map(leaves) {
            self.idle(&leaf, test)?;
            self.other_spelling(&leaf, test)?;
        }
        for kind in &test.any {
            if let SelectorKind::All(tests) = kind
                && super::pattern::tag(kind).is_none()
            {
                tests.iter().try_for_each(|test| self.idle_conditions(test))?;
            }
        }
        Ok(())
    }

    /// Adds a note if a text is the number that a comparison asks for, written in another way.
    fn other_spelling(
        &mut self,
        leaf: &ComparisonLeaf<'_>,
        test: &EntityTest,
    ) -> NotesResult<(), G> {
        let ScalarExpr::Property(_, name) = leaf.left else { return Ok(()) };
        let fractions = |value: &Value<'_>| matches!(value, Value::Float(_));
        let wanted = literals(leaf.right);
        if leaf.op != ComparisonOp::Equal || !wanted.iter().any(fractions) {
            return Ok(());
        }
        let mut found = None;
        self.asked(name, test, |cell| {
            let mut texts = cell.value().into_iter().flat_map(items).filter_map(Value::as_str);
            found = texts.find_map(|text| other_spelling(text, &wanted, leaf.right));
            found.is_none()
        })?;
        if let Some((text, number)) = found {
            let text = quoted(&text);
            self.say(
                true,
                format!(
                    "`{name}` holds the text {text}, which is not equal to {number}; write {text} in \
                     quotes to find it"
                ),
            );
        }
        Ok(())
    }

    /// Adds a note on a comparison that holds for undefined values, or beside which another may hold.
    fn idle(&mut self, leaf: &ComparisonLeaf<'_>, test: &EntityTest) -> NotesResult<(), G> {
        match always(leaf) {
            Some(so) => self.doubt(leaf, test, so),
            None => Ok(()),
        }
    }

    /// Words for a property that no relationship on the paths has; `None` if one has it.
    fn no_relationship_has(
        &self,
        query: &ResolvedQuery,
        of: PropertyOwner,
        name: &str,
    ) -> NotesResult<Option<String>, G> {
        let sample = self.matches(query, &query.ops)?;
        match sample.things.is_empty() || self.values(of, name, &sample)?.present > 0 {
            true => Ok(None),
            false => self.absent(of, name, "relationship on the path", &sample),
        }
    }

    /// Adds a note if a comparison always comes out the same: nothing has its property, or the property is
    /// of another kind. Most often the first values show that neither is so.
    fn doubt(
        &mut self,
        leaf: &ComparisonLeaf<'_>,
        test: &EntityTest,
        so: &str,
    ) -> NotesResult<(), G> {
        let ScalarExpr::Property(_, name) = leaf.left else { return Ok(()) };
        let mut spread = ValueDistribution::default();
        let whole = self.asked(name, test, |cell| {
            spread.add(cell);
            never(leaf, name, &spread).is_some()
        })?;
        if !whole {
            return Ok(());
        }
        let text = match spread.present {
            0 => self.nothing_has(name, test)?,
            _ => never(leaf, name, &spread),
        };
        if let Some(text) = text {
            self.say(true, format!("{text}; `{}` {so}", leaf.words()));
        }
        Ok(())
    }

    /// Calls `go_on` with the property of each entity of the selector's kinds that has it. False if
    /// `go_on` broke off, or if there are no such entities or too many.
    fn asked(
        &self,
        name: &str,
        test: &EntityTest,
        mut go_on: impl FnMut(&CellValue) -> bool,
    ) -> NotesResult<bool, G> {
        let test = EntityTest { with: None, ..test.clone() };
        let may_have = self.reader.graph.may_have_property(name)?;
        let never_seen = !may_have && !SYSTEM.contains(&name);
        let (mut seen, mut whole) = (0, true);
        let access = access_path::access(&self.reader, &test)?;
        let mut candidates = CandidateCursor::new(&access);
        while let Some((number, facts)) = candidates.next(&self.reader, |_| true)? {
            let selected = self.reader.selected(&facts, &test);
            if selected == SelectorVerdict::No || !facts.live {
                continue;
            }
            self.reader.work(1)?;
            if !self.reader.fits(number, &test, selected)? {
                continue;
            }
            seen += 1;
            // No object of the graph has the property, so a look at the first entities is enough.
            if seen > NAMED && never_seen {
                break;
            }
            let sight = EvalContext { subject: Some(number), ..EvalContext::default() };
            let cell = self.reader.property(PropertyOwner::Subject, name, &sight)?;
            whole = seen <= ASKED && (cell.is_undefined() || go_on(&cell));
            if !whole {
                break;
            }
        }
        // Without any entity, nothing can be said about the property.
        Ok(whole && seen > 0)
    }

    /// Words for a property that no entity of the selector's kinds has; `None` if one may have it.
    fn nothing_has(&self, name: &str, test: &EntityTest) -> NotesResult<Option<String>, G> {
        if SYSTEM.contains(&name) || !self.asked(name, test, |_| false)? {
            return Ok(None);
        }
        let sample = self.of_kind(test, ASKED)?;
        self.absent(PropertyOwner::Subject, name, &super::words(test), &sample)
    }

    /// Adds notes on columns and sort keys that nothing has.
    fn empty_columns(&mut self, query: &ResolvedQuery, answer: &QueryAnswer) -> NotesResult<(), G> {
        let mut asked: Vec<&ScalarExpr> = Vec::new();
        match (&query.output, answer) {
            (QueryOutput::List { order }, _) => asked.extend(order.iter().map(|(term, _)| term)),
            (QueryOutput::Table(table), QueryAnswer::Table { rows, .. }) => {
                // `a.*` became several columns of the rows, so the positions of the others no longer agree.
                let wide = table.columns.iter().any(|term| matches!(term, ScalarExpr::All(_)));
                let empty = |at: usize| {
                    let nothing = |cell: Option<&CellValue>| match cell {
                        // A count of nothing is 0, not undefined.
                        Some(CellValue::Value(Value::Int(0))) => true,
                        cell => cell.is_none_or(CellValue::is_undefined),
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
            let text = match term {
                ScalarExpr::Property(PropertyOwner::Entity(slot), name) => {
                    match test_of(query, *slot) {
                        Some(test) => self.nothing_has(name, test)?,
                        None => None,
                    }
                }
                ScalarExpr::Property(of @ PropertyOwner::Relationship(_), name) => {
                    self.no_relationship_has(query, *of, name)?
                }
                _ => None,
            };
            if let Some(text) = text {
                self.say(true, text);
            }
        }
        Ok(())
    }
}

/// The outcome of a comparison for undefined values, in words; `None` if it decides nothing alone.
fn always(leaf: &ComparisonLeaf<'_>) -> Option<&'static str> {
    match holds_for_nothing(leaf) {
        true => Some("holds for all of them"),
        false => leaf.either.then_some("holds for none of them"),
    }
}

/// A text and its number, if the text is one of the numbers `wanted` in another spelling than the
/// canonical one, and is not written like this in the query.
fn other_spelling(
    text: &str,
    wanted: &[Value<'static>],
    right: &PredicateOperand,
) -> Option<(String, String)> {
    fn written(right: &PredicateOperand, text: &str) -> bool {
        match right {
            PredicateOperand::Or(all) | PredicateOperand::And(all) => {
                all.iter().any(|one| written(one, text))
            }
            PredicateOperand::Term(ScalarExpr::Written(_, known)) => known.as_str() == Some(text),
            _ => false,
        }
    }
    let number = Value::number(text).filter(|_| !written(right, text))?;
    let own = number.spelling().filter(|own| own != text)?;
    let equal = |value: &&Value<'_>| value.spelling().as_ref() == Some(&own);
    wanted.iter().find(equal).map(|_| (text.to_owned(), own.clone()))
}

/// True if a comparison holds for undefined values.
pub(super) fn holds_for_nothing(leaf: &ComparisonLeaf<'_>) -> bool {
    fn undefined(right: &PredicateOperand) -> bool {
        match right {
            PredicateOperand::Or(all) => all.iter().any(undefined),
            PredicateOperand::And(all) => all.iter().all(undefined),
            right => matches!(right, PredicateOperand::Term(ScalarExpr::Undefined)),
        }
    }
    leaf.negated != undefined(leaf.right)
}

/// The properties that a column shows or counts.
fn collect<'t>(term: &'t ScalarExpr, table: &'t TableOutput, found: &mut Vec<&'t ScalarExpr>) {
    match term {
        ScalarExpr::Property(..) => found.push(term),
        ScalarExpr::Aggregate(at) => collect(&table.aggregates[*at].argument, table, found),
        ScalarExpr::Unwind(at) => collect(&table.unwinds[*at], table, found),
        ScalarExpr::Minus(term) => collect(term, table, found),
        ScalarExpr::Binary(left, _, right) => {
            collect(left, table, found);
            collect(right, table, found);
        }
        ScalarExpr::Call(_, terms) => terms.iter().for_each(|term| collect(term, table, found)),
        _ => {}
    }
}
