//! Tests of what the built-in table promises, and of the changes of a project.

use super::index::{ANY, RuleIndex};
use super::*;
use crate::graph::{CLASS_SEPARATOR, EdgeDirection, EntityFacts, NameLookup, fold_name, fold_verb};
use std::collections::{BTreeMap, BTreeSet};

/// A dictionary that grows.
#[derive(Default)]
struct Dictionary(Vec<String>);

impl Dictionary {
    fn number(&mut self, text: &str) -> u32 {
        let known = self.0.iter().position(|known| known == text);
        known.unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        }) as u32
    }
}

impl NameLookup for Dictionary {
    fn name(&self, number: u32) -> &str {
        &self.0[number as usize]
    }
    fn name_number(&self, text: &str) -> Option<u32> {
        self.0.iter().position(|name| name == text).map(|at| at as u32)
    }
    fn for_each_name(&self, visit: &mut dyn FnMut(u32, &str)) {
        (0..).zip(&self.0).for_each(|(number, name)| visit(number, name));
    }
}

/// Returns the compromise and failure that rules give for `A,B VERB C`.
fn says(rules: &RuleTable, triple: &str) -> String {
    let (from, rest) = triple.split_once(' ').expect("three words");
    let (verb, to) = rest.rsplit_once(' ').expect("three words");
    let mut names = Dictionary::default();
    let thing = names.number("thing");
    let mut facts = |classes: &str| {
        let classes = classes.replace(',', &CLASS_SEPARATOR.to_string());
        EntityFacts { scope: thing, type_name: thing, classes: names.number(&classes), live: true }
    };
    let (from, to) = (facts(from), facts(to));
    let verb = names.number(verb);
    let mut bound = BoundRules::new(rules, ImpactFilter::ANY);
    let (from, to) = (bound.kind(&names, &from), bound.kind(&names, &to));
    match bound.meaning(&names, verb, from, to) {
        Some(impact) => {
            let (compromise, failure) = impact_words(impact);
            format!("{compromise} {failure}")
        }
        None => "no rule".to_owned(),
    }
}

fn project(text: &str) -> RuleTable {
    match RuleTable::parse(&SourceText::whole("tombolo.toml", text)) {
        Ok(rules) => rules,
        Err(faults) => panic!("{}", faults.iter().map(Diagnostic::plain).collect::<String>()),
    }
}

#[test]
fn the_table_in_the_program_is_the_one_of_the_file() {
    assert_eq!(RuleIndex::build(&built_in()), built_in::INDEX);
}

#[test]
fn every_rule_has_a_reason_and_what_was_decided_an_alternative() {
    let written = built_in();
    assert!(written.impact.len() > 100 && written.ownership.len() > 8);
    let about =
        written.impact.iter().map(|r| (&r.verbs, &r.reason, &r.source, &r.alternative, &r.decided));
    let ownership = written.ownership.iter();
    let owning = ownership.map(|r| (&r.verbs, &r.reason, &r.source, &r.alternative, &r.decided));
    for (verbs, reason, source, alternative, decided) in about.chain(owning) {
        assert!(reason.ends_with('.') && !source.is_empty(), "{verbs:?}");
        assert_eq!(alternative.is_empty(), decided.is_empty(), "{verbs:?}");
    }
    assert!(written.silent.iter().all(|silent| silent.reason.ends_with('.')));
}

#[test]
fn a_class_stands_in_one_set() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (set, classes) in built_in().sets {
        for class in classes {
            let before = seen.insert(fold_name(&class), set.clone());
            assert_eq!(before, None, "{class} is in @{set} as well");
        }
    }
}

