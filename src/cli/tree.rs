//! A walk drawn as a tree of text: each entity stands below the one from which it was reached.
//!
//! Siblings that were reached the same way stand together, six of them by name and the rest as a
//! count. A chain without branches is one entry; a long chain is folded in the middle. Lines keep
//! to the width of the terminal and break between words. Every entity that is not drawn is counted.

use super::layout::{unbreakable, width};
use super::naming;
use super::output::{AnswerWriter, clean, thousands};
use anstyle::Style;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::io;

/// Siblings of one group that are named.
const SIBLINGS: usize = 6;
/// Entries of one tree.
const ENTRIES: usize = 80;
/// The longest chain that is shown whole, in relationships.
const CHAIN: usize = 5;
/// Relationships shown at each end of a longer chain.
const CHAIN_ENDS: usize = 2;
/// The most lines of a list of names; a longer one becomes a column.
const LIST_LINES: usize = 3;
/// Columns that an entry needs beside its indent; entities without that room are counted.
const ROOM: usize = 32;

/// An entity in the tree.
#[derive(Clone, Debug, Default)]
pub struct TreeNode {
    /// Its number.
    pub number: u32,
    /// Number of the entity above it.
    pub parent: u32,
    /// Its key.
    pub key: String,
    /// Its name for people.
    pub display: Option<String>,
    /// Its type, with its scope where that differs from the one above.
    pub kind: String,
    /// The verb that leads here.
    pub verb: String,
    /// True if the relationship points at it; false if it points at the entity above.
    pub forward: bool,
    /// A mark for the way in which it was reached: a word and its colour.
    pub mark: Option<(&'static str, Style)>,
    /// True if it is part of the answer; false if it stands here only because others hang below it.
    pub reported: bool,
}

impl TreeNode {
    fn title(&self, out: &AnswerWriter<'_>) -> String {
        let name = naming::called(out, self.display.as_deref(), &self.key);
        if self.reported { name } else { format!("({name})") }
    }

    fn step(&self, out: &AnswerWriter<'_>) -> String {
        let arrow = if self.forward { '→' } else { '←' };
        let step = format!("{} {arrow} {}", clean(&self.verb), clean(&self.kind));
        match self.mark {
            Some((word, style)) => format!("{step} {}", out.paint(style, &format!("[{word}]"))),
            None => step,
        }
    }
}

/// A tree to be drawn. The order of nodes is the order of siblings.
pub struct TreeDrawing<'a> {
    nodes: &'a [TreeNode],
    below: FxHashMap<u32, Vec<usize>>,
    entries: usize,
    drawn: usize,
}

impl<'a> TreeDrawing<'a> {
    /// Hangs each node below its parent.
    pub fn new(nodes: &'a [TreeNode]) -> TreeDrawing<'a> {
        let mut below: FxHashMap<u32, Vec<usize>> = FxHashMap::default();
        for (i, node) in nodes.iter().enumerate() {
            below.entry(node.parent).or_default().push(i);
        }
        TreeDrawing { nodes, below, entries: 0, drawn: 0 }
    }

    /// Draws the nodes below `root`.
    pub fn print(&mut self, out: &mut AnswerWriter<'_>, root: u32) -> io::Result<()> {
        self.level(out, root, "")
    }

    /// Returns the number of reported nodes that no call has drawn by name.
    pub fn not_drawn(&self) -> usize {
        self.nodes.iter().filter(|node| node.reported).count() - self.drawn
    }

    fn children(&self, number: u32) -> &[usize] {
        self.below.get(&number).map_or(&[], Vec::as_slice)
    }

    /// Counts the reported nodes below an entity, at any depth.
    fn count_below(&self, number: u32) -> usize {
        // An explicit stack, since the tree may be deeper than recursion allows.
        let mut open = vec![number];
        let mut count = 0;
        while let Some(number) = open.pop() {
            for node in self.children(number).iter().map(|&i| &self.nodes[i]) {
                count += usize::from(node.reported);
                open.push(node.number);
            }
        }
        count
    }

    /// Returns the children of an entity, grouped by the way in which they were reached.
    fn groups(&self, out: &AnswerWriter<'_>, number: u32) -> Vec<(String, Vec<usize>)> {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for &i in self.children(number) {
            groups.entry(self.nodes[i].step(out)).or_default().push(i);
        }
        groups.into_iter().collect()
    }

