//! From a query as written to a resolved query: selectors become slots, names are resolved,
//! placeholders are filled in, aggregates are told apart. Every mistake that a query can have without
//! looking at data is found here.

mod columns;
mod steps;
mod terms;

use super::pattern::RegexCache;
use super::resolved::*;
use super::syntax::{
    self as written, ComparisonOp, EntityPattern, PatternElement, ReturnClause,
    SelectorAlternative, SpannedName, TextLiteral, TextSpan,
};
use super::{QueryOptions, parse};
use crate::graph::{Value, same_name};
use crate::lang::{Diagnostic, PastPoint, SourceText};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The definition of a critical asset, as documented by JupiterOne. Entities with the tag
/// `CriticalAsset` are critical assets as well.
const CRITICAL_ASSET: &str = "(Application|CodeRepo|DataStore|Function|Host|Logs) \
     WITH tag.Production = true AND classification = 'critical'";

type ResolveResult<T> = Result<T, Box<Diagnostic>>;

/// Findings beside the resolved query.
#[derive(Default)]
pub(super) struct ResolveFindings {
    /// Warnings: parts that are allowed but odd.
    pub lints: Vec<Diagnostic>,
    /// The names of its placeholders, under which values are given.
    pub parameters: RefCell<BTreeSet<String>>,
    /// Approximate bytes of the values that were filled in so far.
    pub filled: Cell<u64>,
}

/// Most bytes that all values of placeholders may take together; each counts as often as it is asked.
pub(super) const FILLED_MAX: u64 = 64 << 20;
/// Bytes of a value in a condition, beside those of its text.
const VALUE_BYTES: u64 = 128;

/// Approximate bytes that a value takes in the resolved query.
fn filled_bytes(value: &Value<'_>) -> u64 {
    match value {
        Value::Text(text) => VALUE_BYTES + text.len() as u64,
        Value::List(items) => VALUE_BYTES + items.iter().map(filled_bytes).sum::<u64>(),
        _ => VALUE_BYTES,
    }
}

/// Checks a query.
pub(super) fn check(
    query: &written::ParsedQuery,
    source: &Arc<SourceText>,
    options: &QueryOptions,
    seen: &mut ResolveFindings,
) -> ResolveResult<ResolvedQuery> {
    let mut checker = QueryResolver {
        source,
        options,
        seen,
        names: Vec::new(),
        entities: 1,
        relationships: 0,
        every: query.shortest.as_ref().is_some_and(|shortest| shortest.all),
        unnamed: Vec::new(),
        reached: Vec::new(),
        smart: Vec::new(),
    };
    checker.query(query)
}

/// A selector: a name for an entity or relationship of a row.
struct SelectorName {
    text: String,
    of: PropertyOwner,
    explicit: bool,
    span: TextSpan,
}

struct QueryResolver<'a> {
    source: &'a Arc<SourceText>,
    options: &'a QueryOptions,
    seen: &'a mut ResolveFindings,
    names: Vec<SelectorName>,
    entities: usize,
    relationships: usize,
    /// True if all shortest paths are asked for.
    every: bool,
    unnamed: Vec<RowSlot>,
    reached: Vec<RowSlot>,
    /// Smart classes that are being looked into: a definition may not lead to itself.
    smart: Vec<String>,
}

/// The clause of a condition, which decides the names that it can see.
#[derive(Clone, Copy)]
enum ConditionClause<'n> {
    /// WITH: the properties of one entity.
    Subject,
    /// WHERE: the selectors of the whole path.
    Path,
    /// HAVING: the columns, by name and by text.
    Columns { names: &'n [String], keys: &'n [String] },
}

/// The context of an expression, which decides what may stand in it.
struct ExpressionContext<'t> {
    /// True in WITH, where a bare property belongs to the entity under test.
    subject: bool,
    /// Aggregates and lists found so far, where they are allowed.
    table: Option<&'t mut TableOutput>,
    clause: &'static str,
}

