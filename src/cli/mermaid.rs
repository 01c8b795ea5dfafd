//! Mermaid flowcharts, for Markdown.
//!
//! Mermaid draws no more than 500 edges and 50 000 characters unless the page sets other limits. A
//! larger graph is folded: first the leaves that hang alike from one entity, then all entities of
//! one type. A note on standard error and in the text tells what was folded, and every count stays.

use super::failure::CommandError;
use super::output::{AnswerWriter, clean, counted, thousands};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use tombolo::answers::{self, RelationshipHead};
use tombolo::graph::EntityHead;

/// The default of `maxEdges` in Mermaid.
const EDGES: usize = 500;
/// The default of `maxTextSize` in Mermaid.
const TEXT: usize = 50_000;
/// The least number of leaves alike on one entity that are folded.
const ALIKE: usize = 3;

/// Draws entities and the relationships between them.
pub fn draw(
    out: &mut AnswerWriter<'_>,
    entities: &[&EntityHead],
    links: &[&RelationshipHead],
) -> Result<(), CommandError> {
    let whole = MermaidChart::whole(entities, links);
    // Folding hides names, so a graph is folded only as far as needed.
    if whole.fits() {
        return whole.write(out, None);
    }
    let edges = links.len() as u64;
    let leaves = MermaidChart::folded(entities, links);
    if leaves.fits() {
        let what = "leaves of one type that hang alike from one entity stand together";
        return leaves.write(out, Some((edges, what)));
    }
    let mut types = TypeDiagram::default();
    let kinds: FxHashMap<u32, ScopedType> =
        entities.iter().map(|e| (e.number, (e.scope.clone(), e.type_name.clone()))).collect();
    kinds.values().for_each(|kind| types.entities(kind.clone(), 1));
    for link in links {
        if let (Some(from), Some(to)) = (kinds.get(&link.from), kinds.get(&link.to)) {
            types.link(from, &link.class, to);
        }
    }
    types.draw(out)
}

/// Scope and type.
type ScopedType = (String, String);

/// A graph of types, with the number of entities of each and of relationships between them.
#[derive(Default)]
pub struct TypeDiagram {
    entities: BTreeMap<ScopedType, u64>,
    links: BTreeMap<(ScopedType, String, ScopedType), u64>,
}

impl TypeDiagram {
    /// Counts entities.
    pub fn entities(&mut self, kind: ScopedType, count: u64) {
        *self.entities.entry(kind).or_default() += count;
    }

    /// Counts a relationship.
    pub fn link(&mut self, from: &ScopedType, verb: &str, to: &ScopedType) {
        let key = (from.clone(), verb.to_owned(), to.clone());
        *self.links.entry(key).or_default() += 1;
    }

    /// Draws the types. If there are still too many arrows, the rarest are left out.
    pub fn draw(self, out: &mut AnswerWriter<'_>) -> Result<(), CommandError> {
        let all: u64 = self.links.values().sum();
        let number: BTreeMap<&ScopedType, usize> =
            self.entities.keys().enumerate().map(|(at, kind)| (kind, at)).collect();
        let mut chart = MermaidChart::default();
        for (at, ((scope, type_name), count)) in self.entities.iter().enumerate() {
            let count = thousands(*count);
            let label = format!("{} ({count})<br/>@{}", escaped(type_name), escaped(scope));
            chart.boxes.push((format!("t{at}"), label));
        }
        let mut links: Vec<_> = self.links.iter().collect();
        // The most frequent come first, so that a cut at the limit drops the rarest.
        links.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for ((from, verb, to), count) in links {
            let (Some(from), Some(to)) = (number.get(from), number.get(to)) else { continue };
            let label = format!("{} ({})", escaped(verb), thousands(*count));
            chart.arrows.push((format!("t{from}"), format!("t{to}"), label));
        }
        let left_out = chart.arrows.len().saturating_sub(EDGES);
        chart.arrows.truncate(EDGES);
        let more = match left_out {
            0 => String::new(),
            n => format!(
                "; the rarest {} between types are left out",
                counted(n as u64, "kind of edge", "kinds of edges")
            ),
        };
        chart.write(out, Some((all, &format!("entities of one type stand together{more}"))))
    }
}

