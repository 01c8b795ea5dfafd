//! The planner against the plainest evaluator there can be: every binding of every position, by
//! nested loops over all relationships, on random graphs and random queries.

use crate::graph_of_parts::Graph;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use tombolo::graph::Value;
use tombolo::lang::SourceText;
use tombolo::query::{CellValue, Query, QueryAnswer, QueryOptions, QuestionLimits};

const CLASSES: [&str; 3] = ["A", "B", "C"];
const TYPES: [&str; 2] = ["s", "t"];
const VERBS: [&str; 3] = ["HAS", "USES", "OWNS"];

/// What a property `x` is: absent, a value or a list of values, by their place in [`POOL`].
type X = Option<Vec<usize>>;

/// A value of a property.
struct Known {
    /// As JSON and in a query.
    text: &'static str,
    /// Ten times the number that it is, or is the spelling of.
    tenfold: Option<i128>,
    /// Its place among the versions that it or its spelling looks like.
    version: Option<u8>,
}

const fn known(text: &'static str, tenfold: Option<i128>, version: Option<u8>) -> Known {
    Known { text, tenfold, version }
}

const POOL: [Known; 14] = [
    known("0", Some(0), Some(0)),
    known("1", Some(10), Some(2)),
    known("2.0", Some(20), Some(5)),
    known("-1.5", Some(-15), None),
    known("9007199254740993", Some(90_071_992_547_409_930), Some(7)),
    known("9007199254740992.0", Some(90_071_992_547_409_920), Some(6)),
    known("\"1\"", Some(10), Some(2)),
    known("\"2\"", Some(20), Some(5)),
    known("\"1.9\"", Some(19), Some(3)),
    known("\"1.10\"", None, Some(4)),
    known("\"1.0-rc1\"", None, Some(1)),
    known("\"x\"", None, None),
    known("true", None, None),
    known("\"true\"", None, None),
];

impl Known {
    fn is_text(&self) -> bool {
        self.text.starts_with('"')
    }
}

/// Whether a value equals one of the query, which is to a text what is written.
fn equal(own: usize, asked: usize) -> bool {
    let (one, other) = (&POOL[own], &POOL[asked]);
    match (one.is_text(), other.is_text()) {
        (true, false) => other.tenfold.is_some() && one.text.trim_matches('"') == other.text,
        (false, true) => one.tenfold.is_some() && one.tenfold == other.tenfold,
        _ => own == asked,
    }
}

