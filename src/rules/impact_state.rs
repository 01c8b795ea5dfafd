//! The three states in which an entity can be reached, and the states that a relationship passes on.

use super::written::{CompromiseFlow, ImpactEffect, RelationshipEnd};
use crate::graph::EdgeDirection;

/// The state in which an entity is reached, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ImpactState {
    /// The attacker acts as it or inside it.
    Controlled = 0,
    /// Its rights can be used, but it is not taken: a group of which a member was taken.
    Borrowed = 1,
    /// It fails or must be stopped.
    Affected = 2,
}

impl ImpactState {
    /// All of them, the strongest first.
    pub const ALL: [ImpactState; 3] =
        [ImpactState::Controlled, ImpactState::Borrowed, ImpactState::Affected];

    /// The word for it, for people and programs.
    pub const fn word(self) -> &'static str {
        match self {
            ImpactState::Controlled => "controlled",
            ImpactState::Borrowed => "borrowed",
            ImpactState::Affected => "affected",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A set of states, one bit each; stronger states have lower bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StateSet(pub u8);

impl StateSet {
    /// True if `state` is among them.
    pub const fn has(self, state: ImpactState) -> bool {
        self.0 & state.bit() as u8 != 0
    }

    /// The states by strength.
    pub fn iter(self) -> impl Iterator<Item = ImpactState> {
        ImpactState::ALL.into_iter().filter(move |state| self.has(*state))
    }

    /// True if there are none.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The set of one state.
    pub const fn only(state: ImpactState) -> StateSet {
        StateSet(state.bit() as u8)
    }

    /// These and others.
    #[must_use]
    pub const fn or(self, others: StateSet) -> StateSet {
        StateSet(self.0 | others.0)
    }

    /// Those that are not among `others`.
    #[must_use]
    pub const fn without(self, others: StateSet) -> StateSet {
        StateSet(self.0 & !others.0)
    }

    /// The states stronger than `state`.
    pub const fn stronger_than(state: ImpactState) -> StateSet {
        StateSet(state.bit() as u8 - 1)
    }

    /// The states in which a walk need not visit an entity any more after a visit in `state`. Control
    /// settles all: a relationship that leads on from a weaker state leads on from control, and no
    /// worse.
    pub const fn settled_by(state: ImpactState) -> StateSet {
        match state {
            ImpactState::Controlled => StateSet(7),
            other => StateSet(other.bit() as u8),
        }
    }
}

/// The kinds of impact that a question follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImpactFilter {
    /// True to follow what an attacker takes or may use.
    pub compromise: bool,
    /// True to follow what stops working.
    pub failure: bool,
}

impl ImpactFilter {
    /// Both.
    pub const ANY: ImpactFilter = ImpactFilter { compromise: true, failure: true };
}

/// The states that one step gives, for each state of the entity that it leaves: three times three bits.
///
/// If a step gives control, no weaker state is named with it, since control leads on to everything
/// that a weaker state leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StateTransitions(u16);

impl StateTransitions {
    /// The states that a relationship with this meaning passes on, looked at in `direction`.
    pub fn new(
        impact: ImpactEffect,
        direction: EdgeDirection,
        trouble: ImpactFilter,
    ) -> StateTransitions {
        use ImpactState::{Affected, Borrowed, Controlled};
        let mut passing = StateTransitions::default();
        if trouble.compromise {
            match impact.compromise {
                CompromiseFlow::Membership(m) => {
                    // A step from member to group goes up. It lends rights; it does not take the group.
                    let to_group =
                        (m.group == RelationshipEnd::To) == (direction == EdgeDirection::Out);
                    if to_group && m.up {
                        passing.add(Controlled, Borrowed);
                        passing.add(Borrowed, Borrowed);
                    }
                    // Only a controlled group gives its members: borrowed rights do not.
                    if !to_group && m.down {
                        passing.add(Controlled, Controlled);
                    }
                }
                CompromiseFlow::Flow(flow) if flow.ways()[direction as usize] => {
                    passing.add(Controlled, Controlled);
                    passing.add(Borrowed, Controlled);
                }
                CompromiseFlow::Flow(_) => {}
            }
        }
        if trouble.failure && impact.failure.ways()[direction as usize] {
            // Control of the other end says more than that it fails.
            if !passing.from(Controlled).has(Controlled) {
                passing.add(Controlled, Affected);
            }
            passing.add(Affected, Affected);
        }
        passing
    }

    fn add(&mut self, from: ImpactState, to: ImpactState) {
        self.0 |= to.bit() << (3 * from as u8);
    }

    /// The states that a step from `state` gives.
    #[inline]
    pub const fn from(self, state: ImpactState) -> StateSet {
        StateSet((self.0 >> (3 * state as u8)) as u8 & 7)
    }

    /// True if it gives nothing.
    pub const fn is_nothing(self) -> bool {
        self.0 == 0
    }

    /// Everything that either of them gives.
    #[must_use]
    pub const fn or(self, other: StateTransitions) -> StateTransitions {
        StateTransitions(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::written::{FlowDirection, GroupMembership};
    use super::*;

    fn check(impact: ImpactEffect, direction: EdgeDirection, expected: &str) {
        let passing = StateTransitions::new(impact, direction, ImpactFilter::ANY);
        let states = |state| -> String {
            passing.from(state).iter().map(|state| state.word()[..1].to_owned()).collect()
        };
        let text =
            ImpactState::ALL.map(|state| format!("{}>{}", &state.word()[..1], states(state)));
        assert_eq!(text.join(" "), expected);
    }

    #[test]
    fn membership_goes_up_as_borrowed_and_down_from_control_alone() {
        let member = |up, down| ImpactEffect {
            compromise: CompromiseFlow::Membership(GroupMembership {
                group: RelationshipEnd::From,
                up,
                down,
            }),
            failure: FlowDirection::None,
        };
        check(member(true, true), EdgeDirection::In, "c>b b>b a>");
        check(member(true, true), EdgeDirection::Out, "c>c b> a>");
        check(member(true, false), EdgeDirection::Out, "c> b> a>");
        check(member(false, true), EdgeDirection::In, "c> b> a>");
        check(member(true, true).turned(), EdgeDirection::Out, "c>b b>b a>");
    }

    #[test]
    fn rights_are_used_from_control_and_from_what_is_borrowed() {
        let flow = |compromise, failure| ImpactEffect {
            compromise: CompromiseFlow::Flow(compromise),
            failure,
        };
        check(flow(FlowDirection::Forward, FlowDirection::None), EdgeDirection::Out, "c>c b>c a>");
        check(flow(FlowDirection::Forward, FlowDirection::None), EdgeDirection::In, "c> b> a>");
        check(
            flow(FlowDirection::Forward, FlowDirection::Reverse),
            EdgeDirection::In,
            "c>a b> a>a",
        );
        check(flow(FlowDirection::Both, FlowDirection::Both), EdgeDirection::Out, "c>c b>c a>a");
    }
}
