//! Pictures of made-up answers: what every picture holds, whatever the answer.

use super::*;
use crate::answers::{BlastRadiusAnswer, NamedVisit, RelationshipHead};
use crate::graph::{EntityHead, ObjectId, ObjectKind};
use crate::rules::ImpactState;
use std::collections::BTreeSet;

/// An answer that is put together visit by visit.
pub(super) struct MadeUp {
    answer: BlastRadiusAnswer,
}

fn head(number: u32, scope: &str, type_name: &str, name: &str) -> EntityHead {
    let key = format!("{type_name}:{name}");
    EntityHead {
        number,
        id: ObjectId::new(ObjectKind::Entity, scope, &key),
        scope: scope.to_owned(),
        key,
        type_name: type_name.to_owned(),
        classes: Vec::new(),
        display_name: Some(name.to_owned()),
        deleted: false,
    }
}

impl MadeUp {
    fn new(root: &str) -> MadeUp {
        MadeUp {
            answer: BlastRadiusAnswer {
                roots: vec![head(0, "aws", "aws_iam_role", root)],
                reached: Vec::new(),
                ruled: true,
                not_followed: Vec::new(),
                stale: Vec::new(),
                notes: Vec::new(),
            },
        }
    }

    /// Adds a visit that hangs from another one, or from the root. Returns its number.
    fn visit(
        &mut self,
        before: Option<u32>,
        verb: &str,
        onward: bool,
        state: ImpactState,
        entity: (&str, &str, &str),
    ) -> u32 {
        let number = self.answer.reached.len() as u32;
        let (scope, type_name, name) = entity;
        let own = number + 1;
        let (from, distance) = match before {
            Some(before) => (before + 1, self.answer.reached[before as usize].distance + 1),
            None => (0, 1),
        };
        let ends = if onward { (from, own) } else { (own, from) };
        self.answer.reached.push(NamedVisit {
            entity: head(own, scope, type_name, name),
            state: Some(state),
            distance,
            link: RelationshipHead {
                id: format!("r{number}"),
                key: format!("k{number}"),
                type_name: "t".into(),
                class: verb.into(),
                scope: scope.into(),
                number,
                from: ends.0,
                to: ends.1,
            },
            number,
            before,
            from,
            from_id: String::new(),
            from_state: None,
            reported: true,
            passed: false,
        });
        number
    }

    /// The answer with its visits by distance, as answers have them.
    fn answer(mut self) -> BlastRadiusAnswer {
        self.answer.reached.sort_by_key(|visit| (visit.distance, visit.number));
        self.answer
    }
}

const CONTROLLED: ImpactState = ImpactState::Controlled;

/// A role that may read buckets, which an application uses, and of which a group is a member.
fn company(buckets: usize) -> BlastRadiusAnswer {
    let mut made = MadeUp::new("billing-writer");
    for at in 0..buckets {
        let name = format!("archive-{at:05}");
        made.visit(None, "ALLOWS", true, CONTROLLED, ("aws", "aws_s3_bucket", &name));
    }
    let group = ("snowflake", "snowflake_role", "FINANCE_LOADER");
    let group = made.visit(None, "HAS", false, ImpactState::Borrowed, group);
    let database = ("snowflake", "snowflake_database", "FINANCE_MART");
    made.visit(Some(group), "ALLOWS", true, CONTROLLED, database);
    let app = ("cmdb", "cmdb_application", "Invoicing");
    let app = made.visit(None, "ASSUMES", false, ImpactState::Affected, app);
    let portal = ("cmdb", "cmdb_application", "Customer portal");
    made.visit(Some(app), "DEPENDS_ON", false, ImpactState::Affected, portal);
    made.answer.stale = vec!["snowflake".to_owned()];
    made.answer()
}

