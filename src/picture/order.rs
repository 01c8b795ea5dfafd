//! The order of the cards in each column: barycentre sweeps.
//!
//! A card goes to the mean place of the cards that it hangs from, or of those that hang from it, in turn.
//! The order with the fewest crossings wins, the earliest of several. Everything else is settled by the
//! rank of the cards, so the order of the answer never matters.

use super::cards::{CardLink, CardRank, PictureCard};
use std::collections::BTreeMap;

/// Sweeps through the columns.
const SWEEPS: usize = 8;

/// Orders cards, which come column by column. Returns their positions, column by column from the top.
pub(super) fn order(cards: &[PictureCard<'_>]) -> Vec<Vec<u32>> {
    let ranks: Vec<CardRank<'_>> = cards.iter().map(PictureCard::rank).collect();
    let mut sweep = Sweep::new(cards, &ranks);
    let mut best = sweep.columns.clone();
    let mut least = sweep.crossings();
    for turn in 0..SWEEPS {
        if least == 0 && turn > 0 {
            break;
        }
        sweep.turn(turn % 2 == 0);
        let crossings = sweep.crossings();
        // The first sweep sets cards beside those that they hang from, which counting does not show.
        if crossings < least || turn == 0 {
            (best, least) = (sweep.columns.clone(), crossings);
        }
    }
    best
}

struct Sweep<'a> {
    cards: &'a [PictureCard<'a>],
    /// Positions of cards, column by column.
    columns: Vec<Vec<u32>>,
    /// The place of each card in its column.
    places: Vec<usize>,
    /// The cards that hang from each.
    children: Vec<Vec<u32>>,
    /// The place of each card by rank alone.
    by_rank: Vec<usize>,
    /// The least rank among cards that hang alike from the same card.
    bundle: Vec<usize>,
}

impl<'a> Sweep<'a> {
    fn new(cards: &'a [PictureCard<'a>], ranks: &[CardRank<'_>]) -> Sweep<'a> {
        let mut ranked: Vec<u32> = (0..cards.len() as u32).collect();
        ranked.sort_by(|a, b| ranks[*a as usize].cmp(&ranks[*b as usize]));
        let mut by_rank = vec![0; cards.len()];
        let mut columns: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (rank, &card) in ranked.iter().enumerate() {
            by_rank[card as usize] = rank;
            columns.entry(cards[card as usize].node().hop).or_default().push(card);
        }
        let mut children = vec![Vec::new(); cards.len()];
        let mut firsts: BTreeMap<CardLink<'_>, usize> = BTreeMap::new();
        for (at, card) in (0u32..).zip(cards) {
            let rank = by_rank[at as usize];
            card.parents.iter().for_each(|link| children[link.card as usize].push(at));
            if let Some(first) = card.parents.first() {
                firsts.entry(*first).and_modify(|least| *least = rank.min(*least)).or_insert(rank);
            }
        }
        let bundle = cards.iter().map(|card| card.parents.first().map_or(0, |link| firsts[link]));
        let mut sweep = Sweep {
            cards,
            columns: columns.into_values().collect(),
            places: vec![0; cards.len()],
            children,
            by_rank,
            bundle: bundle.collect(),
        };
        (0..sweep.columns.len()).for_each(|column| sweep.settle(column));
        sweep
    }

    fn settle(&mut self, column: usize) {
        for (place, card) in self.columns[column].iter().enumerate() {
            self.places[*card as usize] = place;
        }
    }

    /// Sorts every column, from the left by what its cards hang from, or from the right by what hangs
    /// from them.
    fn turn(&mut self, from_left: bool) {
        let last = self.columns.len().saturating_sub(1);
        let columns: Vec<usize> = match from_left {
            true => (1..self.columns.len()).collect(),
            false => (0..last).rev().collect(),
        };
        for column in columns {
            let mut keyed: Vec<(f64, usize, usize, u32)> = self.columns[column]
                .iter()
                .map(|&card| {
                    let bundle = if from_left { self.bundle[card as usize] } else { 0 };
                    (self.mean(card, from_left), bundle, self.by_rank[card as usize], card)
                })
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
            self.columns[column] = keyed.into_iter().map(|(.., card)| card).collect();
            self.settle(column);
        }
    }

    /// The mean place of the cards beside a card; its own if there is none.
    fn mean(&self, card: u32, from_left: bool) -> f64 {
        let place = |card: u32| self.places[card as usize];
        let near: Vec<usize> = match from_left {
            true => self.cards[card as usize].parents.iter().map(|link| place(link.card)).collect(),
            false => self.children[card as usize].iter().map(|child| place(*child)).collect(),
        };
        match near.is_empty() {
            true => place(card) as f64,
            false => near.iter().sum::<usize>() as f64 / near.len() as f64,
        }
    }

    /// The number of pairs of edges that cross.
    fn crossings(&self) -> u64 {
        (1..self.columns.len()).map(|column| self.crossings_before(column)).sum()
    }

    fn crossings_before(&self, column: usize) -> u64 {
        let mut ends: Vec<(usize, usize)> = Vec::new();
        for (place, card) in self.columns[column].iter().enumerate() {
            let parents = self.cards[*card as usize].parents.iter();
            ends.extend(parents.map(|link| (self.places[link.card as usize], place)));
        }
        ends.sort_unstable();
        // Edges are put in by the place where they begin. Those put in before that end below cross. A
        // tree of sums counts them, so that a column of thousands takes no time either.
        let mut tree = vec![0u64; self.columns[column].len() + 1];
        let (mut crossings, mut put) = (0, 0u64);
        for bundle in ends.chunk_by(|a, b| a.0 == b.0) {
            for (_, end) in bundle {
                let (mut at, mut above) = (end + 1, 0);
                while at > 0 {
                    above += tree[at];
                    at &= at - 1;
                }
                crossings += put - above;
            }
            for (_, end) in bundle {
                let mut at = end + 1;
                while at < tree.len() {
                    tree[at] += 1;
                    at += at & at.wrapping_neg();
                }
                put += 1;
            }
        }
        crossings
    }
}