fn greater(own: usize, asked: usize) -> bool {
    let (one, other) = (&POOL[own], &POOL[asked]);
    let texts = usize::from(one.is_text()) + usize::from(other.is_text());
    match (texts, one.version, other.version) {
        (1 | 2, Some(one), Some(other)) => one > other,
        (2, _, _) => one.text.trim_matches('"') > other.text.trim_matches('"'),
        _ => one.tenfold.zip(other.tenfold).is_some_and(|(one, other)| one > other),
    }
}

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
    Is(usize),
    IsNot(usize),
    More(usize),
    Absent,
    Both(usize, usize),
    NeitherOf(usize, usize),
    NotBoth(usize, usize),
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
            // Spellings live side by side.
            let spelled = |name: &str| if i % 2 == 0 { name.into() } else { name.to_lowercase() };
            let classes: Vec<String> = node.classes.iter().map(|&c| spelled(CLASSES[c])).collect();
            let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
            let json = |&at: &usize| -> serde_json::Value {
                serde_json::from_str(POOL[at].text).expect("JSON")
            };
            let properties = match node.x.as_deref() {
                None => json!({}),
                Some([x]) => json!({ "x": json(x) }),
                Some(list) => json!({ "x": list.iter().map(json).collect::<Vec<_>>() }),
            };
            graph.entity("w", &format!("n{i}"), TYPES[node.type_name], &classes, properties);
        }
        for (i, &(from, verb, to)) in self.edges.iter().enumerate() {
            let verb = match i % 3 {
                0 => VERBS[verb].to_owned(),
                1 => VERBS[verb].to_lowercase(),
                _ => VERBS[verb].replacen('S', "_s", 1),
            };
            graph.link("w", from as u32, &verb, to as u32, json!({}));
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
        let has = |x: usize| node.x.iter().flatten().any(|&own| equal(own, x));
        selected
            && target.with.as_ref().is_none_or(|with| match *with {
                Condition::Is(x) => has(x),
                Condition::IsNot(x) => !has(x),
                Condition::More(x) => node.x.iter().flatten().any(|&own| greater(own, x)),
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
    let of = |at: usize| POOL[at].text;
    let with = match target.with {
        None => String::new(),
        Some(Condition::Is(x)) => format!(" WITH x = {}", of(x)),
        Some(Condition::IsNot(x)) => format!(" WITH x != {}", of(x)),
        Some(Condition::More(x)) => format!(" WITH x > {}", of(x)),
        Some(Condition::Absent) => " WITH x = undefined".into(),
        Some(Condition::Both(x, y)) => format!(" WITH x = ({} AND {})", of(x), of(y)),
        Some(Condition::NeitherOf(x, y)) => format!(" WITH x != ({} OR {})", of(x), of(y)),
        Some(Condition::NotBoth(x, y)) => format!(" WITH x != ({} AND {})", of(x), of(y)),
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
    expected_where(world, pattern, |_| true)
}

fn expected_where(
    world: &World,
    pattern: &Pattern,
    passes: impl Fn(&Binding) -> bool,
) -> Vec<String> {
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
    let mut texts: Vec<String> =
        rows.iter().filter(|row| !covered(row) && passes(row)).map(shown).collect();
    texts.sort();
    texts
}

fn ask(graph: &Graph, text: &str) -> (Vec<String>, Vec<Vec<CellValue>>) {
    let options = QueryOptions { parameters: Some(BTreeMap::new()), ..QueryOptions::default() };
    let query = Query::parse(&SourceText::whole("query", text), &options)
        .unwrap_or_else(|fault| panic!("{}", fault.plain()));
    match query.run(graph, QuestionLimits::default()).expect("memory can be read").0 {
        QueryAnswer::Table { columns, rows } => (columns, rows),
        other => panic!("not a table: {other:?}"),
    }
}

fn actual(graph: &Graph, text: &str) -> Vec<String> {
    let (columns, rows) = ask(graph, text);
    let row = |cells: &Vec<CellValue>| -> String {
        let mut bound = Binding::new();
        for (name, cell) in columns.iter().zip(cells) {
            match cell {
                CellValue::Value(Value::Text(text)) => bound.insert(name.clone(), text.to_string()),
                CellValue::Value(value) => bound.insert(name.clone(), value.to_string()),
                _ => None,
            };
        }
        format!("{bound:?}")
    };
    let mut texts: Vec<String> = rows.iter().map(row).collect();
    texts.sort();
    texts
}

/// A part of WHERE: what is asked, of which two positions, and a number.
type Part = (u8, usize, usize, i64);

/// The text of the parts over the positions that `columns` name, and whether a row passes them.
fn filter<'w>(
    world: &'w World,
    pattern: &Pattern,
    parts: &[Part],
) -> (String, impl Fn(&Binding) -> bool + 'w) {
    let mut columns = vec!["e0._key AS e0".to_owned()];
    text_of_all(&pattern.elements, true, &mut Counter(0), &mut columns);
    let of = |start: &str| -> Vec<String> {
        let plain = columns.iter().filter_map(|column| column.split_once("._key"));
        plain.map(|(name, _)| name.to_owned()).filter(|name| name.starts_with(start)).collect()
    };
    let (entities, links) = (of("e"), of("r"));
    let mut texts = Vec::new();
    let mut asked = Vec::new();
    for &(what, a, b, x) in parts {
        let one = entities[a % entities.len()].clone();
        let two = entities[b % entities.len()].clone();
        // Keys are few, values are many.
        let value = (x as usize * 4 + b) % POOL.len();
        let written = POOL[value].text;
        let (text, what, one, two) = match what {
            0 => (format!("{one}.x > {written}"), 0, one, two),
            1 => (format!("{one}.x = {written}"), 1, one, two),
            2 => (format!("{one}.x != {written}"), 2, one, two),
            3 => (format!("{one}.x = {two}.x"), 3, one, two),
            4 => (format!("{one}._key = 'n{x}'"), 4, one, two),
            _ if links.is_empty() => (format!("{one}.x = undefined"), 6, one, two),
            _ => {
                let link = links[a % links.len()].clone();
                (format!("{link}._key != 'r{x}'"), 5, link, two)
            }
        };
        texts.push(text);
        asked.push((what, one, two, x, value));
    }
    let passes = move |row: &Binding| {
        let node = |name: &String| -> Vec<usize> {
            let number = row.get(name).and_then(|key| key[1..].parse::<usize>().ok());
            number.and_then(|at| world.nodes[at].x.clone()).unwrap_or_default()
        };
        let absent = |name: &String| {
            let number = row.get(name).and_then(|key| key[1..].parse::<usize>().ok());
            number.is_none_or(|at| world.nodes[at].x.is_none())
        };
        let has = |name: &String, value: usize| node(name).iter().any(|own| equal(*own, value));
        asked.iter().all(|(what, one, two, x, value)| match what {
            0 => node(one).iter().any(|own| greater(*own, *value)),
            1 => has(one, *value),
            2 => !has(one, *value),
            3 => node(one).iter().any(|own| has(two, *own)),
            4 => row.get(one) == Some(&format!("n{x}")),
            5 => row.get(one) != Some(&format!("r{x}")),
            _ => absent(one),
        })
    };
    (texts.join(" AND "), passes)
}

fn world() -> impl Strategy<Value = World> {
    let x = prop_oneof![
        Just(None),
        (0..POOL.len()).prop_map(|x| Some(vec![x])),
        Just(Some(Vec::new())),
        (0..POOL.len(), 0..POOL.len()).prop_map(|(x, y)| Some(vec![x, y])),
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
        (0..POOL.len()).prop_map(Condition::Is),
        (0..POOL.len()).prop_map(Condition::IsNot),
        (0..POOL.len()).prop_map(Condition::More),
        Just(Condition::Absent),
        (0..POOL.len(), 0..POOL.len()).prop_map(|(x, y)| Condition::Both(x, y)),
        (0..POOL.len(), 0..POOL.len()).prop_map(|(x, y)| Condition::NeitherOf(x, y)),
        (0..POOL.len(), 0..POOL.len()).prop_map(|(x, y)| Condition::NotBoth(x, y)),
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
        // What is printed means the same, and is printed the same.
        let print = |text: &str| {
            Query::formatted(&SourceText::whole("query", text), &QueryOptions::default())
                .unwrap_or_else(|fault| panic!("{}", fault.plain()))
        };
        let printed = print(&text);
        prop_assert_eq!(&print(&printed), &printed);
        prop_assert_eq!(actual(&graph, &printed), expected(&world, &pattern), "{}", printed);
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
            let (CellValue::Value(key), cell) = (&row[0], &row[at]) else { unreachable!() };
            let seen = last.entry(key.to_string()).or_default();
            if let CellValue::Value(value) = cell {
                seen.insert(value.to_string());
            }
        }
        let pattern_text = text.split(" RETURN ").next().unwrap_or_default();
        let counted = format!("{pattern_text} RETURN e0._key, count({}) AS n", columns[at]);
        let (_, groups) = ask(&graph, &counted);
        prop_assert_eq!(groups.len(), last.len(), "{}", &counted);
        for row in groups {
            let (CellValue::Value(key), CellValue::Value(n)) = (&row[0], &row[1]) else { unreachable!() };
            prop_assert_eq!(n, &Value::Int(last[&key.to_string()].len() as i64), "{}", &counted);
        }
    }

    #[test]
    fn no_index_and_no_early_test_changes_the_rows(
        world in world(),
        pattern in pattern(),
        parts in prop::collection::vec((0..6u8, 0..9usize, 0..9usize, 0..4i64), 0..4),
        limit in 0..6usize,
    ) {
        let mut graph = world.graph();
        graph.indexed = true;
        let (filter, passes) = filter(&world, &pattern, &parts);
        let text = match filter.as_str() {
            "" => text(&pattern),
            filter => text(&pattern).replace(" RETURN ", &format!(" WHERE {filter} RETURN ")),
        };
        let rows = expected_where(&world, &pattern, passes);
        prop_assert_eq!(&actual(&graph, &text), &rows, "{}", &text);
        // A page is as many of the rows as it can hold, in whatever order they are found.
        let page = actual(&graph, &format!("{text} LIMIT {limit}"));
        prop_assert_eq!(page.len(), limit.min(rows.len()), "{}", &text);
        let mut rest = rows.clone();
        for row in &page {
            let at = rest.iter().position(|known| known == row);
            prop_assert!(at.is_some(), "{} is no row of {}", row, &text);
            rest.remove(at.unwrap_or_default());
        }
        // The best rows are the best of all.
        let sorted = format!("{text} ORDER BY e0");
        let (_, all) = ask(&graph, &sorted);
        let (_, best) = ask(&graph, &format!("{sorted} LIMIT {limit}"));
        let first = |rows: &[Vec<CellValue>]| -> Vec<CellValue> {
            rows.iter().take(limit).map(|row| row[0].clone()).collect()
        };
        prop_assert_eq!(first(&best), first(&all), "{}", &text);
        // A list is the entities that the rows begin at.
        let (pattern_text, _) = text.split_once(" RETURN ").unwrap_or((&text, ""));
        let starts: std::collections::BTreeSet<String> = all
            .iter()
            .map(|row| match &row[0] {
                CellValue::Value(Value::Text(key)) => key.to_string(),
                other => panic!("no key: {other:?}"),
            })
            .collect();
        let only_groups = !pattern.elements.is_empty()
            && pattern.elements.iter().all(|e| matches!(e, Element::Optional(_)));
        if !only_groups {
            let options = QueryOptions { parameters: Some(BTreeMap::new()), ..QueryOptions::default() };
            let query = Query::parse(&SourceText::whole("query", pattern_text), &options)
                .unwrap_or_else(|fault| panic!("{}", fault.plain()));
            let QueryAnswer::List(list) = query.run(&graph, QuestionLimits::default()).expect("memory").0 else {
                panic!("not a list")
            };
            let keys = list.iter().map(|number| format!("n{number}")).collect();
            prop_assert_eq!(starts, keys, "{}", pattern_text);
        }
    }

    #[test]
    fn counts_are_those_of_every_entity(
        world in world(),
        target in target(),
        columns in prop::sample::subsequence(vec!["_scope", "_type", "_class", "x"], 0..=4),
    ) {
        let mut graph = world.graph();
        graph.indexed = true;
        let selector = text_of(&target, Some(0));
        let shown: String = columns.iter().map(|column| format!("e0.{column}, ")).collect();
        let text = format!("FIND {selector} RETURN {shown}count(e0) AS n, count(e0) * 2 AS twice");
        let mut expected: BTreeMap<String, i64> = BTreeMap::new();
        if columns.is_empty() {
            expected.insert(String::new(), 0);
        }
        for (at, entity) in graph.entities.iter().enumerate() {
            if world.fits(at, &target) {
                let key = columns.iter().map(|column| format!("{:?};", entity.value(column)));
                *expected.entry(key.collect()).or_default() += 1;
            }
        }
        let (_, rows) = ask(&graph, &text);
        let mut found: BTreeMap<String, i64> = BTreeMap::new();
        for row in rows {
            let (key, counts) = row.split_at(columns.len());
            let value = |cell: &CellValue| match cell {
                CellValue::Value(value) => Some(value.clone()),
                _ => None,
            };
            let key = key.iter().map(|cell| format!("{:?};", value(cell))).collect();
            let [CellValue::Value(Value::Int(n)), CellValue::Value(Value::Int(twice))] = counts else {
                panic!("no counts: {counts:?}")
            };
            prop_assert_eq!(n * 2, *twice);
            prop_assert_eq!(found.insert(key, *n), None, "{} has a group twice", &text);
        }
        prop_assert_eq!(found, expected, "{}", &text);
    }
}