/// Asserts what holds in every picture.
#[track_caller]
fn sound(picture: &Picture<'_>) {
    for pair in picture.cards.windows(2) {
        let [above, below] = pair else { continue };
        if above.node().hop == below.node().hop {
            let gap = (below.y - below.height / 2.0) - (above.y + above.height / 2.0);
            assert!(gap > 3.5, "{} and {} are {gap} apart", above.label(), below.label());
        }
    }
    for pair in picture.columns.windows(2) {
        let [left, right] = pair else { continue };
        assert!(left.x + left.width + 20.0 < right.x, "columns touch");
    }
    for card in &picture.cards {
        assert!(card.x >= 0.0 && card.x + card.width <= picture.width, "{}", card.label());
        let (top, bottom) = (card.y - card.height / 2.0, card.y + card.height / 2.0);
        assert!(top >= 60.0 && bottom <= picture.height, "{}", card.label());
        for link in &card.parents {
            let parent = &picture.cards[link.card as usize];
            assert_eq!(parent.node().hop + 1, card.node().hop);
        }
        let shown: usize = card.lines.iter().map(|line| line.chars().count()).sum();
        assert!(shown >= card.label().chars().count().min(20), "{:?}", card.lines);
    }
    let drawn: u64 = picture.columns.iter().map(|column| column.drawn as u64).sum();
    assert_eq!(drawn as usize, picture.cards.len());
    let ids: BTreeSet<(bool, &str, u32)> = picture
        .cards
        .iter()
        .map(|card| (card.is_group(), card.id.as_str(), card.node().hop))
        .collect();
    assert_eq!(ids.len(), picture.cards.len(), "two cards have one id");
    let members: usize = picture.cards.iter().map(|card| card.members.len()).sum();
    assert_eq!(members as u64 + picture.not_drawn, picture.graph.nodes.len() as u64);
    well_formed(&picture.to_svg(&NoLinks, &SvgOptions::default()));
    well_formed(&picture.to_svg_file(&NoLinks, &SvgOptions::default()));
}