#[test]
fn a_word_belongs_to_one_family_and_rules_are_written_for_its_verb() {
    let written = built_in();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for family in &written.families {
        let words = family.same.iter().chain(&family.inverse).chain([&family.verb]);
        for word in words {
            let before = seen.insert(fold_verb(word), fold_verb(&family.verb));
            assert_eq!(before, None, "{word} is in the family of {} as well", family.verb);
        }
    }
    let rules = written.impact.iter().map(|rule| &rule.verbs);
    let rules = rules.chain(written.ownership.iter().map(|rule| &rule.verbs));
    for verb in rules.flatten() {
        let head = seen.get(&fold_verb(verb));
        assert!(head.is_none_or(|head| *head == fold_verb(verb)), "{verb} is {head:?}");
    }
}

/// Pairs of rules of one verb and rank that hold for the same pair of single classes, for which no
/// rule of a higher rank holds.
fn ties<M: PartialEq + Copy>(written: &WrittenRules, rules: &[WrittenRule<M>]) -> Vec<String> {
    let ends = |list: &[String]| -> Option<BTreeSet<String>> {
        let classes = written.classes(list).into_iter().map(fold_name).collect();
        (!list.is_empty()).then_some(classes)
    };
    let meets = |a: &[String], b: &[String]| match (ends(a), ends(b)) {
        (Some(a), Some(b)) => !a.is_disjoint(&b),
        _ => true,
    };
    let rank = |rule: &WrittenRule<M>| {
        usize::from(!rule.from.is_empty()) + usize::from(!rule.to.is_empty())
    };
    // What both lists name; `None` stands for everything.
    let both = |a: &[String], b: &[String]| match (ends(a), ends(b)) {
        (Some(a), Some(b)) => Some(a.intersection(&b).cloned().collect::<BTreeSet<String>>()),
        (a, b) => a.or(b),
    };
    let covers = |list: &[String], part: &Option<BTreeSet<String>>| match (ends(list), part) {
        (Some(all), Some(part)) => part.is_subset(&all),
        (all, _) => all.is_none(),
    };
    let decided = |one: &WrittenRule<M>, two: &WrittenRule<M>, verb: &str| {
        let (from, to) = (both(&one.from, &two.from), both(&one.to, &two.to));
        rules.iter().any(|rule| {
            rank(rule) > rank(one)
                && rule.verbs.iter().any(|other| fold_verb(other) == verb)
                && covers(&rule.from, &from)
                && covers(&rule.to, &to)
        })
    };
    let mut found = Vec::new();
    for (at, one) in rules.iter().enumerate() {
        for two in &rules[at + 1..] {
            let verbs: BTreeSet<String> = one.verbs.iter().map(|verb| fold_verb(verb)).collect();
            let shared = two.verbs.iter().map(|verb| fold_verb(verb));
            if shared.filter(|verb| verbs.contains(verb)).any(|verb| !decided(one, two, &verb))
                && rank(one) == rank(two)
                && meets(&one.from, &two.from)
                && meets(&one.to, &two.to)
            {
                found.push(format!("{:?} of line {} and {}", one.verbs, one.line, two.line));
            }
        }
    }
    found
}

#[test]
fn no_two_built_in_rules_of_one_rank_hold_for_the_same_ends() {
    let written = built_in();
    assert_eq!(ties(&written, &written.impact), Vec::<String>::new());
    assert_eq!(ties(&written, &written.ownership), Vec::<String>::new());
    // The search finds one where there is one.
    let mut twice = written.clone();
    twice.impact.push(twice.impact[0].clone());
    assert_eq!(ties(&twice, &twice.impact).len(), 1);
}

