//! Questions and bodies that are made to use up memory, sent to a server and asked on the command
//! line with a gibibyte of address space each. Each is answered or refused with a limit's name; none
//! ends the process, and the memory of the server comes back.

use crate::http::{Server, gzip};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Address space of each process, in KiB.
const SPACE: u64 = 1 << 20;

/// The program with no more address space than that.
fn confined() -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -v {SPACE} && exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_tombolo")]);
    command
}

/// Entities with long texts and long lists, a hub, a long chain, and a part where everything leads
/// everywhere: one entity or relationship a line.
fn graph() -> Vec<Json> {
    let entity = |key: String, kind: &str, more: Json| {
        let class = kind[..1].to_uppercase() + &kind[1..];
        let mut all = json!({ "_key": key, "_type": kind, "_class": class });
        all.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        all
    };
    let link = |from: String, verb: &str, to: String| {
        json!({
            "_key": format!("{from}|{verb}|{to}"), "_type": verb.to_lowercase(), "_class": verb,
            "_fromEntityKey": from, "_toEntityKey": to,
        })
    };
    let long = "x".repeat(250_000);
    let list: Vec<String> = (0..20_000).map(|i| format!("item {i}")).collect();
    let mut all: Vec<Json> = (0..40)
        .map(|i| entity(format!("t{i}"), "text", json!({ "s": long, "n": i, "l": list })))
        .collect();
    all.extend((0..400).map(|i| entity(format!("u{i}"), "user", json!({ "n": i % 7 }))));
    all.push(entity("hub".into(), "hub", json!({})));
    all.extend((0..1_500).map(|i| entity(format!("c{i}"), "link", json!({}))));
    all.extend((0..120).map(|i| entity(format!("d{i}"), "dense", json!({}))));
    all.extend((0..400).map(|i| link("hub".into(), "HAS", format!("u{i}"))));
    all.extend((1..1_500).map(|i| link(format!("c{}", i - 1), "NEXT", format!("c{i}"))));
    for i in 0..120 {
        all.extend(
            (0..120).filter(|j| i != *j).map(|j| link(format!("d{i}"), "KNOWS", format!("d{j}"))),
        );
    }
    all
}

