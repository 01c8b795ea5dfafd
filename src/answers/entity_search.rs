//! Search as people type: the entities whose name or key holds what was typed, the likeliest first.
//!
//! Keys and names lie side by side in the file, so most searches are one pass over them. Other
//! properties that name an entity lie with all its properties, and are read only as long as there is
//! room in the answer.

use super::heads::{self, display};
use super::{AnswerDocument, AnswerError, QuestionContext};
use crate::db::NAMING;
use crate::graph::{EntityHead, GraphRead, NameLookup, ObjectId, ObjectKind};
use crate::limits::{CostMeter, LimitError};
use crate::store::Snapshot;
use rustc_hash::FxHashSet;
use serde::Serialize;

/// A question for the entities that a text may mean.
#[derive(Clone, Debug)]
pub struct EntitySearchRequest {
    /// What was typed: words that a name or key holds, in any case; `SCOPE::` before them looks in one
    /// scope only.
    pub text: String,
    /// At most so many entities.
    pub limit: usize,
}

/// The entities found, the likeliest first.
#[derive(Serialize)]
pub struct EntitySearchAnswer {
    /// The first of them.
    pub hits: Vec<EntityHit>,
    /// The number of all whose name or key fits. Entities that another property names count only while
    /// they are listed.
    pub total: u64,
}

impl AnswerDocument for EntitySearchAnswer {}

/// An entity that was found.
#[derive(Serialize)]
pub struct EntityHit {
    /// The entity.
    pub entity: EntityHead,
    /// The property that holds the text, and its value, where neither name nor key does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<(&'static str, String)>,
}

/// Bytes that an entity takes while it waits to be sorted.
const WAITING_BYTES: u64 = 96;
/// Entities that wait before the least likely are dropped.
const WAITING: usize = 4_096;

impl EntitySearchRequest {
    /// Answers the question.
    ///
    /// # Errors
    ///
    /// A limit, or the error of reading.
    pub fn ask(&self, context: &QuestionContext<'_>) -> Result<EntitySearchAnswer, AnswerError> {
        let QuestionContext { snapshot, meter, .. } = *context;
        let (scope, text) = self.scoped(snapshot)?;
        let words = SearchWords::new(text);
        if words.words.is_empty() || self.limit == 0 {
            return Ok(EntitySearchAnswer { hits: Vec::new(), total: 0 });
        }
        let mut total = 0;
        let mut seen = FxHashSet::default();
        let mut hits = Vec::new();
        // Nothing is called like an id by chance, so it needs no pass.
        if let Some(number) = by_id(snapshot, text)? {
            (total, hits) = (1, vec![(number, None)]);
            seen.insert(number);
        }
        let ranked = ranked(snapshot, meter, scope, &words, self.limit)?;
        for number in ranked.first {
            if seen.insert(number) && hits.len() < self.limit {
                hits.push((number, None));
            }
        }
        total += ranked.total;
        if hits.len() < self.limit && words.long_enough() {
            let more = named_otherwise(snapshot, meter, scope, &words, self.limit - hits.len())?;
            for (number, by) in more.into_iter().filter(|(number, _)| seen.insert(*number)) {
                hits.push((number, Some(by)));
                total += 1;
            }
        }
        let numbers: Vec<u32> = hits.iter().map(|(number, _)| *number).collect();
        let heads = heads::entities(snapshot, &numbers)?;
        let hits = hits.into_iter().zip(heads);
        let hits = hits.map(|((_, by), entity)| EntityHit { entity, by }).collect();
        Ok(EntitySearchAnswer { hits, total })
    }

    /// The scope that the text begins with, and the rest of it.
    fn scoped<'t>(&'t self, snapshot: &Snapshot) -> Result<(Option<u32>, &'t str), AnswerError> {
        let text = self.text.trim();
        let scopes: Vec<u32> = snapshot.entity_scopes()?.collect();
        let cuts = text.match_indices("::").map(|(at, _)| (&text[..at], &text[at + 2..]));
        let named = cuts.filter_map(|(name, rest)| Some((snapshot.name_number(name)?, rest)));
        let mut named = named.filter(|(scope, _)| scopes.contains(scope));
        Ok(named.next().map_or((None, text), |(scope, rest)| (Some(scope), rest)))
    }
}

/// The live entity of an `_id`.
fn by_id(snapshot: &Snapshot, text: &str) -> Result<Option<u32>, AnswerError> {
    let Some(id) = ObjectId::parse(text) else { return Ok(None) };
    let Some(number) = snapshot.number_of(ObjectKind::Entity, id)? else { return Ok(None) };
    let head = snapshot.entity_head(number)?;
    Ok(head.filter(|head| !head.deleted).map(|_| number))
}

/// What was typed, in small letters.
struct SearchWords {
    whole: String,
    words: Vec<String>,
}

impl SearchWords {
    fn new(text: &str) -> SearchWords {
        let whole = text.trim().to_lowercase();
        let words = whole.split_whitespace().map(str::to_owned).collect();
        SearchWords { whole, words }
    }

    /// False for a letter or two, which nearly every property holds.
    fn long_enough(&self) -> bool {
        self.whole.chars().count() > 2
    }

