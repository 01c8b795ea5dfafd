//! Folds entities into cards, so that a picture of any size can be read.
//!
//! A *family* is what hangs alike from one card: the same verb and direction, type, scope and state. More
//! than [`GROUP_ABOVE`] of them become one card, and so do families of a column above [`COLUMN_MAX`]. What
//! hangs from a member of a group hangs from its card, so 50,000 entities fold into a few dozen. A group
//! is opened [`OPEN_BY`] at a time.

use super::graph::{NodeRole, PictureGraph, PictureNode};
use super::text;
use crate::rules::ImpactState;
use std::collections::BTreeMap;

/// Siblings alike that stand one by one; one more, and they are a group.
pub const GROUP_ABOVE: usize = 6;
/// Entities of a group that are opened at a time.
pub const OPEN_BY: usize = 25;
/// Cards of a column above which families of several parents are folded together.
pub const COLUMN_MAX: usize = 40;
/// Cards of a picture; what comes behind them is counted.
pub const DRAWN_MAX: usize = 2000;

/// A card of a picture.
pub struct PictureCard<'a> {
    /// The id of a group, by which it is opened; else the `_id` of its entity.
    pub id: String,
    /// The entity, or the entities that a group holds.
    pub members: Vec<&'a PictureNode<'a>>,
    /// The kind of card.
    pub kind: CardKind,
    /// The cards that it hangs from, in the column before.
    pub parents: Vec<CardLink<'a>>,
    /// The lines of its name, as they fit.
    pub lines: Vec<String>,
    /// The line below the name; may be empty.
    pub sub: String,
    /// Left edge.
    pub x: f64,
    /// Middle.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height, with the edges of the cards below a group.
    pub height: f64,
}

/// What a card stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CardKind {
    /// One entity.
    Entity,
    /// One entity of a group that was opened, on one line.
    Opened,
    /// Entities alike, of which so many are opened beside it.
    Group {
        /// Those that stand in cards of their own.
        opened: usize,
    },
}

/// An edge to a card: the card that it hangs from, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardLink<'a> {
    /// Position of that card.
    pub card: u32,
    /// The verb.
    pub verb: &'a str,
    /// True if the relationships point away from that card.
    pub onward: bool,
}

impl<'a> PictureCard<'a> {
    /// The first entity that it stands for; all of a group are alike.
    pub fn node(&self) -> &'a PictureNode<'a> {
        self.members[0]
    }

    /// The state of its entities.
    pub fn state(&self) -> Option<ImpactState> {
        self.node().state
    }

    /// True if it stands for several entities.
    pub fn is_group(&self) -> bool {
        matches!(self.kind, CardKind::Group { .. })
    }

    /// The name before it is made to fit: of an entity its own, of a group its type and number.
    pub fn label(&self) -> String {
        let type_name = crate::answers::clean(&self.node().entity.type_name);
        match self.kind {
            CardKind::Entity | CardKind::Opened => self.node().name().into_owned(),
            CardKind::Group { opened: 0 } => {
                format!("{type_name} ({})", grouped(self.members.len()))
            }
            CardKind::Group { .. } => format!("{} more {type_name}", grouped(self.members.len())),
        }
    }

    /// The order of cards that nothing else tells apart: by state, scope, type, then groups last, then
    /// by name and key.
    pub(super) fn rank(&self) -> CardRank<'a> {
        let node = self.node();
        CardRank {
            state: node.state,
            scope: &node.entity.scope,
            type_name: &node.entity.type_name,
            group: self.is_group(),
            name: node.name().to_lowercase(),
            key: &node.entity.key,
            role: node.role,
        }
    }
}

/// The place of a card among others of its column.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CardRank<'a> {
    state: Option<ImpactState>,
    scope: &'a str,
    type_name: &'a str,
    group: bool,
    name: String,
    key: &'a str,
    role: NodeRole,
}

/// Writes a number with its thousands apart.
pub(super) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What siblings alike share, but for the card that they hang from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct FamilyKind<'a> {
    link: Option<(&'a str, bool)>,
    type_name: &'a str,
    scope: &'a str,
    state: Option<ImpactState>,
    role: NodeRole,
}