/// Queries, each with a name.
fn queries() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut add =
        |name: &str, query: String| all.push((format!("{name} ({})", query.len()), query));
    let times = |what: &str, n: usize| vec![what; n].join(", ");
    // Texts that are put together.
    for n in [50, 65, 1_000, 12_000] {
        add(
            "one text of many",
            format!("FIND Text AS t RETURN concat({}) AS c LIMIT 1", times("t.s", n)),
        );
    }
    for n in [10, 60, 1_000] {
        let query =
            |rest: &str| format!("FIND Text AS t RETURN concat({}) AS c{rest}", times("t.s", n));
        add("texts of many", query(""));
        add("texts in order", query(" ORDER BY c DESC"));
        add("texts, each once", query("").replacen("FIND", "FIND UNIQUE", 1));
        add("groups by a text", query(", count(t) AS n"));
        add(
            "the least of texts",
            query("").replace("concat(", "min(concat(").replace(") AS", ")) AS"),
        );
        add(
            "texts counted",
            query("").replace("concat(", "count(concat(").replace(") AS", ")) AS"),
        );
        let columns: Vec<String> = (0..n).map(|i| format!("t.s AS c{i}")).collect();
        add("columns of texts", format!("FIND Text AS t RETURN {}", columns.join(", ")));
        let columns: Vec<String> = (0..n).map(|i| format!("t.* AS c{i}")).collect();
        add("columns of objects", format!("FIND Text AS t RETURN {}", columns.join(", ")));
        add("ordered by texts", format!("FIND Text AS t ORDER BY {}", times("t.s", n)));
        add(
            "lists that are merged",
            format!("FIND Text AS t RETURN merge({}) AS m", times("t.l", n)),
        );
    }
    for depth in [2, 6, 20, 45] {
        let mut inner = "t.s".to_owned();
        for _ in 0..depth {
            inner = format!("concat(t.s, {inner}, {inner_short})", inner_short = "t.s");
        }
        add("texts inside texts", format!("FIND Text AS t RETURN {inner} AS c"));
        let doubled = (0..depth).fold("t.s".to_owned(), |inner, _| match inner.len() < 20_000 {
            true => format!("concat({inner}, {inner})"),
            false => inner,
        });
        add("texts that double", format!("FIND Text AS t RETURN {doubled} AS c LIMIT 1"));
    }
    for n in [1, 2, 3, 8, 40] {
        let lists: Vec<String> = (0..n).map(|i| format!("unwind(t.l) AS l{i}")).collect();
        add("lists unwound", format!("FIND Text AS t RETURN {}", lists.join(", ")));
        add(
            "lists unwound and counted",
            format!("FIND Text AS t RETURN {}, count(*) AS n", lists.join(", ")),
        );
        add(
            "lists unwound, each once",
            format!("FIND UNIQUE Text AS t RETURN {}", lists.join(", ")),
        );
    }
    add(
        "lists against lists",
        "FIND Text AS t THAT MATCHES Text AS o ON t.l = o.l RETURN count(*) AS n".into(),
    );
    add(
        "lists against lists in WHERE",
        "FIND Text AS t WHERE t.l > t.l OR t.l ~= t.l RETURN t.n".into(),
    );
    add("words in long texts", format!("FIND '{}'", "yy ".repeat(20_000)));
    // Patterns.
    for (name, pattern) in [
        ("words", r"\w{60}"),
        ("many words", r"\w{1000}"),
        ("repeated thrice", "((a{99}){99}){99}"),
        ("repeated for ever", "(((((((a{1000}){1000}){1000}){1000}){1000}){1000}){1000})"),
        ("a great class", r"[\w\W\d\D\pL\PL]{50}"),
        ("any letter", r"(\pL\pN){200}"),
        ("bad", "(a"),
        ("looks around", "(?=a)"),
        ("backtracks", "^(a|a?|x+x+)+y$"),
        ("without end", "(x|xx|xxx|xxxx)*y"),
        ("far states", "(x|y)*x(x|y){200}z"),
    ] {
        add(name, format!("FIND Text WITH s = /{pattern}/ RETURN Text.n"));
        add(
            &format!("{name}, in any case"),
            format!("FIND Text WITH s = /{pattern}/i RETURN Text.n"),
        );
        for n in [100, 3_060] {
            let many: Vec<String> = (0..n).map(|i| format!("/{pattern}{i}/")).collect();
            let query = format!("FIND User WITH n = ({})", many.join(" OR "));
            add(&format!("{name}, many"), query);
            let same =
                format!("FIND User WITH n = ({})", vec![format!("/{pattern}/"); n].join(" OR "));
            add(&format!("{name}, the same"), same);
        }
    }
    for n in [1_000, 30_000] {
        add(
            "brackets in a pattern",
            format!("FIND User WITH n = /{}a{}/", "(".repeat(n), ")".repeat(n)),
        );
        add(
            "classes in a pattern",
            format!("FIND User WITH n = /{}a{}/", "[".repeat(n), "]".repeat(n)),
        );
        add("choices", format!("FIND User WITH n = /{}/", vec!["ab"; n / 2].join("|")));
    }
    // Depth and length.
    for n in [30, 60, 2_000, 60_000] {
        let deep = |open: &str, inside: &str, close: &str| {
            let n = n.min(60_000 / open.len().max(close.len()).max(1));
            open.repeat(n) + inside + &close.repeat(n)
        };
        add("conditions", format!("FIND User WITH {}", deep("(", "n = 1", ")")));
        add("values", format!("FIND User WITH n = {}", deep("(", "1", ")")));
        add("negations", format!("FIND User WITH {}", deep("!(", "n = 1", ")")));
        add("sums in brackets", format!("FIND User AS u RETURN {}", deep("(", "u.n", ")")));
        add("calls", format!("FIND User AS u RETURN {}", deep("abs(", "u.n", ")")));
        add("signs", format!("FIND User AS u RETURN {}u.n", "-".repeat(n.min(60_000))));
        add("powers", format!("FIND User AS u RETURN {}u.n", "u.n ^ ".repeat(n.min(9_000))));
        add("sums", format!("FIND User AS u RETURN {}u.n", "u.n + ".repeat(n.min(9_000))));
        add("groups", format!("FIND User {}", deep("(THAT HAS User ", "", ")?")));
        add(
            "queries inside",
            format!("FIND User WITH n = {}", deep("(FIND User WITH n = ", "1", " RETURN User.n)")),
        );
        add("negated chains", format!("FIND User {}", deep("THAT !(THAT HAS User ", "", ")")));
    }
    // Walks.
    for n in [3, 8, 199] {
        add("everywhere", format!("FIND Dense {}", "THAT KNOWS Dense ".repeat(n)));
        add(
            "everywhere, as a tree",
            format!("FIND Dense {}RETURN TREE", "THAT KNOWS Dense ".repeat(n)),
        );
        add(
            "everywhere, counted",
            format!("FIND Dense AS d {}RETURN count(*) AS n", "THAT KNOWS Dense ".repeat(n)),
        );
        add("far and farther", format!("FIND * {}", "THAT RELATES TO{1,100} * ".repeat(n)));
        add("perhaps", format!("FIND Dense {}", "(THAT KNOWS Dense)? ".repeat(n)));
        add(
            "perhaps, in columns",
            format!(
                "FIND Dense AS d {}RETURN d._key",
                (0..n).map(|i| format!("(THAT KNOWS Dense)? AS g{i} ")).collect::<String>()
            ),
        );
        add(
            "all at once",
            format!(
                "FIND User AS u0 {}RETURN count(*) AS n",
                (1..=n)
                    .map(|i| format!("THAT MATCHES User AS u{i} ON u{}.n = u{i}.n ", i - 1))
                    .collect::<String>()
            ),
        );
        add("not there", format!("FIND Dense {}", "THAT !KNOWS Dense ".repeat(n)));
    }
    for query in [
        "FIND SHORTEST ALL Dense AS a THAT KNOWS{1,9} Dense AS b RETURN a._key, b._key",
        "FIND SHORTEST ALL Link AS a THAT NEXT{1,100} >> Link AS b RETURN a._key, depth(NEXT)",
        "FIND SHORTEST ALL Dense AS a THAT KNOWS{1,9} Dense THAT KNOWS{1,9} Dense AS b RETURN a._key",
        "FIND Link (THAT NEXT >> Link){1,100}",
        "FIND Link ((THAT NEXT >> Link){1,100}){1,100}",
        "FIND Link WITH _key = 'c0' (((THAT NEXT >> Link){1,50}){1,50}){1,50} RETURN TREE",
        "FIND Dense ((THAT KNOWS Dense){1,100}){1,100} RETURN TREE",
        "FIND Link THAT NEXT{1,999999} Link",
        "FIND Link THAT NEXT{999999} Link",
        "FIND Link THAT NEXT{5,1} Link",
        "FIND * THAT RELATES TO{1,100} VIA * * RETURN TREE",
        "FIND * THAT NEAREST RELATES TO{1,100} * RETURN TREE",
        "FIND * AS a THAT MATCHES * AS b ON a._class != b._class",
        "FIND * AS a RETURN a.*, a.*, a.*",
        "FIND * ORDER BY _key",
        "FIND * SKIP 18446744073709551615 LIMIT 18446744073709551615",
        "FIND * LIMIT 99999999999999999999999",
        "FIND User WITH n = 1e400",
        "FIND User WITH n > date.now + 999999999999999999 years",
        "FIND User WITH n > date(99999-99-99)",
        "FIND User WITH n = date.now - 1e400 days",
        "FIND User AS u RETURN u.n ^ 9999999999 ^ 9999999999",
        "FIND #CriticalAsset THAT RELATES TO #CriticalAsset",
        "/* never closed FIND User",
        "FIND User WITH s = 'never closed",
        "FIND User\u{0}WITH n = 1",
        "FIND \u{202e}User",
    ] {
        add("as it is", query.to_owned());
    }
    // Lists.
    for n in [1_000, 9_000] {
        let numbers: Vec<String> = (0..n).map(|i| i.to_string()).collect();
        let texts: Vec<String> = (0..n).map(|i| format!("'{i}'")).collect();
        add("one of numbers", format!("FIND * WITH n IN ({})", numbers.join(",")));
        add("one of keys", format!("FIND * WITH _key IN ({})", texts.join(",")[..].to_owned()));
        add("none of texts", format!("FIND Text WITH s !~= ({})", texts.join(" AND ")));
        add(
            "many classes",
            format!("FIND ({})", (0..n).map(|i| format!("C{i}")).collect::<Vec<_>>().join("|")),
        );
        add(
            "many verbs",
            format!(
                "FIND User THAT ({}) *",
                (0..n).map(|i| format!("V{i}")).collect::<Vec<_>>().join("|")
            ),
        );
        add("many conditions", format!("FIND User WITH {}", vec!["n=1"; n].join(" OR ")));
        add("many orders", format!("FIND User ORDER BY {}", times("n", n)));
    }
    add("digits", format!("FIND User WITH n = {}", "9".repeat(60_000)));
    add("one long name", format!("FIND {}", "a".repeat(65_000)));
    add("one long text", format!("FIND User WITH n = '{}'", "a".repeat(65_000)));
    add("blanks", format!("FIND{}User", " ".repeat(65_000)));
    add("too long", format!("FIND User WITH n = '{}'", "a".repeat(200_000)));
    all
}

