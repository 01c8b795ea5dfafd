//! Chains of relationships, followed back from where a walk came to.

use super::{MatchContext, OperatorResult, hold};
use crate::graph::GraphRead;
use crate::query::cell::KEPT;

/// Relationships in a row, the last one first.
pub(super) type Chain = Vec<u32>;

/// The chains that end at `to`, where `ways` are the last steps to a place; a beginning has none.
pub(super) fn chains_back<'w, G: GraphRead, N: Copy + 'w>(
    context: &MatchContext<'_, G>,
    to: N,
    ways: impl Fn(N) -> Option<&'w [(N, u32)]>,
) -> OperatorResult<Vec<Chain>, G> {
    let (mut open, mut whole) = (vec![(to, Vec::new())], Vec::new());
    let mut part = context.reader.meter.part();
    while let Some((at, chain)) = open.pop() {
        let Some(ways) = ways(at) else {
            whole.push(chain);
            continue;
        };
        context.reader.room(open.len() + whole.len() + ways.len())?;
        hold(&mut part, ways.len() * (KEPT + 4 * (chain.len() + 1)))?;
        // The stack gives the last one first: reversed, chains come in the order of their steps.
        for &(from, relationship) in ways.iter().rev() {
            let mut longer = chain.clone();
            longer.push(relationship);
            open.push((from, longer));
        }
    }
    Ok(whole)
}
