//! The run over the rows, one after the other: the entities that a row finds, the edges it makes, the
//! bucket it ends in.

use super::capped_diagnostics::CappedDiagnostics;
use super::conflict::{RowRelationship, resolve_conflicts};
use super::ends::{EndLookup, EndMatches};
use super::environment::{ExprEnvironment, MatchedAlternatives};
use super::mapping_graph::MappingGraph;
use super::relationship_draft::same_edge;
use super::row_counts::{RowCount, RowOutcome, UNMATCHED_LISTED, UndefinedProperty, UnmatchedRow};
use crate::graph::{InputLocation, RelationshipOrigin};
use crate::lang::{Diagnostic, holds, rank};
use crate::mapping::expression::PathRoot;
use crate::mapping::model::{
    AmbiguityPolicy, Mapping, MatchAlternative, MissingPolicy, PairSource,
};
use crate::mapping::rows::{FileFacts, RowFrame, RowSource};
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_128;

/// The largest number of pairs that are compared one by one; more are refused.
pub const PAIRS_MAX: u64 = 10_000_000;

/// The outcome of a row.
struct RowState {
    place: InputLocation,
    /// The entity that is the row of a join.
    entity: Option<u32>,
    bucket: RowOutcome,
    reason: Option<String>,
}

/// Goes over the rows of one mapping.
pub(in crate::mapping) struct RowResolver<'r, 'm, G: MappingGraph> {
    ends: &'r EndLookup<'m>,
    mapping: &'m Mapping,
    graph: &'r G,
    /// The rows as files, for messages that show a line of them.
    rows: Option<&'r RowSource>,
    inputs: Vec<FileFacts>,
    count: RowCount,
    states: Vec<RowState>,
    edges: Vec<RowRelationship>,
    /// Digest of an edge key, and the edge; at 128 bits two keys with one digest do not happen.
    seen: FxHashMap<u128, u32>,
    faults: CappedDiagnostics,
    pairs: u64,
    listed: usize,
    scratch: Vec<u32>,
}

/// The outcome of all rows.
pub(in crate::mapping) struct ResolverOutput {
    pub count: RowCount,
    pub unmatched: Vec<UnmatchedRow>,
    /// Properties that linked rows leave out, the first [`UNMATCHED_LISTED`] of them.
    pub undefined: Vec<UndefinedProperty>,
    /// The number of all of them.
    pub undefined_count: u64,
    pub edges: Vec<RowRelationship>,
    pub faults: Vec<Diagnostic>,
}

impl<'r, 'm, G: MappingGraph> RowResolver<'r, 'm, G> {
    pub(in crate::mapping) fn new(
        ends: &'r EndLookup<'m>,
        graph: &'r G,
        rows: Option<&'r RowSource>,
    ) -> RowResolver<'r, 'm, G> {
        RowResolver {
            mapping: ends.mapping,
            ends,
            graph,
            rows,
            inputs: rows.map(RowSource::files).unwrap_or_default(),
            count: RowCount::default(),
            states: Vec::new(),
            edges: Vec::new(),
            seen: FxHashMap::default(),
            faults: CappedDiagnostics::default(),
            pairs: 0,
            listed: 0,
            scratch: Vec::new(),
        }
    }

    /// Takes a fault of the rows themselves.
    pub(in crate::mapping) fn fault(&mut self, fault: Diagnostic) {
        if self.faults.admits_another(fault.code) {
            self.faults.list.push(fault);
        }
    }

    /// True if there is no use in going on: too many pairs, edges or faults.
    pub(in crate::mapping) fn should_stop(&self) -> bool {
        self.pairs > PAIRS_MAX || self.faults.list.len() > 100
    }

    /// Takes the entities of `from` as rows.
    pub(in crate::mapping) fn join(&mut self) -> Result<(), G::Error> {
        let ends = self.ends;
        let pairs = ends.side(PathRoot::From).candidates.len() as u64
            * ends.side(PathRoot::To).candidates.len() as u64;
        for (i, alternative) in self.mapping.alternatives(PathRoot::To).iter().enumerate() {
            if ends.is_scan(PathRoot::To, i) && pairs > PAIRS_MAX {
                self.too_many_pairs(alternative, pairs);
            }
        }
        if self.should_stop() {
            return Ok(());
        }
        let shared = self.mapping.shared();
        for (candidate, i) in ends.side(PathRoot::From).candidates.iter().zip(0..) {
            let env = ExprEnvironment::of_end(&shared, PathRoot::From, candidate);
            let from = EndMatches { hits: vec![i], ..EndMatches::default() };
            let place = InputLocation { input: 0, line: i + 1 };
            self.pair(&env, place, Some(i), from)?;
            if self.should_stop() {
                break;
            }
        }
        Ok(())
    }