/// Documents of GraphQL and what comes with them.
fn documents() -> Vec<(String, Json)> {
    let ask = |query: &str| json!({ "query": query });
    let aliases = |n: usize| -> String {
        (0..n).map(|i| format!("a{i}: queryV1(query: \"FIND Text\") {{ data }} ")).collect()
    };
    let mut fragments = "{ ...f0 } fragment f60 on Query { __typename }".to_owned();
    for i in 0..60 {
        fragments += &format!(" fragment f{i} on Query {{ ...f{next} ...f{next} }}", next = i + 1);
    }
    let mut few = "{ ...f0 } fragment f17 on Query { __typename }".to_owned();
    for i in 0..17 {
        few += &format!(" fragment f{i} on Query {{ ...f{next} ...f{next} }}", next = i + 1);
    }
    let deferred = "query Q($q: String!) { queryV1(query: $q, deferredResponse: FORCE) { url } }";
    let paged = "query Q($q: String!, $v: JSON) { queryV1(query: $q, variables: $v, limit: 10000) { data cursor } }";
    let with =
        |document: &str, variables: Json| json!({ "query": document, "variables": variables });
    let mut all = vec![
        ("39 aliases", ask(&format!("{{ {} }}", aliases(39)))),
        ("3,000 aliases", ask(&format!("{{ {} }}", aliases(3_000)))),
        ("fragments twice each", ask(&fragments)),
        ("some fragments twice each", ask(&few)),
        ("a field 50,000 times", ask(&format!("{{ {} }}", "__typename ".repeat(9_000)))),
        ("deep", ask(&("{ a".repeat(30_000) + &"}".repeat(30_000)))),
        (
            "a deep list",
            ask(&format!(
                "{{ queryV1(query: \"FIND *\", variables: {}{}) {{ data }} }}",
                "[".repeat(40_000),
                "]".repeat(40_000)
            )),
        ),
        ("directives", ask(&format!("{{ __typename {} }}", "@skip(if: false) ".repeat(5_000)))),
        ("a long document", ask(&format!("{{ __typename }} # {}", "x".repeat(3 << 20)))),
        ("kept answers", with(deferred, json!({ "q": "FIND Text" }))),
        ("a page of texts", with(paged, json!({ "q": "FIND Text AS t RETURN t.s, t.l" }))),
        (
            "a list of 300,000 values",
            with(paged, json!({ "q": "FIND User WITH n = {{v}}", "v": { "v": vec![7; 300_000] } })),
        ),
        (
            "a list of texts",
            with(
                paged,
                json!({ "q": "FIND Text WITH s ~= {{v}}", "v": { "v": vec!["yy"; 300_000] } }),
            ),
        ),
        (
            "a long variable",
            with(
                paged,
                json!({ "q": "FIND Text WITH s ~= {{v}} RETURN Text.n", "v": { "v": "x".repeat(3 << 20) } }),
            ),
        ),
        (
            "a variable put together",
            with(
                paged,
                json!({ "q": format!("FIND Text AS t RETURN concat({})", vec!["{{v}}"; 6_000].join(",")), "v": { "v": "x".repeat(1 << 20) } }),
            ),
        ),
        (
            "variables that are no values",
            with(paged, json!({ "q": "FIND User WITH n = {{v}}", "v": { "v": { "a": [[[]]] } } })),
        ),
    ];
    let batch = vec![with(paged, json!({ "q": "FIND Text AS t RETURN t.s" })); 50];
    all.push(("fifty at once", Json::Array(batch)));
    all.into_iter().map(|(name, body)| (name.to_owned(), body)).collect()
}