    /// The place of an entity among others, 0 the likeliest; `None` if it does not fit.
    fn rank(&self, name: &str, key: &str) -> Option<u8> {
        if !self.words.iter().all(|word| name.contains(word) || key.contains(word)) {
            return None;
        }
        let whole = self.whole.as_str();
        let begins_word = |text: &str| {
            let mut places = text.match_indices(whole);
            places.any(|(at, _)| !text[..at].ends_with(char::is_alphanumeric))
        };
        Some(match () {
            () if name == whole || key == whole => 0,
            () if name.starts_with(whole) => 1,
            () if begins_word(name) => 2,
            () if begins_word(key) => 3,
            () if name.contains(whole) => 4,
            () => 5,
        })
    }
}

/// The first entities by likeness, and the number of all.
struct RankedEntities {
    first: Vec<u32>,
    total: u64,
}

/// Looks at the name and key of every live entity.
fn ranked(
    snapshot: &Snapshot,
    meter: &CostMeter,
    scope: Option<u32>,
    words: &SearchWords,
    limit: usize,
) -> Result<RankedEntities, AnswerError> {
    let mut waiting: Vec<(u8, usize, String, u32)> = Vec::new();
    let mut total = 0;
    let mut stopped: Option<LimitError> = None;
    let kept = WAITING.max(2 * limit);
    meter.hold(kept as u64 * WAITING_BYTES)?;
    snapshot.for_each_live(ObjectKind::Entity, |number, chunk, row| {
        if stopped.is_some() || scope.is_some_and(|scope| scope != chunk.scope(row)) {
            return;
        }
        if let Err(limit) = meter.work(1) {
            stopped = Some(limit);
            return;
        }
        // Text that is damaged fits nothing; `verify` tells of it.
        let key = chunk.key(row).unwrap_or_default().to_lowercase();
        let name = chunk.display(row).flatten().unwrap_or_default().to_lowercase();
        let Some(rank) = words.rank(&name, &key) else { return };
        total += 1;
        let shown = if display(Some(&name), &key).is_some() { name } else { key };
        // Of two that fit alike, the shorter is nearer to what was typed.
        waiting.push((rank, shown.len(), shown, number));
        if waiting.len() >= kept {
            waiting.sort_unstable();
            waiting.truncate(limit);
        }
    })?;
    if let Some(limit) = stopped {
        return Err(limit.into());
    }
    waiting.sort_unstable();
    let first = waiting.into_iter().take(limit).map(|(.., number)| number).collect();
    Ok(RankedEntities { first, total })
}

/// Looks for the words in the other properties that name entities; gives the first entities that have
/// them, each with the property and its value.
fn named_otherwise(
    snapshot: &Snapshot,
    meter: &CostMeter,
    scope: Option<u32>,
    words: &SearchWords,
    limit: usize,
) -> Result<Vec<(u32, (&'static str, String))>, AnswerError> {
    let mut names = Vec::new();
    for name in NAMING {
        names.extend(snapshot.property_number(name)?.map(|number| (number, name)));
    }
    let numbers: Vec<u32> = names.iter().map(|(number, _)| *number).collect();
    let mut found = Vec::new();
    if numbers.is_empty() {
        return Ok(found);
    }
    let mut stopped: Option<LimitError> = None;
    snapshot.for_each_entity_row(|number, chunk, row| {
        let elsewhere = scope.is_some_and(|scope| scope != chunk.scope(row));
        if stopped.is_some() || found.len() >= limit || !chunk.live(row) || elsewhere {
            return Ok(());
        }
        if let Err(limit) = meter.work(1) {
            stopped = Some(limit);
            return Ok(());
        }
        let key = chunk.key(row).unwrap_or_default().to_lowercase();
        let name = chunk.display(row).flatten().unwrap_or_default().to_lowercase();
        if words.rank(&name, &key).is_some() {
            return Ok(());
        }
        let mut by = None;
        snapshot.for_each_text(chunk, row, &numbers, |property, text| {
            let small = text.to_lowercase();
            if by.is_none() && words.words.iter().all(|word| small.contains(word)) {
                by = Some((property, text.to_owned()));
            }
        })?;
        if let Some((property, text)) = by
            && let Some((_, name)) = names.iter().find(|(number, _)| *number == property)
        {
            found.push((number, (*name, text)));
        }
        Ok(())
    })?;
    match stopped {
        Some(limit) => Err(limit.into()),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_comes_first() {
        let rank = |text: &str, name: &str, key: &str| SearchWords::new(text).rank(name, key);
        assert_eq!(rank("Alice", "alice", "okta-user:1"), Some(0));
        assert_eq!(rank("okta-user:1", "alice", "okta-user:1"), Some(0));
        assert_eq!(rank("ali", "alice", "k"), Some(1));
        assert_eq!(rank("moreau", "alice moreau", "k"), Some(2));
        assert_eq!(rank("ali", "", "okta-user:alice"), Some(3));
        assert_eq!(rank("ice", "alice", "k"), Some(4));
        assert_eq!(rank("ice", "", "alice"), Some(5));
        assert_eq!(rank("moreau alice", "alice moreau", "k"), Some(5));
        assert_eq!(rank("alice bob", "alice", "k"), None);
    }
}
