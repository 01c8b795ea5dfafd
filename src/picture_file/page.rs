//! A picture with its table as one page that needs nothing else: style sheet and script are inside, and
//! its policy lets it load nothing. It works from a folder and by mail, without a script too.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::BTreeSet;
use tombolo::answers::clean;
use tombolo::graph::EntityHead;
use tombolo::picture::{
    CardKind, NodeRole, Picture, PictureCard, PictureColumn, PictureLinks, PictureNode, STYLE,
    SvgOptions, type_letters,
};
use tombolo::rules::ImpactState;

const PAGE_STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Members of a group that stand open in the table once the group is; the others are one fold away.
const FIRST: usize = 25;
/// Members of groups that a page lists. A browser would not show more in reasonable time.
const LISTED_MAX: usize = 20_000;

/// A page with a picture.
pub struct PicturePage<'a> {
    /// The picture.
    pub picture: &'a Picture<'a>,
    /// Facts that the answer does not show by itself.
    pub notes: &'a [String],
    /// The command that made it, without its output.
    pub command: String,
    /// J1QL that asks the same, if there is any.
    pub j1ql: Option<&'a str>,
    /// The scopes of the database, for their colours.
    pub scopes: &'a [String],
}

/// Addresses inside of the page: the row of an entity, the fold of a group.
struct RowLinks;

impl PictureLinks for RowLinks {
    fn entity(&self, entity: &EntityHead) -> Option<String> {
        Some(format!("#{}", entity.id))
    }

    fn group(&self, id: &str, _: usize) -> Option<String> {
        Some(format!("#{id}"))
    }
}

/// The value of a policy that allows exactly this text.
fn digest(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// The meaning of a state, in the words of the documentation.
const fn meaning(state: ImpactState) -> &'static str {
    match state {
        ImpactState::Controlled => "an attacker acts inside it",
        ImpactState::Borrowed => "only its rights can be used",
        ImpactState::Affected => "fails or must be stopped",
    }
}