/// Paths of questions.
fn paths() -> Vec<String> {
    let mut all: Vec<String> = [
        "/v1/blast-radius?entity=hub",
        "/v1/blast-radius?entity=d1&direction=both",
        "/v1/blast-radius?entity=c0&direction=out",
        "/v1/blast-radius?entity=c0&depth=4294967295",
        "/v1/owners?class=User",
        "/v1/owners?class=Dense",
        "/v1/owners?class=Link&orphans=true",
        "/v1/path?from=d1&to=d2&all=true&max=4294967295&direction=both",
        "/v1/path?from=c0&to=c1499&direction=both&all=true",
        "/v1/cycles",
        "/v1/cycles?verb=KNOWS",
        "/v1/entity?entity=hub",
        "/v1/entity?entity=t1",
        "/v1/entity?entity=d1",
        "/v1/stats",
        "/v1/scopes",
        "/v1/jobs?limit=4294967295",
        "/metrics",
    ]
    .map(str::to_owned)
    .into();
    for name in ["entity", "depth", "verb", "class", "scope", "direction"] {
        all.push(format!("/v1/blast-radius?entity=hub&{name}={}", "a,".repeat(20_000)));
    }
    all.push(format!("/v1/entity?entity={}", "%00".repeat(10_000)));
    all
}

