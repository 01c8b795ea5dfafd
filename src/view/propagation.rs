//! What verbs mean: which way impact passes along a relationship, and which relationships own.
//!
//! Built-in tables cover the verbs that inventories use; a TOML file changes single verbs of the
//! first and whole lists of the second:
//!
//! ```toml
//! [propagation]
//! default = "forward"     # verbs that stand nowhere
//! USES = "both"           # forward, reverse, both or none
//!
//! [ownership]
//! owning = ["OWNS", "MANAGES"]
//! through = ["HAS", "CONTAINS", "DEPLOYS"]
//! classes = ["Person", "Team"]
//! ```
//!
//! Verbs are compared letter by letter: `OWNS` and `owns` are different verbs, as in the graph.

use super::OwnerRules;
use super::by_verb::ByVerb;
use crate::graph::Names;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use toml::Spanned;

/// Which way the compromise or failure of one end of a relationship reaches the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// With the arrow: what happens to the from end reaches the to end.
    Forward,
    /// Against the arrow.
    Reverse,
    /// Either way.
    Both,
    /// Not at all.
    None,
}

impl Flow {
    /// The word of the TOML file for this flow.
    pub const fn word(self) -> &'static str {
        match self {
            Flow::Forward => "forward",
            Flow::Reverse => "reverse",
            Flow::Both => "both",
            Flow::None => "none",
        }
    }

    fn parse(word: &str) -> Option<Flow> {
        [Flow::Forward, Flow::Reverse, Flow::Both, Flow::None]
            .into_iter()
            .find(|flow| flow.word() == word)
    }
}

/// Who holds, runs, makes or reaches something passes its trouble on to it.
const FORWARD: &[&str] = &[
    // Who has it in hand: `User OWNS Device`, `Group HAS User`, `Vpc CONTAINS Host`.
    "OWNS",
    "HAS",
    "CONTAINS",
    "MANAGES",
    "MAINTAINS",
    "ADMINISTERS",
    "ADMINISTRATES",
    "CONTROLS",
    "OPERATES",
    "ASSIGNED",
    "STORES",
    // Who may reach it: `Role ALLOWS Bucket`.
    "ALLOWS",
    "PERMITS",
    "GRANTS",
    "ACCESSES",
    "CAN_ACCESS",
    "BYPASSES",
    "EXPOSES",
    // Who makes it: a repository that deploys a bucket can change it.
    "BUILDS",
    "BUILT",
    "CREATES",
    "CREATED",
    "DEFINES",
    "DEPLOYS",
    "DEPLOYED",
    "GENERATED",
    "PRODUCES",
    "PROVISIONS",
    "PUBLISHES",
    "PUBLISHED",
    "PUSHED",
    "CONTRIBUTES_TO",
    "CONTRIBUTED_TO",
    "UPDATES",
    "WRITES",
    "SENDS",
    // Who carries it: `Host RUNS Process`, `Cluster HOSTS Workload`, `Firewall PROTECTS Network`.
    "RUNS",
    "HOSTS",
    "PROVIDES",
    "SUPPORTS",
    "PROTECTS",
    "ENFORCES",
    "TRIGGERS",
    // What harms it.
    "EXPLOITS",
    "IMPACTS",
    "AFFECTS",
    "TARGETS",
];

/// Who needs something suffers with it: the arrow points at the cause.
const REVERSE: &[&str] = &[
    "USES",
    "DEPENDS_ON",
    "REQUIRES",
    "CONNECTS",
    "CONNECTS_TO",
    "CALLS",
    "CONSUMES",
    "READS",
    "READS_FROM",
    "RECEIVES",
    "SUBSCRIBES_TO",
    "IMPORTS",
    "EXTENDS",
    "IMPLEMENTS",
    "INHERITS",
    "TRUSTS",
    "RUNS_ON",
    "HOSTED_ON",
    "INSTALLED_ON",
    "STORED_IN",
    "LOCATED_IN",
    // Containment and custody told from the inside: `User MEMBER_OF Group`.
    "MEMBER_OF",
    "PART_OF",
    "BELONGS_TO",
    "OWNED_BY",
    "MANAGED_BY",
    "MAINTAINED_BY",
    "CREATED_BY",
    "BUILT_BY",
    "DEPLOYED_BY",
];

