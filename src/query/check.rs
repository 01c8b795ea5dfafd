//! From a query as written to a query as meant: selectors become slots, names are resolved,
//! placeholders filled in, aggregates told apart. All that can be wrong with a query without
//! looking at data is found here.

use super::syntax::{
    self as written, Alternative, Arrow, Cond, Element, EntityPattern, Expr, ExprKind, Math, Named,
    Op, Returns, Right, Span,
};
use super::{Options, lex, parse};
use crate::graph::Value;
use crate::lang::{Fault, Source, closest};
use regex::Regex;
use std::sync::Arc;

/// Position of an entity in a row.
pub(super) type Slot = usize;

/// A query that can be run.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub unique: bool,
    pub shortest: Option<Shortest>,
    /// Whether entities that were deleted are found as well.
    pub deleted: bool,
    /// What the entity in slot 0 must be.
    pub start: EntityTest,
    pub ops: Vec<Step>,
    pub filter: Option<Test>,
    pub output: Output,
    pub skip: u64,
    pub limit: Option<u64>,
    /// Numbers of slots for entities and for relationships.
    pub entity_slots: usize,
    pub relationship_slots: usize,
    /// Frontiers of groups that have no name: they tell no two rows apart.
    pub unnamed: Vec<Slot>,
    /// Frontiers of the groups, for lists of a query that has nothing but optional groups.
    pub reached: Vec<Slot>,
}

/// Which of the paths between two ends are kept: those of the fewest relationships.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shortest {
    /// Every such path, not one.
    pub all: bool,
    /// The slot of the last entity.
    pub end: Slot,
}

/// What an entity must be.
#[derive(Clone, Debug)]
pub(super) struct EntityTest {
    /// One of these.
    pub any: Vec<Kind>,
    pub scope: Option<String>,
    pub with: Option<Test>,
}

/// One way for an entity to fit a selector.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Any,
    Class(String),
    Type(String),
    /// Each word, in lower case, is part of some property.
    Words(Vec<String>),
    /// All of these.
    All(Vec<EntityTest>),
}

/// What can follow an entity in a pattern.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Hop(Box<Hop>),
    Group { steps: Vec<Step>, least: u32, most: u32, frontier: Slot },
    Not(Vec<Step>),
    Join(Box<Join>),
}

/// An entity found by its values, not by a relationship.
#[derive(Clone, Debug)]
pub(super) struct Join {
    pub target: EntityTest,
    pub to: Slot,
    /// The property of the target that a value known before it must equal.
    pub property: String,
    pub value: Term,
    /// The whole condition.
    pub on: Test,
}

/// A relationship, or several in a row, and the entity it leads to.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    /// Upper case; `None` means any.
    pub verbs: Option<Vec<String>>,
    pub arrow: Arrow,
    pub scope: Option<String>,
    pub relationship: Slot,
    pub target: EntityTest,
    pub to: Slot,
    /// Least and most relationships; `None` for a plain step.
    pub repeat: Option<(u32, u32)>,
    pub via: Option<EntityTest>,
    pub nearest: bool,
    /// Every shortest chain of a quantified step, not one.
    pub every: bool,
    /// Matched from its target to its left entity.
    pub backward: bool,
}

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Or(Vec<Test>),
    And(Vec<Test>),
    Not(Box<Test>),
    Compare { left: Term, op: Op, negated: bool, right: Values },
}

/// What the left side is compared with.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Or(Vec<Values>),
    And(Vec<Values>),
    Term(Term),
    Pattern(Regex),
    /// The values of the only column of a query.
    Query(Box<Checked>),
}

/// Whose property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    /// The entity that a WITH tests.
    Subject,
    Entity(Slot),
    Relationship(Slot),
}

/// A value, computed from a row.
#[derive(Clone, Debug)]
pub(super) enum Term {
    Undefined,
    Value(Value<'static>),
    Property(Of, String),
    Whole(Of),
    All(Of),
    Call(Function, Vec<Term>),
    /// Number of a list whose items take turns.
    Unwind(usize),
    Aggregate(usize),
    Column(usize),
    Minus(Box<Term>),
    Binary(Box<Term>, Math, Box<Term>),
}

/// Functions of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Sqrt,
    Ceil,
    Floor,
    Round,
    Coalesce,
    Concat,
    Merge,
    Depth,
}