    fn too_many_pairs(&mut self, alternative: &MatchAlternative, pairs: u64) {
        let about = if pairs > PAIRS_MAX { "about" } else { "more than" };
        let words = format!("this condition would compare {about} {} pairs", pairs.max(PAIRS_MAX));
        let fault = Diagnostic::error("M0209", &self.mapping.source, words);
        let fault = fault.at(alternative.span.clone(), "");
        self.fault(
            fault.help("add an `=` between one side and the other; `~=` alone cannot use an index"),
        );
        // Stops the run, and keeps `find` from reporting the limit again.
        self.pairs = u64::MAX;
    }

    /// Ends the run before more edges are made than the guard allows.
    fn too_many_edges(
        &mut self,
        place: InputLocation,
        entity: Option<u32>,
        edges: u64,
        (from, to): (usize, usize),
    ) {
        let row = self.display_place(place, entity);
        let most = self.mapping.guard.max_edges;
        let words = format!(
            "mapping `{}` would make {edges} edges or more, and {most} are allowed",
            self.mapping.scope
        );
        let fault = Diagnostic::error("M0507", &self.mapping.source, words)
            .at(self.mapping.edge.span.clone(), "")
            .note(format!("{row} fits {from} in `[from]` and {to} in `[to]`"))
            .help("add a condition that tells them apart, or raise `max_edges` in `[guard]`");
        self.fault(fault);
        self.pairs = u64::MAX;
    }

    /// Takes one row.
    pub(in crate::mapping) fn row(
        &mut self,
        row: &RowFrame<'_>,
        file: usize,
    ) -> Result<(), G::Error> {
        let shared = self.mapping.shared();
        let facts = self.inputs.get(file).cloned();
        let env = ExprEnvironment::of_row(&shared, row, facts.as_ref());
        if let PairSource::Rows { filter: Some(filter), .. } = &self.mapping.pairs
            && !holds(filter, &env)
        {
            self.count.add(RowOutcome::Filtered);
            return Ok(());
        }
        let from = self.find(PathRoot::From, &env);
        let place = InputLocation { input: file as u32, line: row.line };
        self.pair(&env, place, None, from)
    }

    fn find(&mut self, root: PathRoot, env: &ExprEnvironment<'_>) -> EndMatches {
        let found = self.ends.find(root, env, &mut self.scratch);
        self.pairs = self.pairs.saturating_add(found.compared);
        if found.compared > 0 && self.pairs > PAIRS_MAX && self.pairs < u64::MAX {
            let alternatives = self.mapping.alternatives(root);
            let scan = (0..alternatives.len()).rfind(|&i| self.ends.is_scan(root, i));
            // A scan compares every candidate, so it is the likeliest cause.
            let culprit = scan.or(found.alternative).and_then(|i| alternatives.get(i));
            if let Some(alternative) = culprit.or(alternatives.last()) {
                self.too_many_pairs(alternative, 0);
            }
        }
        found
    }

    /// Finds `to`, makes the edges and settles the row.
    fn pair(
        &mut self,
        env: &ExprEnvironment<'_>,
        place: InputLocation,
        entity: Option<u32>,
        from: EndMatches,
    ) -> Result<(), G::Error> {
        let ends = self.ends;
        let found = self.targets(env, &from);
        // Counted before any is made: an edge takes memory, and hits multiply.
        let product = |(hits, to): &(Vec<u32>, EndMatches)| match self.bucket(&from, to) {
            None => hits.len() as u64 * to.hits.len() as u64,
            Some(_) => 0,
        };
        let edges = self.edges.len() as u64 + found.iter().map(product).sum::<u64>();
        if edges > self.mapping.guard.max_edges {
            let to = found.iter().map(|(_, to)| to.hits.len()).max().unwrap_or(0);
            self.too_many_edges(place, entity, edges, (from.hits.len(), to));
            return Ok(());
        }
        let mut worst = None;
        let mut made = Vec::new();
        for (hits, to) in &found {
            if let Some(bucket) = self.bucket(&from, to) {
                worst = worst.or(Some((bucket, hits, to)));
                continue;
            }
            for (&f, &t) in hits.iter().flat_map(|f| to.hits.iter().map(move |t| (f, t))) {
                match self.edge(env, place, entity, (&from, f), (to, t)) {
                    Ok(edge) => made.push(edge),
                    Err(reason) => {
                        // A row makes all of its edges or none, so none was added yet.
                        self.record_row(place, entity, RowOutcome::UndefinedKey, Some(reason));
                        return Ok(());
                    }
                }
            }
        }
        let mut new = 0;
        for edge in made {
            new += usize::from(self.add_edge(edge, place, entity));
        }
        match worst {
            Some((bucket, hits, to)) if new == 0 => {
                let candidates = &ends.side(PathRoot::From).candidates;
                let in_sight = ends.to_looks_at_from && self.usable(PathRoot::From, &from);
                // The reason is told as `to` was looked for: with the entity of `from` in sight.
                let env = match hits.first().filter(|_| in_sight) {
                    Some(&hit) => env.with(PathRoot::From, &candidates[hit as usize]),
                    None => *env,
                };
                self.unlinked(&env, place, entity, bucket, [&from, to])
            }
            _ => {
                let bucket = if new > 0 { RowOutcome::Linked } else { RowOutcome::Duplicate };
                self.record_row(place, entity, bucket, None);
                Ok(())
            }
        }
    }

