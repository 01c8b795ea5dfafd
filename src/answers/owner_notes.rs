//! The reason why an entity has no owner, for a note.

use super::heads;
use super::owner_search::{OwnerCriteria, OwnerSearchOptions, owners};
use super::words::{clean, some_verbs};
use super::{AnswerError, QuestionContext};
use crate::graph::{AdjacencyRead, EdgeDirection, EntityHead, NameLookup};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;

/// The reason why an entity has no owner.
pub(super) enum NoOwnerReason {
    /// Somebody owns it, but the question does not accept that owner.
    Other(String),
    /// Nobody owns it.
    Nobody(String),
}

impl NoOwnerReason {
    /// The reason in words.
    pub(super) fn words(self) -> String {
        let (NoOwnerReason::Other(words) | NoOwnerReason::Nobody(words)) = self;
        words
    }
}

/// Explains why an entity has no owner: a flag hides the owner, the class of the owner is not
/// accepted, or its relationships lead to no owner.
pub(super) fn why_nobody(
    context: &QuestionContext<'_>,
    entity: &EntityHead,
    asked: &OwnerSearchOptions<'_>,
    classes: &[String],
) -> Result<NoOwnerReason, AnswerError> {
    let QuestionContext { snapshot, meter, counts, .. } = *context;
    let nearest = |accepted: OwnerCriteria| {
        let verbs = asked.verbs.clone();
        let wide =
            OwnerSearchOptions { rules: asked.rules, accepted, verbs, depth: None, people: false };
        let mut found = owners(snapshot, meter, &[entity.number], &wide)?;
        let owned = found.pop().filter(|owned| !owned.owners.is_empty());
        let Some(owned) = owned else { return Ok(None) };
        let owner = heads::entity(snapshot, owned.owners[0].entity)?;
        Ok::<_, AnswerError>(Some((owner, owned.distance.unwrap_or(0))))
    };
    let named = |owner: &EntityHead| {
        let name = heads::label(owner.display_name.as_deref(), &owner.key);
        format!("{name} ({})", owner.classes.join(", "))
    };
    let key = &entity.key;
    // A flag of the caller is the likeliest reason and the easiest to undo, so it is tried first.
    let flags = [("--depth", asked.depth.is_some()), ("--owner-class", !classes.is_empty())];
    if flags.iter().any(|(_, given)| *given)
        && let Some((owner, distance)) = nearest(OwnerCriteria::ByRules)?
    {
        let flags = flags.iter().filter(|(_, given)| *given).map(|(flag, _)| format!("`{flag}`"));
        let flags = flags.collect::<Vec<_>>().join(" or ");
        let far = counts.counted(u64::from(distance), "relationship", "relationships");
        return Ok(NoOwnerReason::Other(format!(
            "{key} is owned by {} at {far}, which {flags} hides",
            named(&owner)
        )));
    }
    if let Some((owner, _)) = nearest(OwnerCriteria::Anything)? {
        let class = owner.classes.first().map_or("", String::as_str);
        let named = named(&owner);
        return Ok(NoOwnerReason::Other(format!(
            "{key} is owned by {named}, whose class is not one of owners; `--owner-class {class}` \
             takes it for one"
        )));
    }
    let mut verbs: BTreeMap<&str, u64> = BTreeMap::new();
    for direction in [EdgeDirection::Out, EdgeDirection::In] {
        // Several scopes may say the same of two entities, and that is one fact.
        let mut seen = FxHashSet::default();
        snapshot.for_each_edge(entity.number, direction, |edge| {
            if seen.insert((edge.other, edge.verb)) {
                *verbs.entry(snapshot.name(edge.verb)).or_default() += 1;
            }
        })?;
    }
    if verbs.is_empty() {
        return Ok(NoOwnerReason::Nobody(format!("{key} has no relationships")));
    }
    let words =
        verbs.iter().map(|(verb, count)| format!("{} {}", counts.number(*count), clean(verb)));
    let which = match asked.verbs.0 {
        Some(_) => "none of which `--verb` takes to an owner",
        None => "which lead to no owner; `[[ownership]]` in `tombolo.toml` says which verbs own",
    };
    Ok(NoOwnerReason::Nobody(format!("{key} has {}, {which}", some_verbs(words))))
}
