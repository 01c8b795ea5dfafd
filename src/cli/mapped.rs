//! What `check`, `plan` and `apply` need of mapping files.

use super::failure::{Failure, REFUSED};
use rustc_hash::FxHashMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use tombolo::db::MappingJob;
use tombolo::graph::{DraftEnd, DraftRelationship, GraphRead, Kind, Names, ObjectId};
pub use tombolo::mapping::Mapping;
use tombolo::mapping::{self, Fault, Missing, Outcome, Severity};
use tombolo::store::{Snapshot, StoreError};

/// The mapping files that were read.
pub struct Loaded {
    /// Those without an error.
    pub mappings: Vec<Mapping>,
    /// Everything that is wrong with the others, each with its place, ready to print.
    pub faults: Vec<String>,
    /// How many of the faults are errors.
    pub errors: u64,
    /// How many are warnings.
    pub warnings: u64,
}

/// A row that makes no relationship.
pub struct Unmatched {
    /// `file:line`.
    pub place: String,
    /// E.g. `missing to`.
    pub outcome: &'static str,
    /// Why.
    pub reason: String,
}

/// What became of the rows of a mapping.
pub struct Drafted {
    /// Rows read.
    pub read: u64,
    /// How each of them ended; the counts add up to `read`.
    pub rows: Vec<(&'static str, u64)>,
    /// The rows that make no relationship.
    pub unmatched: Vec<Unmatched>,
    /// The files that the rows came from, as drafts count them.
    pub inputs: Vec<String>,
}

/// Reads mapping files and folders of them.
pub fn load(paths: &[PathBuf]) -> Result<Loaded, Failure> {
    let loaded = mapping::load(paths);
    let count = |severity| loaded.faults.iter().filter(|f| f.severity == severity).count() as u64;
    Ok(Loaded {
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
        faults: loaded.faults.iter().map(shown).collect(),
        mappings: loaded.mappings,
    })
}

fn shown(fault: &Fault) -> String {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = if colour { fault.coloured() } else { fault.plain() };
    text.trim_end().to_owned()
}

/// The scope of a mapping.
pub fn scope(mapping: &Mapping) -> String {
    mapping.scope.clone()
}

/// The file of a mapping.
pub fn file(mapping: &Mapping) -> String {
    mapping.file.display().to_string()
}

/// Reads the rows of a mapping and finds both ends of each.
pub fn draft(
    mapping: &Mapping,
    snapshot: &Snapshot,
) -> Result<(Drafted, Vec<DraftRelationship<'static>>), Failure> {
    let known = Known::read(snapshot, mapping)?;
    let mut rows = mapping.draft_rows(|scope, key| known.type_of(scope, key));
    let mut drafts: Vec<DraftRelationship<'static>> = Vec::new();
    let mut missing = Vec::new();
    let mut unmatched = Vec::new();
    let rows_file = mapping.rows_file();
    for row in rows.by_ref() {
        let row = row.map_err(|fault| Failure::mistake(fault.plain()))?;
        let place = format!("{rows_file}:{}", row.line);
        match row.outcome {
            Outcome::Draft(draft) => {
                let ends = [known.state(&draft.from), known.state(&draft.to)];
                if let Some(fault) = refused(mapping, &draft, &ends, &place) {
                    return Err(fault);
                }
                if ends.iter().any(|end| end.is_some()) {
                    missing.push((ends[0].is_some(), ends[1].is_some()));
                    unmatched.push(unmatched_row(place, &ends));
                }
                drafts.push(*draft);
            }
            Outcome::UndefinedKey(reason) => {
                unmatched.push(Unmatched { place, outcome: "undefined key", reason });
            }
            Outcome::Filtered | Outcome::Duplicate(_) => {}
        }
    }
    let mut count = rows.row_count();
    missing.into_iter().for_each(|(from, to)| count.missing(from, to));
    if let Some(fault) = mapping.refuse_few_rows(count.read) {
        return Err(Failure::Fault { message: fault.plain(), hint: None, code: REFUSED });
    }
    let rows = vec![
        ("linked", count.linked),
        ("filtered", count.filtered),
        ("duplicate", count.duplicate),
        ("missing from", count.missing_from),
        ("missing to", count.missing_to),
        ("missing both", count.missing_both),
        ("undefined key", count.undefined_key),
    ];
    let drafted = Drafted { read: count.read, rows, unmatched, inputs: vec![rows_file] };
    Ok((drafted, drafts))
}

/// Why an end cannot be had; `None` if it lives.
type State = Option<String>;

fn refused(
    mapping: &Mapping,
    draft: &DraftRelationship<'_>,
    ends: &[State; 2],
    place: &str,
) -> Option<Failure> {
    let strict = [&mapping.from, &mapping.to].map(|end| end.missing == Missing::Error);
    let (_, reason) =
        strict.iter().zip(ends).find_map(|(s, e)| Some((s, e.as_ref()?)).filter(|(s, _)| **s))?;
    let message = format!("error[M0504]: {place}: {reason} (edge `{}`)", draft.key);
    Some(Failure::mistake(message).hint("load the entity first, or set `missing = \"skip\"`"))
}

fn unmatched_row(place: String, ends: &[State; 2]) -> Unmatched {
    let outcome = match ends {
        [Some(_), Some(_)] => "missing both",
        [Some(_), None] => "missing from",
        _ => "missing to",
    };
    let reasons: Vec<&str> = ends.iter().flatten().map(String::as_str).collect();
    Unmatched { place, outcome, reason: reasons.join("; ") }
}

/// The entities of the scopes that a mapping joins: one pass over them costs less than looking up
/// each row.
struct Known<'s> {
    snapshot: &'s Snapshot,
    entities: FxHashMap<ObjectId, (u32, bool)>,
}

impl<'s> Known<'s> {
    fn read(snapshot: &'s Snapshot, mapping: &Mapping) -> Result<Known<'s>, StoreError> {
        let mut entities = FxHashMap::default();
        let mut scopes = vec![&mapping.from.scope, &mapping.to.scope];
        scopes.dedup();
        for scope in scopes {
            if let Some(number) = snapshot.name_number(scope) {
                snapshot.for_each_identity(Kind::Entity, number, |identity| {
                    entities.insert(identity.id, (identity.number, identity.live));
                })?;
            }
        }
        Ok(Known { snapshot, entities })
    }

    fn find(&self, scope: &str, key: &str) -> Option<(u32, bool)> {
        self.entities.get(&ObjectId::new(Kind::Entity, scope, key)).copied()
    }

    fn type_of(&self, scope: &str, key: &str) -> Option<String> {
        let (number, _) = self.find(scope, key)?;
        let head = self.snapshot.entity_head(number).ok()??;
        Some(head.type_name)
    }

    fn state(&self, end: &DraftEnd<'_>) -> State {
        let (scope, key) = (end.scope.as_deref()?, end.key.as_deref()?);
        match self.find(scope, key) {
            Some((_, true)) => None,
            Some((_, false)) => Some(format!("entity `{key}` in scope `{scope}` is soft-deleted")),
            None => Some(format!("no entity `{key}` in scope `{scope}`")),
        }
    }
}

/// The job of a mapping.
pub fn job(mapping: &Mapping, drafted: &Drafted, allow_deletes: Option<u64>) -> MappingJob {
    MappingJob {
        scope: scope(mapping),
        file: file(mapping),
        inputs: drafted.inputs.clone(),
        // `check` refuses such a mapping before it runs.
        same_scope_reject: false,
        allow_deletes,
        max_delete_percent: u32::try_from(mapping.guard.max_delete_percent).ok(),
    }
}
