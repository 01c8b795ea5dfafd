//! `plan --impact`: how the blast radius and the owners of some entities would change if a plan
//! were applied, which nobody can ask of a graph before the edges are there.

use super::failure::CommandError;
use super::mapping_run::{self, MappingOutcome};
use super::naming::{self, EntityFilter};
use super::output::{AnswerWriter, counted, thousands};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use tombolo::db::{Database, PlannedGraph};
use tombolo::graph::{EntityFacts, EntityHead, GraphRead};
use tombolo::rules::{BoundRules, ImpactFilter, ImpactState, RuleTable};
use tombolo::store::{Snapshot, StoreError};
use tombolo::view::{self, OwnerSearch};

/// The entities that the question is about.
pub struct ImpactTargets<'a> {
    /// Entities by name.
    pub entities: &'a [String],
    /// All entities of these classes.
    pub classes: &'a [String],
}

/// Entities that are told one by one.
const TOLD: usize = 25;
/// Names of reached entities or owners that are listed.
const NAMED: usize = 5;

/// The changes for one entity.
struct EntityImpactChange {
    entity: EntityHead,
    reached: (usize, usize),
    gained: Vec<EntityHead>,
    lost: Vec<EntityHead>,
    turned: Vec<StateTransition>,
    owners: (Vec<EntityHead>, Vec<EntityHead>),
}

/// An entity that is reached before and after, in another state.
struct StateTransition {
    entity: EntityHead,
    before: ImpactState,
    now: ImpactState,
}

/// The changes for all entities that the question is about.
pub struct ImpactComparison {
    /// The number of entities asked about.
    asked: usize,
    /// Entities that any of them reaches, before and after.
    reached: (usize, usize),
    gained: usize,
    lost: usize,
    /// The entities for which something changes, by scope and key.
    changes: Vec<EntityImpactChange>,
}

/// Compares the graph as it is with the graph as planned.
pub fn ask(
    database: &Database,
    snapshot: &Snapshot,
    outcomes: &[MappingOutcome],
    asked: &ImpactTargets<'_>,
    rules: &RuleTable,
) -> Result<ImpactComparison, CommandError> {
    let mut roots = Vec::new();
    for name in asked.entities {
        roots.push(database.find_entity(snapshot, name)?);
    }
    let classes = EntityFilter::read(snapshot, &[], asked.classes, &[])?;
    if !classes.is_open() {
        roots.extend(classes.all(snapshot)?);
    }
    roots.sort_unstable();
    roots.dedup();
    let mut planned = PlannedGraph::new(snapshot);
    for outcome in outcomes {
        if let (mapping_run::MappingState::Ready, Some(plan)) = (&outcome.state, &outcome.plan) {
            planned.add(plan, &outcome.resolved.drafts)?;
        }
    }
    // The planned graph may have names of its own, so the rules are bound to each graph apart.
    let (mut before, mut after) =
        (ImpactEvaluator::new(snapshot, rules), ImpactEvaluator::new(&planned, rules));
    // Totals come from one walk with all roots; sums over single roots would count shared entities
    // twice.
    let (all_before, all_after) = (before.reach(&roots)?, after.reach(&roots)?);
    let mut changes = Vec::new();
    for &root in &roots {
        let (was, is) = (before.reach(&[root])?, after.reach(&[root])?);
        let (owned, owns) = (before.owners(root)?, after.owners(root)?);
        if was == is && owned == owns {
            continue;
        }
        let heads = |numbers: Vec<u32>| -> Result<Vec<EntityHead>, CommandError> {
            // Mappings make relationships alone, so the snapshot names every entity of the planned
            // graph.
            naming::entities(snapshot, &numbers)
        };
        let beyond =
            |a: &ReachedStates, b: &ReachedStates| -> Result<Vec<EntityHead>, CommandError> {
                heads(a.keys().filter(|entity| !b.contains_key(entity)).copied().collect())
            };
        let turned = is.iter().filter_map(|(&entity, &now)| {
            let before = *was.get(&entity)?;
            (before != now).then_some((entity, before, now))
        });
        let turned = turned.map(|(entity, before, now)| {
            Ok(StateTransition { entity: naming::entity(snapshot, entity)?, before, now })
        });
        let turned = turned.collect::<Result<Vec<StateTransition>, CommandError>>()?;
        changes.push(EntityImpactChange {
            entity: naming::entity(snapshot, root)?,
            reached: (was.len(), is.len()),
            gained: beyond(&is, &was)?,
            lost: beyond(&was, &is)?,
            turned,
            owners: (heads(owned)?, heads(owns)?),
        });
    }
    changes.sort_by(|a, b| (&a.entity.scope, &a.entity.key).cmp(&(&b.entity.scope, &b.entity.key)));
    Ok(ImpactComparison {
        asked: roots.len(),
        reached: (all_before.len(), all_after.len()),
        gained: all_after.keys().filter(|entity| !all_before.contains_key(entity)).count(),
        lost: all_before.keys().filter(|entity| !all_after.contains_key(entity)).count(),
        changes,
    })
}