fn number(n: u64) -> String {
    let digits = n.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

impl PicturePage<'_> {
    /// The whole page.
    pub fn to_html(&self) -> String {
        let style = format!("{STYLE}{PAGE_STYLE}");
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
            digest(&style),
            digest(SCRIPT)
        );
        let title = self.picture.graph.title.as_str();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy);
                    meta name="viewport" content="width=device-width,initial-scale=1";
                    meta name="generator" content=(concat!("tombolo ", env!("CARGO_PKG_VERSION")));
                    title { (title) }
                    style { (PreEscaped(style)) }
                }
                body {
                    main.page {
                        h1 { (title) }
                        p.under { (self.summary()) }
                        (self.figures())
                        (self.remarks())
                        (self.figure())
                        (self.table())
                        (self.behind())
                    }
                    footer.foot { (concat!("Tombolo ", env!("CARGO_PKG_VERSION"))) }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }

    fn summary(&self) -> String {
        let graph = self.picture.graph;
        let (one, many) = graph.counted;
        format!("{} {}", counted(graph.listed(), one, many), self.extent())
    }

    fn extent(&self) -> String {
        let hops = self.picture.columns.iter().map(|column| column.hop).max().unwrap_or(0);
        let nodes = self.picture.graph.nodes.iter();
        let listed = nodes.filter(|node| matches!(node.role, NodeRole::Goal | NodeRole::Listed));
        let scopes: BTreeSet<&str> = listed.map(|node| node.entity.scope.as_str()).collect();
        format!(
            "in {}, {}",
            counted(hops.into(), "hop", "hops"),
            counted(scopes.len() as u64, "scope", "scopes")
        )
    }

    /// The numbers of a blast radius by state; other answers have none.
    fn figures(&self) -> Markup {
        let states = self.picture.states();
        html! {
            @if !states.is_empty() {
                dl.sum {
                    div {
                        dt { "Reached" }
                        dd { (number(self.picture.graph.listed())) }
                        dd.s { (self.extent()) }
                    }
                    @for (state, count) in states {
                        div {
                            dt { (state_mark(state)) }
                            dd { (number(count)) }
                            dd.s { (meaning(state)) }
                        }
                    }
                }
            }
        }
    }

    fn remarks(&self) -> Markup {
        let drawn = self.picture.remarks();
        html! {
            @if !(drawn.is_empty() && self.notes.is_empty()) {
                ul.notes {
                    @for note in self.notes { li.note.warn { (clean(note)) } }
                    @for remark in drawn { li.note { (remark) } }
                }
            }
        }
    }

    fn figure(&self) -> Markup {
        let options = SvgOptions { scopes: self.scopes, selected: None };
        let svg = self.picture.to_svg(&RowLinks, &options);
        html! {
            figure.panel id="picture" {
                div.tools {
                    div.legend {
                        @for (state, _) in self.picture.states() { (state_mark(state)) }
                        @for (scope, colour) in self.picture.scope_colours(self.scopes) {
                            span {
                                span class={ "dot s" (colour) } {}
                                (clean(scope))
                                @if self.picture.graph.stale.contains(scope) { " · stale" }
                            }
                        }
                    }
                    div.zoom role="group" aria-label="Zoom" hidden {
                        button type="button" data-zoom="out" aria-label="Zoom out" { "−" }
                        output { "100 %" }
                        button type="button" data-zoom="in" aria-label="Zoom in" { "+" }
                        button type="button" data-zoom="fit" { "Fit" }
                    }
                }
                div.view tabindex="0" role="region" aria-label="Picture, scrolls" { (PreEscaped(svg)) }
            }
        }
    }

    fn table(&self) -> Markup {
        let picture = self.picture;
        let states = !picture.states().is_empty();
        let rows = RowWriter {
            page: self,
            colours: picture.scope_colours(self.scopes),
            states,
            named: RefCell::default(),
            left: RefCell::new(LISTED_MAX),
        };
        let mut start = 0;
        let columns: Vec<(&PictureColumn, &[PictureCard<'_>])> = picture
            .columns
            .iter()
            .map(|column| {
                let cards = &picture.cards[start..start + column.drawn];
                start += column.drawn;
                (column, cards)
            })
            .collect();
        html! {
            section.panel aria-labelledby="h-table" {
                header { h2 id="h-table" { "Table" } span.sub { (self.summary()) } }
                div.scroll tabindex="0" role="region" aria-label="Table, scrolls" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Name" }
                                @if states { th scope="col" { "State" } }
                                th scope="col" { "Type" }
                                th scope="col" { "Scope" }
                                th scope="col" { "From" }
                            }
                        }
                        @for (column, cards) in columns { (rows.column(column, cards)) }
                    }
                }
            }
        }
    }

    fn behind(&self) -> Markup {
        html! {
            section.panel aria-labelledby="h-behind" {
                header { h2 id="h-behind" { "Behind the picture" } span.sub { "the same answer, elsewhere" } }
                div.body {
                    h3 { "Command" }
                    (code(&self.command))
                    @if let Some(j1ql) = self.j1ql {
                        h3 { "J1QL" }
                        (code(j1ql))
                    }
                    h3 { "As SVG, JSON or CSV" }
                    (code(&format!("{} -o svg > picture.svg", self.command)))
                }
            }
        }
    }
}

fn code(text: &str) -> Markup {
    html! {
        div.code {
            pre { code { (text.split('\n').map(clean).collect::<Vec<_>>().join("\n")) } }
            button.copy type="button" hidden { "Copy" }
        }
    }
}

fn state_mark(state: ImpactState) -> Markup {
    html! { span class={ "state " (state.word()) } { (state.word()) } }
}

/// Writes the rows of a table.
struct RowWriter<'a> {
    page: &'a PicturePage<'a>,
    /// The colour of each scope.
    colours: Vec<(&'a str, usize)>,
    states: bool,
    /// Entities that have a row already, whose id must not stand twice.
    named: RefCell<BTreeSet<u32>>,
    /// Members of groups that may still be listed.
    left: RefCell<usize>,
}