fn well_formed(svg: &str) {
    let mut reader = quick_xml::Reader::from_str(svg);
    let mut depth = 0;
    loop {
        match reader.read_event().expect("it is XML") {
            quick_xml::events::Event::Start(_) => depth += 1,
            quick_xml::events::Event::End(_) => depth -= 1,
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    assert!(!svg.contains(" style="), "a page with a strict policy would not show it");
}

fn labels(picture: &Picture<'_>) -> Vec<String> {
    picture.cards.iter().map(PictureCard::label).collect()
}

#[test]
fn siblings_alike_above_six_are_one_card() {
    let answer = company(6);
    let graph = PictureGraph::of_blast_radius(&answer);
    assert_eq!(graph.layout(&[]).cards.len(), 11);
    let answer = company(214);
    let graph = PictureGraph::of_blast_radius(&answer);
    let picture = graph.layout(&[]);
    sound(&picture);
    assert_eq!(
        labels(&picture),
        [
            "billing-writer",
            "aws_s3_bucket (214)",
            "FINANCE_LOADER",
            "Invoicing",
            "FINANCE_MART",
            "Customer portal"
        ]
    );
    let counts: Vec<_> = picture.columns.iter().map(|c| (c.hop, c.counted, c.drawn)).collect();
    assert_eq!(counts, [(0, 1, 1), (1, 216, 3), (2, 2, 2)]);
    assert_eq!(picture.remarks(), ["1 group holds 214 entities that are not drawn one by one"]);
}

#[test]
fn a_group_is_opened_25_at_a_time() {
    let answer = company(60);
    let graph = PictureGraph::of_blast_radius(&answer);
    let group = |picture: &Picture<'_>| {
        let group = picture.cards.iter().find(|card| card.is_group());
        group.map(|card| (card.id.clone(), card.label()))
    };
    let (id, _) = group(&graph.layout(&[])).expect("60 buckets are a group");
    let once = graph.layout(std::slice::from_ref(&id));
    sound(&once);
    assert_eq!(group(&once), Some((id.clone(), "35 more aws_s3_bucket".to_owned())));
    let opened = once.cards.iter().filter(|card| card.kind == CardKind::Opened).count();
    assert_eq!(opened, 25);
    let twice = graph.layout(&[id.clone(), id.clone()]);
    assert_eq!(group(&twice).map(|group| group.1), Some("10 more aws_s3_bucket".to_owned()));
    let all = graph.layout(&[id.clone(), id.clone(), id]);
    sound(&all);
    assert_eq!(group(&all), None);
    assert_eq!(all.remarks(), [""; 0]);
    sound(&graph.layout(&["no such group".to_owned()]));
}

#[test]
fn what_hangs_from_a_member_hangs_from_its_group() {
    let mut made = MadeUp::new("root");
    for at in 0..30 {
        let name = format!("bucket {at}");
        let bucket = made.visit(None, "ALLOWS", true, CONTROLLED, ("aws", "bucket", &name));
        let (app, report) = (format!("app {at}"), format!("report {at}"));
        made.visit(Some(bucket), "USES", false, CONTROLLED, ("cmdb", "app", &app));
        made.visit(Some(bucket), "USES", false, CONTROLLED, ("cmdb", "report", &report));
    }
    let answer = made.answer();
    let graph = PictureGraph::of_blast_radius(&answer);
    let picture = graph.layout(&[]);
    sound(&picture);
    assert_eq!(labels(&picture), ["root", "bucket (30)", "app (30)", "report (30)"]);
    assert_eq!(picture.bundles.len(), 2, "one verb from one card is one bundle");
    assert_eq!(picture.bundles[1].to.len(), 2);
}

#[test]
fn a_column_of_many_families_is_folded_further() {
    let mut made = MadeUp::new("root");
    for parent in 0..30 {
        // Parents of a type each, so that they stand one by one.
        let (kind, name) = (format!("kind_{parent}"), format!("parent {parent}"));
        let parent = made.visit(None, "HAS", true, CONTROLLED, ("s", &kind, &name));
        for child in 0..5 {
            let name = format!("child {parent}-{child}");
            made.visit(Some(parent), "HAS", true, CONTROLLED, ("s", "leaf_kind", &name));
        }
        for child in 0..9 {
            let name = format!("box {parent}-{child}");
            made.visit(Some(parent), "HAS", true, CONTROLLED, ("s", "box_kind", &name));
        }
    }
    let answer = made.answer();
    let graph = PictureGraph::of_blast_radius(&answer);
    let picture = graph.layout(&[]);
    sound(&picture);
    let last = picture.columns.last().expect("three columns");
    assert!(last.drawn <= COLUMN_MAX, "{} cards", last.drawn);
    assert_eq!(last.counted, 30 * 14);
}

#[test]
fn a_picture_has_two_thousand_cards_at_most() {
    let mut made = MadeUp::new("root");
    let mut before = None;
    for hop in 0..400 {
        let mut first = None;
        for at in 0..6 {
            let name = format!("entity {hop}-{at}");
            let kind = format!("kind_{at}");
            first = Some(made.visit(before, "HAS", true, CONTROLLED, ("s", &kind, &name)));
        }
        before = first;
    }
    let answer = made.answer();
    let graph = PictureGraph::of_blast_radius(&answer);
    let picture = graph.layout(&[]);
    sound(&picture);
    assert_eq!((picture.cards.len(), picture.not_drawn), (DRAWN_MAX, 401));
    let words = "401 entities are not drawn: 2,000 cards fill a picture";
    assert_eq!(picture.remarks(), [words]);
    assert!(picture.to_svg(&NoLinks, &SvgOptions::default()).contains(words));
}

#[test]
fn the_order_of_an_answer_changes_nothing() {
    let answer = company(40);
    let graph = PictureGraph::of_blast_radius(&answer);
    let first = graph.layout(&[]).to_svg_file(&NoLinks, &SvgOptions::default());
    let mut other = company(40);
    // Visits of one distance, the other way round.
    other.reached.sort_by_key(|visit| (visit.distance, std::cmp::Reverse(visit.number)));
    let graph = PictureGraph::of_blast_radius(&other);
    assert_eq!(graph.layout(&[]).to_svg_file(&NoLinks, &SvgOptions::default()), first);
}

#[test]
fn fifty_thousand_entities_fold_into_a_few_cards() {
    let answer = company(50_000);
    let graph = PictureGraph::of_blast_radius(&answer);
    let picture = graph.layout(&[]);
    sound(&picture);
    assert_eq!(picture.cards.len(), 6);
    assert_eq!(graph.listed(), 50_004);
}

#[test]
fn sweeps_undo_crossings() {
    let mut made = MadeUp::new("root");
    let parents = ["a", "b", "c", "d"].map(|name| {
        let kind = format!("kind_{name}");
        made.visit(None, "HAS", true, CONTROLLED, ("s", &kind, name))
    });
    // By name alone, each child would stand at the other end of the column than its parent.
    for (parent, name) in parents.into_iter().zip(["z", "y", "x", "w"]) {
        made.visit(Some(parent), "HAS", true, CONTROLLED, ("s", "leaf", name));
    }
    let answer = made.answer();
    let graph = PictureGraph::of_blast_radius(&answer);
    let picture = graph.layout(&[]);
    sound(&picture);
    let column: Vec<u32> = picture.cards[5..].iter().map(|card| card.parents[0].card).collect();
    assert_eq!(column, [1, 2, 3, 4]);
}

#[test]
fn states_differ_in_shape_and_not_by_colour_alone() {
    let answer = company(1);
    let graph = PictureGraph::of_blast_radius(&answer);
    let svg = graph.layout(&[]).to_svg(&NoLinks, &SvgOptions::default());
    let card = |name: &str| {
        let mut all = svg.split("<g class=\"card ").skip(1);
        all.find(|card| card.contains(name)).expect("it is drawn").to_owned()
    };
    let (full, half) = (card("FINANCE_MART"), card("FINANCE_LOADER"));
    let empty = card("Invoicing");
    assert!(full.starts_with("controlled") && full.contains("ball full"), "{full}");
    assert!(half.starts_with("borrowed") && half.contains("class=\"half\""), "{half}");
    assert!(empty.starts_with("affected") && !empty.contains("full") && !empty.contains("half"));
    assert!(STYLE.contains(".hops .e.borrowed{stroke-dasharray"), "borrowed access is dashed");
    assert!(half.contains("snowflake · stale"), "{half}");
}

#[test]
fn hostile_names_stay_texts() {
    let mut made = MadeUp::new("</title><script>alert(1)</script>");
    let name = "\"><image href=x onerror=alert(1)>\u{202e}\u{0}]]>";
    made.visit(None, "<b>", true, CONTROLLED, ("a&b", "<i>_'x", name));
    let answer = made.answer();
    let graph = PictureGraph::of_blast_radius(&answer);
    let picture = graph.layout(&[]);
    sound(&picture);
    let svg = picture.to_svg_file(&NoLinks, &SvgOptions::default());
    for tag in ["<script", "<image", "<b>", "<i>"] {
        assert!(!svg.contains(tag), "{tag}: {svg}");
    }
}

#[test]
fn long_names_fit_and_stand_whole_in_the_title() {
    let mut made = MadeUp::new("root");
    let long = format!("arn:aws:iam::111122223333:role/{}/reader", "deep/".repeat(60));
    for name in [long.as_str(), &"W".repeat(300), &"資料庫".repeat(80), ""] {
        let kind = format!("a_{}", "very_long_type_".repeat(20));
        made.visit(
            None,
            &"VERB_".repeat(30),
            true,
            CONTROLLED,
            (&"scope-".repeat(40), &kind, name),
        );
    }
    let answer = made.answer();
    let graph = PictureGraph::of_blast_radius(&answer);
    let picture = graph.layout(&[]);
    sound(&picture);
    assert!(picture.cards.iter().all(|card| card.width <= 288.0));
    let svg = picture.to_svg(&NoLinks, &SvgOptions::default());
    assert!(svg.contains(&format!("<title>{long} (")), "{svg}");
}

#[test]
fn every_card_is_a_link_of_the_caller() {
    struct Pages;
    impl PictureLinks for Pages {
        fn entity(&self, entity: &EntityHead) -> Option<String> {
            Some(format!("/e/{}/{}", entity.scope, entity.key))
        }
        fn group(&self, id: &str, opened: usize) -> Option<String> {
            Some(format!("?open={id}&shown={opened}"))
        }
    }
    let answer = company(30);
    let graph = PictureGraph::of_blast_radius(&answer);
    let picture = graph.layout(&[]);
    let svg = picture.to_svg(&Pages, &SvgOptions::default());
    assert_eq!(svg.matches("<a class=\"card ").count(), picture.cards.len());
    assert!(svg.contains("href=\"/e/snowflake/snowflake_role:FINANCE_LOADER\""), "{svg}");
    assert!(svg.contains("&amp;shown=0\"") && svg.contains(">open 25<"), "{svg}");
    assert!(!svg.contains("<style"), "a page has the sheet already");
}

#[test]
fn a_scope_has_the_same_colour_in_every_picture() {
    let answer = company(1);
    let graph = PictureGraph::of_blast_radius(&answer);
    let picture = graph.layout(&[]);
    let scopes: Vec<String> = ["a", "aws", "b", "c", "cmdb", "d", "e", "f", "g", "h", "snowflake"]
        .map(str::to_owned)
        .into();
    assert_eq!(picture.scope_colours(&scopes), [("aws", 2), ("cmdb", 5), ("snowflake", 9)]);
    assert_eq!(picture.scope_colours(&[]), [("aws", 1), ("cmdb", 2), ("snowflake", 3)]);
}

#[test]
fn an_answer_that_is_empty_says_so() {
    let answer = MadeUp::new("root").answer();
    let graph = PictureGraph::of_blast_radius(&answer);
    let picture = graph.layout(&[]);
    sound(&picture);
    assert!(picture.to_svg(&NoLinks, &SvgOptions::default()).contains(">nothing is reached<"));
}

#[test]
fn a_small_picture_is_drawn_like_this() {
    let answer = company(7);
    let graph = PictureGraph::of_blast_radius(&answer);
    let svg = graph.layout(&[]).to_svg(&NoLinks, &SvgOptions::default());
    insta::assert_snapshot!("small_picture", svg);
}
