//! Both ends of a mapping, read and indexed, and the search for the entities of one row.

use super::candidates::CandidateSet;
use super::environment::ExprEnvironment;
use super::index::ConditionIndex;
use super::mapping_graph::{EndCandidate, MappingGraph};
use super::row_counts::RowOutcome;
use crate::graph::{NameKind, ObjectId, ObjectKind, Value, check_name};
use crate::lang::{PreferenceRank, eval, holds, rank, render};
use crate::mapping::expression::{MappingExpr, PathRoot, Template};
use crate::mapping::model::{Mapping, MatchAlternative, MatchStrategy, PairSource};

/// The result of looking for the entity of one end.
#[derive(Clone, Debug, Default)]
pub(in crate::mapping) struct EndMatches {
    /// Candidates, ascending.
    pub hits: Vec<u32>,
    /// The alternative that found them.
    pub alternative: Option<usize>,
    /// The reason why no key could be made.
    pub undefined: Option<String>,
    /// True if it was not looked for, since the other end that it names is not known.
    pub unsought: bool,
    /// The candidates compared in vain, as a weight: all of a scan, a tenth of those from an index.
    pub compared: u64,
}

impl EndMatches {
    /// True if it was looked for in vain.
    pub(in crate::mapping) fn is_missing(&self) -> bool {
        self.hits.is_empty() && !self.unsought
    }
}

/// One attempt to find an entity, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchAttempt {
    /// The name or number of the alternative; empty for `key` and `id`.
    pub alternative: String,
    /// The condition or template, as written.
    pub condition: String,
    /// The expression that was looked up, e.g. `serial(row.serial)`, and its value; `None` as the value
    /// means undefined.
    pub looked_for: Option<(String, Option<String>)>,
    /// Keys of the entities found, at most 5 of them.
    pub keys: Vec<String>,
    /// The number of entities found.
    pub hits: usize,
}

/// The largest number of keys that are listed of several entities.
const LISTED: usize = 5;

/// The two sides of a mapping with their indexes, ready to be asked.
pub(in crate::mapping) struct EndLookup<'m> {
    pub mapping: &'m Mapping,
    pub sides: [CandidateSet; 2],
    /// True if an expression that finds `to` names `from`.
    pub to_looks_at_from: bool,
    /// True if `to` cannot be looked for without an entity of `from`.
    pub to_needs_from: bool,
    /// The indexes of the alternatives of each end; those of a join belong to `to`.
    indexes: [Vec<ConditionIndex<'m>>; 2],
}

/// The entity with only those items in its lists by which a condition holds, e.g. the one network of
/// several that an address lies in; `None` if that is the entity as it is.
fn narrowed(
    candidate: &EndCandidate,
    when: &MappingExpr,
    root: PathRoot,
    env: &ExprEnvironment<'_>,
) -> Option<EndCandidate> {
    let mut narrow: Option<EndCandidate> = None;
    for (at, (_, value)) in candidate.properties.iter().enumerate() {
        let Value::List(items) = value else { continue };
        if items.len() < 2 {
            continue;
        }
        let mut alone = candidate.clone();
        let by_itself = |item: &&Value<'static>| {
            alone.properties[at].1 = Value::List(vec![(*item).clone()]);
            holds(when, &env.with(root, &alone))
        };
        let fitting: Vec<Value<'static>> = items.iter().filter(by_itself).cloned().collect();
        // A list that two parts of the condition ask for may hold by no item alone.
        if !fitting.is_empty() && fitting.len() < items.len() {
            narrow.get_or_insert_with(|| candidate.clone()).properties[at].1 = Value::List(fitting);
        }
    }
    narrow
}

fn position(root: PathRoot) -> usize {
    usize::from(root == PathRoot::To)
}

