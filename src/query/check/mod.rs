//! From a query as written to a resolved query: selectors become slots, names are resolved,
//! placeholders are filled in, aggregates are told apart. Every mistake that a query can have without
//! looking at data is found here.

mod columns;
mod terms;

use super::meant::*;
use super::pattern::Patterns;
use super::syntax::{
    self as written, Alternative, Cond, Element, EntityPattern, Named, Op, Returns, Span,
};
use super::{Options, parse};
use crate::graph::{Value, same_name};
use crate::lang::{Fault, Source};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The definition of a critical asset, as documented by JupiterOne. Entities with the tag
/// `CriticalAsset` are critical assets as well.
const CRITICAL_ASSET: &str = "(Application|CodeRepo|DataStore|Function|Host|Logs) \
     WITH tag.Production = true AND classification = 'critical'";

type Checks<T> = Result<T, Box<Fault>>;

/// Findings beside the resolved query.
#[derive(Default)]
pub(super) struct Seen {
    /// Warnings: parts that are allowed but odd.
    pub lints: Vec<Fault>,
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
    query: &written::Query,
    source: &Arc<Source>,
    options: &Options,
    seen: &mut Seen,
) -> Checks<Checked> {
    let mut checker = Checker {
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
struct Name {
    text: String,
    of: Of,
    explicit: bool,
    span: Span,
}

struct Checker<'a> {
    source: &'a Arc<Source>,
    options: &'a Options,
    seen: &'a mut Seen,
    names: Vec<Name>,
    entities: usize,
    relationships: usize,
    /// True if all shortest paths are asked for.
    every: bool,
    unnamed: Vec<Slot>,
    reached: Vec<Slot>,
    /// Smart classes that are being looked into: a definition may not lead to itself.
    smart: Vec<String>,
}

/// The clause of a condition, which decides the names that it can see.
#[derive(Clone, Copy)]
enum Sees<'n> {
    /// WITH: the properties of one entity.
    Subject,
    /// WHERE: the selectors of the whole path.
    Path,
    /// HAVING: the columns, by name and by text.
    Columns { names: &'n [String], keys: &'n [String] },
}

/// The context of an expression, which decides what may stand in it.
struct Place<'t> {
    /// True in WITH, where a bare property belongs to the entity under test.
    subject: bool,
    /// Aggregates and lists found so far, where they are allowed.
    table: Option<&'t mut Table>,
    clause: &'static str,
}

