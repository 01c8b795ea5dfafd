//! `plan --impact`: how the blast radius and the owners of some entities would change if a plan
//! were applied, which nobody can ask of a graph before the edges are there.

use super::failure::Failure;
use super::mapped::{Outcome, State};
use super::naming;
use super::output::{Out, counted, thousands};
use rustc_hash::FxHashSet;
use serde_json::{Value, json};
use std::io::Write;
use tombolo::db::{Database, Planned};
use tombolo::graph::{Adjacency, CLASS_SEPARATOR, EntityHead, GraphRead, Kind, Names};
use tombolo::store::{Snapshot, StoreError};
use tombolo::view::{self, BlastRules, Rules, Scratch};

/// What is asked about.
pub struct Asked<'a> {
    /// Entities by name.
    pub entities: &'a [String],
    /// All entities of these classes.
    pub classes: &'a [String],
}

/// Entities that are told one by one.
const TOLD: usize = 25;
/// Names of reached entities or owners that are listed.
const NAMED: usize = 5;

/// What changes for one entity.
struct Change {
    entity: EntityHead,
    reached: (usize, usize),
    gained: Vec<EntityHead>,
    lost: Vec<EntityHead>,
    owners: (Vec<EntityHead>, Vec<EntityHead>),
}

/// What changes for all that is asked about.
pub struct Impact {
    /// How many entities are asked about.
    asked: usize,
    /// Entities that any of them reaches, before and after.
    reached: (usize, usize),
    gained: usize,
    lost: usize,
    /// Those for which something changes, by scope and key.
    changes: Vec<Change>,
}

/// Compares the graph as it is with the graph as planned.
pub fn ask(
    database: &Database,
    snapshot: &Snapshot,
    outcomes: &[Outcome],
    asked: &Asked<'_>,
) -> Result<Impact, Failure> {
    let mut roots = Vec::new();
    for name in asked.entities {
        roots.push(database.find_entity(snapshot, name)?);
    }
    for class in naming::spellings(snapshot, "class", asked.classes)? {
        roots.extend(snapshot.entities_with(None, Some(&class))?);
    }
    roots.sort_unstable();
    roots.dedup();
    let mut planned = Planned::new(snapshot);
    for outcome in outcomes {
        if let (State::Ready, Some(plan)) = (&outcome.state, &outcome.plan) {
            planned.add(plan, &outcome.resolved.drafts)?;
        }
    }
    let rules = Rules::default();
    let (before, after) =
        (Sight::new(snapshot, snapshot, &rules), Sight::new(&planned, snapshot, &rules));
    let (all_before, all_after) = (before.reach(&roots)?, after.reach(&roots)?);
    let mut changes = Vec::new();
    for &root in &roots {
        let (was, is) = (before.reach(&[root])?, after.reach(&[root])?);
        let (owned, owns) = (before.owners(root)?, after.owners(root)?);
        if was == is && owned == owns {
            continue;
        }
        let heads = |numbers: Vec<u32>| -> Result<Vec<EntityHead>, Failure> {
            naming::entities(snapshot, &numbers)
        };
        let beyond = |a: &FxHashSet<u32>, b: &FxHashSet<u32>| -> Result<Vec<EntityHead>, Failure> {
            let mut numbers: Vec<u32> = a.difference(b).copied().collect();
            numbers.sort_unstable();
            heads(numbers)
        };
        changes.push(Change {
            entity: naming::entity(snapshot, root)?,
            reached: (was.len(), is.len()),
            gained: beyond(&is, &was)?,
            lost: beyond(&was, &is)?,
            owners: (heads(owned)?, heads(owns)?),
        });
    }
    changes.sort_by(|a, b| (&a.entity.scope, &a.entity.key).cmp(&(&b.entity.scope, &b.entity.key)));
    Ok(Impact {
        asked: roots.len(),
        reached: (all_before.len(), all_after.len()),
        gained: all_after.difference(&all_before).count(),
        lost: all_before.difference(&all_after).count(),
        changes,
    })
}

/// A graph with the rules resolved to its names.
struct Sight<'g, G> {
    graph: &'g G,
    snapshot: &'g Snapshot,
    blast: BlastRules,
    owning: view::OwnerRules,
    owners: FxHashSet<u32>,
}

