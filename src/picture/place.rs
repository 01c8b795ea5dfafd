//! Where everything stands: cards in columns, the verbs of bundles in the gaps between them.
//!
//! The tallest column comes first, with even gaps. The others go, by least squares, to the mean of the
//! cards that they hang from, or that hang from them, and keep their gaps.

use super::cards::{self, CardKind, CardLink, FoldedGraph, PictureCard};
use super::graph::PictureGraph;
use super::order;
use super::text;
use std::collections::BTreeMap;

/// Between two cards of an opened group, of a bundle, and other cards.
const GAPS: (f64, f64, f64) = (4.0, 10.0, 24.0);
/// Above the first card, for the heads of the columns.
pub(super) const HEAD: f64 = 60.0;
/// Around everything.
pub(super) const MARGIN: f64 = 14.0;
/// The height of the pill of a verb, and the least gap between two.
pub(super) const PILL: (f64, f64) = (18.0, 6.0);
/// Beside the widest pill of a gap.
const PILL_SIDE: f64 = 12.0;
/// Between columns without edges.
const EMPTY_GAP: f64 = 48.0;

/// A picture of which everything has its place.
pub struct Picture<'a> {
    /// The graph that it shows.
    pub graph: &'a PictureGraph<'a>,
    /// The columns, from the left.
    pub columns: Vec<PictureColumn>,
    /// The cards, column by column from the top.
    pub cards: Vec<PictureCard<'a>>,
    /// The edges, bundled by where they begin and by verb.
    pub bundles: Vec<EdgeBundle<'a>>,
    /// The ids of its groups, also of those that are opened as a whole.
    pub groups: Vec<String>,
    /// Entities that stand neither in a card nor in a group, as the picture is full.
    pub not_drawn: u64,
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
}

/// A column of a picture.
pub struct PictureColumn {
    /// Relationships between its entities and where the answer starts.
    pub hop: u32,
    /// The entities of the answer at this distance.
    pub counted: u64,
    /// The cards of the column.
    pub drawn: usize,
    /// Left edge.
    pub x: f64,
    /// Width.
    pub width: f64,
}

/// Edges of one verb and direction from one card: a trunk to its pill, and from there a branch to each.
pub struct EdgeBundle<'a> {
    /// Position of the card where it begins.
    pub from: u32,
    /// The verb.
    pub verb: &'a str,
    /// True if the relationships point away from that card.
    pub onward: bool,
    /// Positions of the cards where it ends, from the top.
    pub to: Vec<u32>,
    /// Middle of the pill.
    pub x: f64,
    /// Middle of the pill.
    pub y: f64,
    /// Width of the pill.
    pub width: f64,
}