/// Siblings alike of one card, or of several once they are folded together.
struct Family<'a> {
    parent: Option<u32>,
    kind: FamilyKind<'a>,
    /// Positions of nodes.
    nodes: Vec<u32>,
}

/// The cards of a graph, column by column from the left.
pub(super) struct FoldedGraph<'a> {
    pub cards: Vec<PictureCard<'a>>,
    /// Entities behind the last card that is drawn.
    pub left_out: u64,
    /// The ids of all groups, also of those that are opened as a whole.
    pub groups: Vec<String>,
}

/// Folds the nodes of a graph into cards. `opened` names groups that are opened; a name that stands there
/// twice opens as many again.
pub(super) fn fold<'a>(graph: &'a PictureGraph<'a>, opened: &[String]) -> FoldedGraph<'a> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    opened.iter().for_each(|id| *times.entry(id.clone()).or_default() += 1);
    let mut folding = Folding {
        graph,
        times,
        home: vec![None; graph.nodes.len()],
        cards: Vec::new(),
        left_out: 0,
        groups: Vec::new(),
    };
    let mut at = 0;
    while let Some(node) = graph.nodes.get(at) {
        let end = at + graph.nodes[at..].iter().take_while(|n| n.hop == node.hop).count();
        folding.column(at as u32..end as u32);
        at = end;
    }
    let Folding { cards, left_out, groups, .. } = folding;
    FoldedGraph { cards, left_out, groups }
}

struct Folding<'a> {
    graph: &'a PictureGraph<'a>,
    /// How often each group is opened.
    times: BTreeMap<String, usize>,
    /// The card of each node.
    home: Vec<Option<u32>>,
    cards: Vec<PictureCard<'a>>,
    left_out: u64,
    groups: Vec<String>,
}

impl<'a> Folding<'a> {
    fn node(&self, at: u32) -> &'a PictureNode<'a> {
        &self.graph.nodes[at as usize]
    }

