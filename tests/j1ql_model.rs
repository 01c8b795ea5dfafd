//! The planner against the plainest evaluator there can be: every binding of every position, by
//! nested loops over all relationships, on random graphs and random queries.

mod graph_of_parts;

use graph_of_parts::Graph;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use tombolo::graph::Value;
use tombolo::lang::Source;
use tombolo::query::{Answer, Cell, Limits, Options, Query};

const CLASSES: [&str; 3] = ["A", "B", "C"];
const TYPES: [&str; 2] = ["s", "t"];
const VERBS: [&str; 3] = ["HAS", "USES", "OWNS"];

/// What a property `x` is: absent, a number or a list of numbers.
type X = Option<Vec<i64>>;

#[derive(Clone, Debug)]
struct Node {
    classes: Vec<usize>,
    type_name: usize,
    x: X,
}

#[derive(Clone, Debug)]
enum Selector {
    Any,
    Class(usize),
    Type(usize),
    Either(usize, usize),
}

#[derive(Clone, Debug)]
enum Condition {
    Is(i64),
    IsNot(i64),
    More(i64),
    Absent,
    Both(i64, i64),
    NeitherOf(i64, i64),
    NotBoth(i64, i64),
}

#[derive(Clone, Debug)]
struct Target {
    selector: Selector,
    with: Option<Condition>,
}

#[derive(Clone, Debug)]
enum Element {
    Step { negated: bool, verbs: Vec<usize>, arrow: u8, repeat: Option<(u32, u32)>, target: Target },
    Optional(Vec<Element>),
}

#[derive(Clone, Debug)]
struct Pattern {
    start: Target,
    elements: Vec<Element>,
}

/// Nodes, and edges by their ends and verb.
#[derive(Clone, Debug)]
struct World {
    nodes: Vec<Node>,
    edges: Vec<(usize, usize, usize)>,
}

impl World {
    fn graph(&self) -> Graph {
        let mut graph = Graph::default();
        for (i, node) in self.nodes.iter().enumerate() {
            let classes: Vec<&str> = node.classes.iter().map(|&c| CLASSES[c]).collect();
            let properties = match node.x.as_deref() {
                None => json!({}),
                Some([x]) => json!({ "x": x }),
                Some(list) => json!({ "x": list }),
            };
            graph.entity("w", &format!("n{i}"), TYPES[node.type_name], &classes, properties);
        }
        for &(from, verb, to) in &self.edges {
            graph.link("w", from as u32, VERBS[verb], to as u32, json!({}));
        }
        graph
    }

    fn fits(&self, at: usize, target: &Target) -> bool {
        let node = &self.nodes[at];
        let selected = match target.selector {
            Selector::Any => true,
            Selector::Class(c) => node.classes.contains(&c),
            Selector::Type(t) => node.type_name == t,
            Selector::Either(c, t) => node.classes.contains(&c) || node.type_name == t,
        };
        let has = |x: i64| node.x.iter().flatten().any(|&own| own == x);
        selected
            && target.with.as_ref().is_none_or(|with| match *with {
                Condition::Is(x) => has(x),
                Condition::IsNot(x) => !has(x),
                Condition::More(x) => node.x.iter().flatten().any(|&own| own > x),
                Condition::Absent => node.x.is_none(),
                Condition::Both(x, y) => has(x) && has(y),
                Condition::NeitherOf(x, y) => !has(x) && !has(y),
                Condition::NotBoth(x, y) => !(has(x) && has(y)),
            })
    }

    /// Edges that lead from `at`: number and other end. 0 is both ways, 1 out, 2 in.
    fn hops(&self, at: usize, verbs: &[usize], arrow: u8) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for (number, &(from, verb, to)) in self.edges.iter().enumerate() {
            if !verbs.is_empty() && !verbs.contains(&verb) {
                continue;
            }
            if arrow != 2 && from == at {
                found.push((number, to));
            }
            if arrow != 1 && to == at && from != at {
                found.push((number, from));
            }
        }
        found
    }
}

/// What each position is bound to: `e1` to a key, `r1` to a key or a depth.
type Binding = BTreeMap<String, String>;

/// Positions in the order they are written: text and evaluator count alike.
struct Counter(usize);

impl Counter {
    fn next(&mut self) -> usize {
        self.0 += 1;
        self.0
    }
}

