//! Blast radius by the rules against the plainest walk there can be, over (entity, state), on random
//! graphs with random rules: on a graph as it is, as `#Impact` in J1QL, and on a database.

use crate::common;
use crate::graph_of_parts::Graph;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tombolo::Database;
use tombolo::graph::{GraphRead, Names};
use tombolo::lang::Source;
use tombolo::query::{Answer, Cell, Limits, Options, Query};
use tombolo::rules::{Bound, Rules, Trouble};
use tombolo::sync::Mode;
use tombolo::view::{self, GraphView};

/// Spellings of four verbs that the built-in rules do not know; the last two of each are turned round.
const WORDS: [[&str; 4]; 4] = [
    ["AXES", "axes", "AXED_BY", "is-axe-of"],
    ["BOXES", "Boxes", "boxed by", "IS_BOX_OF"],
    ["COAXES", "co-axes", "COAXED_BY", "isCoaxOf"],
    ["DEXES", "dexes::DEXED", "DEXED-BY", "IS DEX OF"],
];
const CLASSES: [&str; 5] = ["Aa", "Bb", "Cc", "Dd", "ee_type"];
const FLOWS: [&str; 4] = ["none", "forward", "reverse", "both"];

#[derive(Clone, Copy, Debug)]
enum Compromise {
    Flow(usize),
    Member { from_is_group: bool, up: bool, down: bool },
}

#[derive(Clone, Debug)]
struct Rule {
    verb: usize,
    ends: [Vec<usize>; 2],
    compromise: Compromise,
    failure: usize,
}

#[derive(Clone, Debug)]
struct World {
    /// Classes and whether the type is `ee_type`.
    nodes: Vec<BTreeSet<usize>>,
    /// From, verb, spelling, to.
    edges: Vec<(usize, usize, usize, usize)>,
    rules: Vec<Rule>,
}

fn ends() -> impl Strategy<Value = Vec<usize>> {
    let some = prop::collection::btree_set(0..CLASSES.len(), 1..3);
    prop_oneof![2 => Just(Vec::new()), 3 => some.prop_map(|set| set.into_iter().collect())]
}

fn compromise() -> impl Strategy<Value = Compromise> {
    let member = any::<(bool, bool, bool)>()
        .prop_map(|(from_is_group, up, down)| Compromise::Member { from_is_group, up, down });
    prop_oneof![(0usize..4).prop_map(Compromise::Flow), member]
}

prop_compose! {
    fn rule()(verb in 0usize..4, from in ends(), to in ends(), compromise in compromise(), failure in 0usize..4)
        -> Rule { Rule { verb, ends: [from, to], compromise, failure } }
}

prop_compose! {
    fn world()(
        nodes in prop::collection::vec(prop::collection::btree_set(0..CLASSES.len(), 0..3), 2..9),
    )(
        edges in prop::collection::vec((0..nodes.len(), 0usize..4, 0usize..4, 0..nodes.len()), 0..24),
        mut rules in prop::collection::vec(rule(), 0..8),
        nodes in Just(nodes),
    ) -> World {
        let mut said = BTreeSet::new();
        rules.retain(|rule| said.insert((rule.verb, rule.ends.clone())));
        World { nodes, edges, rules }
    }
}

impl World {
    fn toml(&self) -> String {
        let mut out = String::new();
        for words in WORDS {
            let [verb, _, _, inverse] = words;
            // `AXED_BY` is derived.
            out.push_str(&format!("[[inverse]]\nverb = {verb:?}\ninverse = [{inverse:?}]\n"));
        }
        for rule in &self.rules {
            out.push_str(&format!("[[impact]]\nverb = {:?}\n", WORDS[rule.verb][0]));
            for (name, list) in ["from", "to"].into_iter().zip(&rule.ends) {
                if !list.is_empty() {
                    let list: Vec<&str> = list.iter().map(|&class| CLASSES[class]).collect();
                    out.push_str(&format!("{name} = {list:?}\n"));
                }
            }
            match rule.compromise {
                Compromise::Flow(flow) => {
                    out.push_str(&format!("compromise = {:?}\n", FLOWS[flow]));
                }
                Compromise::Member { from_is_group, up, down } => {
                    let group = if from_is_group { "from" } else { "to" };
                    out.push_str(&format!(
                        "compromise = \"membership\"\ngroup = {group:?}\nup = {up}\ndown = {down}\n"
                    ));
                }
            }
            out.push_str(&format!("failure = {:?}\n", FLOWS[rule.failure]));
        }
        out
    }