/// Bodies of uploads, each with its type and encoding.
fn bodies() -> Vec<(String, &'static str, &'static str, Vec<u8>)> {
    const JSON: &str = "application/json";
    const LINES: &str = "application/x-ndjson";
    const CSV: &str = "text/csv";
    const YAML: &str = "application/yaml";
    let mut all = Vec::new();
    let mut add = |name: &str, kind, encoding, body: Vec<u8>| {
        all.push((name.to_owned(), kind, encoding, body))
    };
    let head = "\"_key\":\"a\",\"_type\":\"t\",\"_class\":\"C\"";
    let members: String = (0..100_000).map(|i| format!(",\"p{i}\":{i}")).collect();
    let classes: Vec<String> = (0..50_000).map(|i| format!("C{i}")).collect();
    for (name, object) in [
        (
            "100,000 deep",
            format!("{{{head},\"l\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000)),
        ),
        (
            "objects 100,000 deep",
            format!("{{{head},\"o\":{}1{}}}", "{\"a\":".repeat(100_000), "}".repeat(100_000)),
        ),
        ("brackets alone", "[".repeat(1 << 20)),
        ("a number of a million digits", format!("{{{head},\"n\":{}}}", "9".repeat(1 << 20))),
        ("a tiny number", format!("{{{head},\"n\":1e-{}}}", "9".repeat(1 << 20))),
        (
            "a key of 8 MB",
            format!("{{\"_key\":\"{}\",\"_type\":\"t\",\"_class\":\"C\"}}", "k".repeat(8 << 20)),
        ),
        ("a name of 8 MB", format!("{{{head},\"{}\":1}}", "n".repeat(8 << 20))),
        ("a text of 20 MB", format!("{{{head},\"s\":\"{}\"}}", "s".repeat(20 << 20))),
        ("100,000 names", format!("{{{head}{members}}}")),
        (
            "50,000 classes",
            format!("{{\"_key\":\"a\",\"_type\":\"t\",\"_class\":{}}}", json!(classes)),
        ),
        ("a list of two million", format!("{{{head},\"l\":[{}0]}}", "0,".repeat(2_000_000))),
        (
            "raw data of 10 MB",
            format!(
                "{{{head},\"_rawData\":[{{\"name\":\"r\",\"rawData\":[{}0]}}]}}",
                "[],".repeat(3 << 20)
            ),
        ),
        ("escapes", format!("{{{head},\"s\":\"{}\"}}", "\\u0000".repeat(1 << 20))),
        ("not UTF-8", format!("{{{head},\"s\":\"\u{1}\"}}")),
    ] {
        let whole = format!("{{\"entities\":[{object}]}}");
        add(&format!("{name}, JSON"), JSON, "", whole.clone().into_bytes());
        add(&format!("{name}, lines"), LINES, "", object.clone().into_bytes());
        add(&format!("{name}, YAML"), YAML, "", whole.clone().into_bytes());
        add(&format!("{name}, gzip"), JSON, "gzip", gzip(whole.as_bytes()));
        add(
            &format!("{name}, zstd"),
            LINES,
            "zstd",
            zstd::encode_all(object.as_bytes(), 1).expect("memory"),
        );
        add(&format!("{name}, cut off"), JSON, "", whole.as_bytes()[..whole.len() / 2].to_vec());
    }
    let many =
        |one: &str, n: usize| format!("{{\"entities\":[{}{one}]}}", format!("{one},").repeat(n));
    add("millions of nothing", JSON, "gzip", gzip(many("{}", 6 << 20).as_bytes()));
    add("millions of nulls", JSON, "gzip", gzip(many("null", 6 << 20).as_bytes()));
    add("millions of lines", LINES, "gzip", gzip("{}\n".repeat(8 << 20).as_bytes()));
    add("millions of empty lines", LINES, "gzip", gzip("\n".repeat(8 << 20).as_bytes()));
    let faulty = format!("{{\"_key\":\"{}\"}}\n", "k".repeat(100_000));
    add("long faults", LINES, "gzip", gzip(faulty.repeat(500).as_bytes()));
    add("long faults in a document", JSON, "gzip", gzip(many(faulty.trim(), 500).as_bytes()));
    let names: Vec<String> = (0..200_000).map(|i| format!("n{i}")).collect();
    add(
        "CSV of 200,000 columns",
        CSV,
        "",
        format!("_key,_type,_class,{}\na,t,C\n", names.join(",")).into_bytes(),
    );
    add(
        "CSV of one cell",
        CSV,
        "",
        format!("_key,_type,_class,s\na,t,C,\"{}\"\n", "\"\"".repeat(8 << 20)).into_bytes(),
    );
    add("CSV of commas", CSV, "", b",".repeat(16 << 20));
    add("CSV of quotes", CSV, "", b"\"".repeat(16 << 20));
    add("CSV of lines", CSV, "", b"\n".repeat(16 << 20));
    for (open, fold) in [("[", ", "), ("{a: ", ", b: ")] {
        let close = if open == "[" { "]" } else { "}" };
        let mut laughs = format!(
            "a0: &a0 {open}x{}{close}\n",
            format!("{fold}x").repeat(if open == "[" { 8 } else { 1 })
        );
        for i in 1..25 {
            laughs += &format!("a{i}: &a{i} {open}*a{0}{fold}*a{0}{close}\n", i - 1);
        }
        add("aliases that double", YAML, "", (laughs + "entities: *a24\n").into_bytes());
    }
    let mut merges = "m0: &m0 {a: 1}\n".to_owned();
    for i in 1..60 {
        merges += &format!("m{i}: &m{i} {{<<: [*m{0}, *m{0}], k{i}: 1}}\n", i - 1);
    }
    add("merges that double", YAML, "", (merges + "entities: [*m59]\n").into_bytes());
    add(
        "YAML, block by block",
        YAML,
        "",
        (0..5_000).map(|i| " ".repeat(i) + "a:\n").collect::<String>().into_bytes(),
    );
    add("YAML of dashes", YAML, "", "- ".repeat(1 << 20).into_bytes());
    add(
        "YAML of anchors",
        YAML,
        "",
        (0..200_000).map(|i| format!("- &a{i} x\n")).collect::<String>().into_bytes(),
    );
    add(
        "YAML of a long text",
        YAML,
        "",
        format!("entities: |\n  {}\n", "x".repeat(15 << 20)).into_bytes(),
    );
    add("YAML that is too long", YAML, "gzip", gzip(&vec![b'a'; 30 << 20]));
    for encoding in ["gzip", "zstd"] {
        let bomb = |bytes: &[u8]| match encoding {
            "gzip" => gzip(bytes),
            _ => zstd::encode_all(bytes, 19).expect("memory"),
        };
        let nothing = bomb(&vec![0; 60 << 20]);
        add("a bomb", JSON, encoding, nothing.clone());
        add("many bombs", JSON, encoding, nothing.repeat(20));
        add("a bomb in a bomb", JSON, encoding, bomb(&nothing));
    }
    all
}

/// Whether an answer is one that strangers may get.
fn wrong(name: &str, status: u16, code: &str, text: &str) -> Option<String> {
    let known = ["MEMORY_IN_USE", "TOO_MANY_ANSWERS", "TOO_MUCH_STAGED", "STORAGE_UNAVAILABLE"];
    let fine = status < 500 || matches!(status, 503 | 507) && known.contains(&code);
    (!fine).then(|| format!("{name}: {status} {text:.300}"))
}

/// Runs the work of all on some threads.
fn side_by_side<T: Sync>(all: &[T], threads: usize, act: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    act(one);
                }
            });
        }
    });
}

/// A query of some 20,000,000,000 rows.
const SLOW: &str = "FIND Dense THAT KNOWS Dense THAT KNOWS Dense THAT KNOWS Dense AS d \
                    THAT KNOWS Dense AS e RETURN count(*) AS n";

