//! A picture as SVG.
//!
//! The drawing is the same in a file and in a page; a file has its style sheet, its title and a legend
//! inside. Nothing is styled by an attribute, so that a page may forbid inline styles. A card is
//! `class="card STATE ROLE"` with `data-id`, `data-up` (the cards that it hangs from), `data-hop`,
//! `data-scope` and `data-entity`; edges have `data-from` and `data-to`. A script finds whole paths by them.

use super::cards::{CardKind, OPEN_BY, PictureCard, grouped, size};
use super::graph::NodeRole;
use super::markup::XmlText;
use super::place::{EdgeBundle, HEAD, MARGIN, PILL, Picture, PictureColumn, VERB_MAX};
use super::text;
use crate::answers::clean;
use crate::graph::EntityHead;
use crate::rules::ImpactState;
use std::collections::BTreeSet;

/// The style sheet of pictures; a page that embeds one needs it.
pub const STYLE: &str = include_str!("style.css");

/// The addresses behind the cards of a picture.
pub trait PictureLinks {
    /// The address of an entity, if it has one.
    fn entity(&self, entity: &EntityHead) -> Option<String>;

    /// The address of the same picture with more of a group opened, of which `opened` are already.
    fn group(&self, id: &str, opened: usize) -> Option<String>;
}

/// No addresses at all, for a file that stands alone.
pub struct NoLinks;

impl PictureLinks for NoLinks {
    fn entity(&self, _: &EntityHead) -> Option<String> {
        None
    }

    fn group(&self, _: &str, _: usize) -> Option<String> {
        None
    }
}

/// How a picture is drawn.
#[derive(Clone, Copy, Default)]
pub struct SvgOptions<'a> {
    /// All scopes of the database, by name, so that a scope has one colour in every picture; those of the
    /// picture if there are none.
    pub scopes: &'a [String],
    /// `_id` of the entity whose card is marked.
    pub selected: Option<&'a str>,
}

/// The least width of a picture with sentences in it.
const SENTENCE_WIDTH: f64 = 460.0;
/// Height of a line of sentences or of the legend.
const LINE: f64 = 18.0;
/// Height of the title of a file.
const TITLE: f64 = 34.0;

impl Picture<'_> {
    /// Draws the picture as an element of a page.
    pub fn to_svg(&self, links: &dyn PictureLinks, options: &SvgOptions<'_>) -> String {
        SvgDrawing::new(self, links, options).draw(false)
    }

    /// Draws the picture as a file of its own.
    pub fn to_svg_file(&self, links: &dyn PictureLinks, options: &SvgOptions<'_>) -> String {
        SvgDrawing::new(self, links, options).draw(true)
    }

    /// What the picture does not show one by one, in sentences; each is in the picture too.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> = self.graph.nothing.iter().map(|s| (*s).to_owned()).collect();
        let groups: Vec<_> = self.cards.iter().filter(|card| card.is_group()).collect();
        let held: usize = groups.iter().map(|group| group.members.len()).sum();
        if held > 0 {
            let (groups, verb) = match groups.len() {
                1 => ("1 group".to_owned(), "holds"),
                n => (format!("{} groups", grouped(n)), "hold"),
            };
            let held = grouped(held);
            remarks.push(format!("{groups} {verb} {held} entities that are not drawn one by one"));
        }
        match self.not_drawn {
            0 => {}
            1 => remarks.push("1 entity is not drawn: the picture is full".to_owned()),
            n => {
                let (n, most) = (grouped(n as usize), grouped(super::DRAWN_MAX));
                remarks.push(format!("{n} entities are not drawn: {most} cards fill a picture"));
            }
        }
        remarks.extend(self.graph.facts.iter().cloned());
        remarks
    }

    /// The colour of each scope, from 1 to 8, and 9 for the others: by name among `scopes`.
    pub fn scope_colours(&self, scopes: &[String]) -> Vec<(&str, usize)> {
        let own = self.graph.scopes();
        let mut all: BTreeSet<&str> = scopes.iter().map(String::as_str).collect();
        all.extend(own.iter().copied());
        let coloured = all.into_iter().zip(1..).map(|(scope, at)| (scope, at.min(9)));
        coloured.filter_map(|(scope, at)| Some((*own.get(scope)?, at))).collect()
    }

    /// The states of its entities, each with their number.
    pub fn states(&self) -> Vec<(ImpactState, u64)> {
        let count = |state| {
            let nodes = self.graph.nodes.iter().filter(|node| node.role != NodeRole::OnTheWay);
            (state, nodes.filter(|node| node.state == Some(state)).count() as u64)
        };
        ImpactState::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
    }
}