    fn rules(&self) -> Rules {
        Rules::parse(&Source::whole("tombolo.toml", self.toml())).expect("good rules")
    }

    fn names(&self, node: usize) -> (&'static str, Vec<&'static str>) {
        let type_name = if self.nodes[node].contains(&4) { "EE-type" } else { "thing" };
        let classes: Vec<&str> =
            self.nodes[node].iter().filter(|&&c| c < 4).map(|&c| CLASSES[c]).collect();
        (type_name, if classes.is_empty() { vec!["Zz"] } else { classes })
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::default();
        for node in 0..self.nodes.len() {
            let (type_name, classes) = self.names(node);
            Graph::entity(&mut graph, "w", &format!("n{node}"), type_name, &classes, json!({}));
        }
        for &(from, verb, word, to) in &self.edges {
            graph.link("w", from as u32, WORDS[verb][word], to as u32, json!({}));
        }
        graph
    }

    fn upload(&self) -> String {
        let mut out = String::new();
        for node in 0..self.nodes.len() {
            let (type_name, classes) = self.names(node);
            let row = json!({"_key": format!("n{node}"), "_type": type_name, "_class": classes});
            out.push_str(&format!("{row}\n"));
        }
        for (number, &(from, verb, word, to)) in self.edges.iter().enumerate() {
            let row = json!({"_key": format!("r{number}"), "_type": "t", "_class": WORDS[verb][word],
                "_fromEntityKey": format!("n{from}"), "_toEntityKey": format!("n{to}")});
            out.push_str(&format!("{row}\n"));
        }
        out
    }

    /// The rule that holds for an edge: the one that names most ends, then the first.
    fn holds(&self, edge: usize) -> Option<(&Rule, bool)> {
        let (from, verb, word, to) = self.edges[edge];
        let turned = word >= 2;
        let (from, to) = if turned { (to, from) } else { (from, to) };
        let fits = |list: &[usize], node: usize| {
            list.is_empty() || list.iter().any(|class| self.nodes[node].contains(class))
        };
        let mut best: Option<&Rule> = None;
        let rank = |rule: &Rule| rule.ends.iter().filter(|list| !list.is_empty()).count();
        for rule in self.rules.iter().filter(|rule| rule.verb == verb) {
            if fits(&rule.ends[0], from)
                && fits(&rule.ends[1], to)
                && best.is_none_or(|best| rank(rule) > rank(best))
            {
                best = Some(rule);
            }
        }
        best.map(|rule| (rule, turned))
    }

