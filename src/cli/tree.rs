//! A walk drawn as a tree of text: what was reached, below what it was reached from.
//!
//! Siblings that were reached the same way stand together, six of them by name and the rest as a
//! count; a chain without branches stays on one line. What is not drawn is always counted.

use super::output::{Out, clean, thousands};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Siblings of one group that are named.
const SIBLINGS: usize = 6;
/// Lines of one tree.
const LINES: usize = 80;
/// Links of a chain that stand on one line.
const CHAIN: usize = 3;

/// An entity in the tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its number.
    pub number: u32,
    /// Number of the entity above it.
    pub parent: u32,
    /// What it is called.
    pub name: String,
    /// Its type, with its scope where that differs from the one above.
    pub kind: String,
    /// The verb that leads here.
    pub verb: String,
    /// Whether the verb points at it (else at the entity above).
    pub forward: bool,
    /// Whether it is part of the answer, or stands here only because others hang below it.
    pub reported: bool,
}

impl Node {
    fn title(&self) -> String {
        match self.reported {
            true => clean(&self.name).into_owned(),
            false => format!("({})", clean(&self.name)),
        }
    }

    fn step(&self) -> String {
        let arrow = if self.forward { '→' } else { '←' };
        format!("{} {arrow} {}", clean(&self.verb), clean(&self.kind))
    }
}

/// A tree to be drawn. Nodes come in the order in which siblings shall stand.
pub struct Tree<'a> {
    nodes: &'a [Node],
    below: FxHashMap<u32, Vec<usize>>,
    lines: usize,
    drawn: usize,
}

