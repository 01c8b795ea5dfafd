//! Steps of a pattern: their slots, their verbs, and what belongs to a negated step.

use super::super::cell::EqualityMode;
use super::super::evaluate::manner;
use super::super::parse;
use super::super::resolved::*;
use super::super::syntax::{
    self as written, ComparisonOp, ConditionExpr, EntityPattern, PatternElement, TextSpan,
};
use super::{ConditionClause, QueryResolver, ResolveResult, find_any_spelling, selectors};
use crate::graph::same_name;
use crate::lang::{Diagnostic, SourceText};

impl QueryResolver<'_> {
    /// Resolves what follows the entity in slot `from`.
    pub(super) fn steps(
        &mut self,
        elements: &[PatternElement],
        mut from: RowSlot,
    ) -> ResolveResult<Vec<PatternStep>> {
        let mut steps = Vec::new();
        for (i, element) in elements.iter().enumerate() {
            match element {
                // All steps after a negated step belong to the chain that must not be there.
                PatternElement::Step(step) if step.negated => {
                    let mut rest = vec![PatternStep::Hop(Box::new(self.hop(step, Some(from))?.0))];
                    // `hop` has just given the last slot to its target.
                    let to = self.entities - 1;
                    rest.extend(self.steps(&elements[i + 1..], to)?);
                    steps.push(PatternStep::Not(rest));
                    return Ok(steps);
                }
                PatternElement::Step(step) => {
                    let (hop, to) = self.hop(step, None)?;
                    from = to;
                    steps.push(PatternStep::Hop(Box::new(hop)));
                }
                PatternElement::Group { elements, least, most, alias, .. } => {
                    let inner = self.steps(elements, from)?;
                    let frontier = self.frontier(alias.as_ref())?;
                    from = frontier;
                    steps.push(PatternStep::Group {
                        steps: inner,
                        least: *least,
                        most: *most,
                        frontier,
                    });
                }
                // The chain is only looked for: the steps after it go on from the same entity.
                PatternElement::Not(elements) => {
                    let inner = self.steps(elements, from)?;
                    steps.push(PatternStep::Not(inner));
                }
                PatternElement::Matches { negated, target, on, span } => {
                    let join = self.join(target, on, span)?;
                    let to = join.to;
                    let join = PatternStep::Join(Box::new(join));
                    if *negated {
                        let mut rest = vec![join];
                        rest.extend(self.steps(&elements[i + 1..], to)?);
                        steps.push(PatternStep::Not(rest));
                        return Ok(steps);
                    }
                    from = to;
                    steps.push(join);
                }
            }
        }
        Ok(steps)
    }

    /// A slot for the entity at the end of a group.
    fn frontier(&mut self, alias: Option<&written::SpannedName>) -> ResolveResult<RowSlot> {
        let frontier = self.entities;
        self.entities += 1;
        match alias {
            Some(alias) => self.add_name(alias, PropertyOwner::Entity(frontier))?,
            None => self.unnamed.push(frontier),
        }
        self.reached.push(frontier);
        Ok(frontier)
    }

    /// `MATCHES target ON ...`. One equality of the condition must say which values to look for.
    fn join(
        &mut self,
        target: &EntityPattern,
        on: &ConditionExpr,
        span: &TextSpan,
    ) -> ResolveResult<ValueJoin> {
        let test = self.entity(target)?;
        let to = self.entities;
        self.entities += 1;
        self.name_entity(target, to)?;
        let on = self.test(on, ConditionClause::Path)?;
        match key_of(&on, to) {
            Some((property, value, manner)) => {
                Ok(ValueJoin { target: test, to, property, value, manner, on })
            }
            None => {
                let message = "`ON` does not say which property of the target equals what";
                let fault = self.fault("Q0212", message, span);
                Err(Box::new(
                    fault.help(
                        "as in `FIND User AS u THAT MATCHES Person AS p ON u.email = p.email`",
                    ),
                ))
            }
        }
    }

    /// A step and the slot of its target. An alias on the target of a negated step names `anchor`, the
    /// entity that the step is tested on: queries that count entities without such a neighbour rely on it.
    fn hop(
        &mut self,
        step: &written::RelationshipPattern,
        anchor: Option<RowSlot>,
    ) -> ResolveResult<(ExpandStep, RowSlot)> {
        let target = self.entity(&step.target)?;
        let via = match &step.via {
            Some(via) => Some(self.entity(via)?),
            None => None,
        };
        let (relationship, to) = (self.relationships, self.entities);
        self.relationships += 1;
        self.entities += 1;
        match (&step.alias, step.verbs.as_slice()) {
            (Some(alias), _) => self.add_name(alias, PropertyOwner::Relationship(relationship))?,
            (None, [written::VerbPattern::Named(verb, _)]) => {
                self.add_default(
                    verb.text.clone(),
                    PropertyOwner::Relationship(relationship),
                    &verb.span,
                );
            }
            _ => {}
        }
        match (anchor, &step.target.alias) {
            (None, _) => self.name_entity(&step.target, to)?,
            (Some(anchor), Some(alias)) => self.name_anchor(alias, anchor)?,
            (Some(_), None) => {}
        }
        let scope = match &step.scope {
            Some(text) => Some(self.filled(text)?),
            None => None,
        };
        let verbs = self.verbs(&step.verbs)?;
        let by = self.verbs(&step.by)?;
        let hop = ExpandStep {
            verbs: (!verbs.is_empty()).then_some(verbs),
            by: (!by.is_empty()).then_some(by),
            arrow: step.arrow,
            scope,
            relationship,
            target,
            to,
            repeat: step.repeat,
            via,
            nearest: step.nearest,
            every: self.every,
        };
        Ok((hop, to))
    }

    /// Names the entity before a negated step by the alias of its target.
    fn name_anchor(&mut self, alias: &written::SpannedName, anchor: RowSlot) -> ResolveResult<()> {
        if self.options.strict {
            let message = format!("`{}` names what is not there", alias.text);
            return Err(Box::new(self.fault("Q0202", message, &alias.span)));
        }
        let message = format!(
            "`{}` names the target of a negated step and so means the entity before it",
            alias.text
        );
        let lint = Diagnostic::warning("QW03", self.source, message);
        self.seen.lints.push(lint.at(alias.span.clone(), ""));
        self.add_name(alias, PropertyOwner::Entity(anchor))
    }

    /// Resolved verbs, with the verbs of each set in place of its name.
    fn verbs(&self, written: &[written::VerbPattern]) -> ResolveResult<Vec<ResolvedVerb>> {
        let mut verbs = Vec::with_capacity(written.len());
        for verb in written {
            match verb {
                written::VerbPattern::Named(name, arrow) => {
                    let name = name.text.clone();
                    verbs.push(ResolvedVerb { set: None, name, arrow: *arrow, never: false });
                }
                written::VerbPattern::Others(arrow) => {
                    verbs.push(ResolvedVerb {
                        set: None,
                        name: String::new(),
                        arrow: *arrow,
                        never: false,
                    });
                }
                written::VerbPattern::Never(name) => {
                    let name = name.text.clone();
                    verbs.push(ResolvedVerb { set: None, name, arrow: None, never: true });
                }
                written::VerbPattern::Smart(name) => {
                    let sets = &self.options.smart_verbs;
                    // A set of the project hides a set of the rules with the same name.
                    let Some(definition) = find_any_spelling(sets, &name.text) else {
                        if let Some((set, name)) = rule_set(&name.text) {
                            verbs.push(ResolvedVerb {
                                set: Some(set),
                                name,
                                arrow: None,
                                never: false,
                            });
                            continue;
                        }
                        let message = format!("no set of verbs is called `{}`", name.text);
                        let fault = self.fault("Q0213", message, &name.span);
                        let own = sets.keys().map(String::as_str);
                        let rules = RuleSet::NAMED.iter().map(|(name, _)| *name);
                        let mut known: Vec<&str> = own.chain(rules).collect();
                        known.sort_unstable();
                        let known = known.join(", ");
                        return Err(Box::new(fault.help(format!("sets are {known}"))));
                    };
                    let place = format!("set of verbs {}", name.text);
                    let inner = parse::verbs(&SourceText::whole(place, definition.as_str()))?;
                    // One level only, so that no set can contain itself.
                    if inner.iter().any(|verb| matches!(verb, written::VerbPattern::Smart(_))) {
                        let message = format!("set of verbs `{}` names another set", name.text);
                        return Err(Box::new(self.fault("Q0213", message, &name.span)));
                    }
                    verbs.extend(self.verbs(&inner)?);
                }
            }
        }
        Ok(verbs)
    }
}