impl<'a> PictureGraph<'a> {
    /// Folds the graph into cards and places them. `opened` names groups of which members are drawn, 25
    /// for each time that the name stands there.
    pub fn layout(&'a self, opened: &[String]) -> Picture<'a> {
        let FoldedGraph { cards, left_out, groups } = cards::fold(self, opened);
        let cards = in_order(cards);
        let mut columns: Vec<Vec<PictureCard<'a>>> = Vec::new();
        for card in cards {
            match columns.last_mut() {
                Some(column) if column[0].node().hop == card.node().hop => column.push(card),
                _ => columns.push(vec![card]),
            }
        }
        for column in &mut columns {
            let mut column: Vec<_> = column.iter_mut().collect();
            cards::measure(&mut column, self);
        }
        upright(&mut columns);
        let (bundles, width) = across(&mut columns);
        let bottom = columns.iter().flatten().map(|card| card.y + card.height / 2.0);
        let bottom = bottom.chain(bundles.iter().map(|bundle| bundle.y + PILL.0 / 2.0));
        let height = bottom.fold(HEAD + MARGIN, f64::max) + MARGIN;
        let columns_drawn = columns.iter().map(|cards| self.column(cards)).collect();
        let cards = columns.into_iter().flatten().collect();
        Picture {
            graph: self,
            columns: columns_drawn,
            cards,
            bundles,
            groups,
            not_drawn: left_out,
            width,
            height,
        }
    }

    fn column(&self, cards: &[PictureCard<'a>]) -> PictureColumn {
        let hop = cards[0].node().hop;
        let nodes = self.nodes.iter().skip_while(|node| node.hop < hop);
        let nodes = nodes.take_while(|node| node.hop == hop);
        let counted = nodes.filter(|node| node.role != super::NodeRole::OnTheWay).count();
        let (x, width) = (cards[0].x, cards[0].width);
        PictureColumn { hop, counted: counted as u64, drawn: cards.len(), x, width }
    }
}

/// Brings the cards of each column in order, and their links along.
fn in_order(cards: Vec<PictureCard<'_>>) -> Vec<PictureCard<'_>> {
    let order: Vec<u32> = order::order(&cards).into_iter().flatten().collect();
    let mut places = vec![0u32; cards.len()];
    for (new, &old) in (0..).zip(&order) {
        places[old as usize] = new;
    }
    let mut slots: Vec<Option<PictureCard<'_>>> = cards.into_iter().map(Some).collect();
    let mut ordered: Vec<_> = order.iter().filter_map(|&at| slots[at as usize].take()).collect();
    for card in &mut ordered {
        card.parents.iter_mut().for_each(|link| link.card = places[link.card as usize]);
        card.parents.sort();
    }
    ordered
}

/// The least distance between the middles of two cards that follow each other.
fn distance(above: &PictureCard<'_>, below: &PictureCard<'_>) -> f64 {
    let (opened, bundle, other) = GAPS;
    let small = |card: &PictureCard<'_>| card.kind == CardKind::Opened;
    let gap = match above.parents.first() == below.parents.first() {
        _ if small(above) && small(below) => opened,
        true => bundle,
        false => other,
    };
    (above.height + below.height) / 2.0 + gap
}

/// Places the cards of a column as near as possible to where they want to be, by least squares, without
/// any overlap: neighbours that come too near are pooled and share the mean of their wishes.
fn stack(column: &mut [PictureCard<'_>], wishes: &[f64]) {
    let mut offsets = Vec::with_capacity(column.len());
    let mut offset = 0.0;
    for at in 0..column.len() {
        if at > 0 {
            offset += distance(&column[at - 1], &column[at]);
        }
        offsets.push(offset);
    }
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (wish, offset) in wishes.iter().zip(&offsets) {
        let (mut mean, mut size) = (wish - offset, 1);
        while let Some(&(before, members)) = pools.last().filter(|pool| pool.0 > mean) {
            mean = (before * members as f64 + mean * size as f64) / (members + size) as f64;
            size += members;
            pools.pop();
        }
        pools.push((mean, size));
    }
    let means = pools.into_iter().flat_map(|(mean, size)| std::iter::repeat_n(mean, size));
    for ((card, mean), offset) in column.iter_mut().zip(means).zip(offsets) {
        card.y = ((mean + offset) * 10.0).round() / 10.0;
    }
}

/// Places all cards from the top to the bottom.
fn upright(columns: &mut [Vec<PictureCard<'_>>]) {
    let tall = |column: &[PictureCard<'_>]| column.iter().map(|c| c.height + GAPS.1).sum::<f64>();
    let heights: Vec<f64> = columns.iter().map(|column| tall(column)).collect();
    let most = heights.iter().copied().fold(0.0, f64::max);
    let Some(tallest) = heights.iter().position(|height| *height == most) else { return };
    let even = vec![0.0; columns[tallest].len()];
    stack(&mut columns[tallest], &even);
    // Positions of cards, as links name them, begin anew in no column.
    let starts: Vec<usize> = columns
        .iter()
        .scan(0, |next, column| {
            let start = *next;
            *next += column.len();
            Some(start)
        })
        .collect();
    for at in (0..tallest).rev() {
        let mut sums = vec![(0.0, 0usize); columns[at].len()];
        for card in &columns[at + 1] {
            let mut parents: Vec<u32> = card.parents.iter().map(|link| link.card).collect();
            parents.dedup();
            for parent in parents {
                let (sum, count) = &mut sums[parent as usize - starts[at]];
                (*sum, *count) = (*sum + card.y, *count + 1);
            }
        }
        let wishes = sums.into_iter().map(|(sum, n)| (n > 0).then(|| sum / n as f64)).collect();
        stack(&mut columns[at], &completed(wishes));
    }
    for at in tallest + 1..columns.len() {
        let (before, after) = columns.split_at_mut(at);
        let wish = |card: &PictureCard<'_>| {
            let place = |link: &CardLink<'_>| before[at - 1][link.card as usize - starts[at - 1]].y;
            let sum: f64 = card.parents.iter().map(place).sum();
            (!card.parents.is_empty()).then(|| sum / card.parents.len() as f64)
        };
        let wishes = after[0].iter().map(wish).collect();
        stack(&mut after[0], &completed(wishes));
    }
    let tops = columns.iter().flatten().map(|card| card.y - card.height / 2.0);
    let up = tops.fold(f64::INFINITY, f64::min) - HEAD - MARGIN;
    for card in columns.iter_mut().flatten() {
        card.y = ((card.y - up) * 10.0).round() / 10.0;
    }
}

/// Gives a card without a wish that of the next one below, else of the last one above.
fn completed(wishes: Vec<Option<f64>>) -> Vec<f64> {
    let mut last = wishes.iter().rev().flatten().next().copied().unwrap_or(0.0);
    let mut all: Vec<f64> = Vec::with_capacity(wishes.len());
    for wish in wishes.into_iter().rev() {
        last = wish.unwrap_or(last);
        all.push(last);
    }
    all.reverse();
    all
}

/// Places all columns from the left to the right, and the pills between them. Returns the bundles and the
/// width of all.
fn across<'a>(columns: &mut [Vec<PictureCard<'a>>]) -> (Vec<EdgeBundle<'a>>, f64) {
    let mut all = Vec::new();
    let (mut x, mut start) = (MARGIN, 0);
    for at in 0..columns.len() {
        columns[at].iter_mut().for_each(|card| card.x = x);
        x += columns[at][0].width;
        let Some(next) = columns.get(at + 1) else { break };
        let mut bundles = bundles(&columns[at], start, next);
        let widest = bundles.iter().map(|bundle| bundle.width).fold(0.0, f64::max);
        let gap = if widest > 0.0 { widest + 2.0 * PILL_SIDE } else { EMPTY_GAP };
        bundles.iter_mut().for_each(|bundle| bundle.x = x + gap / 2.0);
        all.append(&mut bundles);
        x += gap;
        start += columns[at].len();
    }
    (all, x + MARGIN)
}

/// The bundles between two columns, from the top; `start` is the position of the first card of the left.
fn bundles<'a>(
    left: &[PictureCard<'a>],
    start: usize,
    right: &[PictureCard<'a>],
) -> Vec<EdgeBundle<'a>> {
    let mut ends: BTreeMap<CardLink<'a>, Vec<(u32, f64)>> = BTreeMap::new();
    for (at, card) in (start + left.len()..).zip(right) {
        for link in &card.parents {
            ends.entry(*link).or_default().push((at as u32, card.y));
        }
    }
    let mut bundles: Vec<EdgeBundle<'a>> = ends
        .into_iter()
        .map(|(link, ends)| {
            let verb = crate::answers::clean(link.verb);
            let letters = unicode_width::UnicodeWidthStr::width(verb.as_ref()).min(VERB_MAX);
            EdgeBundle {
                from: link.card,
                verb: link.verb,
                onward: link.onward,
                y: ends.iter().map(|(_, y)| y).sum::<f64>() / ends.len() as f64,
                to: ends.into_iter().map(|(at, _)| at).collect(),
                x: 0.0,
                width: (letters as f64 * text::VERB_LETTER + 34.0).round(),
            }
        })
        .collect();
    bundles.sort_by(|a, b| {
        let begin = |bundle: &EdgeBundle<'_>| left[bundle.from as usize - start].y;
        let order = a.y.total_cmp(&b.y).then_with(|| begin(a).total_cmp(&begin(b)));
        order.then_with(|| (a.verb, a.onward).cmp(&(b.verb, b.onward)))
    });
    for at in 1..bundles.len() {
        bundles[at].y = bundles[at].y.max(bundles[at - 1].y + PILL.0 + PILL.1);
    }
    bundles
}

/// Letters of a verb in its pill; a longer one is shortened.
pub(super) const VERB_MAX: usize = 28;
