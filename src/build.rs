//! Build script: lays the built-in rules of impact and ownership into the program, and says how it is
//! linked.

#[allow(dead_code)]
mod graph {
    mod spelling;
    pub use spelling::{fold_name, fold_verb};
}
#[allow(dead_code)]
#[path = "rules/index.rs"]
mod index;
#[allow(dead_code)]
#[path = "rules/written.rs"]
mod written;

use index::RuleIndex;
use std::fmt::Write;
use written::{
    CompromiseFlow, FlowDirection, GroupMembership, ImpactEffect, OwnershipKind, RelationshipEnd,
    SilentVerbs, VerbFamily,
};
use written::{WrittenRule, WrittenRules};

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rerun-if-changed=src/graph/spelling.rs");
    println!("cargo::rerun-if-changed=src/rules/index.rs");
    println!("cargo::rerun-if-changed=src/rules/written.rs");
    println!("cargo::rerun-if-changed=src/rules/built_in.toml");
    lay_rules();
    link();
}

/// Writes the built-in rules as an index that needs no reading. A mistake in the file ends the build;
/// the tests of the library name it better.
fn lay_rules() {
    let text = std::fs::read_to_string("src/rules/built_in.toml").expect("the rules can be read");
    let file: toml::Table = text.parse().expect("the rules are TOML");
    let index = RuleIndex::build(&written_in(&file));
    let folder = std::env::var("OUT_DIR").expect("cargo tells where to write");
    std::fs::write(format!("{folder}/built_in.rs"), source_of(&index)).expect("it can be written");
}

fn tables<'a>(file: &'a toml::Table, name: &str) -> impl Iterator<Item = &'a toml::Table> {
    let tables = file[name].as_array().expect("an array of tables");
    tables.iter().map(|table| table.as_table().expect("a table"))
}

/// A text, or several.
fn texts(table: &toml::Table, key: &str) -> Vec<String> {
    let text = |value: &toml::Value| value.as_str().expect("a string").to_owned();
    match table.get(key) {
        Some(toml::Value::Array(all)) => all.iter().map(text).collect(),
        one => one.iter().map(|value| text(value)).collect(),
    }
}

fn written_in(file: &toml::Table) -> WrittenRules {
    let sets = file["classes"].as_table().expect("a table");
    WrittenRules {
        sets: sets.keys().map(|name| (name.clone(), texts(sets, name))).collect(),
        owners: texts(file["owners"].as_table().expect("a table"), "classes"),
        impact: tables(file, "impact").map(|table| rule(table, impact(table))).collect(),
        ownership: tables(file, "ownership").map(|table| rule(table, owning(table))).collect(),
        families: tables(file, "inverse").map(family).collect(),
        silent: tables(file, "not_followed")
            .map(|table| SilentVerbs { verbs: texts(table, "verb"), reason: String::new() })
            .collect(),
    }
}

fn rule<M>(table: &toml::Table, meaning: M) -> WrittenRule<M> {
    let (from, to) = (texts(table, "from"), texts(table, "to"));
    let [reason, source, alternative, decided] = [const { String::new() }; 4];
    let verbs = texts(table, "verb");
    WrittenRule {
        verbs,
        from,
        to,
        meaning,
        reason,
        source,
        alternative,
        decided,
        built_in: true,
        line: 0,
    }
}

fn family(table: &toml::Table) -> VerbFamily {
    let verb = texts(table, "verb").concat();
    VerbFamily {
        verb,
        same: texts(table, "same"),
        inverse: texts(table, "inverse"),
        built_in: true,
    }
}

fn impact(table: &toml::Table) -> ImpactEffect {
    let word = |key: &str| table.get(key).map_or("none", |value| value.as_str().expect("a word"));
    let flow = |word: &str| {
        FlowDirection::ALL
            .into_iter()
            .find(|flow| flow.word() == word)
            .expect("a flow is one of four words")
    };
    let yes = |key: &str| table.get(key).is_none_or(|value| value.as_bool().expect("yes or no"));
    let compromise = match word("compromise") {
        "membership" => {
            let group =
                if word("group") == "from" { RelationshipEnd::From } else { RelationshipEnd::To };
            CompromiseFlow::Membership(GroupMembership { group, up: yes("up"), down: yes("down") })
        }
        other => CompromiseFlow::Flow(flow(other)),
    };
    ImpactEffect { compromise, failure: flow(word("failure")) }
}