/// The set of relationships that the rules define under this name, and the name with its `#`.
fn rule_set(name: &str) -> Option<(RuleSet, String)> {
    let (known, set) = RuleSet::NAMED.iter().find(|(known, _)| same_name(known, name))?;
    Some((*set, format!("#{known}")))
}

/// The property of the entity in slot `to` that must equal another value by this condition, that
/// value, and the kind of equality.
fn key_of(test: &Predicate, to: RowSlot) -> Option<(String, ScalarExpr, EqualityMode)> {
    match test {
        Predicate::And(tests) => tests.iter().find_map(|test| key_of(test, to)),
        Predicate::Compare {
            left,
            op: ComparisonOp::Equal,
            negated: false,
            right: PredicateOperand::Term(right),
            ..
        } => {
            let asks = |term: &ScalarExpr| {
                let mut found = Vec::new();
                selectors(term, &mut found);
                found.contains(&PropertyOwner::Entity(to))
            };
            match (left, right) {
                (ScalarExpr::Property(PropertyOwner::Entity(slot), name), value)
                | (value, ScalarExpr::Property(PropertyOwner::Entity(slot), name))
                    // The other value must be known before the target is.
                    if *slot == to && !asks(value) =>
                {
                    Some((name.clone(), value.clone(), manner(left)))
                }
                _ => None,
            }
        }
        _ => None,
    }
}