/// The boxes and arrows of a flowchart, as text.
#[derive(Default)]
struct MermaidChart {
    /// Id and label.
    boxes: Vec<(String, String)>,
    /// Ids of both ends, label.
    arrows: Vec<(String, String, String)>,
}

fn node(number: u32) -> String {
    format!("n{number}")
}

fn label(entity: &EntityHead) -> String {
    let key = escaped(&entity.key);
    let name = match answers::display(entity.display_name.as_deref(), &entity.key) {
        Some(name) => format!("{}<br/>({key})", escaped(name)),
        None => key,
    };
    format!("{name}<br/>{} @{}", escaped(&entity.type_name), escaped(&entity.scope))
}

impl MermaidChart {
    fn whole(entities: &[&EntityHead], links: &[&RelationshipHead]) -> MermaidChart {
        MermaidChart {
            boxes: entities.iter().map(|e| (node(e.number), label(e))).collect(),
            arrows: links
                .iter()
                .map(|link| (node(link.from), node(link.to), escaped(&link.class)))
                .collect(),
        }
    }

    /// Makes a chart in which leaves that hang alike from one entity share one box.
    fn folded(entities: &[&EntityHead], links: &[&RelationshipHead]) -> MermaidChart {
        let mut touching: FxHashMap<u32, usize> = FxHashMap::default();
        for end in links.iter().flat_map(|link| [link.from, link.to]) {
            *touching.entry(end).or_default() += 1;
        }
        let heads: FxHashMap<u32, &EntityHead> = entities.iter().map(|e| (e.number, *e)).collect();
        // A leaf is an entity with a single relationship.
        let leaf = |number: u32| touching.get(&number) == Some(&1);
        // Leaves by the entity they hang from, the direction, the verb, and their scope and type.
        let mut alike: BTreeMap<(u32, bool, &str, &str, &str), Vec<u32>> = BTreeMap::new();
        for link in links {
            let (hanging, from, out) = match (leaf(link.from), leaf(link.to)) {
                (false, true) => (link.to, link.from, true),
                (true, false) => (link.from, link.to, false),
                // Two leaves that touch only each other hang from nobody.
                _ => continue,
            };
            if let Some(head) = heads.get(&hanging) {
                let key =
                    (from, out, link.class.as_str(), head.scope.as_str(), head.type_name.as_str());
                alike.entry(key).or_default().push(hanging);
            }
        }
        alike.retain(|_, leaves| leaves.len() >= ALIKE);
        let gone: rustc_hash::FxHashSet<u32> = alike.values().flatten().copied().collect();
        let kept: Vec<&EntityHead> =
            entities.iter().copied().filter(|e| !gone.contains(&e.number)).collect();
        let links: Vec<&RelationshipHead> = links
            .iter()
            .copied()
            .filter(|link| !gone.contains(&link.from) && !gone.contains(&link.to))
            .collect();
        let mut chart = MermaidChart::whole(&kept, &links);
        for (at, ((from, out, verb, scope, type_name), leaves)) in alike.into_iter().enumerate() {
            let id = format!("g{at}");
            let count = thousands(leaves.len() as u64);
            let label = format!("{} ({count})<br/>@{}", escaped(type_name), escaped(scope));
            chart.boxes.push((id.clone(), label));
            let ends = if out { (node(from), id) } else { (id, node(from)) };
            chart.arrows.push((ends.0, ends.1, escaped(verb)));
        }
        chart
    }

    fn fits(&self) -> bool {
        self.arrows.len() <= EDGES && self.text().len() <= TEXT
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (id, label) in &self.boxes {
            let _ = writeln!(text, "  {id}[\"{label}\"]");
        }
        for (from, to, label) in &self.arrows {
            let _ = writeln!(text, "  {from} -->|\"{label}\"| {to}");
        }
        text
    }