/// Functions of many rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AggregateKind {
    Count,
    Rows,
    Sum,
    Average,
    Least,
    Greatest,
}

/// One call of an aggregate function.
#[derive(Clone, Debug)]
pub(super) struct Aggregate {
    pub kind: AggregateKind,
    pub argument: Term,
    /// The selectors in the argument: each combination counts once.
    pub over: Vec<Of>,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(super) enum Output {
    List { order: Vec<(Term, bool)> },
    Tree,
    Table(Box<Table>),
}

/// A table: columns, of which the last ones may only be there to sort by.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub names: Vec<String>,
    pub columns: Vec<Term>,
    pub aggregates: Vec<Aggregate>,
    pub unwinds: Vec<Term>,
    pub having: Option<Test>,
    /// Column and whether descending.
    pub order: Vec<(usize, bool)>,
}

const SCALARS: [(&str, Function); 9] = [
    ("abs", Function::Abs),
    ("sqrt", Function::Sqrt),
    ("ceil", Function::Ceil),
    ("floor", Function::Floor),
    ("round", Function::Round),
    ("coalesce", Function::Coalesce),
    ("concat", Function::Concat),
    ("merge", Function::Merge),
    ("depth", Function::Depth),
];

const AGGREGATES: [(&str, AggregateKind); 5] = [
    ("count", AggregateKind::Count),
    ("sum", AggregateKind::Sum),
    ("avg", AggregateKind::Average),
    ("min", AggregateKind::Least),
    ("max", AggregateKind::Greatest),
];

/// The definition of a critical asset, as documented by JupiterOne.
const CRITICAL_ASSET: &str = "(Application|CodeRepo|DataStore|Function|Host|Logs) \
     WITH tag.Production = true AND classification = 'critical'";

type Checks<T> = Result<T, Box<Fault>>;

/// Checks a query; what is odd but allowed is added to `lints`.
pub(super) fn check(
    query: &written::Query,
    source: &Arc<Source>,
    options: &Options,
    lints: &mut Vec<Fault>,
) -> Checks<Checked> {
    let mut checker = Checker {
        source,
        options,
        lints,
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

/// A name that a row can be asked by.
struct Name {
    text: String,
    of: Of,
    explicit: bool,
    span: Span,
}

struct Checker<'a> {
    source: &'a Arc<Source>,
    options: &'a Options,
    lints: &'a mut Vec<Fault>,
    names: Vec<Name>,
    entities: usize,
    relationships: usize,
    /// Whether all shortest paths are asked for.
    every: bool,
    unnamed: Vec<Slot>,
    reached: Vec<Slot>,
    /// Smart classes that are being looked into: a definition may not lead to itself.
    smart: Vec<String>,
}

/// What a condition can see.
#[derive(Clone, Copy)]
enum Sees<'n> {
    /// WITH: the properties of one entity.
    Subject,
    /// WHERE: the selectors of the whole path.
    Path,
    /// HAVING: the columns, by name and by text.
    Columns { names: &'n [String], keys: &'n [String] },
}