impl<'g, G: Adjacency<Error = StoreError> + Names> Sight<'g, G> {
    fn new(graph: &'g G, snapshot: &'g Snapshot, rules: &Rules) -> Sight<'g, G> {
        let flows = rules.propagation.resolve(graph);
        let can_own =
            |&set: &u32| rules.ownership.can_own(snapshot.name(set).split(CLASS_SEPARATOR));
        Sight {
            graph,
            snapshot,
            blast: BlastRules::new(&flows, None, None, None),
            owning: rules.ownership.resolve(graph),
            owners: snapshot.words().numbers().filter(can_own).collect(),
        }
    }

    fn reach(&self, roots: &[u32]) -> Result<FxHashSet<u32>, Failure> {
        let reached = view::blast_radius(self.graph, roots, &self.blast, &mut Scratch::new())?;
        Ok(reached.into_iter().map(|reached| reached.entity).collect())
    }

    /// The nearest owners, ascending.
    fn owners(&self, entity: u32) -> Result<Vec<u32>, Failure> {
        let is_owner = |entity: u32| -> Result<bool, StoreError> {
            let facts = self.snapshot.facts(Kind::Entity, entity)?;
            Ok(facts.is_some_and(|facts| self.owners.contains(&facts.class)))
        };
        let found = view::owners(self.graph, entity, &self.owning, is_owner)?;
        let owners = found.map_or_else(Vec::new, |found| found.owners);
        Ok(owners.into_iter().map(|owner| owner.entity).collect())
    }
}

impl Impact {
    /// How many lose their owners, gain some where there were none, and change them.
    fn owner_changes(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for change in &self.changes {
            let (before, after) = &change.owners;
            match (before.is_empty(), after.is_empty()) {
                (false, true) => counts[0] += 1,
                (true, false) => counts[1] += 1,
                _ => counts[2] += usize::from(before != after),
            }
        }
        counts
    }

    /// For people.
    pub fn print(&self, out: &mut Out<'_>) -> Result<(), Failure> {
        let asked = counted(self.asked as u64, "entity", "entities");
        let [lose, gain, change] = self.owner_changes();
        writeln!(out, "\nimpact on {asked}")?;
        let mut parts = vec![
            format!("+{} reached", counted(self.gained as u64, "entity", "entities")),
            format!("-{} no longer reached", thousands(self.lost as u64)),
        ];
        for (n, one, many) in [
            (lose, "loses its owner", "lose their owner"),
            (gain, "gains an owner", "gain an owner"),
            (change, "changes owner", "change owner"),
        ] {
            if n > 0 {
                parts.push(format!("{} {}", thousands(n as u64), if n == 1 { one } else { many }));
            }
        }
        let (before, after) = self.reached;
        writeln!(
            out,
            "  {}   (blast radius {} -> {})",
            parts.join(", "),
            thousands(before as u64),
            thousands(after as u64)
        )?;
        for change in self.changes.iter().take(TOLD) {
            change.print(out)?;
        }
        match self.changes.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => Ok(writeln!(out, "  … {} more (-o json lists all)", thousands(more as u64))?),
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let [lose, gain, change] = self.owner_changes();
        json!({
            "entities": self.asked,
            "reached": { "before": self.reached.0, "after": self.reached.1,
                         "gained": self.gained, "lost": self.lost },
            "owners": { "lose": lose, "gain": gain, "change": change },
            "changes": self.changes.iter().map(Change::json).collect::<Vec<_>>(),
        })
    }
}

fn names(out: &Out<'_>, heads: &[EntityHead]) -> String {
    let mut names: Vec<String> =
        heads.iter().take(NAMED).map(|head| naming::shown(out, head)).collect();
    match heads.len().saturating_sub(NAMED) {
        0 => {}
        more => names.push(format!("… {} more", thousands(more as u64))),
    }
    names.join(", ")
}

impl Change {
    fn print(&self, out: &mut Out<'_>) -> Result<(), Failure> {
        let heading = naming::heading(out, &self.entity);
        let (was, is) = (self.reached.0 as u64, self.reached.1 as u64);
        writeln!(out, "  {heading}   reaches {} -> {}", thousands(was), thousands(is))?;
        for (sign, heads) in [('+', &self.gained), ('-', &self.lost)] {
            if !heads.is_empty() {
                let names = names(out, heads);
                let text = format!("{} {} {names}", out.sign(sign), thousands(heads.len() as u64));
                out.line("    ", &text, "        ")?;
            }
        }
        let (before, after) = &self.owners;
        if before != after {
            let nobody = |text: String| if text.is_empty() { "nobody".to_owned() } else { text };
            let (before, after) = (nobody(names(out, before)), nobody(names(out, after)));
            writeln!(out, "    owner: {before} -> {after}")?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        json!({
            "entity": self.entity,
            "reached": { "before": self.reached.0, "after": self.reached.1 },
            "gained": self.gained, "lost": self.lost,
            "owners": { "before": self.owners.0, "after": self.owners.1 },
        })
    }
}