#[test]
fn the_verbs_of_public_models_are_known() {
    let models = [
        // The relationship classes of the JupiterOne data model.
        "ALLOWS APPROVED ASSIGNED CONNECTS CONTAINS COMPLETED CREATED DEFINES DENIES DEPLOYED \
         ENFORCES EVALUATES EXPLOITS EXTENDS GENERATED HAS HOSTS IDENTIFIED IMPLEMENTS IS KNOWS \
         LIMITS LOGS MANAGES MITIGATES MONITORS NOTIFIES OPENED OVERRIDES OWNS PERFORMED PROTECTS \
         PROVIDES PUBLISHED PUBLISHES RESTRICTS REVIEWED REPORTED RUNS SCANS SENDS TRIGGERS TRUSTS \
         UPDATED USES INSTALLED VIOLATES",
        // Backstage's well-known relations.
        "ownedBy ownerOf partOf hasPart dependsOn dependencyOf providesApi apiProvidedBy consumesApi \
         apiConsumedBy memberOf hasMember parentOf childOf",
        // SPDX 2.3.
        "DESCRIBES DESCRIBED_BY CONTAINS CONTAINED_BY DEPENDS_ON DEPENDENCY_OF \
         DEPENDENCY_MANIFEST_OF BUILD_DEPENDENCY_OF DEV_DEPENDENCY_OF OPTIONAL_DEPENDENCY_OF \
         PROVIDED_DEPENDENCY_OF TEST_DEPENDENCY_OF RUNTIME_DEPENDENCY_OF EXAMPLE_OF GENERATES \
         GENERATED_FROM ANCESTOR_OF DESCENDANT_OF VARIANT_OF DISTRIBUTION_ARTIFACT PATCH_FOR \
         PATCH_APPLIED COPY_OF FILE_ADDED FILE_DELETED FILE_MODIFIED EXPANDED_FROM_ARCHIVE \
         DYNAMIC_LINK STATIC_LINK DATA_FILE_OF TEST_CASE_OF BUILD_TOOL_OF DEV_TOOL_OF TEST_OF \
         TEST_TOOL_OF DOCUMENTATION_OF OPTIONAL_COMPONENT_OF METAFILE_OF PACKAGE_OF AMENDS \
         PREREQUISITE_FOR HAS_PREREQUISITE REQUIREMENT_DESCRIPTION_FOR SPECIFICATION_FOR OTHER",
        // The most frequent relationships of Cartography.
        "RESOURCE MEMBER_OF TAGGED HAS_IMAGE WORKLOAD_PARENT OBSERVED_AS AFFECTS HAS_ROLE OWNED_BY \
         ASSOCIATED_WITH ATTACHED_TO BACKED_BY ROUTES_TO PARENT FOUND_IN LABELED EXPOSE CAN_ACCESS \
         PART_OF_SUBNET ENCRYPTED_BY USES_SECRET MAPS_TO DNS_POINTS_TO ASSUMES_ROLE APPLIES_TO \
         RUNS_AS IMAGE ASSUMES ASSIGNED_TO USES_SERVICE_ACCOUNT SUBJECT REQUIRES HAS_EXECUTION_ROLE \
         CREATED_BY ADMIN_OF READS_FROM POINTS_TO OWNER_OF NETWORK_INTERFACE MEMBER_OF_AWS_VPC \
         HAS_LAYER CONTAINS_IMAGE BUILT_FROM BELONGS_TO STS_ASSUMEROLE_ALLOW SHARED_WITH RUNS_ON \
         LINKED_TO HAS_SECRET GRANTS GOVERNED_BY DEPLOYED ROLE_REF MOUNTS INHERITED_MEMBER_OF \
         STORED_IN CAN_ASSUME_IDENTITY HAS_ACCOUNT HAS_INSTALLED",
        // BloodHound, AzureHound, KubeHound.
        "GenericAll GenericWrite WriteDacl WriteOwner ForceChangePassword AddMember DCSync AdminTo \
         HasSession MemberOf CanRDP AllowedToDelegate GPLink Contains Owns AZOwns AZMemberOf \
         AZHasRole AZGlobalAdmin AZContains AZRunsAs AZManagedIdentity AZVMContributor \
         IDENTITY_ASSUME PERMISSION_DISCOVER POD_EXEC CE_NSENTER TOKEN_STEAL ROLE_BIND",
    ];
    for verb in models.iter().flat_map(|model| model.split_whitespace()) {
        assert!(RuleTable::default().knows_verb(verb), "{verb}");
    }
    let pairs = "Runs on::Runs;Hosted on::Hosts;Depends on::Used by;Contains::Contained by;\
                 Managed by::Manages;Members::Member of;Owns::Owned by;Connects to::Connected by;\
                 Located in::Houses;Powered by::Powers;Provides storage for::Stored on;\
                 Sends data to::Receives data from;Cluster of::Cluster;Upgrades::Upgraded by";
    for pair in pairs.split(';') {
        assert!(RuleTable::default().knows_verb(pair), "{pair}");
    }
    assert!(!RuleTable::default().knows_verb("FROBS"));
}