fn text_of(target: &Target, alias: Option<usize>) -> String {
    let selector = match target.selector {
        Selector::Any => "*".to_owned(),
        Selector::Class(c) => CLASSES[c].to_owned(),
        Selector::Type(t) => TYPES[t].to_owned(),
        Selector::Either(c, t) => format!("({}|{})", CLASSES[c], TYPES[t]),
    };
    let with = match target.with {
        None => String::new(),
        Some(Condition::Is(x)) => format!(" WITH x = {x}"),
        Some(Condition::IsNot(x)) => format!(" WITH x != {x}"),
        Some(Condition::More(x)) => format!(" WITH x > {x}"),
        Some(Condition::Absent) => " WITH x = undefined".into(),
        Some(Condition::Both(x, y)) => format!(" WITH x = ({x} AND {y})"),
        Some(Condition::NeitherOf(x, y)) => format!(" WITH x != ({x} OR {y})"),
        Some(Condition::NotBoth(x, y)) => format!(" WITH x != ({x} AND {y})"),
    };
    let alias = alias.map(|at| format!(" AS e{at}")).unwrap_or_default();
    format!("{selector}{with}{alias}")
}

fn text_of_all(
    elements: &[Element],
    named: bool,
    counter: &mut Counter,
    columns: &mut Vec<String>,
) -> String {
    let (mut text, mut named) = (String::new(), named);
    for element in elements {
        match element {
            Element::Step { negated, verbs, arrow, repeat, target } => {
                let at = counter.next();
                named &= !negated;
                let verbs = match verbs.as_slice() {
                    [] => "RELATES TO".to_owned(),
                    [verb] => VERBS[*verb].to_owned(),
                    all => {
                        format!("({})", all.iter().map(|&v| VERBS[v]).collect::<Vec<_>>().join("|"))
                    }
                };
                let repeat_text =
                    repeat.map(|(least, most)| format!("{{{least},{most}}}")).unwrap_or_default();
                let arrow = ["", " >>", " <<"][usize::from(*arrow)];
                let bang = if *negated { "!" } else { "" };
                let alias = if named { format!(" AS r{at}") } else { String::new() };
                let target = text_of(target, named.then_some(at));
                text.push_str(&format!(" THAT {bang}{verbs}{repeat_text}{arrow}{alias} {target}"));
                if named {
                    columns.push(format!("e{at}._key AS e{at}"));
                    columns.push(match repeat {
                        Some(_) => format!("DEPTH(r{at}) AS r{at}"),
                        None => format!("r{at}._key AS r{at}"),
                    });
                }
            }
            Element::Optional(inner) => {
                let inner = text_of_all(inner, named, counter, columns);
                text.push_str(&format!(" ({})?", inner.trim_start()));
            }
        }
    }
    text
}

fn text(pattern: &Pattern) -> String {
    let mut columns = vec!["e0._key AS e0".to_owned()];
    let chain = text_of_all(&pattern.elements, true, &mut Counter(0), &mut columns);
    format!("FIND {}{chain} RETURN {}", text_of(&pattern.start, Some(0)), columns.join(", "))
}

/// How many positions `elements` hold, however deep.
fn width(elements: &[Element]) -> usize {
    let each = |element: &Element| match element {
        Element::Step { .. } => 1,
        Element::Optional(inner) => width(inner),
    };
    elements.iter().map(each).sum()
}

