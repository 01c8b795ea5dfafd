//! The run over the rows, one after the other: the entities that a row finds, the edges it makes, the
//! bucket it ends in.

use super::account::{Bucket, RowCount, UNMATCHED_LISTED, Unmatched};
use super::candidates::{Candidate, MappingGraph};
use super::conflict::Edge;
use super::ends::{Ends, Found, name};
use super::eval::{Env, FileFacts, Matched, holds, rank, render};
use super::expr::Root;
use super::model::{Alternative, Ambiguous, Mapping, Missing, Pairs, Property};
use super::rows::{Columns, RowAt, RowSource};
use crate::graph::{
    DraftEnd, DraftRelationship, NameKind, Origin, Place, Value, check_name,
    default_relationship_key,
};
use crate::lang::Fault;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_128;

/// The largest number of pairs that are compared one by one; more are refused.
pub const PAIRS_MAX: u64 = 10_000_000;

/// The number of faults of one code that are reported; the rest is counted.
const TOLD: usize = 10;

/// The outcome of a row.
struct RowState {
    place: Place,
    /// The entity that is the row of a join.
    entity: Option<u32>,
    bucket: Bucket,
    reason: Option<String>,
}

/// Goes over the rows of one mapping.
pub(super) struct Resolver<'r, 'm, G: MappingGraph> {
    ends: &'r Ends<'m>,
    mapping: &'m Mapping,
    graph: &'r G,
    /// The rows as files, for messages that show a line of them.
    rows: Option<&'r RowSource>,
    inputs: Vec<FileFacts>,
    count: RowCount,
    states: Vec<RowState>,
    edges: Vec<Edge>,
    /// Digest of an edge key, and the edge; at 128 bits two keys with one digest do not happen.
    seen: FxHashMap<u128, u32>,
    faults: Faults,
    pairs: u64,
    listed: usize,
    scratch: Vec<u32>,
}

/// The outcome of all rows.
pub(super) struct Run {
    pub count: RowCount,
    pub unmatched: Vec<Unmatched>,
    pub edges: Vec<Edge>,
    pub faults: Vec<Fault>,
}

/// Faults, at most [`TOLD`] of each code.
#[derive(Default)]
struct Faults {
    list: Vec<Fault>,
    more: FxHashMap<&'static str, (usize, usize)>,
}

impl Faults {
    /// Counts a fault of this code. True if it is to be reported too.
    fn tells(&mut self, code: &'static str) -> bool {
        let (told, left_out) = self.more.entry(code).or_default();
        match *told < TOLD {
            true => *told += 1,
            false => *left_out += 1,
        }
        *left_out == 0
    }

    fn finish(mut self) -> Vec<Fault> {
        // From the back: the note about the rest goes to the last fault of its code.
        for fault in self.list.iter_mut().rev() {
            if let Some((_, left_out @ 1..)) = self.more.remove(fault.code) {
                fault.notes.push(format!("and {left_out} more like this"));
            }
        }
        self.list
    }
}

impl<'r, 'm, G: MappingGraph> Resolver<'r, 'm, G> {
    pub(super) fn new(
        ends: &'r Ends<'m>,
        graph: &'r G,
        rows: Option<&'r RowSource>,
    ) -> Resolver<'r, 'm, G> {
        Resolver {
            mapping: ends.mapping,
            ends,
            graph,
            rows,
            inputs: rows.map(RowSource::files).unwrap_or_default(),
            count: RowCount::default(),
            states: Vec::new(),
            edges: Vec::new(),
            seen: FxHashMap::default(),
            faults: Faults::default(),
            pairs: 0,
            listed: 0,
            scratch: Vec::new(),
        }
    }

    /// Takes a fault of the rows themselves.
    pub(super) fn fault(&mut self, fault: Fault) {
        if self.faults.tells(fault.code) {
            self.faults.list.push(fault);
        }
    }

    /// True if there is no use in going on: too many pairs, edges or faults.
    pub(super) fn is_hopeless(&self) -> bool {
        self.pairs > PAIRS_MAX || self.faults.list.len() > 100
    }

