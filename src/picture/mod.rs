//! Pictures of answers: what is reached, who owns, how one leads to another, as columns of hops.
//!
//! The layer of an entity is not computed: it is its distance from where the answer starts. So the same
//! answer always gives the same picture, whatever its size. Life of a picture:
//!
//! 1. [`PictureGraph`] takes an answer: nodes by hop, with the relationships between them (`graph.rs`).
//! 2. [`PictureGraph::layout`] folds siblings alike into groups (`cards.rs`), puts the cards of each column
//!    in order (`order.rs`), makes labels that fit (`text.rs`) and places everything (`place.rs`).
//! 3. [`Picture::to_svg`] draws it for a page, [`Picture::to_svg_file`] as a file of its own (`svg.rs`).
//!
//! Nothing here reads or writes anything, and nothing knows who shows the picture: addresses come from
//! [`PictureLinks`].

mod cards;
mod graph;
mod markup;
mod order;
mod place;
mod svg;
#[cfg(test)]
mod tests;
mod text;

pub use cards::{COLUMN_MAX, CardKind, CardLink, DRAWN_MAX, GROUP_ABOVE, OPEN_BY, PictureCard};
pub use graph::{NodeRole, PictureGraph, PictureLink, PictureNode};
pub use place::{EdgeBundle, Picture, PictureColumn};
pub use svg::{NoLinks, PictureLinks, STYLE, SvgOptions};
pub use text::letters as type_letters;