    fn level(&mut self, out: &mut AnswerWriter<'_>, number: u32, indent: &str) -> io::Result<()> {
        // Entities beyond the limit are left to `not_drawn`, which counts them.
        if self.children(number).is_empty() || self.entries >= ENTRIES {
            return Ok(());
        }
        // Beyond this depth names would break into columns of single words.
        if out.width.is_some_and(|columns| width(indent) + ROOM > columns) {
            let more = thousands(self.count_below(number) as u64);
            return self.entry(out, &branch(indent, true), &format!("… {more} more below"));
        }
        let groups = self.groups(out, number);
        let count = groups.len();
        for (at, (step, members)) in groups.into_iter().enumerate() {
            if self.entries >= ENTRIES {
                return Ok(());
            }
            let branch = branch(indent, at + 1 == count);
            let leaves = members.iter().all(|&i| self.children(self.nodes[i].number).is_empty());
            match members.as_slice() {
                // A single child needs no heading above it, so it begins the entry.
                [only] => self.chain(out, *only, &branch, &format!("{step}  "))?,
                _ if leaves && self.short(out, &members) => {
                    self.leaves(out, &members, &branch, &step)?;
                }
                _ => self.siblings(out, &members, &branch, &step)?,
            }
        }
        Ok(())
    }

    /// Draws a node, and in the same entry the nodes that follow without a branch.
    fn chain(
        &mut self,
        out: &mut AnswerWriter<'_>,
        first: usize,
        branch: &TreeBranch,
        step: &str,
    ) -> io::Result<()> {
        let mut links = vec![first];
        let mut last = first;
        while let [next] = *self.children(self.nodes[last].number) {
            links.push(next);
            last = next;
        }
        let folded = match links.len() > CHAIN {
            true => CHAIN_ENDS..links.len() - CHAIN_ENDS,
            false => 0..0,
        };
        let mut text = format!("{step}{}", self.name(out, first));
        for (at, &link) in links.iter().enumerate().skip(1) {
            if at == folded.start && !folded.is_empty() {
                text.push_str(&format!("   … {} more …", thousands(folded.len() as u64)));
            }
            if !folded.contains(&at) {
                let (step, name) = (unbreakable(&self.nodes[link].step(out)), self.name(out, link));
                text.push_str(&format!("   {step} {name}"));
            }
        }
        self.entry(out, branch, &text)?;
        self.level(out, self.nodes[last].number, &branch.inner)
    }

    /// True if the names of nodes can be read in one entry.
    fn short(&self, out: &AnswerWriter<'_>, members: &[usize]) -> bool {
        let Some(columns) = out.width else { return true };
        let names = members.iter().take(SIBLINGS).map(|&i| width(&self.nodes[i].title(out)) + 2);
        names.sum::<usize>() <= columns * LIST_LINES
    }

    /// Draws nodes with nothing below them in one entry.
    fn leaves(
        &mut self,
        out: &mut AnswerWriter<'_>,
        members: &[usize],
        branch: &TreeBranch,
        step: &str,
    ) -> io::Result<()> {
        let names: Vec<String> =
            members.iter().take(SIBLINGS).map(|&i| self.name(out, i)).collect();
        let count = thousands(members.len() as u64);
        let mut text = format!("{step} ({count})   {}", names.join(", "));
        if members.len() > SIBLINGS {
            text.push_str(&format!(", … {} more", thousands((members.len() - SIBLINGS) as u64)));
        }
        self.entry(out, branch, &text)
    }

    /// Draws nodes of which some have more below them, each in its own entry.
    fn siblings(
        &mut self,
        out: &mut AnswerWriter<'_>,
        members: &[usize],
        above: &TreeBranch,
        step: &str,
    ) -> io::Result<()> {
        self.entry(out, above, &format!("{step} ({})", thousands(members.len() as u64)))?;
        // Nodes with something below them say more, so they come first.
        let mut ordered = members.to_vec();
        ordered.sort_by_key(|&i| self.children(self.nodes[i].number).is_empty());
        let more = members.len().saturating_sub(SIBLINGS);
        for (at, &i) in ordered.iter().take(SIBLINGS).enumerate() {
            if self.entries >= ENTRIES {
                return Ok(());
            }
            let branch = branch(&above.inner, more == 0 && at + 1 == members.len());
            self.chain(out, i, &branch, "")?;
        }
        if more > 0 {
            let more = format!("… {} more", thousands(more as u64));
            self.entry(out, &branch(&above.inner, true), &more)?;
        }
        Ok(())
    }

    fn name(&mut self, out: &AnswerWriter<'_>, i: usize) -> String {
        // Naming counts, so an entity is drawn exactly if its name is printed.
        self.drawn += usize::from(self.nodes[i].reported);
        unbreakable(&self.nodes[i].title(out))
    }

    fn entry(
        &mut self,
        out: &mut AnswerWriter<'_>,
        branch: &TreeBranch,
        text: &str,
    ) -> io::Result<()> {
        self.entries += 1;
        out.line(&branch.start, text, &format!("{}   ", branch.inner))
    }
}

/// The place of a node in the drawing.
struct TreeBranch {
    /// The text before it.
    start: String,
    /// The indent of the nodes below it.
    inner: String,
}