    /// The entities of `to`, each time with those of `from` that they belong to.
    fn targets(
        &mut self,
        env: &ExprEnvironment<'_>,
        from: &EndMatches,
    ) -> Vec<(Vec<u32>, EndMatches)> {
        let ends = self.ends;
        let usable = self.usable(PathRoot::From, from);
        if usable && ends.to_looks_at_from {
            // Each `from` looks for its own.
            let candidates = &ends.side(PathRoot::From).candidates;
            let hits = from.hits.iter();
            return hits
                .map(|&hit| {
                    let env = env.with(PathRoot::From, &candidates[hit as usize]);
                    (vec![hit], self.find(PathRoot::To, &env))
                })
                .collect();
        }
        let to = match !usable && ends.to_needs_from {
            true => EndMatches { unsought: true, ..EndMatches::default() },
            false => self.find(PathRoot::To, env),
        };
        vec![(from.hits.clone(), to)]
    }

    /// True if the entities found may make edges.
    fn usable(&self, root: PathRoot, found: &EndMatches) -> bool {
        let all = self.mapping.end(root).ambiguous == AmbiguityPolicy::All;
        found.undefined.is_none() && (found.hits.len() == 1 || (all && !found.hits.is_empty()))
    }

    /// The bucket of the row if it makes no edge.
    fn bucket(&self, from: &EndMatches, to: &EndMatches) -> Option<RowOutcome> {
        if from.undefined.is_some() || to.undefined.is_some() {
            return Some(RowOutcome::UndefinedKey);
        }
        match (from.hits.is_empty(), to.hits.is_empty() && !to.unsought) {
            (true, true) => return Some(RowOutcome::MissingBoth),
            (true, false) => return Some(RowOutcome::MissingFrom),
            (false, true) => return Some(RowOutcome::MissingTo),
            (false, false) => {}
        }
        let fine = self.usable(PathRoot::From, from) && self.usable(PathRoot::To, to);
        (!fine).then_some(RowOutcome::Ambiguous)
    }

    fn record_row(
        &mut self,
        place: InputLocation,
        entity: Option<u32>,
        bucket: RowOutcome,
        reason: Option<String>,
    ) {
        self.listed += usize::from(reason.is_some());
        self.states.push(RowState { place, entity, bucket, reason });
    }

    /// A row without an edge: a fault where the file says so, else a reason.
    fn unlinked(
        &mut self,
        env: &ExprEnvironment<'_>,
        place: InputLocation,
        entity: Option<u32>,
        bucket: RowOutcome,
        found: [&EndMatches; 2],
    ) -> Result<(), G::Error> {
        let ends = [PathRoot::From, PathRoot::To].into_iter().zip(found);
        let strict = ends.into_iter().find(|(root, found)| {
            let end = self.mapping.end(*root);
            match bucket {
                RowOutcome::Ambiguous => {
                    found.hits.len() > 1 && end.ambiguous == AmbiguityPolicy::Error
                }
                b if b.is_missing() => found.is_missing() && end.missing == MissingPolicy::Error,
                _ => false,
            }
        });
        // A reason may ask the graph once more, so it is made only if somebody will read it.
        let told = match strict {
            Some((_, _)) => self.faults.admits_another(if bucket == RowOutcome::Ambiguous {
                "M0503"
            } else {
                "M0504"
            }),
            None => self.listed < UNMATCHED_LISTED,
        };
        let reason = match told {
            true => Some(self.ends.reason(self.graph, env, bucket, found)?),
            false => None,
        };
        if let (Some((root, found)), Some(reason)) = (strict, &reason) {
            let fault = self.strict_fault(bucket, root, found, place, entity, reason);
            self.faults.list.push(fault);
        }
        self.record_row(place, entity, bucket, reason);
        Ok(())
    }