    /// Takes the entities of `from` as rows.
    pub(super) fn join(&mut self) -> Result<(), G::Error> {
        let ends = self.ends;
        let pairs = ends.side(Root::From).candidates.len() as u64
            * ends.side(Root::To).candidates.len() as u64;
        for (i, alternative) in self.mapping.alternatives(Root::To).iter().enumerate() {
            if ends.is_scan(Root::To, i) && pairs > PAIRS_MAX {
                self.too_many_pairs(alternative, pairs);
            }
        }
        if self.is_hopeless() {
            return Ok(());
        }
        let shared = self.mapping.shared();
        for (candidate, i) in ends.side(Root::From).candidates.iter().zip(0..) {
            let env = Env::of_end(&shared, Root::From, candidate);
            let from = Found { hits: vec![i], ..Found::default() };
            let place = Place { input: 0, line: i + 1 };
            self.pair(&env, place, Some(i), from)?;
            if self.is_hopeless() {
                break;
            }
        }
        Ok(())
    }

    fn too_many_pairs(&mut self, alternative: &Alternative, pairs: u64) {
        let about = if pairs > PAIRS_MAX { "about" } else { "more than" };
        let words = format!("this condition would compare {about} {} pairs", pairs.max(PAIRS_MAX));
        let fault = Fault::error("M0209", &self.mapping.source, words);
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
        place: Place,
        entity: Option<u32>,
        edges: u64,
        (from, to): (usize, usize),
    ) {
        let row = self.place_words(place, entity);
        let most = self.mapping.guard.max_edges;
        let words = format!(
            "mapping `{}` would make {edges} edges or more, and {most} are allowed",
            self.mapping.scope
        );
        let fault = Fault::error("M0507", &self.mapping.source, words)
            .at(self.mapping.edge.span.clone(), "")
            .note(format!("{row} fits {from} in `[from]` and {to} in `[to]`"))
            .help("add a condition that tells them apart, or raise `max_edges` in `[guard]`");
        self.fault(fault);
        self.pairs = u64::MAX;
    }

    /// Takes one row.
    pub(super) fn row(&mut self, row: &RowAt, columns: &Columns) -> Result<(), G::Error> {
        let shared = self.mapping.shared();
        let facts = self.inputs.get(row.file).cloned().unwrap_or_default();
        let env = Env::of_row(&shared, row, columns, &facts);
        if let Pairs::Rows { filter: Some(filter), .. } = &self.mapping.pairs
            && !holds(filter, &env)
        {
            self.count.add(Bucket::Filtered);
            return Ok(());
        }
        let from = self.find(Root::From, &env);
        let place = Place { input: row.file as u32, line: row.line };
        self.pair(&env, place, None, from)
    }