fn branch(indent: &str, last: bool) -> TreeBranch {
    let (corner, line) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    TreeBranch { start: format!("{indent}{corner}"), inner: format!("{indent}{line}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(number: u32, parent: u32, name: &str, kind: &str, verb: &str) -> TreeNode {
        TreeNode {
            number,
            parent,
            key: name.into(),
            kind: kind.into(),
            verb: verb.into(),
            forward: verb != "ASSUMES",
            reported: true,
            ..TreeNode::default()
        }
    }

    fn drawn(nodes: &[TreeNode]) -> (String, usize) {
        drawn_in(nodes, None)
    }

    fn drawn_in(nodes: &[TreeNode], columns: Option<usize>) -> (String, usize) {
        let mut bytes = Vec::new();
        let mut tree = TreeDrawing::new(nodes);
        let mut out = AnswerWriter::plain(&mut bytes);
        out.width = columns;
        tree.print(&mut out, 0).expect("memory takes every byte");
        drop(out);
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
        let nodes: Vec<TreeNode> =
            (1..=20).map(|n| node(n, 0, &format!("b{n}"), "bucket", "ALLOWS")).collect();
        let (text, left) = drawn(&nodes);
        assert_eq!(text, "└─ ALLOWS → bucket (20)   b1, b2, b3, b4, b5, b6, … 14 more\n");
        assert_eq!(left, 14);
    }

    #[test]
    fn names_stand_before_keys_and_marks_behind_types() {
        let mut alice = node(1, 0, "okta-user:00u1", "okta_user", "HAS");
        alice.display = Some("Alice Smith".into());
        let mut role = node(2, 1, "role:x", "aws_role", "ASSUMES");
        role.mark = Some(("borrowed", Style::new()));
        let (text, _) = drawn(&[alice, role]);
        assert_eq!(
            text,
            "└─ HAS → okta_user  Alice Smith (okta-user:00u1)   \
             ASSUMES ← aws_role [borrowed] role:x\n"
        );
    }

    /// A chain of `count` nodes below the root.
    fn chain(count: u32) -> Vec<TreeNode> {
        (1..=count).map(|n| node(n, n - 1, &format!("n{n}"), "t", "HAS")).collect()
    }

    #[test]
    fn a_long_chain_folds_in_the_middle() {
        let (text, left) = drawn(&chain(5));
        assert_eq!(text, "└─ HAS → t  n1   HAS → t n2   HAS → t n3   HAS → t n4   HAS → t n5\n");
        assert_eq!(left, 0);
        let (text, left) = drawn(&chain(40));
        assert_eq!(text, "└─ HAS → t  n1   HAS → t n2   … 36 more …   HAS → t n39   HAS → t n40\n");
        assert_eq!(left, 36);
    }

    #[test]
    fn lines_keep_to_the_width_and_break_between_words() {
        let long = "the ledger of everything that was ever paid";
        let mut nodes: Vec<TreeNode> =
            (1..=9).map(|n| node(n, 0, &format!("arn:aws:s3:::{n}"), "bucket", "ALLOWS")).collect();
        nodes.iter_mut().for_each(|node| node.display = Some(format!("{long} {}", node.number)));
        nodes.push(node(10, 1, "漢字漢字漢字", "t", "HAS"));
        nodes.push(node(11, 1, "other", "t", "HAS"));
        for number in 12..30 {
            let mut leaf = node(number, 0, &format!("okta-user:{number}"), "okta_user", "USES");
            leaf.display = Some(format!("Somebody of the team {number}"));
            nodes.push(leaf);
        }
        insta::assert_snapshot!("tree_80", drawn_in(&nodes, Some(80)).0);
        insta::assert_snapshot!("tree_120", drawn_in(&nodes, Some(120)).0);
    }

    #[test]
    fn what_is_too_deep_for_the_width_is_counted() {
        // Two children at each level, so that no chain is folded.
        let mut nodes = Vec::new();
        for level in 0..20u32 {
            nodes.push(node(2 * level + 2, 2 * level, &format!("deep{level}"), "t", "HAS"));
            nodes.push(node(2 * level + 1, 2 * level, &format!("side{level}"), "t", "USES"));
        }
        let (text, left) = drawn_in(&nodes, Some(80));
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        assert!(text.contains(&format!("… {left} more below")) && left > 0, "{left}: {text}");
        assert_eq!(drawn(&nodes).1, 0, "nothing is too deep without a width");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            parents in prop::collection::vec((any::<prop::sample::Index>(), "[a-z漢 :/]{1,60}"), 1..80),
            columns in 40usize..130,
        ) {
            let mut nodes: Vec<TreeNode> = Vec::new();
            for (number, (parent, name)) in (1u32..).zip(&parents) {
                let mut node = node(number, parent.index(number as usize) as u32, name, "t", "HAS");
                node.display = Some(name.chars().rev().collect());
                nodes.push(node);
            }
            let (text, left) = drawn_in(&nodes, Some(columns));
            for line in text.lines() {
                prop_assert!(width(line) <= columns, "{} > {columns}: {line}", width(line));
            }
            prop_assert!(left < nodes.len());
        }
    }

    #[test]
    fn names_cannot_draw() {
        let (text, _) = drawn(&[node(1, 0, "a\n└─ forged", "t", "HAS")]);
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