#[test]
fn inverse_words_tell_the_same_the_other_way_round() {
    let rules = RuleTable::default();
    for (one, other) in [
        ("Team OWNS Application", "Application OWNED_BY Team"),
        ("UserGroup HAS User", "User BELONGS_TO UserGroup"),
        ("Cluster CONTAINS Host", "Host PART_OF Cluster"),
        ("Host RUNS Application", "Application Runs on::Runs Host"),
        ("Service USES Database", "Database used-by Service"),
        ("AccessPolicy ALLOWS DataStore", "DataStore ALLOWED_BY AccessPolicy"),
        // Derived from the stem.
        ("Vulnerability EXPLOITS Host", "Host exploitedBy Vulnerability"),
        ("HostAgent PROTECTS Host", "Host PROTECTED_BY HostAgent"),
        ("Account TRUSTS Account", "Account TRUSTED_BY Account"),
    ] {
        let turned = says(&rules, other);
        let swap = |text: &str| {
            let text = text.replace('→', "x").replace('←', "→").replace('x', "←");
            text.replace("`from`", "x").replace("`to`", "`from`").replace('x', "`to`")
        };
        assert_eq!(swap(&says(&rules, one)), turned, "{one} and {other}");
        assert_ne!(turned, "no rule", "{other}");
    }
}

#[test]
fn the_rule_that_names_more_ends_wins_and_then_the_projects() {
    let same_rank =
        "[[impact]]\nverb = \"HAS\"\nfrom = \"@teams\"\nto = \"User\"\ncompromise = \"both\"\n";
    let one_end = "[[impact]]\nverb = \"has\"\nto = \"User\"\ncompromise = \"reverse\"\n";
    let alone = "[[impact]]\nverb = \"HAS\"\ncompromise = \"none\"\n";
    assert_eq!(says(&RuleTable::default(), "Team HAS User"), "`from` is the group –");
    assert_eq!(says(&project(same_rank), "Team HAS User"), "↔ –");
    assert_eq!(says(&project(one_end), "Team HAS User"), "`from` is the group –");
    assert_eq!(says(&project(one_end), "Account HAS User"), "← –");
    assert_eq!(says(&project(alone), "Account HAS User"), "– –");
    let from_account = "[[impact]]\nverb = \"HAS\"\nfrom = \"Account\"\ncompromise = \"none\"\n";
    assert_eq!(says(&project(from_account), "Account HAS User"), "– –");
    assert_eq!(says(&project(alone), "Team HAS User"), "`from` is the group –");
    // Types count as classes do.
    let by_type = "[[impact]]\nverb = \"HAS\"\nto = \"thing\"\ncompromise = \"reverse\"\n";
    assert_eq!(says(&project(by_type), "Account HAS Widget"), "← –");
}

#[test]
fn a_projects_verbs_have_families_and_inverses() {
    let rules = project(
        "[[inverse]]\nverb = \"FROBS\"\nsame = [\"TWIDDLES\"]\ninverse = [\"GOES_TO\"]\n\
         [[impact]]\nverb = \"frobs\"\nfrom = \"Host\"\ncompromise = \"forward\"\n",
    );
    assert_eq!(says(&rules, "Host FROBS Disk"), "→ –");
    assert_eq!(says(&rules, "Host twiddles Disk"), "→ –");
    assert_eq!(says(&rules, "Disk goesTo Host"), "← –");
    assert_eq!(says(&rules, "Disk FROBBED_BY Host"), "← –");
    assert_eq!(says(&rules, "Disk FROBS Host"), "no rule");
    let turned = project("[[impact]]\nverb = \"FROBBED_BY\"\ncompromise = \"forward\"\n");
    assert_eq!(says(&turned, "Disk FROBBED_BY Host"), "→ –");
    assert_eq!(says(&turned, "Host FROBS Disk"), "← –");
}

