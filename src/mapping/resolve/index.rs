//! Indexes: a condition finds its entities without looking at all of them.
//!
//! The target is the entity looked for. A comparison can be indexed if one side names only the
//! target and the other side does not name it. An index takes the best part of a condition: all
//! such `=` together, else `in cidr(...)`, else `^=` or `like`. It may yield too many entities, never too
//! few, so the whole condition is asked of each entity that it yields.

use super::environment::{ExprEnvironment, MappingConstants};
use super::mapping_graph::EndCandidate;
use crate::graph::Value;
use crate::lang::{
    ComparisonOp, ExprFunction, TermOperator, address, each_item, eval, network, spelled_number,
    text_of,
};
use crate::mapping::expression::{MappingExpr, MappingExprKind, PathRoot};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;

/// A value as a key of an index: values that compare equal have equal keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::mapping) enum IndexKey {
    Text(String),
    Whole(i128),
    /// The bits of a number with a fraction, or too large for an integer.
    Float(u64),
    Bool(bool),
}

impl IndexKey {
    pub(in crate::mapping) fn of(value: &Value<'_>) -> Option<IndexKey> {
        Some(match value {
            // A text equals the number that it spells, so both have one key.
            Value::Text(text) => match spelled_number(text) {
                Some(number) => return IndexKey::of(&number),
                None => IndexKey::Text(text.to_string()),
            },
            Value::Int(i) => IndexKey::Whole((*i).into()),
            Value::UInt(u) => IndexKey::Whole((*u).into()),
            // `5.0` equals `5`, so both have one key.
            Value::Float(f) if f.fract() == 0.0 && f.abs() < 1e20 => IndexKey::Whole(*f as i128),
            Value::Float(f) => IndexKey::Float(f.to_bits()),
            Value::Bool(b) => IndexKey::Bool(*b),
            Value::Null | Value::List(_) => return None,
        })
    }
}

/// The way in which a condition can be looked up. `target` is the side that names the entity looked
/// for, `probe` is the other side.
#[derive(Debug)]
enum IndexShape<'e> {
    /// Pairs of target and probe that must all be equal.
    Equal(Vec<(&'e MappingExpr, &'e MappingExpr)>),
    /// The network is on the side of the target.
    Within {
        target: &'e MappingExpr,
        probe: &'e MappingExpr,
    },
    /// The address is on the side of the target.
    Around {
        target: &'e MappingExpr,
        probe: &'e MappingExpr,
    },
    /// The target's text starts with the probe's; of a pattern, with what stands before its first
    /// wildcard.
    StartsWith {
        target: &'e MappingExpr,
        probe: &'e MappingExpr,
        pattern: bool,
    },
    /// The probe's text starts with the target's; of a pattern, with what stands before its first
    /// wildcard.
    StartOf {
        target: &'e MappingExpr,
        probe: &'e MappingExpr,
        pattern: bool,
    },
    Any(Vec<IndexShape<'e>>),
}

impl IndexShape<'_> {
    /// The rank of such an index: the smaller it is, the fewer entities the index usually yields.
    fn rank(&self) -> u32 {
        // A constant probe yields the same entities for every row.
        let constant = |probe: &MappingExpr| if probe.names_anything() { 0 } else { 10 };
        match self {
            IndexShape::Equal(pairs) => {
                pairs.iter().map(|(_, probe)| constant(probe)).min().unwrap_or(10)
            }
            IndexShape::Within { probe, .. } | IndexShape::Around { probe, .. } => {
                1 + constant(probe)
            }
            IndexShape::StartsWith { probe, .. } | IndexShape::StartOf { probe, .. } => {
                2 + constant(probe)
            }
            IndexShape::Any(parts) => 3 + parts.iter().map(IndexShape::rank).max().unwrap_or(0),
        }
    }
}