    fn strict_fault(
        &self,
        bucket: RowOutcome,
        root: PathRoot,
        found: &EndMatches,
        place: InputLocation,
        entity: Option<u32>,
        reason: &str,
    ) -> Diagnostic {
        let end = self.mapping.end(root);
        let table = if root == PathRoot::From { "from" } else { "to" };
        let row = match entity {
            Some(_) => format!("`{}`", self.display_place(place, entity)),
            None => format!("row {}", place.line),
        };
        let fault = match bucket {
            RowOutcome::Ambiguous => {
                let words = format!("{row} matches {} entities in `[{table}]`", found.hits.len());
                let fault = Diagnostic::error("M0503", &self.mapping.source, words);
                fault
                    .at(end.span.clone(), "")
                    .note(self.ends.keys_of(root, &found.hits))
                    .help("set `ambiguous = \"skip\"`, add a condition, or say which to `prefer`")
            }
            _ => {
                let words = format!("{row}: {reason}");
                let fault = Diagnostic::error("M0504", &self.mapping.source, words);
                fault
                    .at(end.span.clone(), "`missing = \"error\"` asks for every entity")
                    .help("load the entity first, or set `missing = \"skip\"`")
            }
        };
        match entity {
            Some(_) => fault,
            None => fault.note(format!("the row is {}", self.display_place(place, None))),
        }
    }

    /// `file:line`, or the key of the entity that is the row.
    fn display_place(&self, place: InputLocation, entity: Option<u32>) -> String {
        match (entity, self.inputs.get(place.input as usize)) {
            (Some(i), _) => self.ends.side(PathRoot::From).candidates[i as usize].key.clone(),
            (None, Some(file)) => format!("{}:{}", file.shown, place.line),
            (None, None) => format!("row {}", place.line),
        }
    }

    /// The edge between two entities that a row asks for; `Err` says why it has no key.
    fn edge(
        &self,
        env: &ExprEnvironment<'_>,
        place: InputLocation,
        entity: Option<u32>,
        (from, f): (&EndMatches, u32),
        (to, t): (&EndMatches, u32),
    ) -> Result<RowRelationship, String> {
        let ends = self.ends;
        let start = &ends.side(PathRoot::From).candidates[f as usize];
        let end = &ends.side(PathRoot::To).candidates[t as usize];
        let fired = [(PathRoot::From, from), (PathRoot::To, to)].map(|(root, found)| {
            found.alternative.map(|i| (&self.mapping.alternatives(root)[i], i))
        });
        let names = fired.map(|fired| fired.map(|(a, i)| a.label(i)));
        let matched = MatchedAlternatives { from: names[0].clone(), to: names[1].clone() };
        let env = env.with(PathRoot::From, start).with(PathRoot::To, end).matched(&matched);
        let file = match entity {
            Some(_) => String::new(),
            None => {
                self.inputs.get(place.input as usize).map_or(String::new(), |f| f.shown.clone())
            }
        };
        // A lone alternative without a name tells people nothing, so it is not shown.
        let several = |root| self.mapping.alternatives(root).len() > 1;
        let shown: Vec<String> = [PathRoot::From, PathRoot::To]
            .into_iter()
            .zip(names)
            .zip(fired)
            .filter(|((root, _), fired)| {
                several(*root) || fired.is_some_and(|(a, _)| a.name.is_some())
            })
            .filter_map(|((_, name), _)| name)
            .collect();
        let line = if entity.is_some() { 0 } else { place.line };
        let origin = RelationshipOrigin { file, line, alternative: shown.join(", ") };
        let alternatives = fired.map(|fired| fired.map(|(a, _)| a));
        let (mut draft, without) = self.mapping.draft(&env, (start, end), alternatives)?;
        draft.place = place;
        draft.origin = Some(origin);
        let prefer = self.mapping.edge.prefer.as_ref().map(|prefer| rank(prefer, &env));
        // The state of a row is pushed after its edges, at this index.
        let row = self.states.len() as u32;
        Ok(RowRelationship { draft, ends: (f, t), row, without, prefer, kept: true })
    }