fn fill(server: &Server) {
    let job = server.job(&json!({ "source": "api", "scope": "s" }));
    for part in graph().chunks(5_000) {
        let lines: String = part.iter().map(|one| format!("{one}\n")).collect();
        let kind = [("Content-Type", "application/x-ndjson")];
        server.call("POST", &format!("{job}/upload"), &kind, lines.as_bytes()).ok();
    }
    let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
    assert_eq!(done["job"]["numRelationshipsCreated"], 400 + 1_499 + 120 * 119);
}

#[test]
fn nothing_hostile_ends_a_server_of_one_gibibyte() {
    let flags = ["--log", "off", "--max-seconds", "2", "--max-answer", "64"];
    let mut server = Server::run(tempfile::tempdir().expect("a folder"), confined(), &flags);
    fill(&server);
    server.ask("FIND User LIMIT 1");
    let before = server.memory();
    let (queries, documents, paths, bodies) = (queries(), documents(), paths(), bodies());
    let count = queries.len() + documents.len() + paths.len() + bodies.len();
    assert!(count >= 300, "{count}");
    let faults = Mutex::new(Vec::new());
    let tell = |fault: Option<String>| faults.lock().expect("whole").extend(fault);
    let checked = |name: &str, reply: Result<crate::http::Reply, ureq::Error>| match reply {
        Ok(reply) => {
            tell(wrong(name, reply.status, reply.code(), &reply.text));
            let ready = server.try_call("GET", "/ready", &[], b"").map(|reply| reply.status);
            tell((!matches!(ready, Ok(200))).then(|| format!("not ready after {name}: {ready:?}")));
        }
        Err(e) => tell(Some(format!("{name}: {e}"))),
    };
    let post = |path: &str, body: &Json| {
        let kind = [("Content-Type", "application/json")];
        server.try_call("POST", path, &kind, body.to_string().as_bytes())
    };
    side_by_side(&queries, 4, |(name, query)| {
        checked(name, post("/v1/query", &json!({ "query": query })));
    });
    side_by_side(&documents, 3, |(name, body)| checked(name, post("/graphql", body)));
    side_by_side(&paths, 3, |path| {
        checked(&path[..path.len().min(80)], server.try_call("GET", path, &[], b""));
    });
    // The same as objects of a query, a parameter and a mapped target.
    side_by_side(&bodies, 3, |(name, kind, encoding, body)| {
        let job = server.job(&json!({ "source": "api", "scope": "h" }));
        let headers = [("Content-Type", *kind), ("Content-Encoding", *encoding)];
        let headers = if encoding.is_empty() { &headers[..1] } else { &headers[..] };
        checked(name, server.try_call("POST", &format!("{job}/upload"), headers, body));
        checked(name, server.try_call("POST", "/v1/query", headers, body));
        checked(name, post(&format!("{job}/abort"), &json!({})));
    });
    let faults = faults.into_inner().expect("whole");
    assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
    assert_eq!(server.ask("FIND User RETURN count(User) AS n"), json!([{ "n": 400 }]));
    let few = |after: Option<u64>| after <= before.map(|before| before + 100);
    for _ in 0..60 {
        if few(server.memory()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    if let (Some(before), Some(after)) = (before, server.memory()) {
        println!(
            "{count} hostile inputs, {before} MiB before, {after} MiB after, {:?} MiB at most",
            server.memory_peak()
        );
        assert!(few(Some(after)), "{before} MiB before, {after} MiB after");
    }
    assert_eq!(server.stop(), Some(0));
}

fn asked(folder: &Path, query: &str, seconds: &str) -> Output {
    let mut command = confined();
    command
        .args(["query", "--file", "-", "--max-seconds", seconds, "--memory", "256M", "-o", "json"])
        .current_dir(folder)
        .env_remove("TOMBOLO_DB")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let mut input = child.stdin.take().expect("it is piped");
    // A command that refuses the query may not read it to its end.
    let _ = std::io::Write::write_all(&mut input, query.as_bytes());
    drop(input);
    child.wait_with_output().expect("it ends")
}

#[test]
fn nothing_hostile_ends_the_command_line_by_a_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines: String = graph().iter().map(|one| format!("{one}\n")).collect();
    let file = folder.path().join("graph.ndjson");
    std::fs::write(&file, lines).expect("the folder can be written");
    let loaded = crate::http::tombolo(folder.path(), &["sync", "--scope", "s", "graph.ndjson"]);
    assert!(loaded.status.success(), "{loaded:?}");
    let faults = Mutex::new(Vec::new());
    let queries = queries();
    side_by_side(&queries, 3, |(name, query)| {
        let output = asked(folder.path(), query, "2");
        let told = String::from_utf8_lossy(&output.stderr);
        if !matches!(output.status.code(), Some(0 | 2)) || told.contains("panicked") {
            let fault = format!("{name}: {:?} {told:.300}", output.status);
            faults.lock().expect("whole").push(fault);
        }
    });
    let faults = faults.into_inner().expect("whole");
    assert!(faults.is_empty(), "{} faults of {}: {faults:#?}", faults.len(), queries.len());
    for (query, words) in [
        (format!("FIND Text AS t RETURN concat({})", vec!["t.s"; 12_000].join(",")), "16 MiB"),
        (
            "FIND Text AS a THAT MATCHES Text AS b ON a._class = b._class RETURN a.s, b.s".into(),
            "256 MiB of memory",
        ),
        (format!("FIND User WITH n = ({})", r"/\w{60}/"), ""),
        (
            format!(
                "FIND User WITH n = ({})",
                (0..100).map(|i| format!(r"/\w{{60}}{i}/")).collect::<Vec<_>>().join(" OR ")
            ),
            "states",
        ),
    ] {
        let output = asked(folder.path(), &query, "60");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(words), "{query:.100}: {told}");
        assert_eq!(output.status.code(), Some(if words.is_empty() { 0 } else { 2 }), "{told}");
    }
}