impl<'m> EndLookup<'m> {
    pub(in crate::mapping) fn read<G: MappingGraph>(
        mapping: &'m Mapping,
        graph: &G,
    ) -> Result<EndLookup<'m>, G::Error> {
        let sides = [
            CandidateSet::read(mapping, PathRoot::From, graph)?,
            CandidateSet::read(mapping, PathRoot::To, graph)?,
        ];
        let indexes = [PathRoot::From, PathRoot::To].map(|root| {
            let candidates = &sides[position(root)].candidates;
            let shared = mapping.shared();
            let alternatives = mapping.alternatives(root).iter();
            alternatives
                .map(|a| ConditionIndex::build(&a.when, root, candidates, &shared))
                .collect()
        });
        let to = &mapping.to;
        let to_needs_from = match &to.find {
            MatchStrategy::Key(text, _) | MatchStrategy::Id(text, _) => {
                text.expressions().any(|e| e.mentions(PathRoot::From))
            }
            MatchStrategy::Match(of) => of.iter().any(|a| a.when.mentions(PathRoot::From)),
            MatchStrategy::Joined => false,
        };
        // Unless `to` depends on `from`, one search for `to` serves every `from` of a row.
        let prefers = to.prefer.as_ref().is_some_and(|e| e.mentions(PathRoot::From));
        let to_looks_at_from = to_needs_from || prefers;
        Ok(EndLookup { mapping, sides, to_looks_at_from, to_needs_from, indexes })
    }

    pub(in crate::mapping) fn side(&self, root: PathRoot) -> &CandidateSet {
        &self.sides[position(root)]
    }

    /// True if alternative `i` of an end looks at every candidate.
    pub(in crate::mapping) fn is_scan(&self, root: PathRoot, i: usize) -> bool {
        self.indexes[position(root)][i].is_scan()
    }

    /// Finds the entities of an end for a row. `scratch` is only for speed.
    pub(in crate::mapping) fn find(
        &self,
        root: PathRoot,
        env: &ExprEnvironment<'_>,
        scratch: &mut Vec<u32>,
    ) -> EndMatches {
        let end = self.mapping.end(root);
        let side = self.side(root);
        let mut found = EndMatches::default();
        match &end.find {
            MatchStrategy::Key(template, _) => match name(template, env, NameKind::Key) {
                Ok(key) => {
                    // A key is unique in a scope only, so each scope of the end may have one such entity.
                    let ids = end
                        .select
                        .scopes
                        .iter()
                        .map(|s| ObjectId::new(ObjectKind::Entity, s, &key));
                    found.hits.extend(ids.filter_map(|id| side.with_id(id)));
                }
                Err(reason) => found.undefined = Some(reason),
            },
            MatchStrategy::Id(template, _) => match id(template, env) {
                Ok(id) => found.hits.extend(side.with_id(id)),
                Err(reason) => found.undefined = Some(reason),
            },
            MatchStrategy::Match(_) | MatchStrategy::Joined => {
                for i in 0..self.mapping.alternatives(root).len() {
                    let compared = self.try_alternative(root, i, env, scratch);
                    // Candidates that an index yields in vain are fast to compare, so they weigh a tenth.
                    // They still count: a poor index must reach the limit too.
                    found.compared += match self.is_scan(root, i) {
                        true => compared,
                        false => (compared - scratch.len() as u64) / 10,
                    };
                    if !scratch.is_empty() {
                        found.hits.clone_from(scratch);
                        found.alternative = Some(i);
                        break;
                    }
                }
            }
        }
        // Several may share the greatest value; then the end stays ambiguous.
        if let (2.., Some(prefer)) = (found.hits.len(), &end.prefer) {
            let when = found.alternative.map(|i| &self.mapping.alternatives(root)[i].when);
            let value = |c: &u32| {
                let candidate = &side.candidates[*c as usize];
                match when.and_then(|when| narrowed(candidate, when, root, env)) {
                    Some(narrow) => rank(prefer, &env.with(root, &narrow)),
                    None => rank(prefer, &env.with(root, candidate)),
                }
            };
            let values: Vec<PreferenceRank> = found.hits.iter().map(value).collect();
            if let Some(best) = values.iter().max() {
                let mut kept = values.iter().map(|value| value == best);
                found.hits.retain(|_| kept.next().unwrap_or(false));
            }
        }
        found
    }

    /// Puts the candidates that meet alternative `i` into `found`.
    /// Returns how many were compared.
    fn try_alternative(
        &self,
        root: PathRoot,
        i: usize,
        env: &ExprEnvironment<'_>,
        found: &mut Vec<u32>,
    ) -> u64 {
        let candidates = &self.side(root).candidates;
        let when = &self.mapping.alternatives(root)[i].when;
        self.indexes[position(root)][i].look_up(env, found);
        let compared = found.len() as u64;
        // An index may yield too many candidates, so the whole condition decides.
        found.retain(|&c| holds(when, &env.with(root, &candidates[c as usize])));
        compared
    }

    pub(in crate::mapping) fn key_of(&self, root: PathRoot, candidate: u32) -> &str {
        &self.side(root).candidates[candidate as usize].key
    }

    /// The first keys of several candidates.
    pub(in crate::mapping) fn keys_of(&self, root: PathRoot, candidates: &[u32]) -> String {
        let mut keys: Vec<&str> =
            candidates.iter().take(LISTED).map(|&c| self.key_of(root, c)).collect();
        let more = format!("and {} more", candidates.len().saturating_sub(LISTED));
        if candidates.len() > LISTED {
            keys.push(&more);
        }
        keys.join(", ")
    }

    /// The attempts to find the entity of an end, in words.
    pub(in crate::mapping) fn explain_attempts(
        &self,
        root: PathRoot,
        env: &ExprEnvironment<'_>,
    ) -> Vec<MatchAttempt> {
        let end = self.mapping.end(root);
        match &end.find {
            MatchStrategy::Key(template, span) | MatchStrategy::Id(template, span) => {
                let found = self.find(root, env, &mut Vec::new());
                let value = render(template, env).ok().map(|value| value.to_string());
                let written = self.mapping.source.text.get(span.clone()).unwrap_or_default();
                let word = if matches!(end.find, MatchStrategy::Key(..)) { "key" } else { "id" };
                vec![MatchAttempt {
                    alternative: String::new(),
                    condition: format!("{word} = {written}"),
                    looked_for: Some((written.trim_matches(['"', '\'']).to_owned(), value)),
                    keys: self.listed_keys(root, &found.hits),
                    hits: found.hits.len(),
                }]
            }
            MatchStrategy::Match(_) | MatchStrategy::Joined => {
                let mut tries = Vec::new();
                let mut found = Vec::new();
                for (i, alternative) in self.mapping.alternatives(root).iter().enumerate() {
                    self.try_alternative(root, i, env, &mut found);
                    let probe = self.indexes[position(root)][i].probe();
                    let value = |probe: &MappingExpr| {
                        let value = eval(probe, env).map(|value| display_value(&value));
                        (alternative.written(probe), value)
                    };
                    tries.push(MatchAttempt {
                        alternative: alternative.label(i),
                        condition: alternative.text.clone(),
                        looked_for: probe.map(value),
                        keys: self.listed_keys(root, &found),
                        hits: found.len(),
                    });
                    if !found.is_empty() {
                        break;
                    }
                }
                tries
            }
        }
    }

    fn listed_keys(&self, root: PathRoot, hits: &[u32]) -> Vec<String> {
        hits.iter().take(LISTED).map(|&c| self.key_of(root, c).to_owned()).collect()
    }

    /// The reason why a row made no edge.
    pub(in crate::mapping) fn reason<G: MappingGraph>(
        &self,
        graph: &G,
        env: &ExprEnvironment<'_>,
        bucket: RowOutcome,
        found: [&EndMatches; 2],
    ) -> Result<String, G::Error> {
        let ends = [(PathRoot::From, found[0]), (PathRoot::To, found[1])];
        let mut reasons = Vec::new();
        for (root, found) in ends {
            let table = if root == PathRoot::From { "from" } else { "to" };
            if let Some(undefined) = &found.undefined {
                reasons.push(format!("{table}: {undefined}"));
            } else if bucket == RowOutcome::Ambiguous && found.hits.len() > 1 {
                let keys = self.keys_of(root, &found.hits);
                reasons.push(format!("{} entities of `{table}`: {keys}", found.hits.len()));
            } else if bucket.is_missing() && found.is_missing() {
                reasons.push(self.missing(graph, root, env)?);
            }
        }
        Ok(reasons.join("; "))
    }

    fn missing<G: MappingGraph>(
        &self,
        graph: &G,
        root: PathRoot,
        env: &ExprEnvironment<'_>,
    ) -> Result<String, G::Error> {
        let end = self.mapping.end(root);
        let scopes: Vec<String> = end.select.scopes.iter().map(|s| format!("`{s}`")).collect();
        let scopes = match scopes.as_slice() {
            [one] => format!("scope {one}"),
            many => format!("scopes {}", many.join(", ")),
        };
        if let MatchStrategy::Key(template, _) = &end.find {
            let Ok(key) = name(template, env, NameKind::Key) else { return Ok(String::new()) };
            let mut words = format!("no entity `{key}` in {scopes}");
            for scope in &end.select.scopes {
                let where_it_is = graph.whereabouts(scope, &key)?;
                if where_it_is.live {
                    words = format!(
                        "entity `{key}` of scope `{scope}` is not of the type, class or condition asked for"
                    );
                } else if let Some(on) = where_it_is.deleted_on {
                    words = format!(
                        "entity `{key}` in scope `{scope}` is soft-deleted since {}",
                        day(on)
                    );
                } else if let [other, ..] = where_it_is.elsewhere.as_slice() {
                    words.push_str(&format!(", but in scope `{other}`"));
                }
            }
            return Ok(words);
        }
        let kind = match end.select.types.as_slice() {
            [one] => format!("`{one}`"),
            _ => "entity".to_owned(),
        };
        let tried: Vec<String> = self
            .explain_attempts(root, env)
            .into_iter()
            .map(|attempt| match attempt.looked_for {
                Some((what, Some(value))) => format!("{what} is {value}"),
                Some((what, None)) => format!("{what} is undefined"),
                None => format!("`{}` holds for none", attempt.condition),
            })
            .collect();
        Ok(format!("no {kind} of {scopes} fits: {}", tried.join("; ")))
    }
}

