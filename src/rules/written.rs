//! Rules in the form of their files, and their meaning for one relationship.
//!
//! The build script reads this file as well, to lay the built-in table into the program.

/// The way in which compromise or failure of one end of a relationship reaches the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flow {
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

impl Flow {
    /// All of them, in the order for people.
    pub const ALL: [Flow; 4] = [Flow::Forward, Flow::Reverse, Flow::Both, Flow::None];

    /// The word of the TOML file for this flow.
    pub const fn word(self) -> &'static str {
        match self {
            Flow::Forward => "forward",
            Flow::Reverse => "reverse",
            Flow::Both => "both",
            Flow::None => "none",
        }
    }

    /// The flow of a relationship whose arrow is turned round.
    pub const fn turned(self) -> Flow {
        match self {
            Flow::Forward => Flow::Reverse,
            Flow::Reverse => Flow::Forward,
            same => same,
        }
    }

    /// True if it passes with the arrow, and true if it passes against it.
    pub const fn ways(self) -> [bool; 2] {
        match self {
            Flow::Forward => [true, false],
            Flow::Reverse => [false, true],
            Flow::Both => [true, true],
            Flow::None => [false, false],
        }
    }
}

/// An end of a relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end where the arrow begins.
    From,
    /// The end to which the arrow points.
    To,
}

impl Side {
    /// The word of the TOML file.
    pub const fn word(self) -> &'static str {
        match self {
            Side::From => "from",
            Side::To => "to",
        }
    }

    /// The other end.
    pub const fn turned(self) -> Side {
        match self {
            Side::From => Side::To,
            Side::To => Side::From,
        }
    }
}

/// A relationship between a group and a member of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The end that is the group.
    pub group: Side,
    /// True if a member that is taken gives the rights of the group.
    pub up: bool,
    /// True if a group that is taken gives its members.
    pub down: bool,
}

/// The way in which an attacker goes on along a relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compromise {
    /// From one end to the other.
    Flow(Flow),
    /// By membership.
    Membership(Membership),
}

/// The compromise and the failure that a relationship passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Impact {
    /// The effect if one end is taken.
    pub compromise: Compromise,
    /// The effect if one end fails.
    pub failure: Flow,
}

impl Impact {
    /// The same meaning, for the relationship with its arrow turned round.
    pub fn turned(self) -> Impact {
        let compromise = match self.compromise {
            Compromise::Flow(flow) => Compromise::Flow(flow.turned()),
            Compromise::Membership(m) => {
                Compromise::Membership(Membership { group: m.group.turned(), ..m })
            }
        };
        Impact { compromise, failure: self.failure.turned() }
    }
}

/// The meaning of a relationship for owners. The holder is its from end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owning {
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

impl Owning {
    /// All of them, in the order for people.
    pub const ALL: [Owning; 5] =
        [Owning::Owns, Owning::Through, Owning::Identity, Owning::Member, Owning::None];

    /// The word of the TOML file.
    pub const fn word(self) -> &'static str {
        match self {
            Owning::Owns => "owning",
            Owning::Through => "through",
            Owning::Identity => "identity",
            Owning::Member => "member",
            Owning::None => "none",
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
pub struct Family {
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
pub struct Silent {
    /// The verbs.
    pub verbs: Vec<String>,
    /// Why.
    pub reason: String,
}

/// All that rules files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Named sets of classes, without the `@`.
    pub sets: Vec<(String, Vec<String>)>,
    /// Classes that can own.
    pub owners: Vec<String>,
    /// Rules of impact, in the order in which they count.
    pub impact: Vec<WrittenRule<Impact>>,
    /// Rules of ownership.
    pub ownership: Vec<WrittenRule<Owning>>,
    /// Families of verbs; later ones win.
    pub families: Vec<Family>,
    /// Verbs that pass nothing.
    pub silent: Vec<Silent>,
}

impl Written {
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