    /// Writes the chart. `folded` gives the number of edges before folding and the words for it.
    fn write(
        &self,
        out: &mut AnswerWriter<'_>,
        folded: Option<(u64, &str)>,
    ) -> Result<(), CommandError> {
        writeln!(out, "flowchart LR")?;
        if let Some((edges, what)) = folded {
            let edges = counted(edges, "edge is", "edges are");
            let note =
                format!("{edges} too much for Mermaid: {what}; -o dot and -o graphml have all");
            writeln!(out, "  %% {note}")?;
            if !out.quiet {
                eprintln!("note: {note}");
            }
        }
        write!(out, "{}", self.text())?;
        // Types cannot be folded further, so even a folded chart may be too long.
        let size = self.text().len();
        if size > TEXT && !out.quiet {
            eprintln!("note: the chart has {size} characters; set `maxTextSize` where it is drawn");
        }
        Ok(())
    }
}

/// Escapes text for the double quotes of Mermaid, which knows entity codes and reads HTML and
/// Markdown.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' | ';' => {
                escaped.push_str(&format!("#{};", c as u32));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo::graph::{ObjectId, ObjectKind};

    fn entity(number: u32, type_name: &str) -> EntityHead {
        EntityHead {
            number,
            id: ObjectId::new(ObjectKind::Entity, "aws", &number.to_string()),
            scope: "aws".into(),
            key: format!("{type_name}:{number}"),
            type_name: type_name.into(),
            classes: Vec::new(),
            display_name: Some(format!("Name {number}")),
            deleted: false,
        }
    }

    fn link(from: u32, to: u32, verb: &str) -> RelationshipHead {
        RelationshipHead {
            id: String::new(),
            number: 0,
            key: String::new(),
            type_name: String::new(),
            class: verb.into(),
            scope: String::new(),
            from,
            to,
        }
    }

    fn drawn(entities: &[EntityHead], links: &[RelationshipHead]) -> String {
        let mut bytes = Vec::new();
        let mut out = AnswerWriter::plain(&mut bytes);
        out.quiet = true;
        let (entities, links): (Vec<_>, Vec<_>) =
            (entities.iter().collect(), links.iter().collect());
        draw(&mut out, &entities, &links).expect("memory takes every byte");
        drop(out);
        String::from_utf8(bytes).expect("text")
    }

    fn arrows(text: &str) -> usize {
        text.lines().filter(|line| line.contains("-->")).count()
    }

    #[test]
    fn no_name_breaks_out_of_its_quotes() {
        assert_eq!(escaped("a\"]<b>"), "a#34;]#60;b#62;");
    }

    #[test]
    fn names_stand_before_keys() {
        let text = drawn(&[entity(1, "role"), entity(2, "bucket")], &[link(1, 2, "ALLOWS")]);
        assert_eq!(
            text,
            "flowchart LR\n  n1[\"Name 1<br/>(role:1)<br/>role @aws\"]\n  \
             n2[\"Name 2<br/>(bucket:2)<br/>bucket @aws\"]\n  n1 -->|\"ALLOWS\"| n2\n"
        );
    }

    #[test]
    fn leaves_that_hang_alike_fold_beyond_what_mermaid_draws() {
        let mut entities = vec![entity(0, "role"), entity(1, "user")];
        let mut links = vec![link(1, 0, "ASSUMES")];
        for number in 2..700 {
            entities.push(entity(number, "bucket"));
            links.push(link(0, number, "ALLOWS"));
        }
        let text = drawn(&entities, &links);
        assert!(text.contains("[\"bucket (698)<br/>@aws\"]"), "{text}");
        assert!(text.contains("%% 699 edges are too much for Mermaid"), "{text}");
        assert_eq!(arrows(&text), 2, "{text}");
        assert!(text.contains("n1 -->|\"ASSUMES\"| n0") && text.contains("n0 -->|\"ALLOWS\"| g0"));
    }

    #[test]
    fn a_dense_graph_folds_to_its_types() {
        let entities: Vec<EntityHead> =
            (0..60).map(|n| entity(n, if n % 2 == 0 { "app" } else { "db" })).collect();
        let links: Vec<RelationshipHead> = (0..60)
            .flat_map(|a| (0..60).map(move |b| (a, b)))
            .filter(|(a, b)| a % 2 == 0 && b % 2 == 1)
            .map(|(a, b)| link(a, b, "USES"))
            .collect();
        let text = drawn(&entities, &links);
        assert!(text.contains("app (30)") && text.contains("db (30)"), "{text}");
        assert!(text.contains("t0 -->|\"USES (900)\"| t1"), "{text}");
        assert_eq!(arrows(&text), 1);
    }
}
