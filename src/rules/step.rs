//! The three states in which an entity can be reached, and the states that a relationship passes on.

use super::written::{Compromise, Impact, Side};
use crate::graph::Direction;

/// The state in which an entity is reached, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// The attacker acts as it or inside it.
    Controlled = 0,
    /// Its rights can be used, but it is not taken: a group of which a member was taken.
    Borrowed = 1,
    /// It fails or must be stopped.
    Affected = 2,
}

impl State {
    /// All of them, the strongest first.
    pub const ALL: [State; 3] = [State::Controlled, State::Borrowed, State::Affected];

    /// The word for it, for people and programs.
    pub const fn word(self) -> &'static str {
        match self {
            State::Controlled => "controlled",
            State::Borrowed => "borrowed",
            State::Affected => "affected",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A set of states, one bit each; stronger states have lower bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct States(pub u8);

impl States {
    /// True if `state` is among them.
    pub const fn has(self, state: State) -> bool {
        self.0 & state.bit() as u8 != 0
    }

    /// The states by strength.
    pub fn iter(self) -> impl Iterator<Item = State> {
        State::ALL.into_iter().filter(move |state| self.has(*state))
    }

    /// True if there are none.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The set of one state.
    pub const fn only(state: State) -> States {
        States(state.bit() as u8)
    }

    /// These and others.
    #[must_use]
    pub const fn or(self, others: States) -> States {
        States(self.0 | others.0)
    }

    /// Those that are not among `others`.
    #[must_use]
    pub const fn without(self, others: States) -> States {
        States(self.0 & !others.0)
    }

    /// The states stronger than `state`.
    pub const fn stronger_than(state: State) -> States {
        States(state.bit() as u8 - 1)
    }

    /// The states in which a walk need not visit an entity any more after a visit in `state`. Control
    /// settles all: a relationship that leads on from a weaker state leads on from control, and no
    /// worse.
    pub const fn settled_by(state: State) -> States {
        match state {
            State::Controlled => States(7),
            other => States(other.bit() as u8),
        }
    }
}

/// The kinds of impact that a question follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// True to follow what an attacker takes or may use.
    pub compromise: bool,
    /// True to follow what stops working.
    pub failure: bool,
}

impl Trouble {
    /// Both.
    pub const ANY: Trouble = Trouble { compromise: true, failure: true };
}

/// The states that one step gives, for each state of the entity that it leaves: three times three bits.
///
/// If a step gives control, no weaker state is named with it, since control leads on to everything
/// that a weaker state leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Passing(u16);

impl Passing {
    /// The states that a relationship with this meaning passes on, looked at in `direction`.
    pub fn new(impact: Impact, direction: Direction, trouble: Trouble) -> Passing {
        use State::{Affected, Borrowed, Controlled};
        let mut passing = Passing::default();
        if trouble.compromise {
            match impact.compromise {
                Compromise::Membership(m) => {
                    // A step from member to group goes up. It lends rights; it does not take the group.
                    let to_group = (m.group == Side::To) == (direction == Direction::Out);
                    if to_group && m.up {
                        passing.add(Controlled, Borrowed);
                        passing.add(Borrowed, Borrowed);
                    }
                    // Only a controlled group gives its members: borrowed rights do not.
                    if !to_group && m.down {
                        passing.add(Controlled, Controlled);
                    }
                }
                Compromise::Flow(flow) if flow.ways()[direction as usize] => {
                    passing.add(Controlled, Controlled);
                    passing.add(Borrowed, Controlled);
                }
                Compromise::Flow(_) => {}
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

    fn add(&mut self, from: State, to: State) {
        self.0 |= to.bit() << (3 * from as u8);
    }

    /// The states that a step from `state` gives.
    #[inline]
    pub const fn from(self, state: State) -> States {
        States((self.0 >> (3 * state as u8)) as u8 & 7)
    }

    /// True if it gives nothing.
    pub const fn is_nothing(self) -> bool {
        self.0 == 0
    }

    /// Everything that either of them gives.
    #[must_use]
    pub const fn or(self, other: Passing) -> Passing {
        Passing(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::written::{Flow, Membership};
    use super::*;

    fn check(impact: Impact, direction: Direction, expected: &str) {
        let passing = Passing::new(impact, direction, Trouble::ANY);
        let states = |state| -> String {
            passing.from(state).iter().map(|state| state.word()[..1].to_owned()).collect()
        };
        let text = State::ALL.map(|state| format!("{}>{}", &state.word()[..1], states(state)));
        assert_eq!(text.join(" "), expected);
    }

    #[test]
    fn membership_goes_up_as_borrowed_and_down_from_control_alone() {
        let member = |up, down| Impact {
            compromise: Compromise::Membership(Membership { group: Side::From, up, down }),
            failure: Flow::None,
        };
        check(member(true, true), Direction::In, "c>b b>b a>");
        check(member(true, true), Direction::Out, "c>c b> a>");
        check(member(true, false), Direction::Out, "c> b> a>");
        check(member(false, true), Direction::In, "c> b> a>");
        check(member(true, true).turned(), Direction::Out, "c>b b>b a>");
    }

    #[test]
    fn rights_are_used_from_control_and_from_what_is_borrowed() {
        let flow =
            |compromise, failure| Impact { compromise: Compromise::Flow(compromise), failure };
        check(flow(Flow::Forward, Flow::None), Direction::Out, "c>c b>c a>");
        check(flow(Flow::Forward, Flow::None), Direction::In, "c> b> a>");
        check(flow(Flow::Forward, Flow::Reverse), Direction::In, "c>a b> a>a");
        check(flow(Flow::Both, Flow::Both), Direction::Out, "c>c b>c a>a");
    }
}