/// The reached entities by number, each with its state.
type ReachedStates = BTreeMap<u32, ImpactState>;

/// A graph, and the rules in the numbers of that graph.
struct ImpactEvaluator<'g, G> {
    graph: &'g G,
    bound: BoundRules,
}

impl<'g, G: GraphRead<Error = StoreError>> ImpactEvaluator<'g, G> {
    fn new(graph: &'g G, rules: &RuleTable) -> ImpactEvaluator<'g, G> {
        ImpactEvaluator { graph, bound: BoundRules::new(rules, ImpactFilter::ANY) }
    }

    fn reach(&mut self, roots: &[u32]) -> Result<ReachedStates, CommandError> {
        let found = view::impact(self.graph, roots, &mut self.bound, None)?;
        Ok(found.reached().map(|visit| (visit.entity, visit.state)).collect())
    }

    /// The nearest owners, ascending.
    fn owners(&mut self, entity: u32) -> Result<Vec<u32>, CommandError> {
        let graph = self.graph;
        let mut search = OwnerSearch {
            graph,
            names: graph,
            bound: &mut self.bound,
            verbs: None,
            depth: None,
            facts: |entity| graph.entity_facts(entity),
            is_owner: |bound: &mut BoundRules, facts: &EntityFacts| {
                let kind = bound.kind(graph, facts);
                bound.can_own(kind)
            },
        };
        let owners = search.nearest(entity)?.map_or_else(Vec::new, |found| found.owners);
        Ok(owners.into_iter().map(|owner| owner.entity).collect())
    }
}

impl ImpactComparison {
    /// Counts the entities that lose their owners, those that gain a first owner, and those whose
    /// owners change.
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

    /// Prints the comparison for people.
    pub fn print(&self, out: &mut AnswerWriter<'_>) -> Result<(), CommandError> {
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

    /// The comparison as JSON.
    pub fn json(&self) -> Value {
        let [lose, gain, change] = self.owner_changes();
        json!({
            "entities": self.asked,
            "reached": { "before": self.reached.0, "after": self.reached.1,
                         "gained": self.gained, "lost": self.lost },
            "owners": { "lose": lose, "gain": gain, "change": change },
            "changes": self.changes.iter().map(EntityImpactChange::json).collect::<Vec<_>>(),
        })
    }
}

impl StateTransition {
    fn json(&self) -> Value {
        json!({ "entity": self.entity,
                "before": self.before.word(), "after": self.now.word() })
    }
}

fn names(out: &AnswerWriter<'_>, heads: &[EntityHead]) -> String {
    let mut names: Vec<String> =
        heads.iter().take(NAMED).map(|head| naming::shown(out, head)).collect();
    match heads.len().saturating_sub(NAMED) {
        0 => {}
        more => names.push(format!("… {} more", thousands(more as u64))),
    }
    names.join(", ")
}

impl EntityImpactChange {
    fn print(&self, out: &mut AnswerWriter<'_>) -> Result<(), CommandError> {
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
        for turned in self.turned.iter().take(NAMED) {
            let (before, now) = (turned.before.word(), turned.now.word());
            let name = naming::shown(out, &turned.entity);
            let text = format!("{} {name}: {before} -> {now}", out.sign('~'));
            out.line("    ", &text, "        ")?;
        }
        if let Some(more) = self.turned.len().checked_sub(NAMED).filter(|more| *more > 0) {
            writeln!(out, "    ~ … {} more change their state", thousands(more as u64))?;
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
            "changed": self.turned.iter().map(StateTransition::json).collect::<Vec<_>>(),
            "owners": { "before": self.owners.0, "after": self.owners.1 },
        })
    }
}