    fn find(&mut self, root: Root, env: &Env<'_>) -> Found {
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
        env: &Env<'_>,
        place: Place,
        entity: Option<u32>,
        from: Found,
    ) -> Result<(), G::Error> {
        let ends = self.ends;
        let from_side = &ends.side(Root::From).candidates;
        let usable = self.usable(Root::From, &from);
        // Where `to` may look at `from`, each `from` looks for its own.
        let mut found: Vec<(Vec<u32>, Found)> = Vec::new();
        if usable && ends.to_looks_at_from {
            for &hit in &from.hits {
                let env = env.with(Root::From, &from_side[hit as usize]);
                found.push((vec![hit], self.find(Root::To, &env)));
            }
        } else {
            found.push((from.hits.clone(), self.find(Root::To, env)));
        }
        // Counted before any is made: an edge takes memory, and hits multiply.
        let product = |(hits, to): &(Vec<u32>, Found)| match self.bucket(&from, to) {
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
        let mut made = 0;
        let first = self.edges.len();
        for (hits, to) in &found {
            let bucket = self.bucket(&from, to);
            if let Some(bucket) = bucket {
                worst = worst.or(Some((bucket, to)));
                continue;
            }
            for &f in hits {
                for &t in &to.hits {
                    match self.edge(env, place, entity, (&from, f), (to, t)) {
                        Ok(new) => made += usize::from(new),
                        Err(reason) => {
                            self.settle_row(place, entity, Bucket::UndefinedKey, Some(reason));
                            // A row makes all of its edges or none.
                            self.edges.truncate(first);
                            return Ok(());
                        }
                    }
                }
            }
        }
        match worst {
            Some((bucket, to)) if made == 0 => self.unlinked(env, place, entity, bucket, &from, to),
            _ if made > 0 => {
                self.settle_row(place, entity, Bucket::Linked, None);
                Ok(())
            }
            _ => {
                self.settle_row(place, entity, Bucket::Duplicate, None);
                Ok(())
            }
        }
    }

    /// True if the entities found may make edges.
    fn usable(&self, root: Root, found: &Found) -> bool {
        let all = self.mapping.end(root).ambiguous == Ambiguous::All;
        found.undefined.is_none() && (found.hits.len() == 1 || (all && !found.hits.is_empty()))
    }

    /// The bucket of the row if it makes no edge.
    fn bucket(&self, from: &Found, to: &Found) -> Option<Bucket> {
        if from.undefined.is_some() || to.undefined.is_some() {
            return Some(Bucket::UndefinedKey);
        }
        match (from.hits.is_empty(), to.hits.is_empty()) {
            (true, true) => return Some(Bucket::MissingBoth),
            (true, false) => return Some(Bucket::MissingFrom),
            (false, true) => return Some(Bucket::MissingTo),
            (false, false) => {}
        }
        let fine = self.usable(Root::From, from) && self.usable(Root::To, to);
        (!fine).then_some(Bucket::Ambiguous)
    }

    fn settle_row(
        &mut self,
        place: Place,
        entity: Option<u32>,
        bucket: Bucket,
        reason: Option<String>,
    ) {
        self.listed += usize::from(reason.is_some());
        self.states.push(RowState { place, entity, bucket, reason });
    }

    /// A row without an edge: a fault where the file says so, else a reason.
    fn unlinked(
        &mut self,
        env: &Env<'_>,
        place: Place,
        entity: Option<u32>,
        bucket: Bucket,
        from: &Found,
        to: &Found,
    ) -> Result<(), G::Error> {
        let strict = [(Root::From, from), (Root::To, to)].into_iter().find(|(root, found)| {
            let end = self.mapping.end(*root);
            match bucket {
                Bucket::Ambiguous => found.hits.len() > 1 && end.ambiguous == Ambiguous::Error,
                b if b.is_missing() => found.hits.is_empty() && end.missing == Missing::Error,
                _ => false,
            }
        });
        // A reason may ask the graph once more, so it is made only if somebody will read it.
        let told = match strict {
            Some((_, _)) => {
                self.faults.tells(if bucket == Bucket::Ambiguous { "M0503" } else { "M0504" })
            }
            None => self.listed < UNMATCHED_LISTED,
        };
        let reason = match told {
            true => Some(self.ends.reason(self.graph, env, bucket, [from, to])?),
            false => None,
        };
        if let (Some((root, found)), Some(reason)) = (strict, &reason) {
            let fault = self.strict_fault(bucket, root, found, place, entity, reason);
            self.faults.list.push(fault);
        }
        self.settle_row(place, entity, bucket, reason);
        Ok(())
    }

    fn strict_fault(
        &self,
        bucket: Bucket,
        root: Root,
        found: &Found,
        place: Place,
        entity: Option<u32>,
        reason: &str,
    ) -> Fault {
        let end = self.mapping.end(root);
        let table = if root == Root::From { "from" } else { "to" };
        let row = match entity {
            Some(_) => format!("`{}`", self.place_words(place, entity)),
            None => format!("row {}", place.line),
        };
        let fault = match bucket {
            Bucket::Ambiguous => {
                let words = format!("{row} matches {} entities in `[{table}]`", found.hits.len());
                let fault = Fault::error("M0503", &self.mapping.source, words);
                fault
                    .at(end.span.clone(), "")
                    .note(self.ends.keys_of(root, &found.hits))
                    .help("set `ambiguous = \"skip\"`, add a condition, or say which to `prefer`")
            }
            _ => {
                let words = format!("{row}: {reason}");
                let fault = Fault::error("M0504", &self.mapping.source, words);
                fault
                    .at(end.span.clone(), "`missing = \"error\"` asks for every entity")
                    .help("load the entity first, or set `missing = \"skip\"`")
            }
        };
        match entity {
            Some(_) => fault,
            None => fault.note(format!("the row is {}", self.place_words(place, None))),
        }
    }

    /// `file:line`, or the key of the entity that is the row.
    fn place_words(&self, place: Place, entity: Option<u32>) -> String {
        match (entity, self.inputs.get(place.input as usize)) {
            (Some(i), _) => self.ends.side(Root::From).candidates[i as usize].key.clone(),
            (None, Some(file)) => format!("{}:{}", file.shown, place.line),
            (None, None) => format!("row {}", place.line),
        }
    }

    /// Makes one edge. Returns true if it is new; `Err` says why it has no key.
    fn edge(
        &mut self,
        env: &Env<'_>,
        place: Place,
        entity: Option<u32>,
        (from, f): (&Found, u32),
        (to, t): (&Found, u32),
    ) -> Result<bool, String> {
        let ends = self.ends;
        let start = &ends.side(Root::From).candidates[f as usize];
        let end = &ends.side(Root::To).candidates[t as usize];
        let fired = [(Root::From, from), (Root::To, to)].map(|(root, found)| {
            found.alternative.map(|i| (&self.mapping.alternatives(root)[i], i))
        });
        let names = fired.map(|fired| fired.map(|(a, i)| a.label(i)));
        let matched = Matched { from: names[0].clone(), to: names[1].clone() };
        let env = env.with(Root::From, start).with(Root::To, end).matched(&matched);
        let file = match entity {
            Some(_) => String::new(),
            None => {
                self.inputs.get(place.input as usize).map_or(String::new(), |f| f.shown.clone())
            }
        };
        // A lone alternative without a name tells people nothing, so it is not shown.
        let several = |root| self.mapping.alternatives(root).len() > 1;
        let shown: Vec<String> = [Root::From, Root::To]
            .into_iter()
            .zip(names)
            .zip(fired)
            .filter(|((root, _), fired)| {
                several(*root) || fired.is_some_and(|(a, _)| a.name.is_some())
            })
            .filter_map(|((_, name), _)| name)
            .collect();
        let line = if entity.is_some() { 0 } else { place.line };
        let origin = Origin { file, line, alternative: shown.join(", ") };
        let alternatives = fired.map(|fired| fired.map(|(a, _)| a));
        let mut draft = self.mapping.draft(&env, (start, end), alternatives)?;
        draft.place = place;
        draft.origin = Some(origin);
        let prefer = self.mapping.edge.prefer.as_ref().map(|prefer| rank(prefer, &env));
        let digest = xxh3_128(draft.key.as_bytes());
        // The state of this row is pushed after its edges, at this index.
        let row = self.states.len() as u32;
        let Some(&other) = self.seen.get(&digest) else {
            self.seen.insert(digest, self.edges.len() as u32);
            self.edges.push(Edge { draft, ends: (f, t), row, prefer, kept: true });
            return Ok(true);
        };
        let other = &self.edges[other as usize];
        if !same_edge(&other.draft, &draft) && self.faults.tells("M0406") {
            let key = &draft.key;
            let what = match other.ends == (f, t) {
                true => "different properties",
                false => "different ends",
            };
            let words = format!("two rows make the edge `{key}` with {what}");
            let first = match self.states.get(other.row as usize) {
                Some(state) => self.place_words(state.place, state.entity),
                // The same row made it.
                None => self.place_words(place, entity),
            };
            let fault = match self.rows {
                Some(rows) if entity.is_none() => rows.fault("M0406", words, place),
                _ => Fault::error("M0406", &self.mapping.source, words)
                    .at(self.mapping.edge.span.clone(), ""),
            };
            self.faults.list.push(fault.note(format!("the other row is {first}")).help(
                "add what differs to `key` in `[relationship]`, or leave one of the rows out",
            ));
        }
        Ok(false)
    }

    /// Settles conflicts of cardinality and closes the account.
    pub(super) fn finish(mut self) -> Run {
        for conflict in super::conflict::settle(self.mapping, &mut self.edges) {
            let key = self.ends.key_of(conflict.end, conflict.entity);
            let edges = &self.edges;
            let rows = conflict.edges.iter().map(|&e| &self.states[edges[e as usize].row as usize]);
            let places: Vec<String> =
                rows.take(5).map(|s| self.place_words(s.place, s.entity)).collect();
            if !conflict.fatal {
                continue;
            }
            if self.faults.tells("M0505") {
                let words = format!(
                    "`{key}` would get {} edges, `{}` allows 1",
                    conflict.edges.len(),
                    self.mapping.edge.cardinality
                );
                let fault = Fault::error("M0505", &self.mapping.source, words)
                    .at(self.mapping.edge.span.clone(), "")
                    .note(format!("from {}", places.join(" and ")))
                    .help("correct the rows, set `conflict = \"skip\"`, or say which to `prefer`");
                self.faults.list.push(fault);
            }
        }
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
                self.states[row as usize].bucket = Bucket::Conflict;
                self.states[row as usize].reason = Some(reason);
            }
        }
        let mut unmatched = Vec::new();
        for state in &self.states {
            self.count.add(state.bucket);
            if let Some(reason) =
                state.reason.clone().filter(|_| unmatched.len() < UNMATCHED_LISTED)
            {
                let place = self.place_words(state.place, state.entity);
                unmatched.push(Unmatched { place, bucket: state.bucket, reason });
            }
        }
        Run { count: self.count, unmatched, edges: self.edges, faults: self.faults.finish() }
    }
}