/// Writes a length in whole pixels.
fn px(length: f64) -> String {
    ((length + 0.5).floor() as i64).to_string()
}

/// A horizontal curve between two points.
fn curve((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> String {
    let reach = (x2 - x1) * 0.55;
    let [x1, y1, c1, c2, x2, y2] = [x1, y1, x1 + reach, x2 - reach, x2, y2].map(px);
    format!("M{x1} {y1}C{c1} {y1} {c2} {y2} {x2} {y2}")
}

fn translate(x: f64, y: f64) -> String {
    format!("translate({} {})", px(x), px(y))
}

struct SvgDrawing<'a> {
    picture: &'a Picture<'a>,
    links: &'a dyn PictureLinks,
    selected: Option<&'a str>,
    colours: Vec<(&'a str, usize)>,
    out: XmlText,
}

impl<'a> SvgDrawing<'a> {
    fn new(
        picture: &'a Picture<'a>,
        links: &'a dyn PictureLinks,
        options: &SvgOptions<'a>,
    ) -> SvgDrawing<'a> {
        let colours = picture.scope_colours(options.scopes);
        let out = XmlText::default();
        SvgDrawing { picture, links, selected: options.selected, colours, out }
    }

    fn draw(mut self, file: bool) -> String {
        let picture = self.picture;
        let remarks = picture.remarks();
        let sentences = file || !remarks.is_empty();
        let width = picture.width.max(if sentences { SENTENCE_WIDTH } else { 0.0 });
        let room = (width - 2.0 * MARGIN) as u64;
        let remarks: Vec<String> =
            remarks.iter().flat_map(|remark| text::wrap(remark, room)).collect();
        let legend = if file { self.legend(room) } else { Vec::new() };
        let lines = remarks.len() + legend.len();
        let top = if file { TITLE } else { 0.0 };
        let foot = if lines > 0 { LINE * lines as f64 + MARGIN } else { 0.0 };
        let height = top + picture.height + foot;
        self.begin(file, width, height);
        if file {
            self.out.open("g", &[("transform", &translate(0.0, top))]);
        }
        picture.columns.iter().for_each(|column| self.column(column));
        self.edges();
        picture.bundles.iter().for_each(|bundle| self.pill(bundle));
        for at in 0..picture.cards.len() {
            self.card(at);
        }
        let mut y = picture.height + LINE / 2.0;
        for remark in &remarks {
            let (x, at) = (px(MARGIN), px(y));
            self.out.leaf("text", &[("class", "remark"), ("x", &x), ("y", &at)], remark);
            y += LINE;
        }
        for line in &legend {
            line.iter().for_each(|item| self.legend_item(item, y));
            y += LINE;
        }
        if file {
            self.out.close("g");
        }
        self.out.close("svg");
        self.out.finish()
    }

    fn begin(&mut self, file: bool, width: f64, height: f64) {
        let picture = self.picture;
        let (reached, drawn) = (picture.graph.listed(), picture.cards.len());
        let label = format!(
            "{}: {} {}, {} in {}",
            picture.graph.title,
            grouped(reached as usize),
            if reached == 1 { picture.graph.counted.0 } else { picture.graph.counted.1 },
            if drawn == 1 { "1 card".to_owned() } else { format!("{} cards", grouped(drawn)) },
            match picture.columns.len() {
                1 => "1 column".to_owned(),
                n => format!("{n} columns"),
            },
        );
        let (width, height) = (px(width), px(height));
        let mut attributes = Vec::new();
        if file {
            attributes.push(("xmlns", "http://www.w3.org/2000/svg"));
        }
        let view = format!("0 0 {width} {height}");
        attributes.extend([
            ("class", "hops"),
            ("viewBox", view.as_str()),
            ("width", width.as_str()),
            ("height", height.as_str()),
            ("role", "group"),
            ("aria-label", label.as_str()),
        ]);
        self.out.open("svg", &attributes);
        if file {
            self.out.leaf("title", &[], &picture.graph.title);
            self.out.style(STYLE);
            self.out.empty("rect", &[("class", "ground"), ("width", "100%"), ("height", "100%")]);
            let room = picture.width.max(SENTENCE_WIDTH) - 2.0 * MARGIN;
            let title = text::fold(&picture.graph.title, room as u64, text::TITLE);
            self.out.leaf("text", &[("class", "title"), ("x", &px(MARGIN)), ("y", "30")], &title);
        }
    }

    fn column(&mut self, column: &PictureColumn) {
        let (one, many) = self.picture.graph.counted;
        let count = format!(
            "{} {}",
            grouped(column.counted as usize),
            if column.counted == 1 { one } else { many }
        );
        let (head, mut sub) = match column.hop {
            0 if column.counted == 1 => ("Start".to_owned(), "hop 0".to_owned()),
            0 => ("Start".to_owned(), format!("{} entities", grouped(column.counted as usize))),
            hop => (format!("Hop {hop}"), count),
        };
        if column.drawn as u64 != column.counted {
            sub.push_str(&format!(" · {} drawn", grouped(column.drawn)));
        }
        let at = translate(column.x, MARGIN);
        self.out.open("g", &[("class", "col"), ("transform", &at)]);
        self.out.leaf("text", &[("y", "16"), ("class", "col-n")], &head);
        self.out.leaf("text", &[("y", "34"), ("class", "col-s")], &sub);
        self.out.empty("path", &[("d", &format!("M0 {}H{}", px(HEAD - 16.0), px(column.width)))]);
        self.out.close("g");
    }

    /// The state that an edge shows: that of the cards where it ends, of a trunk the strongest.
    fn edge_class(&self, ends: &[u32]) -> String {
        let states = ends.iter().filter_map(|end| self.picture.cards[*end as usize].state());
        format!("e {}", states.min().map_or("plain", ImpactState::word))
    }

    fn edges(&mut self) {
        self.out.open("g", &[("class", "edges")]);
        for bundle in &self.picture.bundles {
            let card = &self.picture.cards[bundle.from as usize];
            let from = format!("n{}", bundle.from);
            self.out.open("g", &[("data-from", &from)]);
            let side = bundle.width / 2.0;
            let begin = (card.x + card.width, card.y);
            let trunk = curve(begin, (bundle.x - side, bundle.y));
            let class = self.edge_class(&bundle.to);
            self.out.open("path", &[("class", &class), ("d", &trunk)]);
            self.out.leaf("title", &[], &bundle_title(self.picture, bundle));
            self.out.close("path");
            for end in &bundle.to {
                let to = &self.picture.cards[*end as usize];
                let branch = curve((bundle.x + side, bundle.y), (to.x, to.y));
                let (class, name) = (self.edge_class(&[*end]), format!("n{end}"));
                self.out.open("path", &[("class", &class), ("data-to", &name), ("d", &branch)]);
                self.out.leaf("title", &[], &edge_title(card, bundle, to));
                self.out.close("path");
            }
            self.out.close("g");
        }
        self.out.close("g");
    }

    fn pill(&mut self, bundle: &EdgeBundle<'_>) {
        let verb = clean(bundle.verb);
        let verb: String = match verb.chars().count() > VERB_MAX {
            true => verb.chars().take(VERB_MAX - 1).chain(['…']).collect(),
            false => verb.into_owned(),
        };
        let at = translate(bundle.x, bundle.y);
        self.out.open("g", &[("class", "pill"), ("transform", &at)]);
        self.out.leaf("title", &[], &bundle_title(self.picture, bundle));
        self.out.empty(
            "rect",
            &[
                ("x", &px(-bundle.width / 2.0)),
                ("y", &px(-PILL.0 / 2.0)),
                ("width", &px(bundle.width)),
                ("height", &px(PILL.0)),
                ("rx", "9"),
            ],
        );
        self.out.open("text", &[("y", "4")]);
        // An arrow tells which way the relationships point; the picture always flows to the right.
        let arrow = |out: &mut XmlText, arrow: &str| out.leaf("tspan", &[("class", "ar")], arrow);
        match bundle.onward {
            true => {
                self.out.text(&format!("{verb} "));
                arrow(&mut self.out, "→");
            }
            false => {
                arrow(&mut self.out, "←");
                self.out.text(&format!(" {verb}"));
            }
        }
        self.out.close("text");
        self.out.close("g");
    }

    fn card(&mut self, at: usize) {
        let card = &self.picture.cards[at];
        let address = match card.kind {
            CardKind::Group { opened } => self.links.group(&card.id, opened),
            _ => self.links.entity(card.node().entity),
        };
        let tag = if address.is_some() { "a" } else { "g" };
        self.card_begin(at, tag, address.as_deref());
        let stack = if card.is_group() { size::STACK } else { 0.0 };
        let (width, height) = (card.width, card.height - stack);
        if card.is_group() {
            let edges = format!(
                "M5 {}H{}M10 {}H{}",
                px(height + 3.0),
                px(width - 5.0),
                px(height + 6.0),
                px(width - 10.0)
            );
            self.out.empty("path", &[("class", "stack"), ("d", &edges)]);
        }
        let (w, h) = (px(width), px(height));
        self.out.empty("rect", &[("class", "box"), ("width", &w), ("height", &h), ("rx", "7")]);
        if matches!(card.state(), Some(ImpactState::Controlled | ImpactState::Borrowed)) {
            let bar = format!("M2 8V{}", px(height - 8.0));
            self.out.empty("path", &[("class", "edge"), ("d", &bar)]);
        }
        self.badge(card);
        self.texts(card, height, address.is_some());
        if let Some(state) = card.state() {
            let y = if card.kind == CardKind::Opened { 15.0 } else { 16.0 };
            self.ball(state, width - 16.0, y);
        }
        self.out.close(tag);
    }

    fn card_begin(&mut self, at: usize, tag: &str, address: Option<&str>) {
        let card = &self.picture.cards[at];
        let node = card.node();
        let id = node.entity.id.to_string();
        let mut class = format!("card {} {}", node.state_word(), node.role.word());
        if card.is_group() {
            class.push_str(" group");
        }
        if self.selected == Some(&id) && !card.is_group() {
            class.push_str(" sel");
        }
        let parents: BTreeSet<u32> = card.parents.iter().map(|link| link.card).collect();
        let up: Vec<String> = parents.iter().map(|card| format!("n{card}")).collect();
        let own =
            [format!("n{at}"), up.join(" "), node.hop.to_string(), card.members.len().to_string()];
        let place = translate(card.x, card.y - card.height / 2.0);
        let mut attributes = vec![("class", class.as_str())];
        attributes.extend(address.map(|address| ("href", address)));
        attributes.extend([
            ("data-id", own[0].as_str()),
            ("data-up", own[1].as_str()),
            ("data-hop", own[2].as_str()),
            ("data-scope", node.entity.scope.as_str()),
        ]);
        match card.is_group() {
            true => {
                attributes
                    .extend([("data-group", card.id.as_str()), ("data-more", own[3].as_str())]);
            }
            false => attributes.push(("data-entity", &id)),
        }
        attributes.push(("transform", &place));
        self.out.open(tag, &attributes);
        self.out.leaf("title", &[], &card_title(card));
    }

    fn badge(&mut self, card: &PictureCard<'_>) {
        let entity = card.node().entity;
        let colour = self.colours.iter().find(|(scope, _)| *scope == entity.scope);
        let class = format!("badge s{}", colour.map_or(9, |(_, colour)| *colour));
        let (top, side) = if card.kind == CardKind::Opened { (5, 20) } else { (11, 26) };
        let [x, y, side_text] = [24 - side / 2, top, side].map(|n| n.to_string());
        self.out.open("g", &[("class", &class)]);
        self.out.empty(
            "rect",
            &[("x", &x), ("y", &y), ("width", &side_text), ("height", &side_text), ("rx", "6")],
        );
        let y = px(f64::from(top) + f64::from(side) / 2.0 + 3.7);
        self.out.leaf("text", &[("x", "24"), ("y", &y)], &text::letters(&entity.type_name));
        self.out.close("g");
    }

    fn texts(&mut self, card: &PictureCard<'_>, height: f64, link: bool) {
        let left = size::TEXT_LEFT.to_string();
        self.out.open("text", &[("class", "name")]);
        for (line, at) in card.lines.iter().zip(0u8..) {
            let y = px(20.0 + size::LINE * f64::from(at));
            self.out.leaf("tspan", &[("x", &left), ("y", &y)], line);
        }
        self.out.close("text");
        if !card.sub.is_empty() {
            let y = px(37.0 + size::LINE * (card.lines.len() - 1) as f64);
            self.out.leaf("text", &[("class", "sub"), ("x", &left), ("y", &y)], &card.sub);
        }
        if card.is_group() {
            let (entity, y) = (card.node().entity, px(height - 11.0));
            self.out.open("text", &[("class", "more"), ("x", &left), ("y", &y)]);
            let mut room = card.width as u64 - size::TEXT_LEFT - size::SUB_RIGHT;
            if link {
                let open = format!("open {}", card.members.len().min(OPEN_BY));
                room = room.saturating_sub(text::width(&format!("{open} · "), text::NAME));
                self.out.leaf("tspan", &[("class", "open")], &open);
                self.out.text(" · ");
            }
            let stale = self.picture.graph.stale.contains(entity.scope.as_str());
            let stale = if stale { " · stale" } else { "" };
            let room = room.saturating_sub(text::width(stale, text::SUB));
            let scope = text::fold(&clean(&entity.scope), room, text::SUB);
            self.out.text(&format!("{scope}{stale}"));
            self.out.close("text");
        }
    }

    /// Full, half or empty, so that a state is never told by its colour alone.
    fn ball(&mut self, state: ImpactState, x: f64, y: f64) {
        let (x, y) = (px(x), px(y));
        let class = match state {
            ImpactState::Controlled => "ball full",
            ImpactState::Borrowed | ImpactState::Affected => "ball",
        };
        self.out.empty("circle", &[("class", class), ("cx", &x), ("cy", &y), ("r", "5.5")]);
        if state == ImpactState::Borrowed {
            let half = format!("M{x} {y}m0-5.5a5.5 5.5 0 0 1 0 11z");
            self.out.empty("path", &[("class", "half"), ("d", &half)]);
        }
    }

    /// The items of the legend, line by line, each with its left edge.
    fn legend(&self, room: u64) -> Vec<Vec<LegendItem>> {
        let states = self.picture.states().into_iter().map(|(state, count)| {
            (LegendSign::State(state), format!("{} {}", state.word(), grouped(count as usize)))
        });
        let scopes = self.colours.iter().map(|(scope, colour)| {
            let stale = self.picture.graph.stale.contains(scope);
            let name = text::fold(&clean(scope), room / 2, text::SUB);
            (LegendSign::Scope(*colour), if stale { name + " · stale" } else { name })
        });
        let mut lines: Vec<Vec<LegendItem>> = Vec::new();
        let mut x = 0;
        for (sign, text) in states.chain(scopes) {
            let width = text::width(&text, text::SUB) + 18;
            if lines.is_empty() || x + width > room {
                lines.push(Vec::new());
                x = 0;
            }
            let item = LegendItem { sign, text, x: MARGIN + x as f64 };
            lines.last_mut().expect("BUG: a line was begun").push(item);
            x += width + 16;
        }
        lines
    }

    fn legend_item(&mut self, item: &LegendItem, y: f64) {
        match item.sign {
            LegendSign::State(state) => {
                self.out.open("g", &[("class", state.word())]);
                self.ball(state, item.x + 6.0, y - 4.0);
                self.out.close("g");
            }
            LegendSign::Scope(colour) => {
                let class = format!("badge s{colour}");
                self.out.open("g", &[("class", &class)]);
                let (x, y) = (px(item.x + 1.0), px(y - 9.0));
                self.out.empty(
                    "rect",
                    &[("x", &x), ("y", &y), ("width", "10"), ("height", "10"), ("rx", "3")],
                );
                self.out.close("g");
            }
        }
        let (x, y) = (px(item.x + 18.0), px(y));
        self.out.leaf("text", &[("class", "legend"), ("x", &x), ("y", &y)], &item.text);
    }
}

/// One entry of a legend.
struct LegendItem {
    sign: LegendSign,
    text: String,
    x: f64,
}

#[derive(Clone, Copy)]
enum LegendSign {
    State(ImpactState),
    Scope(usize),
}

/// All that is known of a card, with the whole name.
fn card_title(card: &PictureCard<'_>) -> String {
    let node = card.node();
    let EntityHead { scope, type_name, key, .. } = node.entity;
    let state = node.state.map_or(String::new(), |state| format!(", {}", state.word()));
    let what = match node.role {
        NodeRole::Start => ", where it starts".to_owned(),
        NodeRole::OnTheWay => format!(", hop {}, on the way", node.hop),
        NodeRole::Goal | NodeRole::Listed => format!(", hop {}", node.hop),
    };
    match card.is_group() {
        true => format!("{} in {scope}{state}{what} (group {})", card.label(), card.id),
        false => format!("{} ({key}, {type_name}, {scope}){state}{what}", node.name()),
    }
}

/// `billing-writer ALLOWS invoices`, whichever way the picture flows.
fn edge_title(from: &PictureCard<'_>, bundle: &EdgeBundle<'_>, to: &PictureCard<'_>) -> String {
    let (from, to) = (from.label(), to.label());
    match bundle.onward {
        true => format!("{from} {} {to}", bundle.verb),
        false => format!("{to} {} {from}", bundle.verb),
    }
}

fn bundle_title(picture: &Picture<'_>, bundle: &EdgeBundle<'_>) -> String {
    let from = &picture.cards[bundle.from as usize];
    if let [only] = bundle.to.as_slice() {
        return edge_title(from, bundle, &picture.cards[*only as usize]);
    }
    let members = bundle.to.iter().map(|end| picture.cards[*end as usize].members.len());
    let (count, from) = (grouped(members.sum()), from.label());
    match bundle.onward {
        true => format!("{from} {} {count} entities", bundle.verb),
        false => format!("{count} entities {} {from}", bundle.verb),
    }
}