    /// The cards that a node hangs from, each once.
    fn links(&self, at: u32) -> Vec<CardLink<'a>> {
        let links = self.node(at).links.iter();
        let mut links: Vec<CardLink<'a>> = links
            .filter_map(|link| {
                let card = self.home[link.from as usize]?;
                let verb = link.relationship.class.as_str();
                Some(CardLink { card, verb, onward: link.onward })
            })
            .collect();
        links.sort();
        links.dedup();
        links
    }

    /// The families of a column, in order. Nodes whose way is not drawn are left out.
    fn families(&mut self, column: std::ops::Range<u32>) -> Vec<Family<'a>> {
        let mut families: BTreeMap<(Option<u32>, FamilyKind<'a>), Vec<u32>> = BTreeMap::new();
        for at in column {
            let node = self.node(at);
            let first = self.links(at).first().copied();
            if first.is_none() && !node.links.is_empty() {
                self.left_out += u64::from(node.role != NodeRole::OnTheWay);
                continue;
            }
            let kind = FamilyKind {
                link: first.map(|link| (link.verb, link.onward)),
                type_name: &node.entity.type_name,
                scope: &node.entity.scope,
                state: node.state,
                role: node.role,
            };
            families.entry((first.map(|link| link.card), kind)).or_default().push(at);
        }
        let family = |((parent, kind), nodes)| Family { parent, kind, nodes };
        families.into_iter().map(family).collect()
    }

    fn column(&mut self, column: std::ops::Range<u32>) {
        let hop = self.node(column.start).hop;
        let families = self.families(column);
        let (groups, mut single): (Vec<Family<'a>>, Vec<Family<'a>>) =
            families.into_iter().partition(|family| family.nodes.len() > GROUP_ABOVE);
        let groups = fold_column(groups, &mut single);
        for family in single {
            let nodes = self.sorted(&family.nodes);
            nodes.into_iter().for_each(|at| self.add(CardKind::Entity, None, vec![at]));
        }
        for group in groups {
            self.group(hop, &group);
        }
    }

    fn sorted(&self, nodes: &[u32]) -> Vec<u32> {
        let mut nodes = nodes.to_vec();
        nodes.sort_by_cached_key(|at| {
            let node = self.node(*at);
            (node.name().to_lowercase(), &node.entity.key)
        });
        nodes
    }

    /// Adds a group, with those of its members before it that are opened.
    fn group(&mut self, hop: u32, group: &Family<'a>) {
        let nodes = self.sorted(&group.nodes);
        let id = self.group_id(hop, group);
        self.groups.push(id.clone());
        let times = self.times.get(&id).copied().unwrap_or(0);
        let opened = times.saturating_mul(OPEN_BY).min(nodes.len());
        let (open, rest) = nodes.split_at(opened);
        open.iter().for_each(|at| self.add(CardKind::Opened, None, vec![*at]));
        if !rest.is_empty() {
            self.add(CardKind::Group { opened }, Some(id), rest.to_vec());
        }
    }

    /// The id of a group. It is made of what its members share, so the same question gets it again.
    fn group_id(&self, hop: u32, group: &Family<'a>) -> String {
        let FamilyKind { link, type_name, scope, state, role } = group.kind;
        let parent = group.parent.map_or("", |card| &self.cards[card as usize].id);
        let (verb, onward) = link.unwrap_or(("", true));
        let direction = crate::answers::direction(onward);
        let state = state.map_or("", ImpactState::word);
        let parts = [parent, verb, direction, type_name, scope, state, role.word()];
        let digest = xxhash_rust::xxh3::xxh3_64(parts.join("\0").as_bytes());
        format!("g{hop}-{:08x}", digest as u32)
    }

    /// Adds a card, unless the picture is full.
    fn add(&mut self, kind: CardKind, id: Option<String>, nodes: Vec<u32>) {
        if self.cards.len() >= DRAWN_MAX {
            let counted = nodes.iter().filter(|at| self.node(**at).role != NodeRole::OnTheWay);
            self.left_out += counted.count() as u64;
            return;
        }
        let mut parents: Vec<CardLink<'a>> = nodes.iter().flat_map(|at| self.links(*at)).collect();
        parents.sort();
        parents.dedup();
        for at in &nodes {
            self.home[*at as usize] = Some(self.cards.len() as u32);
        }
        let members: Vec<_> = nodes.into_iter().map(|at| self.node(at)).collect();
        self.cards.push(PictureCard {
            id: id.unwrap_or_else(|| members[0].entity.id.to_string()),
            members,
            kind,
            parents,
            lines: Vec::new(),
            sub: String::new(),
            x: 0.0,
            y: 0.0,
            width: 0.0,
            height: 0.0,
        });
    }
}

