//! Rules in the form of their files, and their meaning for one relationship.
//!
//! The build script reads this file as well, to lay the built-in table into the program.

/// The way in which compromise or failure of one end of a relationship reaches the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FlowDirection {
    /// With the arrow: what happens to the from end reaches the to end.
    Forward,
    /// Against the arrow.
    Reverse,
    /// Either way.
    Both,
    /// Not at all.
    #[default]
    None,
}

impl FlowDirection {
    /// All of them, in the order for people.
    pub const ALL: [FlowDirection; 4] =
        [FlowDirection::Forward, FlowDirection::Reverse, FlowDirection::Both, FlowDirection::None];

    /// The word of the TOML file for this flow.
    pub const fn word(self) -> &'static str {
        match self {
            FlowDirection::Forward => "forward",
            FlowDirection::Reverse => "reverse",
            FlowDirection::Both => "both",
            FlowDirection::None => "none",
        }
    }

    /// The flow of a relationship whose arrow is turned round.
    pub const fn turned(self) -> FlowDirection {
        match self {
            FlowDirection::Forward => FlowDirection::Reverse,
            FlowDirection::Reverse => FlowDirection::Forward,
            same => same,
        }
    }

    /// True if it passes with the arrow, and true if it passes against it.
    pub const fn ways(self) -> [bool; 2] {
        match self {
            FlowDirection::Forward => [true, false],
            FlowDirection::Reverse => [false, true],
            FlowDirection::Both => [true, true],
            FlowDirection::None => [false, false],
        }
    }
}

/// An end of a relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelationshipEnd {
    /// The end where the arrow begins.
    From,
    /// The end to which the arrow points.
    To,
}

impl RelationshipEnd {
    /// The word of the TOML file.
    pub const fn word(self) -> &'static str {
        match self {
            RelationshipEnd::From => "from",
            RelationshipEnd::To => "to",
        }
    }

    /// The other end.
    pub const fn turned(self) -> RelationshipEnd {
        match self {
            RelationshipEnd::From => RelationshipEnd::To,
            RelationshipEnd::To => RelationshipEnd::From,
        }
    }
}

/// A relationship between a group and a member of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupMembership {
    /// The end that is the group.
    pub group: RelationshipEnd,
    /// True if a member that is taken gives the rights of the group.
    pub up: bool,
    /// True if a group that is taken gives its members.
    pub down: bool,
}

/// The way in which an attacker goes on along a relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompromiseFlow {
    /// From one end to the other.
    Flow(FlowDirection),
    /// By membership.
    Membership(GroupMembership),
}

/// The compromise and the failure that a relationship passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImpactEffect {
    /// The effect if one end is taken.
    pub compromise: CompromiseFlow,
    /// The effect if one end fails.
    pub failure: FlowDirection,
}

impl ImpactEffect {
    /// The same meaning, for the relationship with its arrow turned round.
    pub fn turned(self) -> ImpactEffect {
        let compromise = match self.compromise {
            CompromiseFlow::Flow(flow) => CompromiseFlow::Flow(flow.turned()),
            CompromiseFlow::Membership(m) => {
                CompromiseFlow::Membership(GroupMembership { group: m.group.turned(), ..m })
            }
        };
        ImpactEffect { compromise, failure: self.failure.turned() }
    }
}

/// The meaning of a relationship for owners. The holder is its from end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnershipKind {
    /// The holder, if it can be an owner, owns the other end; if not, its owners do.
    Owns,
    /// The owners of the holder own the other end.
    Through,
    /// Both ends have one owner.
    Identity,
    /// The holder is a team, and the other end one of its people.
    Member,
    /// Nothing.
    None,
}

impl OwnershipKind {
    /// All of them, in the order for people.
    pub const ALL: [OwnershipKind; 5] = [
        OwnershipKind::Owns,
        OwnershipKind::Through,
        OwnershipKind::Identity,
        OwnershipKind::Member,
        OwnershipKind::None,
    ];

    /// The word of the TOML file.
    pub const fn word(self) -> &'static str {
        match self {
            OwnershipKind::Owns => "owning",
            OwnershipKind::Through => "through",
            OwnershipKind::Identity => "identity",
            OwnershipKind::Member => "member",
            OwnershipKind::None => "none",
        }
    }
}

/// One rule as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRule<M> {
    /// Its verbs, in any spelling.
    pub verbs: Vec<String>,
    /// Classes, types and `@sets` of the from end; empty if it may be anything.
    pub from: Vec<String>,
    /// The same for the to end.
    pub to: Vec<String>,
    /// The meaning of the relationships that the rule speaks of.
    pub meaning: M,
    /// Why.
    pub reason: String,
    /// The place where the reason can be read.
    pub source: String,
    /// Another reading, if sensible people hold one.
    pub alternative: String,
    /// The reason why the other reading was not taken.
    pub decided: String,
    /// True if the rule comes with the program; else a project wrote it.
    pub built_in: bool,
    /// The line of its file where it begins.
    pub line: usize,
}

/// Words for one arrow, and for the same arrow turned round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerbFamily {
    /// The verb that rules are written for.
    pub verb: String,
    /// Other words for it.
    pub same: Vec<String>,
    /// Words for the arrow turned round.
    pub inverse: Vec<String>,
    /// True if the family comes with the program.
    pub built_in: bool,
}

/// Verbs that are known and pass nothing, unless a rule that names an end says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilentVerbs {
    /// The verbs.
    pub verbs: Vec<String>,
    /// Why.
    pub reason: String,
}

/// All that rules files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenRules {
    /// Named sets of classes, without the `@`.
    pub sets: Vec<(String, Vec<String>)>,
    /// Classes that can own.
    pub owners: Vec<String>,
    /// Rules of impact, in the order in which they count.
    pub impact: Vec<WrittenRule<ImpactEffect>>,
    /// Rules of ownership.
    pub ownership: Vec<WrittenRule<OwnershipKind>>,
    /// Families of verbs; later ones win.
    pub families: Vec<VerbFamily>,
    /// Verbs that pass nothing.
    pub silent: Vec<SilentVerbs>,
}

impl WrittenRules {
    /// The classes and types of a list, with the classes of each `@set` in its place.
    pub fn classes<'a>(&'a self, list: &'a [String]) -> Vec<&'a str> {
        let mut classes = Vec::new();
        for name in list {
            match name.strip_prefix('@') {
                None => classes.push(name.as_str()),
                Some(set) => {
                    let sets = self.sets.iter().filter(|(known, _)| known == set);
                    classes.extend(sets.flat_map(|(_, all)| all.iter().map(String::as_str)));
                }
            }
        }
        classes
    }
}