/// True if two drafts of one key say the same edge, whatever rows they come from.
fn same_edge(a: &DraftRelationship<'_>, b: &DraftRelationship<'_>) -> bool {
    a.type_name == b.type_name && a.from == b.from && a.to == b.to && a.properties == b.properties
}

impl Alternative {
    /// Its name; else the subject of its condition, e.g. `serial`; else its number, counted from 1.
    pub(super) fn label(&self, index: usize) -> String {
        self.name.clone().or_else(|| self.when.subject()).unwrap_or_else(|| (index + 1).to_string())
    }
}

impl Mapping {
    /// The edge between two entities; `Err` says what is undefined.
    fn draft(
        &self,
        env: &Env<'_>,
        (from, to): (&Candidate, &Candidate),
        alternatives: [Option<&Alternative>; 2],
    ) -> Result<DraftRelationship<'static>, String> {
        let key = match &self.edge.key {
            Some(key) => name(key, env, NameKind::Key)?,
            None => default_relationship_key(&from.key, &self.class, &to.key),
        };
        check_name(NameKind::Key, &key).map_err(|e| e.to_string())?;
        let type_name = match &self.edge.type_name {
            Some(template) => name(template, env, NameKind::Type)?,
            None => format!("{}_{}_{}", from.type_name, self.class.to_lowercase(), to.type_name),
        };
        let mut properties: Vec<(std::borrow::Cow<'static, str>, Value<'static>)> = Vec::new();
        let own = self.edge.properties.iter();
        let fired = alternatives.into_iter().flatten().flat_map(|a| &a.properties);
        for (name, property) in own.chain(fired) {
            let value = match property {
                Property::Literal(value) => Some(value.clone()),
                Property::Template(template) => render(template, env).ok().map(Value::into_owned),
            };
            // An undefined property is left out; only key and type must be defined.
            let Some(value) = value else { continue };
            // An alternative is more specific than the relationship, so its value wins.
            match properties.iter_mut().find(|(n, _)| n == name) {
                Some((_, old)) => *old = value,
                None => properties.push((name.clone().into(), value)),
            }
        }
        properties.sort_by(|a, b| a.0.cmp(&b.0));
        let end = |candidate: &Candidate| DraftEnd {
            key: Some(candidate.key.clone().into()),
            scope: Some(candidate.scope.to_string().into()),
            id: None,
        };
        Ok(DraftRelationship {
            key: key.into(),
            scope: Some(self.scope.clone().into()),
            type_name: type_name.into(),
            class: self.class.clone().into(),
            from: end(from),
            to: end(to),
            properties,
            ..DraftRelationship::default()
        })
    }
}