    /// The walk as one would tell it: every state of every entity, without any shortcut.
    fn walk(&self, root: usize, trouble: Trouble, depth: u32) -> Told {
        let mut found = BTreeMap::from([((root, 'c'), 0u32)]);
        let mut queue = VecDeque::from([(root, 'c')]);
        let mut unruled = BTreeSet::new();
        while let Some((here, state)) = queue.pop_front() {
            let distance = found[&(here, state)];
            if distance >= depth {
                continue;
            }
            for edge in 0..self.edges.len() {
                let (from, _, _, to) = self.edges[edge];
                if here != from && here != to {
                    continue;
                }
                let Some((rule, turned)) = self.holds(edge) else {
                    unruled.insert(edge);
                    continue;
                };
                for (near, far, with_arrow) in [(from, to, true), (to, from, false)] {
                    if near != here {
                        continue;
                    }
                    for new in given(rule, with_arrow != turned, state, trouble) {
                        if let std::collections::btree_map::Entry::Vacant(slot) =
                            found.entry((far, new))
                        {
                            slot.insert(distance + 1);
                            queue.push_back((far, new));
                        }
                    }
                }
            }
        }
        let mut reached = BTreeMap::new();
        for strength in ['a', 'b', 'c'] {
            for (&(node, state), &distance) in &found {
                if state == strength && node != root {
                    reached.insert(node, (state, distance));
                }
            }
        }
        let mut not_followed = BTreeMap::new();
        for edge in unruled {
            let (_, verb, word, _) = self.edges[edge];
            *not_followed.entry(WORDS[verb][word].to_owned()).or_insert(0) += 1;
        }
        (reached, not_followed)
    }
}

/// State and distance of each entity, and how many relationships of each verb were left aside.
type Told = (BTreeMap<usize, (char, u32)>, BTreeMap<String, u64>);

/// The states that a step gives; `forward` is with the arrow of the rule's verb.
fn given(rule: &Rule, forward: bool, state: char, trouble: Trouble) -> Vec<char> {
    let along = |flow: usize| flow == 3 || flow == if forward { 1 } else { 2 };
    let mut states = Vec::new();
    if trouble.compromise {
        match rule.compromise {
            Compromise::Member { from_is_group, up, down } => {
                let to_group = from_is_group != forward;
                if to_group && up && state != 'a' {
                    states.push('b');
                }
                if !to_group && down && state == 'c' {
                    states.push('c');
                }
            }
            Compromise::Flow(flow) if along(flow) && state != 'a' => states.push('c'),
            Compromise::Flow(_) => {}
        }
    }
    if trouble.failure && along(rule.failure) && state != 'b' {
        states.push('a');
    }
    states
}

/// What the library says.
fn asked<G: GraphRead>(
    graph: &G,
    world: &World,
    rules: &Rules,
    root: u32,
    trouble: Trouble,
    depth: Option<u32>,
) -> Result<Told, G::Error> {
    let found = view::impact(graph, &[root], &mut Bound::new(rules, trouble), depth)?;
    let mut reached = BTreeMap::new();
    for visit in found.reached() {
        let state = visit.state.word().chars().next().expect("a word");
        let before = reached.insert(visit.entity as usize, (state, visit.distance));
        assert_eq!(before, None, "an entity is reported twice");
        // The chain leads there, step by step, through states that each step gives.
        let chain = found.chain(visit);
        assert_eq!(chain.len() as u32, visit.distance);
        assert_eq!(chain[0].from, root);
        let mut states: BTreeSet<char> = BTreeSet::from(['c']);
        let mut at = root;
        for step in &chain {
            assert_eq!(step.from, at);
            at = step.to;
            let (rule, turned) = world.holds(step.relationship as usize).expect("a rule");
            let out = step.direction == tombolo::graph::Direction::Out;
            let next = states.iter().flat_map(|&s| given(rule, out != turned, s, trouble));
            states = next.collect();
            assert!(!states.is_empty(), "a step of the chain passes nothing on");
        }
        assert!(at == visit.entity && states.contains(&state));
    }
    let not_followed = found.not_followed.iter();
    let not_followed = not_followed.map(|&(verb, n)| (graph.name(verb).to_owned(), n)).collect();
    Ok((reached, not_followed))
}