    /// Adds an edge. Returns true if it is new.
    fn add_edge(
        &mut self,
        edge: RowRelationship,
        place: InputLocation,
        entity: Option<u32>,
    ) -> bool {
        let digest = xxh3_128(edge.draft.key.as_bytes());
        let Some(&other) = self.seen.get(&digest) else {
            self.seen.insert(digest, self.edges.len() as u32);
            self.edges.push(edge);
            return true;
        };
        let other = &self.edges[other as usize];
        if same_edge(&other.draft, &edge.draft) || !self.faults.admits_another("M0406") {
            return false;
        }
        let what = match other.ends == edge.ends {
            true => "different properties",
            false => "different ends",
        };
        let words = format!("two rows make the edge `{}` with {what}", edge.draft.key);
        let first = match self.states.get(other.row as usize) {
            Some(state) => self.display_place(state.place, state.entity),
            // The same row made it.
            None => self.display_place(place, entity),
        };
        let fault = match self.rows {
            Some(rows) if entity.is_none() => rows.fault("M0406", words, place),
            _ => Diagnostic::error("M0406", &self.mapping.source, words)
                .at(self.mapping.edge.span.clone(), ""),
        };
        self.faults.list.push(
            fault.note(format!("the other row is {first}")).help(
                "add what differs to `key` in `[relationship]`, or leave one of the rows out",
            ),
        );
        false
    }

    /// Settles conflicts of cardinality and closes the account.
    pub(in crate::mapping) fn finish(mut self) -> ResolverOutput {
        self.settle_conflicts();
        self.record_lost_rows();
        let mut unmatched = Vec::new();
        for state in &self.states {
            self.count.add(state.bucket);
            if let Some(reason) =
                state.reason.clone().filter(|_| unmatched.len() < UNMATCHED_LISTED)
            {
                let place = self.display_place(state.place, state.entity);
                unmatched.push(UnmatchedRow { place, bucket: state.bucket, reason });
            }
        }
        let mut undefined = Vec::new();
        let mut undefined_count = 0;
        for edge in self.edges.iter().filter(|edge| edge.kept && !edge.without.is_empty()) {
            undefined_count += edge.without.len() as u64;
            if undefined.len() < UNMATCHED_LISTED {
                let state = &self.states[edge.row as usize];
                let place = self.display_place(state.place, state.entity);
                undefined.extend(edge.without.iter().map(|(property, part)| UndefinedProperty {
                    place: place.clone(),
                    property: property.clone(),
                    part: part.clone(),
                }));
            }
        }
        ResolverOutput {
            count: self.count,
            unmatched,
            undefined,
            undefined_count,
            edges: self.edges,
            faults: self.faults.finish(),
        }
    }

    /// Takes away the edges that break the cardinality, and reports those that the file calls faults.
    fn settle_conflicts(&mut self) {
        for conflict in resolve_conflicts(self.mapping, &mut self.edges) {
            if !conflict.fatal || !self.faults.admits_another("M0505") {
                continue;
            }
            let key = self.ends.key_of(conflict.end, conflict.entity);
            let rows = conflict
                .edges
                .iter()
                .map(|&edge| &self.states[self.edges[edge as usize].row as usize]);
            let places: Vec<String> =
                rows.take(5).map(|s| self.display_place(s.place, s.entity)).collect();
            let words = format!(
                "`{key}` would get {} edges, `{}` allows 1",
                conflict.edges.len(),
                self.mapping.edge.cardinality
            );
            let fault = Diagnostic::error("M0505", &self.mapping.source, words)
                .at(self.mapping.edge.span.clone(), "")
                .note(format!("from {}", places.join(" and ")))
                .help("correct the rows, set `conflict = \"skip\"`, or say which to `prefer`");
            self.faults.list.push(fault);
        }
    }

    /// Puts the rows that lost all of their edges into the bucket of conflicts.
    fn record_lost_rows(&mut self) {
        let mut kept = vec![0u32; self.states.len()];
        let mut lost: FxHashMap<u32, u32> = FxHashMap::default();
        for (edge, i) in self.edges.iter().zip(0..) {
            match edge.kept {
                true => kept[edge.row as usize] += 1,
                false => {
                    lost.insert(edge.row, i);
                }
            }
        }
        // A row that kept one edge stays linked, even if it lost others.
        for (row, edge) in lost {
            if kept[row as usize] == 0 {
                let draft = &self.edges[edge as usize].draft;
                let reason = format!(
                    "the edge `{}` breaks the cardinality {}",
                    draft.key, self.mapping.edge.cardinality
                );
                self.states[row as usize].bucket = RowOutcome::Conflict;
                self.states[row as usize].reason = Some(reason);
            }
        }
    }
}