impl<'a> Tree<'a> {
    /// Hangs each node below its parent.
    pub fn new(nodes: &'a [Node]) -> Tree<'a> {
        let mut below: FxHashMap<u32, Vec<usize>> = FxHashMap::default();
        for (i, node) in nodes.iter().enumerate() {
            below.entry(node.parent).or_default().push(i);
        }
        Tree { nodes, below, lines: 0, drawn: 0 }
    }

    /// Draws what hangs below `root`.
    pub fn print(&mut self, out: &mut Out<'_>, root: u32) -> io::Result<()> {
        self.level(out, root, "")
    }

    /// How many reported nodes no call has drawn by name.
    pub fn not_drawn(&self) -> usize {
        self.nodes.iter().filter(|node| node.reported).count() - self.drawn
    }

    fn children(&self, number: u32) -> &[usize] {
        self.below.get(&number).map_or(&[], Vec::as_slice)
    }

    /// The children of an entity, together by the way they were reached.
    fn groups(&self, number: u32) -> Vec<(String, Vec<usize>)> {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for &i in self.children(number) {
            groups.entry(self.nodes[i].step()).or_default().push(i);
        }
        groups.into_iter().collect()
    }

    fn level(&mut self, out: &mut Out<'_>, number: u32, indent: &str) -> io::Result<()> {
        let groups = self.groups(number);
        let count = groups.len();
        for (at, (step, members)) in groups.into_iter().enumerate() {
            if self.lines >= LINES {
                return Ok(());
            }
            let (branch, inner) = branch(indent, at + 1 == count);
            let leaves = members.iter().all(|&i| self.children(self.nodes[i].number).is_empty());
            match members.as_slice() {
                [only] => self.chain(out, *only, &format!("{branch}{step}  "), &inner)?,
                _ if leaves => self.leaves(out, &members, &format!("{branch}{step}"))?,
                _ => self.siblings(out, &members, &format!("{branch}{step}"), &inner)?,
            }
        }
        Ok(())
    }

    /// One node, and on the same line what follows without a choice.
    fn chain(
        &mut self,
        out: &mut Out<'_>,
        first: usize,
        start: &str,
        indent: &str,
    ) -> io::Result<()> {
        let mut text = format!("{start}{}", self.name(first));
        let mut last = first;
        for _ in 0..CHAIN {
            let [next] = *self.children(self.nodes[last].number) else { break };
            text.push_str(&format!("   {} {}", self.nodes[next].step(), self.name(next)));
            last = next;
        }
        self.line(out, &text)?;
        self.level(out, self.nodes[last].number, indent)
    }

    /// Nodes with nothing below them, on one line.
    fn leaves(&mut self, out: &mut Out<'_>, members: &[usize], start: &str) -> io::Result<()> {
        let names: Vec<String> = members.iter().take(SIBLINGS).map(|&i| self.name(i)).collect();
        let mut text =
            format!("{start} ({})   {}", thousands(members.len() as u64), names.join(", "));
        if members.len() > SIBLINGS {
            text.push_str(&format!(", … {} more", thousands((members.len() - SIBLINGS) as u64)));
        }
        self.line(out, &text)
    }

    /// Nodes of which some have more below them, each on its line.
    fn siblings(
        &mut self,
        out: &mut Out<'_>,
        members: &[usize],
        start: &str,
        indent: &str,
    ) -> io::Result<()> {
        self.line(out, &format!("{start} ({})", thousands(members.len() as u64)))?;
        // Those with something below them say more, so they come first.
        let mut ordered = members.to_vec();
        ordered.sort_by_key(|&i| self.children(self.nodes[i].number).is_empty());
        let more = members.len().saturating_sub(SIBLINGS);
        for (at, &i) in ordered.iter().take(SIBLINGS).enumerate() {
            if self.lines >= LINES {
                return Ok(());
            }
            let (branch, inner) = branch(indent, more == 0 && at + 1 == members.len());
            self.chain(out, i, &branch, &inner)?;
        }
        if more > 0 {
            let (branch, _) = branch(indent, true);
            self.line(out, &format!("{branch}… {} more", thousands(more as u64)))?;
        }
        Ok(())
    }

    fn name(&mut self, i: usize) -> String {
        self.drawn += usize::from(self.nodes[i].reported);
        self.nodes[i].title()
    }

    fn line(&mut self, out: &mut Out<'_>, text: &str) -> io::Result<()> {
        self.lines += 1;
        writeln!(out, "{text}")
    }
}

/// The branch before a node, and the indent of what hangs below it.
fn branch(indent: &str, last: bool) -> (String, String) {
    match last {
        true => (format!("{indent}└─ "), format!("{indent}   ")),
        false => (format!("{indent}├─ "), format!("{indent}│  ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u32, parent: u32, name: &str, kind: &str, verb: &str) -> Node {
        Node {
            number,
            parent,
            name: name.into(),
            kind: kind.into(),
            verb: verb.into(),
            forward: verb != "ASSUMES",
            reported: true,
        }
    }

    fn drawn(nodes: &[Node]) -> (String, usize) {
        let mut bytes = Vec::new();
        let mut tree = Tree::new(nodes);
        tree.print(&mut Out::plain(&mut bytes), 0).expect("memory takes every byte");
        let left = tree.not_drawn();
        (String::from_utf8(bytes).expect("text"), left)
    }

    #[test]
    fn siblings_stand_together_and_chains_on_one_line() {
        let nodes = [
            node(1, 0, "invoices", "bucket", "ALLOWS"),
            node(2, 0, "ledger", "bucket", "ALLOWS"),
            node(3, 0, "billing", "app", "ASSUMES"),
            node(4, 0, "web", "app", "ASSUMES"),
            node(5, 3, "billing-api", "repo", "DEPLOYS"),
        ];
        let (text, left) = drawn(&nodes);
        assert_eq!(
            text,
            "├─ ALLOWS → bucket (2)   invoices, ledger\n\
             └─ ASSUMES ← app (2)\n\
             \u{20}  ├─ billing   DEPLOYS → repo billing-api\n\
             \u{20}  └─ web\n"
        );
        assert_eq!(left, 0);
    }

    #[test]
    fn what_is_not_drawn_is_counted() {
        let nodes: Vec<Node> =
            (1..=20).map(|n| node(n, 0, &format!("b{n}"), "bucket", "ALLOWS")).collect();
        let (text, left) = drawn(&nodes);
        assert_eq!(text, "└─ ALLOWS → bucket (20)   b1, b2, b3, b4, b5, b6, … 14 more\n");
        assert_eq!(left, 14);
    }

    #[test]
    fn names_cannot_draw() {
        let (text, _) = drawn(&[node(1, 0, "a\n└─ forged", "t", "HAS")]);
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