#[test]
fn each_limit_of_memory_has_a_name_of_its_own() {
    let flags = ["--log", "off", "--memory", "64M", "--max-answer", "2"];
    let server = Server::in_folder(tempfile::tempdir().expect("a folder"), &flags[2..]);
    fill(&server);
    let refused = |query: String| {
        let reply = server.post("/v1/query", &json!({ "query": query }));
        (reply.status, reply.code().to_owned(), reply.text)
    };
    for (query, status, code, words) in [
        (
            format!("FIND Text AS t RETURN concat({}) LIMIT 1", vec!["t.s"; 70].join(",")),
            422,
            "VALUE_TOO_LARGE",
            "16 MiB",
        ),
        (
            "FIND Text AS a THAT MATCHES Text AS b ON a._class = b._class RETURN a.s, b.s".into(),
            422,
            "QUERY_NEEDS_TOO_MUCH_MEMORY",
            "32 MiB",
        ),
        ("FIND Text".into(), 422, "ANSWER_TOO_LARGE", "2 MiB"),
        (r"FIND User WITH n = /\w{900}/".into(), 400, "BAD_QUERY", "states"),
    ] {
        let (found, name, text) = refused(query);
        assert_eq!((found, name.as_str()), (status, code), "{text}");
        assert!(text.contains(words) && text.contains("hint") | text.contains("help"), "{text}");
    }
    // What one may not hold is there for others again.
    assert_eq!(server.ask("FIND User RETURN count(User) AS n"), json!([{ "n": 400 }]));
}

#[test]
fn readiness_waits_for_no_question() {
    let flags = ["--max-seconds", "6"];
    let server = Server::in_folder(tempfile::tempdir().expect("a folder"), &flags);
    fill(&server);
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                let slow = SLOW;
                let _ = server.post("/v1/query", &json!({ "query": slow }));
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        for _ in 0..10 {
            server.get("/ready").ok();
            assert_eq!(server.get("/health").ok()["ready"], true);
        }
        assert_eq!(done.load(Ordering::Relaxed), 0, "all questions still run");
    });
    let file = server.database();
    let away = file.with_extension("away");
    std::fs::rename(&file, &away).expect("it is there");
    assert_eq!(server.get("/ready").status, 503);
    let health = server.get("/health").ok();
    assert_eq!((&health["status"], &health["ready"]), (&json!("ok"), &json!(false)));
    std::fs::rename(&away, &file).expect("it is there");
    server.get("/ready").ok();
}