#[test]
fn a_rule_for_another_word_of_a_family_holds_for_that_word_alone() {
    let rules = project("[[impact]]\nverb = \"MOUNTS\"\nto = \"Database\"\nfailure = \"both\"\n");
    assert_eq!(says(&rules, "Host MOUNTS Database"), "– ↔");
    assert_eq!(
        says(&rules, "Host USES Database"),
        says(&RuleTable::default(), "Host USES Database")
    );
    // What the rule does not tell, the family does.
    assert_eq!(says(&rules, "Host MOUNTS Secret"), says(&rules, "Host USES Secret"));
}

#[test]
fn a_project_makes_and_joins_sets() {
    let rules = project(
        "[classes]\nteams = [\"Squad\"]\nboats = [\"Yacht\"]\n\
         [[impact]]\nverb = \"SAILS\"\nfrom = \"@people\"\nto = \"@boats\"\ncompromise = \"both\"\n",
    );
    assert_eq!(says(&rules, "Squad HAS User"), "`from` is the group –");
    assert_eq!(says(&rules, "Team HAS User"), "`from` is the group –");
    assert_eq!(says(&rules, "User SAILS Yacht"), "↔ –");
}

#[test]
fn a_file_that_says_nothing_of_rules_changes_nothing() {
    for text in [
        "",
        "[scopes]\nokta = \"okta-prod\"\n[serial]\njunk = [\"none\"]\n[filler]\ntexts = [\"spare\"]\n",
    ] {
        assert!(project(text).file().is_none());
    }
}

#[test]
fn the_rules_in_force_can_be_copied_as_a_file() {
    let own = "[[impact]]\nverb = \"FROBS\"\nfrom = [\"Host\", \"@data\"]\ncompromise = \"membership\"\ngroup = \"to\"\nup = false\n";
    for rules in [RuleTable::default(), project(own)] {
        let written = rules.written();
        let again = project(&listed_toml(&written)).written();
        let own: Vec<_> = again.impact.iter().filter(|rule| !rule.built_in).collect();
        assert_eq!(own.len(), written.impact.len());
        for (a, b) in own.iter().zip(&written.impact) {
            assert_eq!(
                (&a.verbs, &a.from, &a.to, a.meaning),
                (&b.verbs, &b.from, &b.to, b.meaning)
            );
            assert_eq!((&a.reason, &a.decided), (&b.reason, &b.decided));
        }
    }
}