/// Every way to go on from the end of `path`: what was bound, and where it led. `first` is the
/// position before that of the first element.
fn all(
    world: &World,
    elements: &[Element],
    first: usize,
    path: &[usize],
    bound: &Binding,
) -> Vec<(Binding, Vec<usize>)> {
    let Some((element, rest)) = elements.split_first() else {
        return vec![(bound.clone(), path.to_vec())];
    };
    let at = *path.last().expect("a path begins somewhere");
    match element {
        Element::Step { negated: true, verbs, arrow, repeat, target } => {
            let there = Element::Step {
                negated: false,
                verbs: verbs.clone(),
                arrow: *arrow,
                repeat: *repeat,
                target: target.clone(),
            };
            let mut chain = vec![there];
            chain.extend(rest.iter().cloned());
            match all(world, &chain, first, &[at], &Binding::new()).is_empty() {
                true => vec![(bound.clone(), path.to_vec())],
                false => Vec::new(),
            }
        }
        Element::Step { verbs, arrow, repeat: None, target, .. } => {
            let mut found = Vec::new();
            for (edge, other) in world.hops(at, verbs, *arrow) {
                if !path.contains(&other) && world.fits(other, target) {
                    let mut bound = bound.clone();
                    bound.insert(format!("e{}", first + 1), format!("n{other}"));
                    bound.insert(format!("r{}", first + 1), format!("r{edge}"));
                    let path = [path, &[other]].concat();
                    found.extend(all(world, rest, first + 1, &path, &bound));
                }
            }
            found
        }
        Element::Step { verbs, arrow, repeat: Some((least, most)), target, .. } => {
            let mut found = Vec::new();
            for other in 0..world.nodes.len() {
                let Some(depth) = distance(world, at, other, verbs, *arrow) else { continue };
                let reached = depth >= *least && depth <= *most;
                let new = depth == 0 || !path.contains(&other);
                if reached && new && world.fits(other, target) {
                    let mut bound = bound.clone();
                    bound.insert(format!("e{}", first + 1), format!("n{other}"));
                    // Chains from different entities differ, but all empty ones are the same.
                    let chain = if depth == 0 { "0".into() } else { format!("{depth} from {at}") };
                    bound.insert(format!("r{}", first + 1), chain);
                    let path = [path, &[other]].concat();
                    found.extend(all(world, rest, first + 1, &path, &bound));
                }
            }
            found
        }
        Element::Optional(inner) => {
            let after = first + width(inner);
            let mut found = all(world, rest, after, path, bound);
            for (bound, path) in all(world, inner, first, path, bound) {
                found.extend(all(world, rest, after, &path, &bound));
            }
            found
        }
    }
}

/// Least number of hops, by widening a set until it holds `to`.
fn distance(world: &World, from: usize, to: usize, verbs: &[usize], arrow: u8) -> Option<u32> {
    let mut set = vec![from];
    for depth in 0..=world.nodes.len() as u32 {
        if set.contains(&to) {
            return Some(depth);
        }
        let more: Vec<usize> = set
            .iter()
            .flat_map(|&at| world.hops(at, verbs, arrow))
            .map(|(_, other)| other)
            .collect();
        set.extend(more);
    }
    None
}

/// The rows that the query must have, as sorted texts.
fn expected(world: &World, pattern: &Pattern) -> Vec<String> {
    let mut rows = Vec::new();
    for start in 0..world.nodes.len() {
        if world.fits(start, &pattern.start) {
            let bound = Binding::from([("e0".to_owned(), format!("n{start}"))]);
            rows.extend(
                all(world, &pattern.elements, 0, &[start], &bound).into_iter().map(|r| r.0),
            );
        }
    }
    // A row says nothing that another one does not say as well, and more.
    let covered = |row: &Binding| {
        rows.iter().any(|other| {
            other.len() > row.len() && row.iter().all(|(name, key)| other.get(name) == Some(key))
        })
    };
    let shown = |row: &Binding| -> String {
        let depth = |text: &String| text.split(' ').next().unwrap_or_default().to_owned();
        let shown: Binding = row.iter().map(|(name, text)| (name.clone(), depth(text))).collect();
        format!("{shown:?}")
    };
    let mut texts: Vec<String> = rows.iter().filter(|row| !covered(row)).map(shown).collect();
    texts.sort();
    texts
}

fn ask(graph: &Graph, text: &str) -> (Vec<String>, Vec<Vec<Cell>>) {
    let options = Options { parameters: Some(BTreeMap::new()), ..Options::default() };
    let query = Query::parse(&Source::whole("query", text), &options)
        .unwrap_or_else(|fault| panic!("{}", fault.plain()));
    match query.run(graph, Limits::default()).expect("memory can be read").0 {
        Answer::Table { columns, rows } => (columns, rows),
        other => panic!("not a table: {other:?}"),
    }
}

fn actual(graph: &Graph, text: &str) -> Vec<String> {
    let (columns, rows) = ask(graph, text);
    let row = |cells: &Vec<Cell>| -> String {
        let mut bound = Binding::new();
        for (name, cell) in columns.iter().zip(cells) {
            match cell {
                Cell::Value(Value::Text(text)) => bound.insert(name.clone(), text.to_string()),
                Cell::Value(value) => bound.insert(name.clone(), value.to_string()),
                _ => None,
            };
        }
        format!("{bound:?}")
    };
    let mut texts: Vec<String> = rows.iter().map(row).collect();
    texts.sort();
    texts
}