fn shape(expr: &MappingExpr, root: PathRoot) -> Option<IndexShape<'_>> {
    match &expr.kind {
        MappingExprKind::And(parts) => {
            let mut equal = Vec::new();
            let mut rest = Vec::new();
            for part in parts.iter().filter_map(|part| shape(part, root)) {
                match part {
                    IndexShape::Equal(pairs) => equal.extend(pairs),
                    other => rest.push(other),
                }
            }
            // One value may be common and both together rare, so they are looked up together.
            rest.extend((!equal.is_empty()).then_some(IndexShape::Equal(equal)));
            rest.into_iter().min_by_key(IndexShape::rank)
        }
        MappingExprKind::Or(parts) => {
            // A part without an index needs a scan, and then the whole `or` gains nothing.
            let parts = parts.iter().map(|part| shape(part, root));
            Some(IndexShape::Any(parts.collect::<Option<_>>()?))
        }
        MappingExprKind::Compare(left, operator, right) => compared(left, *operator, right, root),
        _ => None,
    }
}

fn compared<'e>(
    left: &'e MappingExpr,
    operator: TermOperator,
    right: &'e MappingExpr,
    root: PathRoot,
) -> Option<IndexShape<'e>> {
    // Undefined values are in no index.
    if left.is_undefined_literal() || right.is_undefined_literal() {
        return None;
    }
    let left_is_target = left.mentions_only(root) && !right.mentions(root);
    let right_is_target = right.mentions_only(root) && !left.mentions(root);
    let (target, probe) = match (left_is_target, right_is_target) {
        (true, _) => (left, right),
        (_, true) => (right, left),
        _ => return None,
    };
    let networks = operator == TermOperator::In && right.is_call_of(ExprFunction::Cidr);
    Some(match (operator, left_is_target) {
        (TermOperator::In, true) if networks => IndexShape::Around { target, probe },
        (TermOperator::In, false) if networks => IndexShape::Within { target, probe },
        (TermOperator::Compare(ComparisonOp::Equal) | TermOperator::In, _) => {
            IndexShape::Equal(vec![(target, probe)])
        }
        (TermOperator::Compare(ComparisonOp::Begins), true) => {
            IndexShape::StartsWith { target, probe, pattern: false }
        }
        (TermOperator::Compare(ComparisonOp::Begins), false) => {
            IndexShape::StartOf { target, probe, pattern: false }
        }
        (TermOperator::Like, true) => IndexShape::StartsWith { target, probe, pattern: true },
        (TermOperator::Like, false) => IndexShape::StartOf { target, probe, pattern: true },
        _ => return None,
    })
}

/// The hashes of all combinations of the values of `exprs`, one value of each; empty if one of them
/// is undefined.
fn hashes(exprs: &[&MappingExpr], env: &ExprEnvironment<'_>) -> Vec<u64> {
    let mut hashes = vec![0u64];
    for expr in exprs {
        let value = eval(expr, env);
        let mut longer = Vec::new();
        value.iter().for_each(|value| {
            each_item(value, |item| {
                if let Some(key) = IndexKey::of(item) {
                    longer.extend(hashes.iter().map(|hash| FxBuildHasher.hash_one((hash, &key))));
                }
            });
        });
        hashes = longer;
    }
    hashes
}

/// The values in ascending order, each once.
fn ascending<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