/// Folds the largest families of the same kind together, whatever they hang from, until a column has no
/// more than [`COLUMN_MAX`] cards or nothing is left to fold. Returns the groups.
fn fold_column<'a>(mut groups: Vec<Family<'a>>, single: &mut Vec<Family<'a>>) -> Vec<Family<'a>> {
    let cards = |single: &[Family<'_>]| single.iter().map(|f| f.nodes.len()).sum::<usize>();
    while cards(single) + groups.len() > COLUMN_MAX {
        let Some(kind) = largest(single, |family| family.nodes.len()) else { break };
        groups.push(merged(single, kind));
    }
    while cards(single) + groups.len() > COLUMN_MAX {
        let Some(kind) = largest(&groups, |_| 1) else { break };
        let group = merged(&mut groups, kind);
        groups.push(group);
    }
    groups.sort_by(|a, b| (a.parent, a.kind).cmp(&(b.parent, b.kind)));
    groups
}

/// The kind whose families take most cards, if there is one that takes more than one card; the first of
/// those that take as many.
fn largest<'a>(
    families: &[Family<'a>],
    cards: impl Fn(&Family<'a>) -> usize,
) -> Option<FamilyKind<'a>> {
    let mut kinds: BTreeMap<FamilyKind<'a>, usize> = BTreeMap::new();
    families.iter().for_each(|family| *kinds.entry(family.kind).or_default() += cards(family));
    let most = kinds.values().copied().max().filter(|most| *most > 1)?;
    kinds.into_iter().find(|(_, count)| *count == most).map(|(kind, _)| kind)
}

/// Takes all families of a kind out and makes one of them.
fn merged<'a>(families: &mut Vec<Family<'a>>, kind: FamilyKind<'a>) -> Family<'a> {
    let (own, others): (Vec<_>, Vec<_>) =
        families.drain(..).partition(|family| family.kind == kind);
    *families = others;
    let parent = own.iter().filter_map(|family| family.parent).min();
    Family { parent, kind, nodes: own.into_iter().flat_map(|family| family.nodes).collect() }
}

/// Heights and widths of cards, in pixels.
pub(super) mod size {
    /// Least and greatest width.
    pub const WIDTHS: (u64, u64) = (168, 288);
    /// Where the text begins.
    pub const TEXT_LEFT: u64 = 46;
    /// Room behind the name, for the ball of the state.
    pub const TEXT_RIGHT: u64 = 34;
    /// Room behind the line below the name.
    pub const SUB_RIGHT: u64 = 12;
    /// An entity.
    pub const ENTITY: f64 = 48.0;
    /// An entity of an opened group.
    pub const OPENED: f64 = 30.0;
    /// A group, with the edges of the cards below it.
    pub const GROUP: f64 = 72.0;
    /// The edges of the cards below a group.
    pub const STACK: f64 = 7.0;
    /// A second line.
    pub const LINE: f64 = 16.0;
}

/// Makes the labels of the cards of one column, and gives all of them the width of the widest.
pub(super) fn measure(cards: &mut [&mut PictureCard<'_>], graph: &PictureGraph<'_>) {
    let (least, most) = size::WIDTHS;
    let mut column = least;
    for card in cards.iter_mut() {
        let (label, small) = (card.label(), card.kind == CardKind::Opened);
        let room = most - size::TEXT_LEFT - size::TEXT_RIGHT;
        card.lines = match small {
            true => vec![text::fold(&label, room, text::NAME)],
            false => text::lines(&label, room),
        };
        if card.kind == CardKind::Entity {
            let room = most - size::TEXT_LEFT - size::SUB_RIGHT;
            card.sub = sub_line(card.node(), graph, room);
        }
        let names = card.lines.iter().map(|line| text::width(line, text::NAME) + size::TEXT_RIGHT);
        let sub = text::width(&card.sub, text::SUB) + size::SUB_RIGHT;
        column = names.chain([sub]).map(|w| w + size::TEXT_LEFT).fold(column, u64::max);
        let first = match card.kind {
            CardKind::Entity => size::ENTITY,
            CardKind::Opened => size::OPENED,
            CardKind::Group { .. } => size::GROUP,
        };
        card.height = first + size::LINE * (card.lines.len() - 1) as f64;
    }
    for card in cards.iter_mut() {
        let width = column.min(most);
        card.width = width as f64;
        if card.is_group() {
            let names = card.members.iter().map(|node| node.name());
            card.sub = text::list(names, width - size::TEXT_LEFT - size::SUB_RIGHT);
        }
    }
}

/// `aws_iam_role · aws`, and what is to be known beside: stale, owner, on the way. A long type is shortened.
fn sub_line(node: &PictureNode<'_>, graph: &PictureGraph<'_>, room: u64) -> String {
    let scope = crate::answers::clean(&node.entity.scope);
    let mut rest = format!(" · {}", text::fold(&scope, room / 2, text::SUB));
    if graph.stale.contains(node.entity.scope.as_str()) {
        rest.push_str(" · stale");
    }
    let role = match node.role {
        NodeRole::OnTheWay => Some("on the way"),
        NodeRole::Goal => graph.goal,
        NodeRole::Start | NodeRole::Listed => None,
    };
    rest.extend(role.into_iter().flat_map(|role| [" · ", role]));
    let type_name = crate::answers::clean(&node.entity.type_name);
    let room = room.saturating_sub(text::width(&rest, text::SUB));
    text::fold(&type_name, room.max(60), text::SUB) + &rest
}
