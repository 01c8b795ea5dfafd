//! WHERE taken apart: what can be tested before a row is whole goes down to the entity or step that it
//! is about.

use super::resolve::selectors;
use super::resolved::{
    EntityTest, ExpandStep, Predicate, PredicateOperand, PropertyOwner, RowSlot, ScalarExpr,
};

/// Takes WHERE apart. A part about one entity of the plain steps joins the test of that entity. A
/// part about several, or about relationships, is given back with its selectors. The rest remains.
pub(super) fn push_down(
    filter: Option<&Predicate>,
    tests: &mut [EntityTest],
    slots: &[RowSlot],
    hops: &[&ExpandStep],
) -> (Option<Predicate>, Vec<(Predicate, Vec<PropertyOwner>)>) {
    let parts = match filter {
        None => Vec::new(),
        Some(Predicate::And(parts)) => parts.clone(),
        Some(test) => vec![test.clone()],
    };
    let (mut rest, mut several) = (Vec::new(), Vec::new());
    for part in parts {
        let mut asked = Vec::new();
        collect_condition_selectors(&part, &mut asked);
        let plain = |of: &PropertyOwner| match of {
            PropertyOwner::Entity(slot) => slots.contains(slot),
            PropertyOwner::Relationship(slot) => hops.iter().any(|hop| hop.relationship == *slot),
            PropertyOwner::Subject => false,
        };
        match asked.as_slice() {
            [PropertyOwner::Entity(slot)] if slots.contains(slot) => {
                let at = slots.iter().position(|known| known == slot).unwrap_or(0);
                let mut part = part;
                rebind_to_subject(&mut part);
                tests[at].with = Some(match tests[at].with.take() {
                    None => part,
                    Some(Predicate::And(mut all)) => {
                        all.push(part);
                        Predicate::And(all)
                    }
                    Some(with) => Predicate::And(vec![with, part]),
                });
            }
            [] => rest.push(part),
            _ if asked.iter().all(plain) => several.push((part, asked)),
            _ => rest.push(part),
        }
    }
    let rest = match rest.len() {
        0 => None,
        1 => rest.pop(),
        _ => Some(Predicate::And(rest)),
    };
    (rest, several)
}

/// The selectors that a condition asks, each once.
fn collect_condition_selectors(test: &Predicate, found: &mut Vec<PropertyOwner>) {
    fn values(right: &PredicateOperand, found: &mut Vec<PropertyOwner>) {
        match right {
            PredicateOperand::Or(all) | PredicateOperand::And(all) => {
                all.iter().for_each(|one| values(one, found))
            }
            PredicateOperand::Term(term) => selectors(term, found),
            PredicateOperand::Pattern(_) | PredicateOperand::Query(_) => {}
        }
    }
    match test {
        Predicate::Or(tests) | Predicate::And(tests) => {
            tests.iter().for_each(|test| collect_condition_selectors(test, found))
        }
        Predicate::Not(test) => collect_condition_selectors(test, found),
        Predicate::Compare { left, right, .. } => {
            selectors(left, found);
            values(right, found);
        }
    }
}

/// Rewrites a condition that asks one entity, so that it asks the subject of a test.
fn rebind_to_subject(test: &mut Predicate) {
    fn term(one: &mut ScalarExpr) {
        match one {
            ScalarExpr::Property(of, _) | ScalarExpr::Whole(of) | ScalarExpr::All(of) => {
                *of = PropertyOwner::Subject
            }
            ScalarExpr::Call(_, terms) => terms.iter_mut().for_each(term),
            ScalarExpr::Minus(inner) => term(inner),
            ScalarExpr::Binary(left, _, right) => {
                term(left);
                term(right);
            }
            _ => {}
        }
    }
    fn values(right: &mut PredicateOperand) {
        match right {
            PredicateOperand::Or(all) | PredicateOperand::And(all) => {
                all.iter_mut().for_each(values)
            }
            PredicateOperand::Term(one) => term(one),
            PredicateOperand::Pattern(_) | PredicateOperand::Query(_) => {}
        }
    }
    match test {
        Predicate::Or(tests) | Predicate::And(tests) => {
            tests.iter_mut().for_each(rebind_to_subject)
        }
        Predicate::Not(test) => rebind_to_subject(test),
        Predicate::Compare { left, right, .. } => {
            term(left);
            values(right);
        }
    }
}