/// Two sides of one thing, or two things that can take each other over.
const BOTH: &[&str] = &[
    "IS",
    "SAME_AS",
    // Who takes the application can act as its role, and who takes the role acts inside it.
    "ASSUMES",
    // Software and the device it is on: `Device INSTALLED Application`.
    "INSTALLED",
    "DEPLOYED_TO",
];

/// Looking at something, or keeping it out, harms nobody.
const NONE: &[&str] = &[
    "DENIES",
    "REJECTED",
    "MITIGATES",
    "MONITORS",
    "SCANS",
    "EVALUATES",
    "IDENTIFIED",
    "REPORTED",
    "REVIEWED",
    "REVIEWS",
    "APPROVED",
    "OPENED",
    "CLOSED",
];

/// Which way impact passes along each verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propagation {
    flows: BTreeMap<String, Flow>,
    default: Flow,
}

impl Default for Propagation {
    /// The built-in table; a verb it does not list passes impact forward.
    fn default() -> Propagation {
        let lists = [
            (FORWARD, Flow::Forward),
            (REVERSE, Flow::Reverse),
            (BOTH, Flow::Both),
            (NONE, Flow::None),
        ];
        let rows = lists.iter().flat_map(|(verbs, flow)| verbs.iter().map(|v| (*v, *flow)));
        Propagation {
            flows: rows.map(|(verb, flow)| (verb.to_owned(), flow)).collect(),
            default: Flow::Forward,
        }
    }
}

impl Propagation {
    /// The flow along relationships with `verb`.
    pub fn of(&self, verb: &str) -> Flow {
        self.flows.get(verb).copied().unwrap_or(self.default)
    }

    /// The flow along verbs that have none of their own.
    pub fn default_flow(&self) -> Flow {
        self.default
    }

    /// The verbs with a flow of their own, in byte order.
    pub fn verbs(&self) -> impl Iterator<Item = (&str, Flow)> {
        self.flows.iter().map(|(verb, flow)| (verb.as_str(), *flow))
    }

    /// Gives `verb` a flow, in place of the one it has.
    pub fn set(&mut self, verb: &str, flow: Flow) {
        self.flows.insert(verb.to_owned(), flow);
    }

    /// The same table by the numbers of one graph. Verbs that this graph never used are left out.
    pub fn resolve(&self, names: &impl Names) -> Flows {
        let mut table = ByVerb::new(self.default);
        for (verb, flow) in &self.flows {
            if let Some(number) = names.name_number(verb) {
                table.set(number, *flow);
            }
        }
        Flows(table)
    }
}

/// A [`Propagation`] by the name numbers of one graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flows(pub(super) ByVerb<Flow>);

impl Flows {
    /// Every verb has `flow`.
    pub fn uniform(flow: Flow) -> Flows {
        Flows(ByVerb::new(flow))
    }

    /// The flow along relationships whose verb has this name number.
    pub fn of(&self, verb: u32) -> Flow {
        self.0.of(verb)
    }
}

/// Which verbs make an owner, which lead on to what an owner may own, and who can be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// `owner -VERB-> thing` makes an owner: `User OWNS Device`.
    pub owning: Vec<String>,
    /// `whole -VERB-> thing` passes ownership on: who owns the repository owns what it deploys.
    pub through: Vec<String>,
    /// Classes of entities that can be owners.
    pub classes: Vec<String>,
}

impl Default for Ownership {
    fn default() -> Ownership {
        let list = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Ownership {
            owning: list(&[
                "OWNS",
                "MANAGES",
                "MAINTAINS",
                "ADMINISTERS",
                "ADMINISTRATES",
                "OPERATES",
                "CONTROLS",
                "RESPONSIBLE_FOR",
            ]),
            through: list(&[
                "HAS",
                "CONTAINS",
                "BUILDS",
                "BUILT",
                "DEPLOYS",
                "DEPLOYED",
                "CREATES",
                "CREATED",
                "DEFINES",
                "PRODUCES",
                "PROVISIONS",
                "PUBLISHES",
                "PUBLISHED",
                "HOSTS",
                "RUNS",
            ]),
            classes: list(&["Person", "User", "UserGroup", "Team", "Group"]),
        }
    }
}