fn world() -> impl Strategy<Value = World> {
    let x = prop_oneof![
        Just(None),
        (0..4i64).prop_map(|x| Some(vec![x])),
        Just(Some(Vec::new())),
        (0..4i64, 0..4i64).prop_map(|(x, y)| Some(vec![x, y])),
    ];
    let classes = prop_oneof![(0..3usize).prop_map(|c| vec![c]), Just(vec![0, 1]),];
    let node =
        (classes, 0..2usize, x).prop_map(|(classes, type_name, x)| Node { classes, type_name, x });
    (2..7usize).prop_flat_map(move |count| {
        let nodes = prop::collection::vec(node.clone(), count);
        let edges = prop::collection::vec((0..count, 0..3usize, 0..count), 0..12);
        (nodes, edges).prop_map(|(nodes, edges)| World { nodes, edges })
    })
}

fn target() -> impl Strategy<Value = Target> {
    let selector = prop_oneof![
        Just(Selector::Any),
        (0..3usize).prop_map(Selector::Class),
        (0..2usize).prop_map(Selector::Type),
        (0..3usize, 0..2usize).prop_map(|(c, t)| Selector::Either(c, t)),
    ];
    let condition = prop_oneof![
        (0..4i64).prop_map(Condition::Is),
        (0..4i64).prop_map(Condition::IsNot),
        (0..4i64).prop_map(Condition::More),
        Just(Condition::Absent),
        (0..4i64, 0..4i64).prop_map(|(x, y)| Condition::Both(x, y)),
        (0..4i64, 0..4i64).prop_map(|(x, y)| Condition::NeitherOf(x, y)),
        (0..4i64, 0..4i64).prop_map(|(x, y)| Condition::NotBoth(x, y)),
    ];
    (selector, prop::option::weighted(0.3, condition))
        .prop_map(|(selector, with)| Target { selector, with })
}

fn step() -> impl Strategy<Value = Element> {
    let verbs = prop_oneof![Just(Vec::new()), (0..3usize).prop_map(|v| vec![v]), Just(vec![0, 2]),];
    let repeat =
        prop::option::weighted(0.2, (0..3u32, 0..2u32).prop_map(|(a, b)| (a, (a + b).max(1))));
    (prop::bool::weighted(0.12), verbs, 0..3u8, repeat, target()).prop_map(
        |(negated, verbs, arrow, repeat, target)| Element::Step {
            negated,
            verbs,
            arrow,
            repeat,
            target,
        },
    )
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let element = step().prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            3 => step(),
            1 => prop::collection::vec(inner, 1..3).prop_map(Element::Optional),
        ]
    });
    (target(), prop::collection::vec(element, 0..4))
        .prop_map(|(start, elements)| Pattern { start, elements })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(2000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn rows_are_those_of_nested_loops(world in world(), pattern in pattern()) {
        let graph = world.graph();
        let text = text(&pattern);
        prop_assert_eq!(actual(&graph, &text), expected(&world, &pattern), "{}", text);
    }

    #[test]
    fn groups_count_what_is_distinct(world in world(), pattern in pattern()) {
        let graph = world.graph();
        let text = text(&pattern);
        let mut last = BTreeMap::<String, std::collections::BTreeSet<String>>::new();
        let (columns, rows) = ask(&graph, &text);
        // The group key is the start, what is counted is the last position that always has a name.
        let Some(at) = columns.iter().rposition(|name| name.starts_with('e')) else { unreachable!() };
        for row in rows {
            let (Cell::Value(key), cell) = (&row[0], &row[at]) else { unreachable!() };
            let seen = last.entry(key.to_string()).or_default();
            if let Cell::Value(value) = cell {
                seen.insert(value.to_string());
            }
        }
        let pattern_text = text.split(" RETURN ").next().unwrap_or_default();
        let counted = format!("{pattern_text} RETURN e0._key, count({}) AS n", columns[at]);
        let (_, groups) = ask(&graph, &counted);
        prop_assert_eq!(groups.len(), last.len(), "{}", &counted);
        for row in groups {
            let (Cell::Value(key), Cell::Value(n)) = (&row[0], &row[1]) else { unreachable!() };
            prop_assert_eq!(n, &Value::Int(last[&key.to_string()].len() as i64), "{}", &counted);
        }
    }
}