/// What may stand in an expression.
struct Place<'t> {
    /// Where a bare property belongs to, in WITH.
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
        let only_groups = !query.elements.is_empty()
            && query.elements.iter().all(|e| matches!(e, Element::Group { .. }));
        let output = self.output(query)?;
        if query.unique && !matches!(output, Output::Table(_)) {
            let lint =
                Fault::warning("QW02", self.source, "`UNIQUE` does nothing without `RETURN`");
            self.lints.push(lint.at(query.span.clone(), ""));
        }
        if shortest.is_some() && matches!(output, Output::List { .. }) {
            let lint =
                Fault::warning("QW05", self.source, "`SHORTEST` does nothing without `RETURN`");
            self.lints.push(lint.at(query.span.clone(), ""));
        }
        Ok(Checked {
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
            Step::Not(_) => None,
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

    /// A smart class: as defined, or everything that is tagged with its name.
    fn smart(&mut self, name: &Named) -> Checks<Kind> {
        let defined = self.options.smart_classes.get(&name.text).map(String::as_str);
        let built_in = (name.text == "CriticalAsset").then_some(CRITICAL_ASSET);
        let Some(definition) = defined.or(built_in) else {
            let text = Value::Text(name.text.clone().into());
            let equal = |property: String, value| Test::Compare {
                left: Term::Property(Of::Subject, property),
                op: Op::Equal,
                negated: false,
                right: Values::Term(Term::Value(value)),
            };
            let tagged = equal(format!("tag.{}", name.text), Value::Bool(true));
            let with = Some(Test::Or(vec![equal("tags".into(), text), tagged]));
            return Ok(Kind::All(vec![EntityTest { any: vec![Kind::Any], scope: None, with }]));
        };
        if self.smart.contains(&name.text) {
            let message = format!("smart class `{}` is defined by itself", name.text);
            return Err(Box::new(self.fault("Q0211", message, &name.span)));
        }
        let source =
            Source::whole(format!("smart class {}", name.text), format!("FIND {definition}"));
        let query = parse::parse(&source, self.options.now, false)?;
        let outer = self.source;
        let smart = self.smart.iter().chain([&name.text]).cloned().collect();
        let entity = Checker {
            source: &source,
            options: self.options,
            lints: self.lints,
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
                // Whatever follows a negated step belongs to what must not be there.
                Element::Step(step) if step.negated => {
                    let mut rest = vec![Step::Hop(Box::new(self.hop(step, Some(from))?.0))];
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

    /// `MATCHES target ON ...`; one equality must say where to look.
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

    /// A step and the slot of its target. An alias on the target of a negated step means the entity
    /// the step is tested on, `anchor`: queries that count what has no such neighbour rely on it.
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
            (None, [verb]) => {
                let verb_name = verb.text.to_uppercase();
                self.add_default(verb_name, Of::Relationship(relationship), &verb.span);
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
                self.lints.push(lint.at(alias.span.clone(), ""));
                self.add_name(alias, Of::Entity(anchor))?;
            }
            (Some(_), None) => {}
        }
        let scope = match &step.scope {
            Some(text) => Some(self.filled(text)?),
            None => None,
        };
        let verbs = step.verbs.iter().map(|verb| verb.text.to_uppercase()).collect::<Vec<_>>();
        let hop = Hop {
            verbs: (!verbs.is_empty()).then_some(verbs),
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
        };
        Ok((hop, to))
    }

    /// What a selector of an expression stands for.
    fn find(&self, text: &str, at: &Span, clause: &str) -> Checks<Of> {
        let explicit: Vec<&Name> =
            self.names.iter().filter(|n| n.explicit && n.text == text).collect();
        let fits = |name: &&Name| match name.of {
            Of::Relationship(_) => name.text.eq_ignore_ascii_case(text),
            _ => name.text == text,
        };
        let found = match explicit.is_empty() {
            false => explicit,
            true => self.names.iter().filter(|n| !n.explicit).filter(fits).collect(),
        };
        match found.as_slice() {
            [name] => Ok(name.of),
            [] => Err(self.unknown(text, at, clause)),
            [first, second, ..] => {
                let fault = self.fault("Q0202", format!("ambiguous selector `{text}`"), at);
                let fault = fault
                    .context(first.span.clone(), "could be this")
                    .context(second.span.clone(), "or this");
                Err(Box::new(fault.help("give the one that is meant a name with `AS`")))
            }
        }
    }

    fn unknown(&self, text: &str, at: &Span, clause: &str) -> Box<Fault> {
        let mut valid: Vec<&str> = self.names.iter().map(|n| n.text.as_str()).collect();
        valid.dedup();
        let quoted: Vec<String> = valid.iter().map(|name| format!("\"{name}\"")).collect();
        let words = match clause {
            "WHERE" => "predicate filter selector",
            _ => "return selector",
        };
        let note = format!(
            "Invalid {words} provided: \"{text}\", valid {words}s are: {}",
            quoted.join(", ")
        );
        let fault = self.fault("Q0201", format!("unknown selector `{text}`"), at);
        let fault = match closest(text, valid.iter().copied()) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None if valid.is_empty() => fault.help("name an entity with `AS` to ask for it"),
            None => fault.help(format!("selectors are {}", valid.join(", "))),
        };
        Box::new(fault.note(note))
    }

    fn test(&mut self, cond: &Cond, sees: Sees<'_>) -> Checks<Test> {
        let all = |checker: &mut Self, conds: &[Cond]| {
            conds.iter().map(|c| checker.test(c, sees)).collect::<Checks<Vec<_>>>()
        };
        Ok(match cond {
            Cond::Or(conds) => Test::Or(all(self, conds)?),
            Cond::And(conds) => Test::And(all(self, conds)?),
            Cond::Not(cond) => Test::Not(Box::new(self.test(cond, sees)?)),
            Cond::Compare(compare) => {
                let left = self.compared(&compare.left, sees)?;
                let right = self.values(&compare.right, sees)?;
                Test::Compare { left, op: compare.op, negated: compare.negated, right }
            }
        })
    }

    /// One side of a comparison.
    fn compared(&mut self, expr: &Expr, sees: Sees<'_>) -> Checks<Term> {
        let (subject, clause) = match sees {
            Sees::Subject => (true, "WITH"),
            Sees::Path => (false, "WHERE"),
            Sees::Columns { names, keys } => return self.having_term(expr, names, keys),
        };
        self.term(expr, &mut Place { subject, table: None, clause })
    }

    fn values(&mut self, right: &Right, sees: Sees<'_>) -> Checks<Values> {
        let all = |checker: &mut Self, rights: &[Right]| {
            rights.iter().map(|r| checker.values(r, sees)).collect::<Checks<Vec<_>>>()
        };
        Ok(match right {
            Right::Or(rights) => Values::Or(all(self, rights)?),
            Right::And(rights) => Values::And(all(self, rights)?),
            Right::Pattern(regex) => Values::Pattern(regex.clone()),
            Right::Value(expr) => {
                match self.compared(expr, sees)? {
                    // A parameter may be a list: any of its values.
                    Term::Value(Value::List(items)) => Values::Or(
                        items.into_iter().map(|item| Values::Term(Term::Value(item))).collect(),
                    ),
                    term => Values::Term(term),
                }
            }
            Right::Query(query) if matches!(sees, Sees::Columns { .. }) => {
                let message = "a query cannot stand in HAVING";
                return Err(Box::new(self.fault("Q0208", message, &query.span)));
            }
            Right::Query(query) => {
                let checked = check(query, self.source, self.options, self.lints)?;
                match &checked.output {
                    Output::Table(table) if table.names.len() == 1 => {
                        Values::Query(Box::new(checked))
                    }
                    _ => {
                        let fault =
                            self.fault("Q0208", "a query as a value needs one column", &query.span);
                        return Err(Box::new(fault.help("end it with `RETURN alias.property`")));
                    }
                }
            }
        })
    }

    /// A text with its placeholders filled in.
    fn filled(&self, text: &written::Text) -> Checks<String> {
        match self.text(text)? {
            Term::Value(Value::Text(text)) => Ok(text.into_owned()),
            Term::Value(other) => Ok(other.to_string()),
            _ => Ok(String::new()),
        }
    }

    fn text(&self, text: &written::Text) -> Checks<Term> {
        if text.hole {
            return Ok(match self.parameter(&text.text, &text.span)? {
                Some(value) => Term::Value(value),
                None => Term::Undefined,
            });
        }
        let (mut filled, mut rest) = (String::new(), text.text.as_str());
        while let Some(at) = rest.find("{{").into_iter().chain(rest.find("${")).min() {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            match lex::word_at(rest, 0) {
                (lex::Word::Hole(name), span) => {
                    match self.parameter(&name, &text.span)? {
                        Some(Value::Text(value)) => filled.push_str(&value),
                        Some(other) => filled.push_str(&other.to_string()),
                        None => {}
                    }
                    rest = &rest[span.end..];
                }
                _ => {
                    filled.push_str(&rest[..2]);
                    rest = &rest[2..];
                }
            }
        }
        filled.push_str(rest);
        Ok(Term::Value(Value::Text(filled.into())))
    }

    /// The value of a placeholder; `None` where values are not needed yet.
    fn parameter(&self, name: &str, at: &Span) -> Checks<Option<Value<'static>>> {
        let Some(parameters) = &self.options.parameters else { return Ok(None) };
        match parameters.get(name) {
            Some(value) => Ok(Some(value.clone())),
            None => {
                let fault = self.fault("Q0207", format!("parameter `{name}` has no value"), at);
                Err(Box::new(fault.help(format!("give one with --param '{name}=VALUE'"))))
            }
        }
    }

    fn term(&mut self, expr: &Expr, place: &mut Place<'_>) -> Checks<Term> {
        Ok(match &expr.kind {
            ExprKind::Number(number) => Term::Value(number.clone()),
            ExprKind::Bool(value) => Term::Value(Value::Bool(*value)),
            ExprKind::Time(time) => Term::Value(Value::Int(*time)),
            ExprKind::Undefined => Term::Undefined,
            ExprKind::Text(text) => self.text(text)?,
            ExprKind::Path(parts) => self.path(parts, &expr.span, place)?,
            ExprKind::All(alias) => Term::All(self.find(alias, &expr.span, place.clause)?),
            ExprKind::Minus(inner) => Term::Minus(Box::new(self.term(inner, place)?)),
            ExprKind::Binary(left, math, right) => {
                let left = self.term(left, place)?;
                Term::Binary(Box::new(left), *math, Box::new(self.term(right, place)?))
            }
            ExprKind::Rows => {
                return Err(Box::new(self.fault("Q0205", "`*` can only be counted", &expr.span)));
            }
            ExprKind::Call { name, arguments } => self.call(name, arguments, &expr.span, place)?,
        })
    }

    fn path(&self, parts: &[String], at: &Span, place: &Place<'_>) -> Checks<Term> {
        let mut filled = Vec::with_capacity(parts.len());
        for part in parts {
            let text = written::Text { text: part.clone(), hole: false, span: at.clone() };
            filled.push(self.filled(&text)?);
        }
        let parts = filled.as_slice();
        if place.subject {
            return Ok(Term::Property(Of::Subject, parts.join(".")));
        }
        let known = |name: &Name| {
            name.text == parts[0]
                || matches!(name.of, Of::Relationship(_))
                    && name.text.eq_ignore_ascii_case(&parts[0])
        };
        if place.clause == "WHERE" && parts.len() == 1 && !self.names.iter().any(known) {
            let fault = self.fault("Q0203", format!("`{}` names no selector", parts[0]), at);
            let example = self.names.first().map_or("User", |name| &name.text);
            return Err(Box::new(fault.help(format!(
                "WHERE compares whole paths: write `{example}.{}`, or use WITH behind the entity",
                parts[0]
            ))));
        }
        let of = self.find(&parts[0], at, place.clause)?;
        Ok(match parts.len() {
            1 => Term::Whole(of),
            _ => Term::Property(of, parts[1..].join(".")),
        })
    }

    fn call(
        &mut self,
        name: &Named,
        arguments: &[Expr],
        at: &Span,
        place: &mut Place<'_>,
    ) -> Checks<Term> {
        let aggregate = AGGREGATES.iter().find(|(known, _)| *known == name.text);
        if let Some((_, kind)) = aggregate {
            let [argument] = arguments else {
                let message = format!("`{}` takes one argument", name.text);
                return Err(Box::new(self.fault("Q0205", message, at)));
            };
            let (kind, argument) = match argument.kind {
                ExprKind::Rows => (AggregateKind::Rows, Term::Undefined),
                _ => {
                    let mut inside = Place { subject: false, table: None, clause: "RETURN" };
                    (*kind, self.term(argument, &mut inside)?)
                }
            };
            let Some(table) = &mut place.table else {
                let message = format!("`{}` cannot stand here", name.text);
                let fault = self.fault("Q0205", message, at);
                return Err(Box::new(
                    fault.help("aggregates stand in RETURN, alone or in arithmetic"),
                ));
            };
            let mut over = Vec::new();
            selectors(&argument, &mut over);
            table.aggregates.push(Aggregate { kind, argument, over });
            return Ok(Term::Aggregate(table.aggregates.len() - 1));
        }
        if name.text == "unwind" {
            let [argument] = arguments else {
                return Err(Box::new(self.fault("Q0205", "`unwind` takes one argument", at)));
            };
            let mut inside = Place { subject: false, table: None, clause: "RETURN" };
            let term = self.term(argument, &mut inside)?;
            let Some(table) = &mut place.table else {
                return Err(Box::new(self.fault("Q0205", "`unwind` cannot stand here", at)));
            };
            table.unwinds.push(term);
            return Ok(Term::Unwind(table.unwinds.len() - 1));
        }
        let Some((_, function)) = SCALARS.iter().find(|(known, _)| *known == name.text) else {
            let names = || {
                SCALARS.iter().map(|s| s.0).chain(AGGREGATES.iter().map(|a| a.0)).chain(["unwind"])
            };
            let fault =
                self.fault("Q0204", format!("unknown function `{}`", name.text), &name.span);
            let help = match closest(&name.text, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("functions are {}", names().collect::<Vec<_>>().join(", ")),
            };
            return Err(Box::new(fault.help(help)));
        };
        let several = matches!(function, Function::Coalesce | Function::Concat | Function::Merge);
        if arguments.is_empty() || (arguments.len() > 1 && !several) {
            let message = format!(
                "`{}` takes {} argument",
                name.text,
                if several { "at least one" } else { "one" }
            );
            return Err(Box::new(self.fault("Q0205", message, at)));
        }
        let terms: Vec<Term> =
            arguments.iter().map(|a| self.term(a, place)).collect::<Checks<_>>()?;
        if *function == Function::Depth && !matches!(terms[0], Term::Whole(Of::Relationship(_))) {
            let fault = self.fault("Q0205", "`depth` takes the alias of a step", at);
            return Err(Box::new(fault.help("as in `THAT HAS{1,4} AS r Group RETURN DEPTH(r)`")));
        }
        Ok(Term::Call(*function, terms))
    }

    fn output(&mut self, query: &written::Query) -> Checks<Output> {
        let columns = match &query.returns {
            Returns::List | Returns::Tree => {
                if let Some(sort) = query.order.first()
                    && let Returns::Tree = query.returns
                {
                    return Err(Box::new(self.fault(
                        "Q0206",
                        "a tree has no order",
                        &sort.expr.span,
                    )));
                }
                if query.having.is_some() {
                    return Err(Box::new(self.fault(
                        "Q0206",
                        "`HAVING` needs `RETURN` columns",
                        &query.span,
                    )));
                }
                if let Returns::Tree = query.returns {
                    return Ok(Output::Tree);
                }
                let mut order = Vec::new();
                for sort in &query.order {
                    let mut place = Place { subject: false, table: None, clause: "ORDER BY" };
                    order.push((self.term(&sort.expr, &mut place)?, sort.descending));
                }
                return Ok(Output::List { order });
            }
            Returns::Columns(columns) => columns,
        };
        let mut table = Table {
            names: Vec::new(),
            columns: Vec::new(),
            aggregates: Vec::new(),
            unwinds: Vec::new(),
            having: None,
            order: Vec::new(),
        };
        let mut keys = Vec::new();
        for column in columns {
            let key = self.key(&column.expr.span);
            let name = column.name.as_ref().map_or_else(|| key.clone(), |name| name.text.clone());
            if let Some(first) = table.names.iter().position(|known| *known == name) {
                let at = column.name.as_ref().map_or(&column.expr.span, |name| &name.span);
                if keys[first] == key {
                    let message = format!("column `{name}` is returned twice, and shown once");
                    self.lints
                        .push(Fault::warning("QW04", self.source, message).at(at.clone(), ""));
                    continue;
                }
                let fault = self.fault("Q0206", format!("second column `{name}`"), at);
                return Err(Box::new(fault.help("give one of them another name with `AS`")));
            }
            let mut place = Place { subject: false, table: Some(&mut table), clause: "RETURN" };
            let term = self.term(&column.expr, &mut place)?;
            table.columns.push(term);
            table.names.push(name);
            keys.push(key);
        }
        if let Some(cond) = &query.having {
            let sees = Sees::Columns { names: &table.names, keys: &keys };
            table.having = Some(self.test(cond, sees)?);
        }
        for sort in &query.order {
            let at = self.sort_column(&sort.expr, &mut table, &keys)?;
            table.order.push((at, sort.descending));
        }
        Ok(Output::Table(Box::new(table)))
    }

    /// The text of an expression without spaces that mean nothing: what its column is called.
    fn key(&self, span: &Span) -> String {
        let (mut key, mut at) = (String::new(), span.start);
        while at < span.end {
            let (word, range) = lex::word_at(&self.source.text, at);
            if range.is_empty() {
                break;
            }
            let written = &self.source.text[range.clone()];
            let called =
                matches!(lex::word_at(&self.source.text, range.end).0, lex::Word::Symbol("("));
            match word {
                lex::Word::Name(name) if called => key.push_str(&name.to_lowercase()),
                lex::Word::Symbol(s @ ("+" | "-" | "/" | "^")) => key.push_str(&format!(" {s} ")),
                lex::Word::Symbol("*") if !key.ends_with(['.', '(']) => key.push_str(" * "),
                lex::Word::Symbol(",") => key.push_str(", "),
                _ => key.push_str(written),
            }
            at = range.end;
        }
        key
    }

    fn column(&self, span: &Span, names: &[String], keys: &[String]) -> Option<usize> {
        let key = self.key(span);
        names.iter().position(|name| *name == key).or_else(|| keys.iter().position(|k| *k == key))
    }

    fn having_term(&self, expr: &Expr, names: &[String], keys: &[String]) -> Checks<Term> {
        Ok(match &expr.kind {
            ExprKind::Number(number) => Term::Value(number.clone()),
            ExprKind::Bool(value) => Term::Value(Value::Bool(*value)),
            ExprKind::Time(time) => Term::Value(Value::Int(*time)),
            ExprKind::Undefined => Term::Undefined,
            ExprKind::Text(text) => self.text(text)?,
            _ => match self.column(&expr.span, names, keys) {
                Some(at) => Term::Column(at),
                None => {
                    let message = format!("`{}` is no column", self.key(&expr.span));
                    let fault = self.fault("Q0206", message, &expr.span);
                    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
                    return Err(Box::new(fault.help(format!("columns are {}", quoted.join(", ")))));
                }
            },
        })
    }

    /// The column to sort by, which may have to be added.
    fn sort_column(&mut self, expr: &Expr, table: &mut Table, keys: &[String]) -> Checks<usize> {
        if let Some(at) = self.column(&expr.span, &table.names, keys) {
            return Ok(at);
        }
        let grouped = !table.aggregates.is_empty();
        let before = table.aggregates.len();
        let mut place = Place { subject: false, table: Some(&mut *table), clause: "ORDER BY" };
        let term = self.term(expr, &mut place)?;
        if grouped && table.aggregates.len() == before {
            let message =
                format!("rows are grouped, so `{}` must be a column", self.key(&expr.span));
            let fault = self.fault("Q0206", message, &expr.span);
            return Err(Box::new(fault.help("add it to RETURN, or sort by one of its columns")));
        }
        table.columns.push(term);
        Ok(table.columns.len() - 1)
    }
}