impl Ownership {
    /// Whether an entity of these classes can be an owner.
    pub fn can_own<'a>(&self, classes: impl IntoIterator<Item = &'a str>) -> bool {
        classes.into_iter().any(|class| self.classes.iter().any(|owner| owner == class))
    }

    /// The verbs by the numbers of one graph.
    pub fn resolve(&self, names: &impl Names) -> OwnerRules {
        let numbers = |verbs: &[String]| -> Vec<u32> {
            verbs.iter().filter_map(|verb| names.name_number(verb)).collect()
        };
        OwnerRules::new(&numbers(&self.owning), &numbers(&self.through), None)
    }
}

/// All that a rules file can say. `Rules::default()` is what holds without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Which way impact passes.
    pub propagation: Propagation,
    /// Who owns.
    pub ownership: Ownership,
}

impl Rules {
    /// The verbs as sets that a query can follow: `Impact` the way impact passes, `Owning` and
    /// `Containing` along the arrow.
    pub fn verb_sets(&self) -> BTreeMap<String, String> {
        let arrow = |flow, verb: &str| match flow {
            Flow::Forward => format!("{verb} >>"),
            Flow::Reverse => format!("{verb} <<"),
            Flow::Both => verb.to_owned(),
            Flow::None => format!("!{verb}"),
        };
        let default = self.propagation.default_flow();
        let named = self.propagation.verbs().filter(|(_, flow)| *flow != default);
        let mut impact: Vec<String> = named.map(|(verb, flow)| arrow(flow, verb)).collect();
        if default != Flow::None {
            impact.push(arrow(default, "*"));
        }
        [
            ("Impact", impact.join(" | ")),
            ("Owning", self.ownership.owning.join(" | ")),
            ("Containing", self.ownership.through.join(" | ")),
        ]
        .map(|(name, verbs)| (name.to_owned(), verbs))
        .into()
    }
}

/// Why a rules file is refused, and where. Its `Display` is one line, lower case, without a full
/// stop, and begins with the place: `3:8: ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesError {
    /// Line of the file, counted from 1.
    pub line: usize,
    /// Character of the line, counted from 1.
    pub column: usize,
    /// The bytes of the text that are at fault, for a caret.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where we can tell.
    pub hint: Option<String>,
}

impl RulesError {
    fn new(text: &str, span: Range<usize>, message: String, hint: Option<String>) -> RulesError {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        RulesError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span,
            message,
            hint,
        }
    }
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for RulesError {}

/// A rules file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    propagation: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    ownership: WrittenOwnership,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenOwnership {
    owning: Option<Vec<Spanned<String>>>,
    through: Option<Vec<Spanned<String>>>,
    classes: Option<Vec<Spanned<String>>>,
}

impl Rules {
    /// Reads a rules file. What it does not mention stays as it is without one.
    ///
    /// # Errors
    ///
    /// The first fault, with its place: text that is not TOML, an unknown table or member, a flow
    /// that is none of the four words, an empty name.
    pub fn parse(text: &str) -> Result<Rules, RulesError> {
        let written: Written = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            RulesError::new(text, span, error.message().trim_end().to_owned(), None)
        })?;
        let mut rules = Rules::default();
        rules.propagation.change(text, &written.propagation)?;
        let ownership = &mut rules.ownership;
        replace(&mut ownership.owning, text, written.ownership.owning)?;
        replace(&mut ownership.through, text, written.ownership.through)?;
        replace(&mut ownership.classes, text, written.ownership.classes)?;
        Ok(rules)
    }
}

impl Propagation {
    /// Applies the members of `[propagation]`.
    fn change(
        &mut self,
        text: &str,
        written: &BTreeMap<Spanned<String>, Spanned<String>>,
    ) -> Result<(), RulesError> {
        for (verb, word) in written {
            let flow = Flow::parse(word.get_ref()).ok_or_else(|| unknown_flow(text, word))?;
            match checked_name(text, verb)? {
                "default" => self.default = flow,
                verb => self.set(verb, flow),
            }
        }
        Ok(())
    }
}

/// Puts the names of a list, if one is written, in place of the built-in ones.
fn replace(
    list: &mut Vec<String>,
    text: &str,
    written: Option<Vec<Spanned<String>>>,
) -> Result<(), RulesError> {
    let Some(written) = written else { return Ok(()) };
    let names = written.iter().map(|name| checked_name(text, name).map(str::to_owned));
    *list = names.collect::<Result<_, _>>()?;
    Ok(())
}