#[test]
fn faults_name_the_place_and_what_is_allowed() {
    let check = |text: &str, expected: &str| {
        let faults =
            RuleTable::parse(&SourceText::whole("tombolo.toml", text)).expect_err("at fault");
        let told = faults.iter().map(|fault| {
            let ((line, column), help) = (fault.place(), fault.helps.first());
            let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{} {line}:{column} {}{help}", fault.code, fault.message)
        });
        assert_eq!(told.collect::<Vec<_>>().join("\n"), expected);
    };
    check(
        "[[impact]]\nverb = \"USES\"\ncompromise = \"forwards\"\n",
        "R0105 3:14 `compromise` cannot be `forwards` (did you mean `forward`?)",
    );
    check(
        "[[impact]]\nverb = \"USES\"\nform = \"Host\"\n",
        "R0102 3:1 unknown key of `[[impact]]`: `form` (did you mean `from`?)",
    );
    check("[[impakt]]\n", "R0102 1:3 unknown table: `impakt` (did you mean `impact`?)");
    check(
        "[[impact]]\nverb = \"USES\"\nto = [\"Host\", \"@poeple\"]\n",
        "R0102 3:15 unknown set of classes: `@poeple` (did you mean `@people`?)",
    );
    check("[[impact]]\ncompromise = \"both\"\n", "R0104 1:1 a rule needs `verb`");
    check(
        "[[impact]]\nverb = \"X\"\ncompromise = \"membership\"\n",
        "R0104 3:14 a membership needs `group`: which end is the group \
         (write `group = \"from\"` or `group = \"to\"`)",
    );
    check(
        "[[impact]]\nverb = \"X\"\ncompromise = \"both\"\ndown = false\n",
        "R0108 4:8 `down` goes with `compromise = \"membership\"`",
    );
    check(
        "[[impact]]\nverb = [\"X\", 3]\nfrom = []\n",
        "R0103 2:14 expected a name, found an integer\n\
         R0107 3:8 `from` is an empty list (leave it out to mean anything)",
    );
    check(
        "[[ownership]]\nverb = \"X\"\nkind = \"owns\"\n",
        "R0105 3:8 `kind` cannot be `owns` \
         (there are `owning`, `through`, `identity`, `member`, `none`)",
    );
    check(
        "[[impact]]\nverb = \"X-Y\"\nfailure = \"both\"\n[[impact]]\nverb = \"x_y\"\n",
        "R0109 5:8 `x_y` has a rule for these ends already",
    );
    check(
        "[[inverse]]\nverb = \"X\"\ninverse = [\"x\"]\n",
        "R0108 3:12 `x` cannot be its own inverse (a rule whose flow is `both` passes either way)",
    );
    check(
        "[impact]\nverb = 1\n",
        "R0103 1:1 expected an array of tables, `[[impact]]`, found a table",
    );
    check("[[impact]\n", "R0101 1:10 unclosed array table, expected `]`");
}

#[test]
fn what_can_be_told_without_the_other_end_is_what_every_other_end_would_say() {
    let written = built_in();
    let mut names = Dictionary::default();
    let thing = names.number("thing");
    let classes = written.sets.iter().flat_map(|(_, classes)| classes.clone());
    let classes: BTreeSet<String> = classes.chain(["Widget".to_owned()]).collect();
    let mut bound = BoundRules::new(&RuleTable::default(), ImpactFilter::ANY);
    let mut kinds = BTreeSet::new();
    for class in &classes {
        let classes = names.number(class);
        let facts = EntityFacts { scope: thing, type_name: thing, classes, live: true };
        kinds.insert(bound.kind(&names, &facts));
    }
    let verbs = "HAS USES USED_BY ASSIGNED MEMBER_OF IS RUNS CONNECTS TRUSTS FROBS ALLOWED_BY OWNS";
    let mut known = 0;
    for verb in verbs.split(' ') {
        let verb = names.number(verb);
        for &here in &kinds {
            for direction in [EdgeDirection::Out, EdgeDirection::In] {
                let ends = |there| match direction {
                    EdgeDirection::Out => (here, there),
                    EdgeDirection::In => (there, here),
                };
                let ahead = bound.ahead(&names, verb, direction, here);
                for &there in &kinds {
                    let (from, to) = ends(there);
                    let cell = bound.cell(&names, verb, from, to);
                    match ahead {
                        PartialEvaluation::Known(known) => assert_eq!(cell, known),
                        PartialEvaluation::Asks(most) => {
                            let both = [0, 1].map(|way| cell.passing[way].or(most.passing[way]));
                            assert_eq!(both, most.passing);
                            assert!(cell.ruled || !most.ruled);
                        }
                    }
                    known += usize::from(matches!(ahead, PartialEvaluation::Known(_)));
                    let asked = bound.owning_near_end(&names, verb, direction, here);
                    if let PartialEvaluation::Known(owning) = asked {
                        assert_eq!(bound.owning(&names, verb, from, to), owning);
                    }
                }
            }
        }
    }
    assert!(known > 100, "{known}");
    assert_eq!(written.impact.iter().filter(|rule| rule.from.is_empty()).count(), {
        let rows = built_in::INDEX.impact.iter();
        rows.filter(|row| row.from == ANY).count()
    });
}