/// What `#Impact` says: entities and distances.
fn by_query(graph: &Graph, rules: &Rules, root: usize, most: u32) -> BTreeMap<usize, u32> {
    let options = Options { rules: rules.clone(), ..Options::default() };
    let text = format!(
        "FIND * WITH _key = 'n{root}' THAT #Impact{{1,{most}}} AS r * AS hit \
         RETURN hit._key AS k, DEPTH(r) AS d"
    );
    let query = Query::parse(&Source::whole("query", text), &options).expect("a good query");
    let answer = query.run(graph, Limits::default());
    let Ok((Answer::Table { rows, .. }, _)) = answer else { panic!("a table") };
    let number = |cell: &Cell| match cell {
        Cell::Value(value) => {
            value.to_string().trim_matches('"').trim_start_matches('n').to_owned()
        }
        other => panic!("{other:?}"),
    };
    let parsed = |cell: &Cell| number(cell).parse::<u32>().expect("a number");
    rows.iter().map(|row| (parsed(&row[0]) as usize, parsed(&row[1]))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(3000), ..ProptestConfig::default() })]

    #[test]
    fn the_walk_by_the_rules_agrees_with_the_plainest_one(
        world in world(),
        kind in 0usize..3,
        depth in prop::option::of(0u32..5),
    ) {
        let trouble = [
            Trouble::ANY,
            Trouble { compromise: true, failure: false },
            Trouble { compromise: false, failure: true },
        ][kind];
        let (rules, graph) = (world.rules(), world.graph());
        let view = GraphView::of(&graph).expect("a small graph");
        for root in 0..world.nodes.len() {
            let expected = world.walk(root, trouble, depth.unwrap_or(u32::MAX));
            let told = asked(&graph, &world, &rules, root as u32, trouble, depth);
            prop_assert_eq!(&told.unwrap_or_else(|never| match never {}), &expected);
            let mut bound = Bound::new(&rules, trouble);
            let spread = view.under(&graph, &mut bound);
            let mut scratch = view::SpreadScratch::new();
            let reach = spread.reach(&[root as u32], depth, &mut scratch);
            let by_view: BTreeMap<usize, (char, u32)> = reach
                .iter()
                .map(|(entity, state, distance)| {
                    (entity as usize, (state.word().chars().next().expect("a word"), distance))
                })
                .collect();
            prop_assert_eq!(&by_view, &expected.0);
            // Queries take longer, so each graph is asked once.
            if kind == 0 && depth != Some(0) && root == world.edges.len() % world.nodes.len() {
                let expected = world.walk(root, trouble, depth.unwrap_or(100));
                let distances: BTreeMap<usize, u32> =
                    expected.0.into_iter().map(|(node, (_, distance))| (node, distance)).collect();
                let found = by_query(&graph, &rules, root, depth.unwrap_or(100));
                prop_assert_eq!(found, distances);
            }
        }
    }
}

fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(3000) / 100 + 1, ..ProptestConfig::default() })]

    #[test]
    fn so_it_does_on_a_database(world in world()) {
        let folder = common::fleeting();
        let database = Database::create(&folder.path().join("w.redb")).expect("a new file");
        common::sync(&database, "w", Mode::Diff, &world.upload()).expect("a good upload");
        let snapshot = database.snapshot().expect("sound");
        let rules = world.rules();
        for root in 0..world.nodes.len() {
            let number = snapshot.entity_keyed("w", &format!("n{root}")).expect("sound");
            let mut bound = Bound::new(&rules, Trouble::ANY);
            let found = view::impact(&snapshot, &[number.expect("there")], &mut bound, None);
            let found = found.expect("sound");
            let mut reached = BTreeMap::new();
            for visit in found.reached() {
                let head = snapshot.entity_head(visit.entity).expect("sound").expect("there");
                let node: usize = head.key[1..].parse().expect("a number");
                let state = visit.state.word().chars().next().expect("a word");
                reached.insert(node, (state, visit.distance));
            }
            let verbs = found.not_followed.iter();
            let verbs = verbs.map(|&(verb, n)| (snapshot.name(verb).to_owned(), n)).collect();
            prop_assert_eq!((reached, verbs), world.walk(root, Trouble::ANY, u32::MAX));
        }
    }
}