fn owning(table: &toml::Table) -> OwnershipKind {
    let kind = table["kind"].as_str().expect("a word");
    OwnershipKind::ALL
        .into_iter()
        .find(|owning| owning.word() == kind)
        .expect("a kind of ownership")
}

/// The index as Rust.
fn source_of(index: &RuleIndex) -> String {
    let mut rust = String::new();
    let mut list = |name: &str, kind: &str, items: Vec<String>| {
        let count = items.len();
        writeln!(rust, "static {name}: [{kind}; {count}] = [{}];", items.join(", "))
            .expect("a string takes all");
    };
    let words =
        |words: &[index::SpellingEntry]| words.iter().map(|word| format!("{word:?}")).collect();
    list("WORDS", "SpellingEntry", words(&index.words));
    list("CLASSES", "SpellingEntry", words(&index.classes));
    list("VERBS", "VerbRules", index.verbs.iter().map(|verb| format!("{verb:?}")).collect());
    list("LISTS", "RuleRef", index.lists.iter().map(|listed| format!("{listed:?}")).collect());
    list("ENDS", "EndList", index.ends.iter().map(u16::to_string).collect());
    let row = |(from, to): (u16, u16), meaning: String| {
        format!("IndexedRule {{ from: {from}, to: {to}, meaning: {meaning} }}")
    };
    let rows = index.impact.iter().map(|r| row((r.from, r.to), impact_source(r.meaning)));
    list("IMPACT", "IndexedRule<ImpactEffect>", rows.collect());
    let rows = index.ownership.iter();
    let rows = rows.map(|r| row((r.from, r.to), format!("OwnershipKind::{:?}", r.meaning)));
    list("OWNERSHIP", "IndexedRule<OwnershipKind>", rows.collect());
    let (text, end_count) = (&index.text, index.end_count);
    writeln!(rust, "static TEXT: &str = {text:?};\nconst END_COUNT: u16 = {end_count};")
        .expect("a string takes all");
    rust
}

fn impact_source(impact: ImpactEffect) -> String {
    let compromise = match impact.compromise {
        CompromiseFlow::Flow(flow) => format!("Flow(FlowDirection::{flow:?})"),
        CompromiseFlow::Membership(GroupMembership { group, up, down }) => {
            format!(
                "Membership(GroupMembership {{ group: RelationshipEnd::{group:?}, up: {up}, down: {down} }})"
            )
        }
    };
    let failure = impact.failure;
    format!(
        "ImpactEffect {{ compromise: CompromiseFlow::{compromise}, failure: FlowDirection::{failure:?} }}"
    )
}

fn link() {
    println!("cargo::rerun-if-changed=src/order.ld");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let is_static =
        std::env::var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|f| f.contains("crt-static"));
    if is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("PROFILE", "release")
        && !is_static
    {
        // Programs lie at a random address, and the loader writes 26,000 addresses into one at each start. In
        // packed form they are a hundredth of the pages to read. A C library before 2.36 cannot load that
        // form, so only a program that is built where it runs gets it.
        if is("HOST", &std::env::var("TARGET").unwrap_or_default()) && packed_relocations() {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
        // What a question runs lies side by side: the system reads and maps code in pieces of 64 KB,
        // and these were strewn over 16 MB. The linker that comes with the compiler understands such
        // a script, and so does that of GNU; one that somebody chose may not.
        let chosen = std::env::var("RUSTC_LINKER").is_ok()
            || std::env::var("CARGO_ENCODED_RUSTFLAGS")
                .is_ok_and(|flags| flags.contains("linker") || flags.contains("fuse-ld"));
        if is("CARGO_CFG_TARGET_ARCH", "x86_64") && !chosen {
            let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells where it builds");
            println!("cargo::rustc-link-arg-bins=-T");
            println!("cargo::rustc-link-arg-bins={folder}/src/order.ld");
        }
    }
}

/// Whether the C library of this machine loads packed relocations.
fn packed_relocations() -> bool {
    let Ok(told) = std::process::Command::new("getconf").arg("GNU_LIBC_VERSION").output() else {
        return false;
    };
    let text = String::from_utf8_lossy(&told.stdout);
    let version = text.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let Some((major, minor)) = version else { return false };
    let (major, minor) = (major.parse().unwrap_or(0_u32), minor.parse().unwrap_or(0_u32));
    (major, minor) >= (2, 36)
}