#[test]
fn who_hangs_up_stops_the_question() {
    let flags = ["--max-seconds", "300"];
    let server = Server::in_folder(tempfile::tempdir().expect("a folder"), &flags);
    fill(&server);
    let body = json!({ "query": SLOW }).to_string();
    let request = format!(
        "POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // More than there are threads for questions: who is behind them waits for one to be free.
    for _ in 0..40 {
        let mut stream = std::net::TcpStream::connect(&server.address).expect("it listens");
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("it reads");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(server.ask("FIND User RETURN count(User) AS n"), json!([{ "n": 400 }]));
}

#[test]
fn long_answers_come_whole_in_every_form() {
    let server = Server::start();
    fill(&server);
    let texts = server.ask("FIND Text AS t RETURN t.s, t.n");
    assert_eq!(texts.as_array().map(Vec::len), Some(40));
    assert!(texts.as_array().is_some_and(|all| {
        all.iter().all(|row| row["t.s"].as_str().map(str::len) == Some(250_000))
    }));
    let tree = server.ask("FIND Hub THAT HAS User RETURN TREE");
    assert_eq!(tree["vertices"].as_array().map(Vec::len), Some(401));
    assert_eq!(tree["edges"].as_array().map(Vec::len), Some(400));
    let document = "query Q($q: String!, $c: String) { queryV1(query: $q, cursor: $c, limit: 7) \
                    { type data cursor totalCount } }";
    let (mut cursor, mut keys) = (json!(null), Vec::new());
    loop {
        let variables = json!({ "q": "FIND Text AS t RETURN t._key AS k, t.s AS s", "c": cursor });
        let reply = server.post("/graphql", &json!({ "query": document, "variables": variables }));
        let page = reply.ok()["data"]["queryV1"].clone();
        assert_eq!((&page["type"], &page["totalCount"]), (&json!("table"), &json!(40)));
        for row in page["data"].as_array().expect("rows") {
            assert_eq!(row["s"].as_str().map(str::len), Some(250_000));
            keys.push(row["k"].as_str().expect("a key").to_owned());
        }
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 40);
    let forced = "query Q($q: String!) { queryV1(query: $q, deferredResponse: FORCE) { url } }";
    for (query, rows) in
        [("FIND Text", Some(40)), ("FIND Nothing", Some(0)), ("FIND Hub RETURN TREE", None)]
    {
        let asked = json!({ "query": forced, "variables": { "q": query } });
        let url = server.post("/graphql", &asked).ok()["data"]["queryV1"]["url"].clone();
        let path = url.as_str().and_then(|url| url.split_once("/deferred/")).expect("a path").1;
        let answer = server.get(&format!("/deferred/{path}")).ok();
        assert_eq!(answer["status"], "COMPLETED");
        assert_eq!(answer["data"].as_array().map(Vec::len), rows, "{query}");
    }
    // Data that looks like a place of ours in a response is data.
    server.sync(
        "m",
        &json!({ "entities": [{ "_key": "a", "_type": "mark", "_class": "Mark",
        "s": "00000000000000000000000000000000:0" }] }),
    );
    let both = json!([
        { "query": document, "variables": { "q": "FIND Mark AS m RETURN m.s" } },
        { "query": document, "variables": { "q": "FIND" } },
    ]);
    let both = server.post("/graphql", &both).ok();
    assert_eq!(both[0]["data"]["queryV1"]["data"][0]["m.s"], "00000000000000000000000000000000:0");
    assert!(both[1]["errors"].is_array());
    let near = server.get("/v1/entity?entity=hub").ok();
    let keys: Vec<&str> = near["relationships"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|near| near["entity"]["_key"].as_str().expect("a key"))
        .collect();
    assert!(keys.len() == 400 && keys.is_sorted());
}

#[test]
fn mappings_that_multiply_are_counted_first() {
    let flags = ["--max-mapped", "1000"];
    let server = Server::in_folder(tempfile::tempdir().expect("a folder"), &flags);
    let person = |i: usize| json!({ "_key": format!("p{i}"), "_type": "person", "_class": "Person", "team": "x" });
    server.sync("people", &json!({ "entities": (0..300).map(person).collect::<Vec<_>>() }));
    let mapped = |i: usize, keys: Json| {
        json!({ "_key": format!("m{i}"), "_type": "knows", "_class": "KNOWS", "_mapping": {
            "sourceEntityKey": format!("s{i}"), "targetFilterKeys": keys,
            "targetEntity": { "_class": "Person", "team": "x" } } })
    };
    let source = |i: usize| json!({ "_key": format!("s{i}"), "_type": "s", "_class": "S" });
    let send = |mappings: usize, keys: &Json| {
        let job = server.job(&json!({ "source": "api", "scope": "src" }));
        let body = json!({
            "entities": (0..4).map(source).collect::<Vec<_>>(),
            "relationships": (0..mappings).map(|i| mapped(i, keys.clone())).collect::<Vec<_>>(),
        });
        server.post(&format!("{job}/upload"), &body).ok();
        let reply = server.post(&format!("{job}/finalize"), &json!({}));
        if reply.status != 200 {
            server.post(&format!("{job}/abort"), &json!({})).ok();
        }
        reply
    };
    let fine = send(3, &json!([["_class", "team"]]));
    assert_eq!(fine.ok()["job"]["numMappedRelationshipsCreated"], 900);
    for keys in [json!([["_class", "team"]]), json!([["team"], ["_class", "team"]])] {
        let refused = send(4, &keys);
        assert_eq!(refused.status, 400, "{}", refused.text);
        for words in ["`m3`", "300", "1200", "1000", "--max-mapped"] {
            assert!(refused.text.contains(words), "{words}: {}", refused.text);
        }
    }
    let count = server.ask("FIND S THAT KNOWS AS k Person RETURN count(k) AS n");
    assert_eq!(count, json!([{ "n": 900 }]), "what was refused changed nothing");
}

#[test]
fn what_cannot_be_read_is_not_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve = |bytes: &[u8]| {
        std::fs::write(folder.path().join("other.redb"), bytes).expect("the folder can be written");
        let words = ["serve", "--port", "0", "--log", "off", "--db", "other.redb"];
        crate::http::tombolo(folder.path(), &words)
    };
    assert_eq!(serve(b"").status.code(), Some(2));
    assert_eq!(serve(&[7; 100_000]).status.code(), Some(2));
    crate::http::tombolo(folder.path(), &["init"]);
    let whole = std::fs::read(folder.path().join("tombolo.redb")).expect("it was made");
    // The values that say which format it is, wherever they lie.
    let mut refused = 0;
    for at in (4_096..whole.len()).step_by(509) {
        let mut bytes = whole.clone();
        bytes[at..(at + 64).min(whole.len())].fill(0x5a);
        std::fs::write(folder.path().join("other.redb"), &bytes).expect("it can be written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tombolo"))
            .args(["serve", "--port", "0", "--log", "off", "--db", "other.redb"])
            .current_dir(folder.path())
            .env_remove("TOMBOLO_DB")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("text");
        // Either it serves, since nothing that matters was hit, or it ends with the code of damage.
        if line.is_empty() {
            let output = child.wait_with_output().expect("it ends");
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(output.status.code(), Some(2 | 6)), "{:?} {told}", output.status);
            refused += 1;
        } else {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }
    assert!(refused > 0);
}