/// The value of a template as a name; `Err` says why it is no name.
pub(in crate::mapping) fn name(
    template: &Template,
    env: &ExprEnvironment<'_>,
    kind: NameKind,
) -> Result<String, String> {
    let value = render(template, env).map_err(|part| format!("`{part}` is undefined"))?;
    let text = match value {
        Value::Text(text) => text.into_owned(),
        other => other.to_string(),
    };
    check_name(kind, &text).map_err(|e| e.to_string())?;
    Ok(text)
}

fn id(template: &Template, env: &ExprEnvironment<'_>) -> Result<ObjectId, String> {
    let value = render(template, env).map_err(|part| format!("`{part}` is undefined"))?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    ObjectId::parse(&text).ok_or_else(|| format!("`{text}` is no `_id`, which is a UUID"))
}

/// A value for people: texts in quotes.
pub(in crate::mapping) fn display_value(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => format!("`{text}`"),
        Value::List(items) => items.iter().map(display_value).collect::<Vec<_>>().join(", "),
        other => format!("`{other}`"),
    }
}

/// The UTC day of epoch milliseconds.
fn day(milliseconds: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(milliseconds);
    time.map_or_else(|_| "an unknown day".to_owned(), |t| t.strftime("%Y-%m-%d").to_string())
}

impl MatchAlternative {
    /// An expression of it, as written.
    fn written(&self, expr: &MappingExpr) -> String {
        self.text.get(expr.span.clone()).unwrap_or_default().trim().to_owned()
    }
}

impl Mapping {
    /// The alternatives that find the entities of an end.
    pub(in crate::mapping) fn alternatives(&self, root: PathRoot) -> &[MatchAlternative] {
        match (&self.end(root).find, &self.pairs) {
            (MatchStrategy::Match(alternatives), _) => alternatives,
            (MatchStrategy::Joined, PairSource::Join(alternatives)) if root == PathRoot::To => {
                alternatives
            }
            _ => &[],
        }
    }
}
