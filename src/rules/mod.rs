//! The meaning of relationships: what passes along one if an end of it is taken or fails, and who owns
//! what.
//!
//! A verb alone cannot tell `UserGroup HAS User` from `Host HAS Finding`. So a rule names a verb and may
//! name the classes or types of both ends. The rule that names more ends wins. Of rules that name as
//! many, one of the project wins; then the order in the file decides. Every verb knows its inverse.
//!
//! The built-in table is `built_in.toml`, with a reason and a source for each rule. A project changes it
//! in its `tombolo.toml`, the one home of its rules, which every command reads.
//!
//! Walks that go by the rules live in `view` and `query`. They ask a [`Bound`], which holds the rules in
//! the numbers of one graph.

mod bound;
mod built_in;
mod index;
mod page;
mod project;
mod read;
mod schema;
mod step;
mod written;

pub use bound::{Ahead, Bound, Cell, Kind};
pub use index::is_inverse;
pub use page::{impact_words, listed_toml, page};
pub use project::{PROJECT_FILE, project_file};
pub use schema::schema;
pub use step::{Passing, State, States, Trouble};
pub use written::{
    Compromise, Family, Flow, Impact, Membership, Owning, Side, Silent, Written, WrittenRule,
};

use crate::lang::{Fault, Source};
use index::Index;
use std::fmt;
use std::sync::Arc;

/// The rules in force. Cheap to clone.
#[derive(Clone, Default)]
pub struct Rules(Option<Arc<Changed>>);

/// The built-in rules with the changes of a project.
struct Changed {
    index: Index,
    written: Written,
    source: Arc<Source>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("built-in rules"),
            Some(changed) => write!(f, "rules of {}", changed.source.file),
        }
    }
}

impl Rules {
    /// Reads the text of a project file and returns the built-in rules with its changes.
    ///
    /// # Errors
    ///
    /// All faults of the text. Then none of it holds.
    pub fn parse(source: &Arc<Source>) -> Result<Rules, Vec<Fault>> {
        let (own, says_something) = read::read(source, false)?;
        // A project file may hold tables for other parts only. The built-in index needs no building.
        if !says_something {
            return Ok(Rules::default());
        }
        let written = project::over(built_in(), own);
        let index = Index::build(&written);
        Ok(Rules(Some(Arc::new(Changed { index, written, source: Arc::clone(source) }))))
    }

    /// The rules as they were written, those of the program first.
    pub fn written(&self) -> Written {
        self.0.as_ref().map_or_else(built_in, |changed| changed.written.clone())
    }

    /// The file that changes the built-in rules, if one does.
    pub fn file(&self) -> Option<&str> {
        self.0.as_ref().map(|changed| changed.source.file.as_str())
    }

    /// True if the rules know a verb, even one that passes nothing.
    pub fn know(&self, verb: &str) -> bool {
        self.index().verb(verb).is_some()
    }

    /// True if some relationships with this verb make an owner.
    pub fn owning(&self, verb: &str) -> bool {
        let index = self.index();
        index.verb(verb).is_some_and(|(verb, _)| {
            let rules = index.ownership_of(verb).iter();
            rules
                .map(|listed| index.ownership[usize::from(listed.rule)].meaning)
                .any(|meaning| meaning == Owning::Owns)
        })
    }

    /// The direction in which compromise or failure goes along relationships with a verb, by the rule
    /// that holds for any ends; a membership counts from the group to its members. `None` if there is no
    /// such rule.
    pub fn plain_flow(&self, verb: &str) -> Option<Flow> {
        let index = self.index();
        let (verb, turned) = index.verb(verb)?;
        let any = |listed: &&index::Listed| {
            let row = &index.impact[usize::from(listed.rule)];
            (row.from, row.to) == (index::ANY, index::ANY)
        };
        let listed = index.impact_of(verb).iter().find(any)?;
        let meaning = index.impact[usize::from(listed.rule)].meaning;
        let impact = if listed.turned != turned { meaning.turned() } else { meaning };
        let compromise = match impact.compromise {
            Compromise::Flow(flow) => flow,
            Compromise::Membership(Membership { group: Side::From, .. }) => Flow::Forward,
            Compromise::Membership(_) => Flow::Reverse,
        };
        // One flow for both kinds: a way is open if either of them passes it.
        let ([a, b], [c, d]) = (compromise.ways(), impact.failure.ways());
        Some(match (a || c, b || d) {
            (true, true) => Flow::Both,
            (true, false) => Flow::Forward,
            (false, true) => Flow::Reverse,
            (false, false) => Flow::None,
        })
    }

    fn index(&self) -> &Index {
        self.0.as_ref().map_or(&built_in::INDEX, |changed| &changed.index)
    }
}

/// The built-in rules as their file holds them.
fn built_in() -> Written {
    let source = Source::whole("built_in.toml", built_in::FILE);
    // Questions use the index of the build script; this is for projects and for texts for people.
    match read::read(&source, true) {
        Ok((written, _)) => written,
        Err(faults) => panic!("BUG: {}", faults.iter().map(Fault::plain).collect::<String>()),
    }
}

#[cfg(test)]
mod tests;