fn checked_name<'a>(text: &str, name: &'a Spanned<String>) -> Result<&'a str, RulesError> {
    match name.get_ref().as_str() {
        "" => Err(RulesError::new(text, name.span(), "name is empty".to_owned(), None)),
        name => Ok(name),
    }
}

fn unknown_flow(text: &str, word: &Spanned<String>) -> RulesError {
    let asked = word.get_ref();
    let words = [Flow::Forward, Flow::Reverse, Flow::Both, Flow::None].map(Flow::word);
    let near = words
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&asked.to_lowercase(), known), known))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    let message = format!("unknown flow `{asked}`, expected one of `{}`", words.join("`, `"));
    RulesError::new(text, word.span(), message, near.map(|(_, w)| format!("did you mean `{w}`?")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Dictionary;
    use super::*;

    fn check_error(text: &str, expected: &str) {
        let error = Rules::parse(text).expect_err("the file is at fault");
        let hint = error.hint.as_deref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        assert_eq!(format!("{error}{hint}"), expected);
    }

    #[test]
    fn impact_does_not_always_follow_the_arrow() {
        let table = Propagation::default();
        let flows = [
            ("OWNS", Flow::Forward),
            ("DEPLOYS", Flow::Forward),
            ("ALLOWS", Flow::Forward),
            ("USES", Flow::Reverse),
            ("DEPENDS_ON", Flow::Reverse),
            ("ASSUMES", Flow::Both),
            ("IS", Flow::Both),
            ("DENIES", Flow::None),
            ("FROBNICATES", Flow::Forward),
        ];
        for (verb, flow) in flows {
            assert_eq!(table.of(verb), flow, "{verb}");
        }
    }

    #[test]
    fn no_verb_stands_in_two_default_lists() {
        let listed = FORWARD.len() + REVERSE.len() + BOTH.len() + NONE.len();
        assert_eq!(Propagation::default().verbs().count(), listed);
    }

    #[test]
    fn a_file_changes_only_what_it_mentions() {
        let rules = Rules::parse(
            "[propagation]\ndefault = \"none\"\nUSES = \"both\"\n[ownership]\nowning = [\"HOLDS\"]",
        )
        .expect("a good file");
        assert_eq!(rules.propagation.of("USES"), Flow::Both);
        assert_eq!(rules.propagation.of("OWNS"), Flow::Forward);
        assert_eq!(rules.propagation.of("FROBNICATES"), Flow::None);
        assert_eq!(rules.ownership.owning, ["HOLDS"]);
        assert_eq!(rules.ownership.through, Ownership::default().through);
    }

    #[test]
    fn an_empty_file_changes_nothing() {
        assert_eq!(Rules::parse(""), Ok(Rules::default()));
    }

    #[test]
    fn faults_name_their_place() {
        check_error(
            "[propagation]\nOWNS = \"forwards\"\n",
            "2:8: unknown flow `forwards`, expected one of `forward`, `reverse`, `both`, `none`\n\
             hint: did you mean `forward`?",
        );
        check_error(
            "[propagation]\nOWNS = 3\n",
            "2:8: invalid type: integer `3`, expected a string",
        );
        check_error(
            "\n[propagations]\n",
            "2:2: unknown field `propagations`, expected `propagation` or `ownership`",
        );
        check_error("[ownership]\nclasses = [\"Team\",\n  \"\"]\n", "3:3: name is empty");
        check_error("[propagation]\n\"Ä\" = \"both\"\nx\n", "3:2: key with no value, expected `=`");
    }

    #[test]
    fn flows_of_one_graph_go_by_its_numbers() {
        let names = Dictionary(vec!["scope", "USES", "INVENTED", "DENIES"]);
        let flows = Propagation::default().resolve(&names);
        let by_number = [0, 1, 2, 3, 99].map(|number| flows.of(number));
        use Flow::*;
        assert_eq!(by_number, [Forward, Reverse, Forward, None, Forward]);
    }

    #[test]
    fn an_entity_with_one_owner_class_can_own() {
        let ownership = Ownership::default();
        assert!(ownership.can_own(["Resource", "Team"]));
        assert!(!ownership.can_own(["Device"]));
        assert!(!ownership.can_own([]));
    }
}