impl RowWriter<'_> {
    fn width(&self) -> usize {
        if self.states { 5 } else { 4 }
    }

    fn column(&self, column: &PictureColumn, cards: &[PictureCard<'_>]) -> Markup {
        let (one, many) = self.page.picture.graph.counted;
        let head = match column.hop {
            0 => "Start".to_owned(),
            hop => format!("Hop {hop} · {}", counted(column.counted, one, many)),
        };
        html! {
            tbody {
                tr.hop { th colspan=(self.width()) scope="rowgroup" { (head) } }
                @for card in cards {
                    @if card.is_group() { (self.group(card)) } @else { (self.entity(card)) }
                }
            }
        }
    }

    fn entity(&self, card: &PictureCard<'_>) -> Markup {
        let node = card.node();
        let first = self.named.borrow_mut().insert(node.entity.number);
        let id = first.then(|| node.entity.id.to_string());
        html! {
            tr id=[id] {
                th scope="row" {
                    span.ent { (self.badge(node)) (name_and_key(node)) }
                }
                (self.cells(card))
            }
        }
    }

    fn group(&self, card: &PictureCard<'_>) -> Markup {
        let mut left = self.left.borrow_mut();
        let listed = card.members.len().min(*left);
        *left -= listed;
        let (first, rest) = card.members[..listed].split_at(listed.min(FIRST));
        let more = card.members.len() - listed;
        let open = match card.kind {
            CardKind::Group { opened } => opened / FIRST + 1,
            CardKind::Entity | CardKind::Opened => 1,
        };
        let ids = vec![card.id.as_str(); open].join(",");
        html! {
            tr {
                th scope="row" { span.ent { (self.badge(card.node())) b { (card.label()) } } }
                (self.cells(card))
            }
            tr.members {
                td colspan=(self.width()) {
                    details id=(card.id) {
                        summary { "Names of " (card.label()) }
                        (names(first))
                        @if !rest.is_empty() {
                            details { summary { (number(rest.len() as u64)) " more" } (names(rest)) }
                        }
                        @if more > 0 {
                            p.sub { (number(more as u64)) " more are not listed here: "
                                code { (self.page.command) " -o csv" } " lists all" }
                        }
                        p.sub { "In the picture: " code { "--open " (ids) } }
                    }
                }
            }
        }
    }

    fn cells(&self, card: &PictureCard<'_>) -> Markup {
        let node = card.node();
        let entity = node.entity;
        let cards = &self.page.picture.cards;
        let more = card.parents.len().saturating_sub(3);
        html! {
            @if self.states {
                td { @if let Some(state) = node.state { (state_mark(state)) } }
            }
            td.mono { (clean(&entity.type_name)) }
            td { (clean(&entity.scope)) @if node.role == NodeRole::OnTheWay { " · on the way" } }
            td {
                @for link in card.parents.iter().take(3) {
                    div {
                        // As the picture flows: where it comes from, then the verb with its arrow.
                        (cards[link.card as usize].label()) " "
                        span.verb {
                            @if link.onward { (clean(link.verb)) " →" } @else { "← " (clean(link.verb)) }
                        }
                    }
                }
                @if more > 0 { div.sub { (number(more as u64)) " more" } }
            }
        }
    }

    fn badge(&self, node: &PictureNode<'_>) -> Markup {
        let scope = node.entity.scope.as_str();
        let colour = self.colours.iter().find(|(name, _)| *name == scope);
        let colour = colour.map_or(9, |(_, colour)| *colour);
        html! {
            span class={ "badge-l s" (colour) } aria-hidden="true" { (type_letters(&node.entity.type_name)) }
        }
    }
}

fn name_and_key(node: &PictureNode<'_>) -> Markup {
    let (name, key) = (node.name(), clean(&node.entity.key));
    html! {
        span {
            b { (name) }
            @if name != key { span.key { (key) } }
        }
    }
}

fn names(nodes: &[&PictureNode<'_>]) -> Markup {
    html! { ul { @for node in nodes { li { (name_and_key(node)) } } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number(0), "0");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(counted(1, "hop", "hops"), "1 hop");
    }

    #[test]
    fn a_page_holds_nothing_that_is_loaded_or_runs_unasked() {
        for text in [STYLE, PAGE_STYLE, SCRIPT] {
            for outside in ["http:", "https:", "url(", "@import", "import ", "fetch(", "eval("] {
                assert!(!text.contains(outside), "{outside}");
            }
            assert!(!text.contains("</"), "it would end its element");
        }
        assert_eq!(digest(""), "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
    }
}
