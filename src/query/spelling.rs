//! The names in a graph that a verb or class of a query stands for. They are looked up once a query
//! by one rule of spelling, so that walking compares numbers only.

use crate::graph::{CLASS_SEPARATOR, NameLookup, ScopeCounts, fold_verb, same_name};

/// The numbers of all spellings of a verb, ascending.
pub(super) fn verbs(names: &impl NameLookup, verb: &str) -> Vec<u32> {
    let folded = fold_verb(verb);
    let first = folded.bytes().next();
    // Folding every name is slow; most names begin with another letter, which is quick to see.
    let may_be = |name: &str| {
        let letter = name.bytes().find(|byte| !matches!(byte, b'_' | b'-' | b' '));
        letter.is_none_or(|byte| !byte.is_ascii() || Some(byte.to_ascii_lowercase()) == first)
    };
    let mut found = Vec::new();
    names.for_each_name(&mut |number, name| {
        if name == verb || may_be(name) && fold_verb(name) == folded {
            found.push(number);
        }
    });
    found.sort_unstable();
    found
}

/// True if a class is among those of a class set, in any spelling.
pub(super) fn has_class(set: &str, class: &str) -> bool {
    set.split(CLASS_SEPARATOR).any(|known| same_name(known, class))
}

/// All spellings of a class that live entities have.
pub(super) fn classes<'n>(
    names: &'n impl NameLookup,
    counts: &[ScopeCounts],
    class: &str,
) -> Vec<&'n str> {
    let sets = counts.iter().flat_map(|counts| counts.classes.keys());
    let known = sets.flat_map(|set| names.name(*set).split(CLASS_SEPARATOR));
    let mut found: Vec<&str> = known.filter(|known| same_name(known, class)).collect();
    found.sort_unstable();
    found.dedup();
    found
}