impl QueryResolver<'_> {
    fn fault(&self, code: &'static str, message: impl Into<String>, at: &TextSpan) -> Diagnostic {
        Diagnostic::error(code, self.source, message).at(at.clone(), "")
    }

    fn query(&mut self, query: &written::ParsedQuery) -> ResolveResult<ResolvedQuery> {
        let start = self.entity(&query.start)?;
        self.name_entity(&query.start, 0)?;
        let ops = self.steps(&query.elements, 0)?;
        let filter = match &query.filter {
            Some(cond) => Some(self.test(cond, ConditionClause::Path)?),
            None => None,
        };
        let shortest = self.shortest(query, &ops)?;
        // A list of groups alone answers with what the groups reach, not only with the start.
        let only_groups = !query.elements.is_empty()
            && query.elements.iter().all(|e| matches!(e, PatternElement::Group { .. }));
        let output = self.output(query)?;
        if query.unique && !matches!(output, QueryOutput::Table(_)) {
            let lint =
                Diagnostic::warning("QW02", self.source, "`UNIQUE` does nothing without `RETURN`");
            self.seen.lints.push(lint.at(query.span.clone(), ""));
        }
        if shortest.is_some() && matches!(output, QueryOutput::List { .. }) {
            let lint = Diagnostic::warning(
                "QW05",
                self.source,
                "`SHORTEST` does nothing without `RETURN`",
            );
            self.seen.lints.push(lint.at(query.span.clone(), ""));
        }
        Ok(ResolvedQuery {
            rules: self.options.rules.clone(),
            unique: query.unique,
            shortest,
            deleted: self.options.include_deleted,
            start,
            ops,
            filter,
            output,
            skip: query.skip.unwrap_or(0),
            limit: query.limit,
            at: match &query.at {
                Some(at) => self.past_point(at)?,
                None => None,
            },
            entity_slots: self.entities,
            relationship_slots: self.relationships,
            unnamed: std::mem::take(&mut self.unnamed),
            reached: if only_groups { std::mem::take(&mut self.reached) } else { Vec::new() },
        })
    }

    /// The point in the past that a query names. One in a placeholder without a value is not known
    /// yet.
    fn past_point(&mut self, at: &TextLiteral) -> ResolveResult<Option<PastPoint>> {
        if !self.options.past {
            let fault = self.fault("Q0113", "`AT` can not be asked here", &at.span);
            let help = "this query is asked of the newest state; leave `AT` out";
            return Err(Box::new(fault.help(help)));
        }
        let text = self.filled(at)?;
        if at.hole && self.options.parameters.is_none() {
            return Ok(None);
        }
        PastPoint::parse(&text, self.options.now)
            .map(Some)
            .map_err(|(message, help)| Box::new(self.fault("Q0112", message, &at.span).help(help)))
    }

    fn shortest(
        &self,
        query: &written::ParsedQuery,
        ops: &[PatternStep],
    ) -> ResolveResult<Option<ShortestPaths>> {
        let Some(shortest) = &query.shortest else { return Ok(None) };
        let many = |step: &PatternStep| match step {
            PatternStep::Hop(hop) => hop.repeat.is_some(),
            PatternStep::Group { most, .. } => *most > 1,
            _ => false,
        };
        if !ops.iter().any(many) {
            let fault =
                self.fault("Q0209", "`SHORTEST` needs a step of varying length", &shortest.span);
            return Err(Box::new(
                fault.help("give the verbs a quantifier: `THAT RELATES TO{1,8} >> DataStore`"),
            ));
        }
        let end = ops.iter().rev().find_map(|step| match step {
            PatternStep::Hop(hop) => Some(hop.to),
            PatternStep::Group { frontier, .. } => Some(*frontier),
            PatternStep::Join(join) => Some(join.to),
            PatternStep::Not(_) => None,
        });
        Ok(end.map(|end| ShortestPaths { all: shortest.all, end }))
    }

    fn entity(&mut self, pattern: &EntityPattern) -> ResolveResult<EntityTest> {
        let any =
            pattern.alternatives.iter().map(|a| self.kind(a)).collect::<ResolveResult<_>>()?;
        let scope = match &pattern.scope {
            Some(text) => Some(self.filled(text)?),
            None => None,
        };
        let with = match &pattern.with {
            Some(cond) => Some(self.test(cond, ConditionClause::Subject)?),
            None => None,
        };
        Ok(EntityTest { any, scope, with })
    }

    fn kind(&mut self, alternative: &SelectorAlternative) -> ResolveResult<SelectorKind> {
        Ok(match alternative {
            SelectorAlternative::Any => SelectorKind::Any,
            SelectorAlternative::Name(name) => named(&name.text),
            SelectorAlternative::Text(text) => {
                let text = self.filled(text)?.to_lowercase();
                SelectorKind::Words(text.split_whitespace().map(str::to_owned).collect())
            }
            SelectorAlternative::Smart(name) => self.smart(name)?,
            SelectorAlternative::SmartOf(name, of) => {
                let of = EntityTest { any: vec![named(&of.text)], scope: None, with: None };
                let smart = EntityTest { any: vec![self.smart(name)?], scope: None, with: None };
                SelectorKind::All(vec![of, smart])
            }
        })
    }

    /// A smart class: as defined, or all entities with its name as a tag. A critical asset is both, unless
    /// the project defines it anew.
    fn smart(&mut self, name: &SpannedName) -> ResolveResult<SelectorKind> {
        let defined = find_any_spelling(&self.options.smart_classes, &name.text).cloned();
        match defined {
            Some(definition) => self.defined(name, &definition),
            None if same_name(&name.text, "CriticalAsset") => {
                let any = vec![self.defined(name, CRITICAL_ASSET)?, tagged("CriticalAsset")];
                Ok(SelectorKind::All(vec![EntityTest { any, scope: None, with: None }]))
            }
            None => Ok(tagged(&name.text)),
        }
    }

    fn defined(&mut self, name: &SpannedName, definition: &str) -> ResolveResult<SelectorKind> {
        if self.smart.iter().any(|known| same_name(known, &name.text)) {
            let message = format!("smart class `{}` is defined by itself", name.text);
            return Err(Box::new(self.fault("Q0211", message, &name.span)));
        }
        let source =
            SourceText::whole(format!("smart class {}", name.text), format!("FIND {definition}"));
        let patterns = RegexCache::new(self.options.until);
        // Definitions come from the project, so they may use extensions even for a strict query.
        let query = parse::parse(&source, self.options.now, false, &patterns)?;
        // The definition is a text of its own: faults in it point there, not into the query.
        let outer = self.source;
        let smart = self.smart.iter().chain([&name.text]).cloned().collect();
        let entity = QueryResolver {
            source: &source,
            options: self.options,
            seen: self.seen,
            names: Vec::new(),
            entities: 1,
            relationships: 0,
            every: false,
            unnamed: Vec::new(),
            reached: Vec::new(),
            smart,
        }
        .entity(&query.start);
        if !query.elements.is_empty()
            || query.filter.is_some()
            || !matches!(query.returns, ReturnClause::List)
        {
            let message =
                format!("smart class `{}` is more than a selector with a condition", name.text);
            return Err(Box::new(
                Diagnostic::error("Q0211", outer, message).at(name.span.clone(), ""),
            ));
        }
        Ok(SelectorKind::All(vec![entity?]))
    }

    fn name_entity(&mut self, pattern: &EntityPattern, slot: RowSlot) -> ResolveResult<()> {
        match (&pattern.alias, pattern.alternatives.as_slice()) {
            (Some(alias), _) => self.add_name(alias, PropertyOwner::Entity(slot)),
            (None, [SelectorAlternative::Name(name) | SelectorAlternative::SmartOf(_, name)]) => {
                self.add_default(name.text.clone(), PropertyOwner::Entity(slot), &name.span);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add_default(&mut self, text: String, of: PropertyOwner, span: &TextSpan) {
        self.names.push(SelectorName { text, of, explicit: false, span: span.clone() });
    }

    fn add_name(&mut self, alias: &SpannedName, of: PropertyOwner) -> ResolveResult<()> {
        let twice = |name: &&SelectorName| name.explicit && name.text == alias.text;
        if let Some(first) = self.names.iter().find(twice) {
            let message = format!("ambiguous selector `{}`", alias.text);
            let fault = self.fault("Q0202", message, &alias.span);
            return Err(Box::new(fault.context(first.span.clone(), "named first here")));
        }
        let (text, span) = (alias.text.clone(), alias.span.clone());
        self.names.push(SelectorName { text, of, explicit: true, span });
        Ok(())
    }
}

/// The entities that have a tag of this name.
fn tagged(name: &str) -> SelectorKind {
    let equal = |property: String, value| Predicate::Compare {
        left: ScalarExpr::Property(PropertyOwner::Subject, property),
        op: ComparisonOp::Equal,
        negated: false,
        right: PredicateOperand::Term(ScalarExpr::Value(value)),
        said: format!("#{name}").into(),
    };
    // A tag is kept as a text in the list `tags`, or as a property `tag.NAME` that is true.
    let text = equal("tags".into(), Value::Text(name.to_owned().into()));
    let key = equal(format!("tag.{name}"), Value::Bool(true));
    let with = Some(Predicate::Or(vec![text, key]));
    SelectorKind::All(vec![EntityTest { any: vec![SelectorKind::Any], scope: None, with }])
}

/// The definition under a name, in any spelling of it; the same letters go first.
fn find_any_spelling<'d>(defined: &'d BTreeMap<String, String>, name: &str) -> Option<&'d String> {
    let near = || defined.iter().find(|(known, _)| same_name(known, name));
    defined.get(name).or_else(|| near().map(|(_, definition)| definition))
}

/// A class if it begins with a capital, else a type.
fn named(name: &str) -> SelectorKind {
    match name.starts_with(char::is_uppercase) {
        true => SelectorKind::Class(name.to_owned()),
        false => SelectorKind::Type(name.to_owned()),
    }
}

/// The selectors that a term asks, each once.
pub(super) fn selectors(term: &ScalarExpr, found: &mut Vec<PropertyOwner>) {
    match term {
        ScalarExpr::Property(of, _) | ScalarExpr::Whole(of) | ScalarExpr::All(of) => {
            if !found.contains(of) {
                found.push(*of);
            }
        }
        ScalarExpr::Call(_, terms) => terms.iter().for_each(|term| selectors(term, found)),
        ScalarExpr::Minus(term) => selectors(term, found),
        ScalarExpr::Binary(left, _, right) => {
            selectors(left, found);
            selectors(right, found);
        }
        ScalarExpr::Undefined
        | ScalarExpr::Value(_)
        | ScalarExpr::Written(..)
        | ScalarExpr::Time(_)
        | ScalarExpr::Unwind(_)
        | ScalarExpr::Aggregate(_)
        | ScalarExpr::Column(_) => {}
    }
}