/// A class if it begins with a capital, else a type.
fn named(name: &str) -> Kind {
    match name.starts_with(char::is_uppercase) {
        true => Kind::Class(name.to_owned()),
        false => Kind::Type(name.to_owned()),
    }
}

/// The classes, types and verbs that a query names.
pub(super) fn names(query: &Checked, found: &mut Vec<(&'static str, String)>) {
    fn entity(test: &EntityTest, found: &mut Vec<(&'static str, String)>) {
        for kind in &test.any {
            match kind {
                Kind::Class(name) => found.push(("class", name.clone())),
                Kind::Type(name) => found.push(("type", name.clone())),
                _ => {}
            }
        }
    }
    fn steps(all: &[Step], found: &mut Vec<(&'static str, String)>) {
        for step in all {
            match step {
                Step::Hop(hop) => {
                    let verbs = hop.verbs.iter().flatten();
                    found.extend(verbs.map(|verb| ("verb", verb.clone())));
                    entity(&hop.target, found);
                }
                Step::Join(join) => entity(&join.target, found),
                Step::Group { steps: inner, .. } | Step::Not(inner) => steps(inner, found),
            }
        }
    }
    entity(&query.start, found);
    steps(&query.ops, found);
}

/// The property of the entity in slot `to` that a condition says equals another value.
fn key_of(test: &Test, to: Slot) -> Option<(String, Term)> {
    match test {
        Test::And(tests) => tests.iter().find_map(|test| key_of(test, to)),
        Test::Compare { left, op: Op::Equal, negated: false, right: Values::Term(right) } => {
            let asks = |term: &Term| {
                let mut found = Vec::new();
                selectors(term, &mut found);
                found.contains(&Of::Entity(to))
            };
            match (left, right) {
                (Term::Property(Of::Entity(slot), name), value)
                | (value, Term::Property(Of::Entity(slot), name))
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
fn selectors(term: &Term, found: &mut Vec<Of>) {
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
        | Term::Unwind(_)
        | Term::Aggregate(_)
        | Term::Column(_) => {}
    }
}