/// The candidates of one end by the values that a condition compares.
#[derive(Debug)]
pub(in crate::mapping) enum ConditionIndex<'m> {
    /// The probes, and the entities by the hash of their values.
    Equal(Vec<&'m MappingExpr>, FxHashMap<u64, Vec<u32>>),
    /// The probe, the networks by their length and first address, and the lengths that occur.
    Within(&'m MappingExpr, FxHashMap<(bool, u8, u128), Vec<u32>>, Vec<(bool, u8)>),
    /// The probe, and the addresses in ascending order.
    Around(&'m MappingExpr, Vec<(bool, u128, u32)>),
    /// The probe, the texts in ascending order, and whether probes are patterns.
    StartsWith(&'m MappingExpr, Vec<(String, u32)>, bool),
    /// The probe, the texts, their lengths in bytes, and whether they are patterns.
    StartOf(&'m MappingExpr, FxHashMap<String, Vec<u32>>, Vec<usize>, bool),
    Any(Vec<ConditionIndex<'m>>),
    /// Every candidate.
    All(u32),
}

impl<'m> ConditionIndex<'m> {
    /// Builds the index of a condition over the candidates of `root`.
    pub(in crate::mapping) fn build(
        when: &'m MappingExpr,
        root: PathRoot,
        candidates: &[EndCandidate],
        shared: &MappingConstants<'_>,
    ) -> ConditionIndex<'m> {
        match shape(when, root) {
            Some(shape) => ConditionIndex::of_shape(shape, root, candidates, shared),
            None => ConditionIndex::All(candidates.len() as u32),
        }
    }

    fn of_shape(
        shape: IndexShape<'m>,
        root: PathRoot,
        candidates: &[EndCandidate],
        shared: &MappingConstants<'_>,
    ) -> ConditionIndex<'m> {
        let each = |target: &MappingExpr, take: &mut dyn FnMut(&Value<'_>, u32)| {
            for (candidate, i) in candidates.iter().zip(0..) {
                let value = eval(target, &ExprEnvironment::of_end(shared, root, candidate));
                value.iter().for_each(|value| each_item(value, |item| take(item, i)));
            }
        };
        match shape {
            IndexShape::Equal(pairs) => ConditionIndex::of_pairs(pairs, root, candidates, shared),
            IndexShape::Within { target, probe } => {
                let mut map: FxHashMap<_, Vec<u32>> = FxHashMap::default();
                each(target, &mut |value, i| {
                    if let Some((v6, first, len)) = value.as_str().and_then(network) {
                        map.entry((v6, len, first)).or_default().push(i);
                    }
                });
                let lengths = ascending(map.keys().map(|(v6, len, _)| (*v6, *len)));
                ConditionIndex::Within(probe, map, lengths)
            }
            IndexShape::Around { target, probe } => {
                let mut sorted = Vec::new();
                each(target, &mut |value, i| {
                    if let Some((v6, first, _)) = value.as_str().and_then(any_network) {
                        sorted.push((v6, first, i));
                    }
                });
                sorted.sort_unstable();
                ConditionIndex::Around(probe, sorted)
            }
            IndexShape::StartsWith { target, probe, pattern } => {
                let mut sorted = Vec::new();
                each(target, &mut |value, i| {
                    sorted.extend(text_for(value, pattern).map(|text| (text, i)));
                });
                sorted.sort_unstable();
                ConditionIndex::StartsWith(probe, sorted, pattern)
            }
            IndexShape::StartOf { target, probe, pattern } => {
                let mut map: FxHashMap<String, Vec<u32>> = FxHashMap::default();
                each(target, &mut |value, i| {
                    if let Some(text) = text_for(value, pattern) {
                        let start = if pattern { before_wildcard(&text) } else { &text };
                        map.entry(start.to_owned()).or_default().push(i);
                    }
                });
                let lengths = ascending(map.keys().map(String::len));
                ConditionIndex::StartOf(probe, map, lengths, pattern)
            }
            IndexShape::Any(parts) => ConditionIndex::Any(
                parts
                    .into_iter()
                    .map(|part| ConditionIndex::of_shape(part, root, candidates, shared))
                    .collect(),
            ),
        }
    }

    /// The index of pairs that must all be equal.
    fn of_pairs(
        pairs: Vec<(&'m MappingExpr, &'m MappingExpr)>,
        root: PathRoot,
        candidates: &[EndCandidate],
        shared: &MappingConstants<'_>,
    ) -> ConditionIndex<'m> {
        let (targets, probes): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let mut map: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
        for (candidate, i) in candidates.iter().zip(0..) {
            for hash in hashes(&targets, &ExprEnvironment::of_end(shared, root, candidate)) {
                map.entry(hash).or_default().push(i);
            }
        }
        ConditionIndex::Equal(probes, map)
    }

    /// True if it looks at every candidate.
    pub(in crate::mapping) fn is_scan(&self) -> bool {
        matches!(self, ConditionIndex::All(_))
    }

    /// The expression whose value is looked up, if there is one.
    pub(in crate::mapping) fn probe(&self) -> Option<&'m MappingExpr> {
        match self {
            ConditionIndex::Equal(probes, _) => probes.first().copied(),
            ConditionIndex::Within(probe, ..)
            | ConditionIndex::Around(probe, _)
            | ConditionIndex::StartsWith(probe, ..)
            | ConditionIndex::StartOf(probe, ..) => Some(probe),
            ConditionIndex::Any(_) | ConditionIndex::All(_) => None,
        }
    }

    /// Puts the candidates that may meet the condition in `env` into `found`, ascending, each once.
    pub(in crate::mapping) fn look_up(&self, env: &ExprEnvironment<'_>, found: &mut Vec<u32>) {
        found.clear();
        self.collect(env, found);
        found.sort_unstable();
        found.dedup();
    }

    fn collect(&self, env: &ExprEnvironment<'_>, found: &mut Vec<u32>) {
        let each = |probe: &MappingExpr, take: &mut dyn FnMut(&Value<'_>)| {
            eval(probe, env).iter().for_each(|value| each_item(value, |item| take(item)));
        };
        match self {
            ConditionIndex::All(count) => found.extend(0..*count),
            ConditionIndex::Any(parts) => parts.iter().for_each(|part| part.collect(env, found)),
            ConditionIndex::Equal(probes, map) => {
                // Two values with one hash only yield an entity too many.
                for hash in hashes(probes, env) {
                    found.extend(map.get(&hash).into_iter().flatten());
                }
            }
            ConditionIndex::Within(probe, map, lengths) => each(probe, &mut |value| {
                let Some((v6, first, own)) = value.as_str().and_then(any_network) else { return };
                // One look-up for each length that occurs finds all networks around the probe.
                for &(_, len) in lengths.iter().filter(|(six, len)| *six == v6 && *len <= own) {
                    let hit = map.get(&(v6, len, masked(v6, first, len)));
                    found.extend(hit.into_iter().flatten());
                }
            }),
            ConditionIndex::Around(probe, sorted) => each(probe, &mut |value| {
                let Some((v6, first, len)) = value.as_str().and_then(network) else { return };
                // The addresses of a network follow each other in this order, from its first one.
                let start = sorted.partition_point(|(six, a, _)| (*six, *a) < (v6, first));
                let inside =
                    |entry: &&(bool, u128, u32)| entry.0 == v6 && masked(v6, entry.1, len) == first;
                found.extend(sorted[start..].iter().take_while(inside).map(|entry| entry.2));
            }),
            ConditionIndex::StartsWith(probe, sorted, pattern) => each(probe, &mut |value| {
                let Some(text) = text_for(value, *pattern) else { return };
                let prefix = if *pattern { before_wildcard(&text) } else { &text };
                let start = sorted.partition_point(|(text, _)| text.as_str() < prefix);
                let begins = |entry: &&(String, u32)| entry.0.starts_with(prefix);
                found.extend(sorted[start..].iter().take_while(begins).map(|entry| entry.1));
            }),
            ConditionIndex::StartOf(probe, map, lengths, pattern) => each(probe, &mut |value| {
                let Some(text) = text_for(value, *pattern) else { return };
                for &len in lengths.iter().take_while(|len| **len <= text.len()) {
                    // `get` gives nothing if `len` ends inside a character.
                    let hit = text.get(..len).and_then(|start| map.get(start));
                    found.extend(hit.into_iter().flatten());
                }
            }),
        }
    }
}

/// The text of a value in a comparison of texts. `like` compares the texts of numbers too.
fn text_for(value: &Value<'_>, pattern: bool) -> Option<String> {
    match pattern {
        true => Some(text_of(value)),
        false => value.as_str().map(str::to_owned),
    }
}

/// What stands before the first wildcard of a pattern.
fn before_wildcard(pattern: &str) -> &str {
    pattern.split(['*', '?']).next().unwrap_or_default()
}

/// A network, or an address as the network that holds only itself.
fn any_network(text: &str) -> Option<(bool, u128, u8)> {
    match address(text) {
        Some((v6, bits)) => Some((v6, bits, if v6 { 128 } else { 32 })),
        None => network(text),
    }
}

/// The first address of the network of this length around an address.
fn masked(v6: bool, address: u128, len: u8) -> u128 {
    let host = (if v6 { 128 } else { 32 }) - u32::from(len);
    if host >= 128 { 0 } else { address >> host << host }
}
