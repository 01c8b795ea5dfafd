//! Blast radius by the rules against the plainest walk there can be, over (entity, state), on random
//! graphs with random rules: on a graph as it is, as `#Impact` in J1QL, and on a database.

use crate::common;
use crate::graph_of_parts::Graph;
use crate::impact_world::{Told, WORDS, World, given, world};
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tombolo::Database;
use tombolo::graph::{GraphRead, NameLookup};
use tombolo::lang::SourceText;
use tombolo::query::{CellValue, Query, QueryAnswer, QueryOptions, QuestionLimits};
use tombolo::rules::{BoundRules, ImpactFilter, RuleTable};
use tombolo::sync::SyncMode;
use tombolo::view::{self, GraphView};

fn graph(world: &World) -> Graph {
    let mut graph = Graph::default();
    for node in 0..world.nodes.len() {
        let (type_name, classes) = world.names(node);
        Graph::entity(&mut graph, "w", &format!("n{node}"), type_name, &classes, json!({}));
    }
    for &(from, verb, word, to) in &world.edges {
        graph.link("w", from as u32, WORDS[verb][word], to as u32, json!({}));
    }
    graph
}

/// What the library says.
fn asked<G: GraphRead>(
    graph: &G,
    world: &World,
    rules: &RuleTable,
    root: u32,
    trouble: ImpactFilter,
    depth: Option<u32>,
) -> Result<Told, G::Error> {
    let found = view::impact(graph, &[root], &mut BoundRules::new(rules, trouble), depth)?;
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
            let out = step.direction == tombolo::graph::EdgeDirection::Out;
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
fn by_query(graph: &Graph, rules: &RuleTable, root: usize, most: u32) -> BTreeMap<usize, u32> {
    let options = QueryOptions { rules: rules.clone(), ..QueryOptions::default() };
    let text = format!(
        "FIND * WITH _key = 'n{root}' THAT #Impact{{1,{most}}} AS r * AS hit \
         RETURN hit._key AS k, DEPTH(r) AS d"
    );
    let query = Query::parse(&SourceText::whole("query", text), &options).expect("a good query");
    let answer = query.run(graph, QuestionLimits::default());
    let Ok((QueryAnswer::Table { rows, .. }, _)) = answer else { panic!("a table") };
    let number = |cell: &CellValue| match cell {
        CellValue::Value(value) => {
            value.to_string().trim_matches('"').trim_start_matches('n').to_owned()
        }
        other => panic!("{other:?}"),
    };
    let parsed = |cell: &CellValue| number(cell).parse::<u32>().expect("a number");
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
            ImpactFilter::ANY,
            ImpactFilter { compromise: true, failure: false },
            ImpactFilter { compromise: false, failure: true },
        ][kind];
        let (rules, graph) = (world.rules(), graph(&world));
        let view = GraphView::of(&graph).expect("a small graph");
        for root in 0..world.nodes.len() {
            let expected = world.walk(root, trouble, depth.unwrap_or(u32::MAX));
            let told = asked(&graph, &world, &rules, root as u32, trouble, depth);
            prop_assert_eq!(&told.unwrap_or_else(|never| match never {}), &expected);
            let mut bound = BoundRules::new(&rules, trouble);
            let spread = view.with_rules(&graph, &mut bound);
            let mut scratch = view::ImpactScratch::new();
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
        common::sync(&database, "w", SyncMode::Diff, &world.upload("n", usize::MAX)).expect("a good upload");
        let snapshot = database.snapshot().expect("sound");
        let rules = world.rules();
        for root in 0..world.nodes.len() {
            let number = snapshot.entity_keyed("w", &format!("n{root}")).expect("sound");
            let mut bound = BoundRules::new(&rules, ImpactFilter::ANY);
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
            prop_assert_eq!((reached, verbs), world.walk(root, ImpactFilter::ANY, u32::MAX));
        }
    }
}
