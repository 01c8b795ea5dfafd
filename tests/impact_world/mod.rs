//! Random graphs with random rules, and the plainest walk there can be over (entity, state): what every
//! way of asking for a blast radius is held to.

#![allow(dead_code)] // each test binary uses its part

use proptest::prelude::*;
use serde_json::json;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tombolo::lang::SourceText;
use tombolo::rules::{ImpactFilter, RuleTable};

/// Spellings of four verbs that the built-in rules do not know; the last two of each are turned round.
pub const WORDS: [[&str; 4]; 4] = [
    ["AXES", "axes", "AXED_BY", "is-axe-of"],
    ["BOXES", "Boxes", "boxed by", "IS_BOX_OF"],
    ["COAXES", "co-axes", "COAXED_BY", "isCoaxOf"],
    ["DEXES", "dexes::DEXED", "DEXED-BY", "IS DEX OF"],
];
pub const CLASSES: [&str; 5] = ["Aa", "Bb", "Cc", "Dd", "ee_type"];
const FLOWS: [&str; 4] = ["none", "forward", "reverse", "both"];

#[derive(Clone, Copy, Debug)]
pub enum Compromise {
    Flow(usize),
    Member { from_is_group: bool, up: bool, down: bool },
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub verb: usize,
    pub ends: [Vec<usize>; 2],
    pub compromise: Compromise,
    pub failure: usize,
}

#[derive(Clone, Debug)]
pub struct World {
    /// Classes and whether the type is `ee_type`.
    pub nodes: Vec<BTreeSet<usize>>,
    /// From, verb, spelling, to.
    pub edges: Vec<(usize, usize, usize, usize)>,
    pub rules: Vec<Rule>,
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
    pub fn world()(
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
    pub fn toml(&self) -> String {
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

    pub fn rules(&self) -> RuleTable {
        RuleTable::parse(&SourceText::whole("tombolo.toml", self.toml())).expect("good rules")
    }

    pub fn names(&self, node: usize) -> (&'static str, Vec<&'static str>) {
        let type_name = if self.nodes[node].contains(&4) { "EE-type" } else { "thing" };
        let classes: Vec<&str> =
            self.nodes[node].iter().filter(|&&c| c < 4).map(|&c| CLASSES[c]).collect();
        (type_name, if classes.is_empty() { vec!["Zz"] } else { classes })
    }

    /// The rows of an upload; keys begin with `prefix`. Relationships from number `edges` on are left out.
    pub fn upload(&self, prefix: &str, edges: usize) -> String {
        let mut out = String::new();
        for node in 0..self.nodes.len() {
            let (type_name, classes) = self.names(node);
            let key = format!("{prefix}{node}");
            let row = json!({"_key": key, "_type": type_name, "_class": classes});
            out.push_str(&format!("{row}\n"));
        }
        for (number, &(from, verb, word, to)) in self.edges.iter().enumerate().take(edges) {
            let row = json!({"_key": format!("{prefix}r{number}"), "_type": "t",
                "_class": WORDS[verb][word], "_fromEntityKey": format!("{prefix}{from}"),
                "_toEntityKey": format!("{prefix}{to}")});
            out.push_str(&format!("{row}\n"));
        }
        out
    }

    /// The rule that holds for an edge: the one that names most ends, then the first.
    pub fn holds(&self, edge: usize) -> Option<(&Rule, bool)> {
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
    pub fn walk(&self, root: usize, trouble: ImpactFilter, depth: u32) -> Told {
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
                        if let Entry::Vacant(slot) = found.entry((far, new)) {
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
pub type Told = (BTreeMap<usize, (char, u32)>, BTreeMap<String, u64>);

/// The states that a step gives; `forward` is with the arrow of the rule's verb.
pub fn given(rule: &Rule, forward: bool, state: char, trouble: ImpactFilter) -> Vec<char> {
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