impl Checker<'_> {
    fn fault(&self, code: &'static str, message: impl Into<String>, at: &Span) -> Fault {
        Fault::error(code, self.source, message).at(at.clone(), "")
    }

    fn query(&mut self, query: &written::Query) -> Checks<Checked> {
        let start = self.entity(&query.start)?;
        self.name_entity(&query.start, 0)?;
        let ops = self.steps(&query.elements, 0)?;
        let filter = match &query.filter {
            Some(cond) => Some(self.test(cond, Sees::Path)?),
            None => None,
        };
        let shortest = self.shortest(query, &ops)?;
        // A list of groups alone answers with what the groups reach, not only with the start.
        let only_groups = !query.elements.is_empty()
            && query.elements.iter().all(|e| matches!(e, Element::Group { .. }));
        let output = self.output(query)?;
        if query.unique && !matches!(output, Output::Table(_)) {
            let lint =
                Fault::warning("QW02", self.source, "`UNIQUE` does nothing without `RETURN`");
            self.seen.lints.push(lint.at(query.span.clone(), ""));
        }
        if shortest.is_some() && matches!(output, Output::List { .. }) {
            let lint =
                Fault::warning("QW05", self.source, "`SHORTEST` does nothing without `RETURN`");
            self.seen.lints.push(lint.at(query.span.clone(), ""));
        }
        Ok(Checked {
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
            entity_slots: self.entities,
            relationship_slots: self.relationships,
            unnamed: std::mem::take(&mut self.unnamed),
            reached: if only_groups { std::mem::take(&mut self.reached) } else { Vec::new() },
        })
    }

    fn shortest(&self, query: &written::Query, ops: &[Step]) -> Checks<Option<Shortest>> {
        let Some(shortest) = &query.shortest else { return Ok(None) };
        let many = |step: &Step| match step {
            Step::Hop(hop) => hop.repeat.is_some(),
            Step::Group { most, .. } => *most > 1,
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
            Step::Hop(hop) => Some(hop.to),
            Step::Group { frontier, .. } => Some(*frontier),
            Step::Join(join) => Some(join.to),
            Step::Not(_) | Step::From(_) => None,
        });
        Ok(end.map(|end| Shortest { all: shortest.all, end }))
    }

    fn entity(&mut self, pattern: &EntityPattern) -> Checks<EntityTest> {
        let any = pattern.alternatives.iter().map(|a| self.kind(a)).collect::<Checks<_>>()?;
        let scope = match &pattern.scope {
            Some(text) => Some(self.filled(text)?),
            None => None,
        };
        let with = match &pattern.with {
            Some(cond) => Some(self.test(cond, Sees::Subject)?),
            None => None,
        };
        Ok(EntityTest { any, scope, with })
    }

    fn kind(&mut self, alternative: &Alternative) -> Checks<Kind> {
        Ok(match alternative {
            Alternative::Any => Kind::Any,
            Alternative::Name(name) => named(&name.text),
            Alternative::Text(text) => {
                let text = self.filled(text)?.to_lowercase();
                Kind::Words(text.split_whitespace().map(str::to_owned).collect())
            }
            Alternative::Smart(name) => self.smart(name)?,
            Alternative::SmartOf(name, of) => {
                let of = EntityTest { any: vec![named(&of.text)], scope: None, with: None };
                let smart = EntityTest { any: vec![self.smart(name)?], scope: None, with: None };
                Kind::All(vec![of, smart])
            }
        })
    }

    /// A smart class: as defined, or all entities with its name as a tag. A critical asset is both, unless
    /// the project defines it anew.
    fn smart(&mut self, name: &Named) -> Checks<Kind> {
        let defined = spelled(&self.options.smart_classes, &name.text).cloned();
        match defined {
            Some(definition) => self.defined(name, &definition),
            None if same_name(&name.text, "CriticalAsset") => {
                let any = vec![self.defined(name, CRITICAL_ASSET)?, tagged("CriticalAsset")];
                Ok(Kind::All(vec![EntityTest { any, scope: None, with: None }]))
            }
            None => Ok(tagged(&name.text)),
        }
    }

    fn defined(&mut self, name: &Named, definition: &str) -> Checks<Kind> {
        if self.smart.iter().any(|known| same_name(known, &name.text)) {
            let message = format!("smart class `{}` is defined by itself", name.text);
            return Err(Box::new(self.fault("Q0211", message, &name.span)));
        }
        let source =
            Source::whole(format!("smart class {}", name.text), format!("FIND {definition}"));
        let patterns = Patterns::new(self.options.until);
        // Definitions come from the project, so they may use extensions even for a strict query.
        let query = parse::parse(&source, self.options.now, false, &patterns)?;
        // The definition is a text of its own: faults in it point there, not into the query.
        let outer = self.source;
        let smart = self.smart.iter().chain([&name.text]).cloned().collect();
        let entity = Checker {
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
            || !matches!(query.returns, Returns::List)
        {
            let message =
                format!("smart class `{}` is more than a selector with a condition", name.text);
            return Err(Box::new(Fault::error("Q0211", outer, message).at(name.span.clone(), "")));
        }
        Ok(Kind::All(vec![entity?]))
    }

    fn name_entity(&mut self, pattern: &EntityPattern, slot: Slot) -> Checks<()> {
        match (&pattern.alias, pattern.alternatives.as_slice()) {
            (Some(alias), _) => self.add_name(alias, Of::Entity(slot)),
            (None, [Alternative::Name(name) | Alternative::SmartOf(_, name)]) => {
                self.add_default(name.text.clone(), Of::Entity(slot), &name.span);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add_default(&mut self, text: String, of: Of, span: &Span) {
        self.names.push(Name { text, of, explicit: false, span: span.clone() });
    }

    fn add_name(&mut self, alias: &Named, of: Of) -> Checks<()> {
        let twice = |name: &&Name| name.explicit && name.text == alias.text;
        if let Some(first) = self.names.iter().find(twice) {
            let message = format!("ambiguous selector `{}`", alias.text);
            let fault = self.fault("Q0202", message, &alias.span);
            return Err(Box::new(fault.context(first.span.clone(), "named first here")));
        }
        let (text, span) = (alias.text.clone(), alias.span.clone());
        self.names.push(Name { text, of, explicit: true, span });
        Ok(())
    }

    /// Resolves what follows the entity in slot `from`.
    fn steps(&mut self, elements: &[Element], mut from: Slot) -> Checks<Vec<Step>> {
        let mut steps = Vec::new();
        for (i, element) in elements.iter().enumerate() {
            match element {
                // All steps after a negated step belong to the chain that must not be there.
                Element::Step(step) if step.negated => {
                    let mut rest = vec![Step::Hop(Box::new(self.hop(step, Some(from))?.0))];
                    // `hop` has just given the last slot to its target.
                    let to = self.entities - 1;
                    rest.extend(self.steps(&elements[i + 1..], to)?);
                    steps.push(Step::Not(rest));
                    return Ok(steps);
                }
                Element::Step(step) => {
                    let (hop, to) = self.hop(step, None)?;
                    from = to;
                    steps.push(Step::Hop(Box::new(hop)));
                }
                Element::Group { elements, least, most, alias, .. } => {
                    let inner = self.steps(elements, from)?;
                    let frontier = self.entities;
                    self.entities += 1;
                    match alias {
                        Some(alias) => self.add_name(alias, Of::Entity(frontier))?,
                        None => self.unnamed.push(frontier),
                    }
                    self.reached.push(frontier);
                    from = frontier;
                    steps.push(Step::Group { steps: inner, least: *least, most: *most, frontier });
                }
                // The chain is only looked for: the steps after it go on from the same entity.
                Element::Not(elements) => {
                    let inner = self.steps(elements, from)?;
                    steps.push(Step::Not(inner));
                }
                Element::Matches { negated, target, on, span } => {
                    let join = self.join(target, on, span)?;
                    let to = join.to;
                    let join = Step::Join(Box::new(join));
                    if *negated {
                        let mut rest = vec![join];
                        rest.extend(self.steps(&elements[i + 1..], to)?);
                        steps.push(Step::Not(rest));
                        return Ok(steps);
                    }
                    from = to;
                    steps.push(join);
                }
            }
        }
        Ok(steps)
    }

    /// `MATCHES target ON ...`. One equality of the condition must say which values to look for.
    fn join(&mut self, target: &EntityPattern, on: &Cond, span: &Span) -> Checks<Join> {
        let test = self.entity(target)?;
        let to = self.entities;
        self.entities += 1;
        self.name_entity(target, to)?;
        let on = self.test(on, Sees::Path)?;
        match key_of(&on, to) {
            Some((property, value)) => Ok(Join { target: test, to, property, value, on }),
            None => {
                let message = "`ON` does not say which property of the target equals what";
                let fault = self.fault("Q0212", message, span);
                Err(Box::new(
                    fault.help(
                        "as in `FIND User AS u THAT MATCHES Person AS p ON u.email = p.email`",
                    ),
                ))
            }
        }
    }

    /// A step and the slot of its target. An alias on the target of a negated step names `anchor`, the
    /// entity that the step is tested on: queries that count entities without such a neighbour rely on it.
    fn hop(&mut self, step: &written::Step, anchor: Option<Slot>) -> Checks<(Hop, Slot)> {
        let target = self.entity(&step.target)?;
        let via = match &step.via {
            Some(via) => Some(self.entity(via)?),
            None => None,
        };
        let (relationship, to) = (self.relationships, self.entities);
        self.relationships += 1;
        self.entities += 1;
        match (&step.alias, step.verbs.as_slice()) {
            (Some(alias), _) => self.add_name(alias, Of::Relationship(relationship))?,
            (None, [written::Verb::Named(verb, _)]) => {
                self.add_default(verb.text.clone(), Of::Relationship(relationship), &verb.span);
            }
            _ => {}
        }
        match (anchor, &step.target.alias) {
            (None, _) => self.name_entity(&step.target, to)?,
            (Some(anchor), Some(alias)) => {
                if self.options.strict {
                    let message = format!("`{}` names what is not there", alias.text);
                    return Err(Box::new(self.fault("Q0202", message, &alias.span)));
                }
                let message = format!(
                    "`{}` names the target of a negated step and so means the entity before it",
                    alias.text
                );
                let lint = Fault::warning("QW03", self.source, message);
                self.seen.lints.push(lint.at(alias.span.clone(), ""));
                self.add_name(alias, Of::Entity(anchor))?;
            }
            (Some(_), None) => {}
        }
        let scope = match &step.scope {
            Some(text) => Some(self.filled(text)?),
            None => None,
        };
        let verbs = self.verbs(&step.verbs)?;
        let by = self.verbs(&step.by)?;
        let hop = Hop {
            verbs: (!verbs.is_empty()).then_some(verbs),
            by: (!by.is_empty()).then_some(by),
            arrow: step.arrow,
            scope,
            relationship,
            target,
            to,
            repeat: step.repeat,
            via,
            nearest: step.nearest,
            every: self.every,
            backward: false,
            checks: Vec::new(),
        };
        Ok((hop, to))
    }

    /// Resolved verbs, with the verbs of each set in place of its name.
    fn verbs(&self, written: &[written::Verb]) -> Checks<Vec<Verb>> {
        let mut verbs = Vec::with_capacity(written.len());
        for verb in written {
            match verb {
                written::Verb::Named(name, arrow) => {
                    let name = name.text.clone();
                    verbs.push(Verb { set: None, name, arrow: *arrow, never: false });
                }
                written::Verb::Others(arrow) => {
                    verbs.push(Verb {
                        set: None,
                        name: String::new(),
                        arrow: *arrow,
                        never: false,
                    });
                }
                written::Verb::Never(name) => {
                    let name = name.text.clone();
                    verbs.push(Verb { set: None, name, arrow: None, never: true });
                }
                written::Verb::Smart(name) => {
                    let sets = &self.options.smart_verbs;
                    // A set of the project hides a set of the rules with the same name.
                    let Some(definition) = spelled(sets, &name.text) else {
                        if let Some((set, name)) = rule_set(&name.text) {
                            verbs.push(Verb { set: Some(set), name, arrow: None, never: false });
                            continue;
                        }
                        let message = format!("no set of verbs is called `{}`", name.text);
                        let fault = self.fault("Q0213", message, &name.span);
                        let own = sets.keys().map(String::as_str);
                        let rules = RuleSet::NAMED.iter().map(|(name, _)| *name);
                        let mut known: Vec<&str> = own.chain(rules).collect();
                        known.sort_unstable();
                        let known = known.join(", ");
                        return Err(Box::new(fault.help(format!("sets are {known}"))));
                    };
                    let place = format!("set of verbs {}", name.text);
                    let inner = parse::verbs(&Source::whole(place, definition.as_str()))?;
                    // One level only, so that no set can contain itself.
                    if inner.iter().any(|verb| matches!(verb, written::Verb::Smart(_))) {
                        let message = format!("set of verbs `{}` names another set", name.text);
                        return Err(Box::new(self.fault("Q0213", message, &name.span)));
                    }
                    verbs.extend(self.verbs(&inner)?);
                }
            }
        }
        Ok(verbs)
    }
}

/// The entities that have a tag of this name.
fn tagged(name: &str) -> Kind {
    let equal = |property: String, value| Test::Compare {
        left: Term::Property(Of::Subject, property),
        op: Op::Equal,
        negated: false,
        right: Values::Term(Term::Value(value)),
        said: format!("#{name}").into(),
    };
    // A tag is kept as a text in the list `tags`, or as a property `tag.NAME` that is true.
    let text = equal("tags".into(), Value::Text(name.to_owned().into()));
    let key = equal(format!("tag.{name}"), Value::Bool(true));
    let with = Some(Test::Or(vec![text, key]));
    Kind::All(vec![EntityTest { any: vec![Kind::Any], scope: None, with }])
}

/// The definition under a name, in any spelling of it; the same letters go first.
fn spelled<'d>(defined: &'d BTreeMap<String, String>, name: &str) -> Option<&'d String> {
    let near = || defined.iter().find(|(known, _)| same_name(known, name));
    defined.get(name).or_else(|| near().map(|(_, definition)| definition))
}

/// The set of relationships that the rules define under this name, and the name with its `#`.
fn rule_set(name: &str) -> Option<(RuleSet, String)> {
    let (known, set) = RuleSet::NAMED.iter().find(|(known, _)| same_name(known, name))?;
    Some((*set, format!("#{known}")))
}

/// A class if it begins with a capital, else a type.
fn named(name: &str) -> Kind {
    match name.starts_with(char::is_uppercase) {
        true => Kind::Class(name.to_owned()),
        false => Kind::Type(name.to_owned()),
    }
}

/// The property of the entity in slot `to` that must equal another value by this condition, and that
/// value.
fn key_of(test: &Test, to: Slot) -> Option<(String, Term)> {
    match test {
        Test::And(tests) => tests.iter().find_map(|test| key_of(test, to)),
        Test::Compare {
            left, op: Op::Equal, negated: false, right: Values::Term(right), ..
        } => {
            let asks = |term: &Term| {
                let mut found = Vec::new();
                selectors(term, &mut found);
                found.contains(&Of::Entity(to))
            };
            match (left, right) {
                (Term::Property(Of::Entity(slot), name), value)
                | (value, Term::Property(Of::Entity(slot), name))
                    // The other value must be known before the target is.
                    if *slot == to && !asks(value) =>
                {
                    Some((name.clone(), value.clone()))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The selectors that a term asks, each once.
pub(super) fn selectors(term: &Term, found: &mut Vec<Of>) {
    match term {
        Term::Property(of, _) | Term::Whole(of) | Term::All(of) => {
            if !found.contains(of) {
                found.push(*of);
            }
        }
        Term::Call(_, terms) => terms.iter().for_each(|term| selectors(term, found)),
        Term::Minus(term) => selectors(term, found),
        Term::Binary(left, _, right) => {
            selectors(left, found);
            selectors(right, found);
        }
        Term::Undefined
        | Term::Value(_)
        | Term::Written(..)
        | Term::Time(_)
        | Term::Unwind(_)
        | Term::Aggregate(_)
        | Term::Column(_) => {}
    }
}
