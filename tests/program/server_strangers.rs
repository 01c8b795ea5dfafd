//! What strangers may send: bodies that are broken, huge or lying, requests that are none, tokens
//! that are not theirs. Whatever it is, the answer says what is wrong, and the server goes on.

use crate::http::{JOBS, Server, gzip, tombolo};
use serde_json::{Value as Json, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn user(key: &str) -> Json {
    json!({ "_key": key, "_type": "okta_user", "_class": "User" })
}

/// One body, the headers it comes with, and whether it may also be taken.
struct Case {
    name: String,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    taken: bool,
}

fn corpus() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |name: &str, body: Vec<u8>| {
        all.push(Case { name: name.into(), headers: Vec::new(), body, taken: false });
    };
    let entity = |members: &str| {
        format!("{{\"entities\":[{{\"_key\":\"a\",\"_type\":\"t\",\"_class\":\"C\",{members}}}]}}")
            .into_bytes()
    };
    let whole =
        entity("\"name\":\"Ålice\",\"n\":12,\"tags\":[\"x\",\"y\"],\"ok\":true,\"none\":null");
    for cut in 0..60 {
        add(&format!("cut off at {cut}"), whole[..cut * (whole.len() - 1) / 59].to_vec());
    }
    for (name, bytes) in [
        ("a lone continuation byte", &b"\x80"[..]),
        ("an overlong slash", b"\xc0\xaf"),
        ("a surrogate in UTF-8", b"\xed\xa0\x80"),
        ("beyond Unicode", b"\xf4\x90\x80\x80"),
        ("a cut sequence", b"\xe2\x82"),
        ("a control character", b"\x01"),
        ("a line feed", b"\n"),
        ("a zero byte", b"\0"),
    ] {
        let mut body = b"{\"entities\":[{\"_key\":\"".to_vec();
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\",\"_type\":\"t\",\"_class\":\"C\"}]}");
        add(&format!("{name} in a key"), body);
        let mut body =
            b"{\"entities\":[{\"_key\":\"a\",\"_type\":\"t\",\"_class\":\"C\",\"p\":\"".to_vec();
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\"}]}");
        add(&format!("{name} in a value"), body);
    }
    let wide = |big: bool| -> Vec<u8> {
        "\u{feff}{\"entities\":[]}"
            .encode_utf16()
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    };
    add("UTF-16, little end first", wide(false));
    add("UTF-16, big end first", wide(true));
    for text in [
        "",
        " ",
        "null",
        "true",
        "7",
        "\"text\"",
        "{}",
        "[]x",
        "{]",
        "{\"entities\":}",
        "{\"entities\"",
        "{entities:[]}",
        "{'entities':[]}",
        "{\"entities\":[],}",
        "{\"entities\":[]}}",
        "NaN",
        "{\"entities\":{}}",
        "{\"entities\":null}",
        "{\"entities\":\"[]\"}",
        "{\"entities\":1}",
        "{\"entities\":[null]}",
        "{\"entities\":[[]]}",
        "{\"entities\":[\"a\"]}",
        "{\"entities\":[1]}",
        "{\"entities\":[{}]}",
        "{\"entities\":[{\"_key\":null}]}",
        "{\"entities\":[{\"_key\":5}]}",
        "{\"entities\":[],\"entities\":[]}",
        "{\"relationships\":[]}",
        "{\"Entities\":[]}",
        "// note\n{\"entities\":[]}",
        "<entities/>",
        "entities: []",
        "_key,_type\na,t\n",
    ] {
        add(&format!("the text {text:?}"), text.as_bytes().to_vec());
    }
    for members in [
        "\"n\":1e400",
        "\"n\":-1e400",
        "\"n\":18446744073709551617",
        "\"n\":123456789012345678901234567890",
        "\"n\":01",
        "\"n\":+1",
        "\"n\":.5",
        "\"n\":1.",
        "\"n\":NaN",
        "\"n\":Infinity",
        "\"n\":0x10",
        "\"o\":{}",
        "\"o\":{\"a\":1}",
        "\"l\":[1,\"a\"]",
        "\"l\":[[1]]",
        "\"n\":1,\"n\":2",
        "\"_key\":\"b\"",
        "\"_class\":\"D\"",
        "\"__proto__\":1",
        "\"_mine\":1",
        "\"_scope\":\"other\"",
        "\"s\":\"\\ud800\"",
        "\"s\":\"\\u12\"",
        "\"s\":\"\\x41\"",
        "\"s\":'x'",
        "\"s\":\"\\",
        "\"s\":undefined",
        "\"\":1",
        "\"constructor\":{\"prototype\":{}}",
    ] {
        add(&format!("an entity with {members}"), entity(members));
    }
    for key in [
        "\"_key\":\"\"".to_owned(),
        format!("\"_key\":\"{}\"", "k".repeat(1 << 20)),
        "\"_key\":\"a\\u0000b\"".to_owned(),
        "\"_key\":[\"a\"]".to_owned(),
        "\"_key\":true".to_owned(),
    ] {
        let body = format!("{{\"entities\":[{{{key},\"_type\":\"t\",\"_class\":\"C\"}}]}}");
        add(&format!("the key {:.40}", key), body.into_bytes());
    }
    for class in ["\"\"", "[]", "[1]", "[[\"C\"]]", "{}", "5", "[\"C\",\"C\\u0000\"]"] {
        let body =
            format!("{{\"entities\":[{{\"_key\":\"a\",\"_type\":\"t\",\"_class\":{class}}}]}}");
        add(&format!("the class {class}"), body.into_bytes());
    }
    for depth in [17, 129, 1_000_000] {
        let nested = format!("\"l\":{}1{}", "[".repeat(depth), "]".repeat(depth));
        add(&format!("a list {depth} deep"), entity(&nested));
        let nested = "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
        add(&format!("an object {depth} deep"), nested.into_bytes());
        add(&format!("{depth} brackets"), vec![b'['; depth]);
    }
    let members: String = (0..200_000).map(|i| format!(",\"p{i}\":1")).collect();
    add("200,000 members", entity(&members[1..]));
    add("a text of 31 MB", entity(&format!("\"s\":\"{}\"", "x".repeat(31 << 20))));
    add(
        "31 MB of zeroes",
        [b"{\"entities\":[".to_vec(), b"0,".repeat(15 << 20), b"0]}".to_vec()].concat(),
    );
    add(
        "27 MB of empty objects",
        [b"{\"entities\":[".to_vec(), b"{},".repeat(9 << 20), b"{}]}".to_vec()].concat(),
    );
    let mut coded = |name: &str, headers: &[(&'static str, &'static str)], body: Vec<u8>| {
        all.push(Case { name: name.into(), headers: headers.to_vec(), body, taken: false });
    };
    let plain = b"{\"entities\":[]}".to_vec();
    let packed = gzip(&plain);
    let zipped = [("Content-Encoding", "gzip")];
    let zstd = [("Content-Encoding", "zstd")];
    coded("gzip that is none", &zipped, plain.clone());
    coded("gzip cut off", &zipped, packed[..packed.len() - 4].to_vec());
    coded("gzip and rubbish", &zipped, [packed.clone(), b"rubbish".to_vec()].concat());
    coded("gzip of gzip", &zipped, gzip(&packed));
    coded("a gzip bomb", &zipped, gzip(&vec![b' '; 200 << 20]));
    coded("a gzip bomb of many parts", &zipped, gzip(&vec![b' '; 1 << 20]).repeat(100));
    coded("zstd that is none", &zstd, plain.clone());
    coded("a zstd bomb", &zstd, zstd::encode_all(&vec![b' '; 200 << 20][..], 1).unwrap());
    coded("gzip said to be zstd", &zstd, packed.clone());
    coded("gzip that nobody mentions", &[], packed.clone());
    coded("deflate", &[("Content-Encoding", "deflate")], plain.clone());
    coded("two encodings", &[("Content-Encoding", "gzip, gzip")], gzip(&packed));
    coded("a type that is unknown", &[("Content-Type", "application/xml")], plain.clone());
    coded("a form", &[("Content-Type", "multipart/form-data; boundary=x")], plain.clone());
    let yaml = [("Content-Type", "application/yaml")];
    coded("YAML that is none", &yaml, b"entities: [".to_vec());
    coded("YAML of two documents", &yaml, b"entities: []\n---\nentities: []\n".to_vec());
    coded("YAML with a tab", &yaml, b"entities:\n\t- a\n".to_vec());
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let before = format!("*a{}, ", i - 1).repeat(9);
        laughs += &format!("a{i}: &a{i} [{}]\n", before.trim_end_matches(", "));
    }
    coded("a million laughs", &yaml, (laughs + "entities: *a11\n").into_bytes());
    coded("YAML 100,000 deep", &yaml, vec![b'['; 100_000]);
    coded("YAML that bites its tail", &yaml, b"entities: &e [*e]\n".to_vec());
    let csv = [("Content-Type", "text/csv")];
    coded("CSV without a key", &csv, b"_type,_class\nt,C\n".to_vec());
    coded("CSV with an open quote", &csv, b"_key,_type,_class\n\"a,t,C\n".to_vec());
    coded("CSV with a short row", &csv, b"_key,_type,_class\na\n".to_vec());
    coded("CSV with a name twice", &csv, b"_key,_key,_type,_class\na,b,t,C\n".to_vec());
    coded("CSV that is not UTF-8", &csv, b"_key,_type,_class\n\xff,t,C\n".to_vec());
    let lines = [("Content-Type", "application/x-ndjson")];
    coded("lines that are no JSON", &lines, b"{\"_key\":\"a\"}\nnope\n".to_vec());
    coded("lines of numbers", &lines, b"1\n2\n".to_vec());
    // Odd, and nothing wrong with it.
    for (name, body) in [
        ("a mark at the beginning", b"\xef\xbb\xbf{\"entities\":[]}".to_vec()),
        ("two forms of one letter", "{\"entities\":[{\"_key\":\"\u{e9}\",\"_type\":\"t\",\"_class\":\"C\"},{\"_key\":\"e\u{301}\",\"_type\":\"t\",\"_class\":\"C\"}]}".as_bytes().to_vec()),
        ("a name with a dot", entity("\"tag.Name\":\"x\"")),
        ("text that turns around", entity("\"s\":\"\u{202e}abc\"")),
        ("minus zero", entity("\"n\":-0")),
        ("an unknown member", b"{\"entities\":[],\"more\":[]}".to_vec()),
    ] {
        all.push(Case { name: name.into(), headers: Vec::new(), body, taken: true });
    }
    all
}

#[test]
fn no_body_brings_the_server_down() {
    let server = Server::start();
    let job = server.job(&json!({ "source": "api", "scope": "s" }));
    let path = format!("{job}/entities");
    let corpus = corpus();
    assert!(corpus.len() >= 150, "{}", corpus.len());
    let mut wrong = Vec::new();
    for case in &corpus {
        let reply = server.call("POST", &path, &case.headers, &case.body);
        let told = format!("{}: {} {:.300}", case.name, reply.status, reply.text);
        if case.taken {
            wrong.extend((reply.status != 200).then_some(told));
            continue;
        }
        let message = reply.json["error"]["message"].as_str().unwrap_or_default();
        // Where: a line and column, an object, a member or the limit that was met.
        let placed = ["line", "column", "[", "`", "\"", "MiB", "times", "the body", "position"];
        let line = message.starts_with(|c: char| c.is_ascii_digit());
        let said = line || placed.iter().any(|word| message.contains(word));
        let said = said && !reply.code().is_empty();
        if !(400..500).contains(&reply.status) || !said {
            wrong.push(told);
        }
        let before = Instant::now();
        server.get("/health").ok();
        assert!(before.elapsed() < Duration::from_secs(10), "slow after {}", case.name);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let found = server.get(&job).ok()["job"]["numEntitiesUploaded"].clone();
    assert_eq!(found, 5, "only what was taken is there");
    if let Some(memory) = server.memory() {
        assert!(memory < 400, "{memory} MiB");
    }
}

#[test]
fn no_question_brings_the_server_down() {
    let server = Server::start();
    server.sync(
        "s",
        &json!({ "entities": (0..300).map(|i| user(&format!("u{i}"))).collect::<Vec<_>>() }),
    );
    let deep = |open: &str, count: usize, close: &str| open.repeat(count) + &close.repeat(count);
    let list = deep("[", 100_000, "]");
    let fields = deep("{a", 50_000, "}");
    for query in [
        format!("{{ queryV1(query: \"FIND *\", variables: {list}) {{ data }} }}"),
        format!("query {fields}"),
        format!("query Q($a: {}) {{ __typename }}", deep("[", 100_000, "]")),
        format!("{{ __typename {} }}", "@skip(if: false) ".repeat(50_000)),
        format!(
            "{{ {} }}",
            (0..200)
                .map(|i| format!("a{i}: queryV1(query: \"FIND *\") {{ data }} "))
                .collect::<String>()
        ),
        "query A { ...F } fragment F on Query { ...F }".to_owned(),
        "\u{0}".to_owned(),
        "{".repeat(100_000),
        String::new(),
    ] {
        let reply = server.post("/graphql", &json!({ "query": query }));
        assert_eq!(reply.status, 200, "{:.60}: {:.200}", query, reply.text);
        assert!(reply.json["errors"].is_array(), "{:.60}: {:.200}", query, reply.text);
        server.get("/health").ok();
    }
    for (body, status) in [
        (Json::Array(vec![json!({ "query": "{ __typename }" }); 51]), 400),
        (json!([1, null, { "query": 5 }, { "query": "{ __typename }" }]), 200),
        (json!({ "query": "{ __typename }", "variables": [1], "operationName": {} }), 200),
        (json!({ "query": "{ __typename }", "flags": { "variableResultSize": true } }), 200),
        (json!("x".repeat(5 << 20)), 413),
    ] {
        assert_eq!(server.post("/graphql", &body).status, status, "{:.60}", body.to_string());
    }
    for query in [
        "FIND (".repeat(20_000),
        format!("FIND User WITH {}a = 1{}", "(".repeat(50_000), ")".repeat(50_000)),
        "FIND User THAT HAS ".repeat(5_000),
        "FIND User WITH _key = '\u{0}".to_owned(),
    ] {
        let reply = server.post("/v1/query", &json!({ "query": query }));
        assert!((400..500).contains(&reply.status), "{:.60}: {:.200}", query, reply.text);
    }
    let reply =
        server.post("/v1/query", &json!({ "query": "FIND User", "params": { "a": { "b": 1 } } }));
    assert_eq!(reply.status, 400);
    // Two fields of one operation, under names of their own.
    let both = json!({ "query": "{ a: queryV1(query: \"FIND User WITH _key = 'u1'\") { type data } \
        b: queryV1(query: \"FIND User RETURN count(User) AS n\") { type data } }" });
    let both = server.post("/graphql", &both).ok();
    assert_eq!(
        (&both["data"]["a"]["type"], &both["data"]["b"]["data"]),
        (&json!("list"), &json!([{ "n": 300 }]))
    );
}

#[test]
fn requests_that_are_none_end_their_connection() {
    let server = Server::start();
    let job = server.job(&json!({ "source": "api", "scope": "s" }));
    let post = format!("POST {job}/entities HTTP/1.1\r\nHost: localhost\r\n");
    let body = "{\"entities\":[]}";
    let inner = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // Each with the status of the only answer that may come back; 0 where none has to.
    let cases: Vec<(&str, String, u16)> = vec![
        (
            "two lengths",
            format!("{post}Content-Length: 15\r\nContent-Length: 16\r\n\r\n{body}"),
            400,
        ),
        ("a length that is none", format!("{post}Content-Length: x\r\n\r\n{body}"), 400),
        ("a negative length", format!("{post}Content-Length: -1\r\n\r\n{body}"), 400),
        ("a length with a sign", format!("{post}Content-Length: +15\r\n\r\n{body}"), 400),
        ("an unknown transfer", format!("{post}Transfer-Encoding: chunky\r\n\r\n{body}"), 400),
        (
            "chunked, but not last",
            format!("{post}Transfer-Encoding: chunked, gzip\r\n\r\n{body}"),
            400,
        ),
        (
            "a chunk whose size is none",
            format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n"),
            400,
        ),
        (
            "a chunk of all there is",
            format!("{post}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
            400,
        ),
        ("no host", "GET /v1/scopes HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), 421),
        (
            "two hosts",
            "GET /v1/scopes HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n"
                .to_owned(),
            421,
        ),
        (
            "another host",
            "GET /v1/scopes HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_owned(),
            421,
        ),
        (
            "a space before the colon",
            "GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a folded header",
            "GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a zero byte in a header",
            "GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n".into(),
            400,
        ),
        ("no version", "GET /health\r\n\r\n".into(), 400),
        ("a later version", "GET /health HTTP/3.0\r\nHost: localhost\r\n\r\n".into(), 400),
        ("another protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 0),
        ("rubbish", "\u{16}\u{3}\u{1}\u{2}rubbish\r\n\r\n".into(), 400),
        (
            "a URL of 64 KB",
            format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(64 << 10)),
            0,
        ),
        (
            "10,000 headers",
            format!(
                "GET /health HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
                (0..10_000).map(|i| format!("X-{i}: 1\r\n")).collect::<String>()
            ),
            431,
        ),
        (
            "a header of 300 KB",
            format!(
                "GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
                "a".repeat(300_000)
            ),
            431,
        ),
    ];
    for (name, request, status) in cases {
        let answer = server.raw(request.as_bytes());
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{name}: {answer}");
        if status != 0 {
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
        }
        server.get("/health").ok();
    }
    // Length and chunks at once: the chunks count, as the standard says, and what is hidden behind
    // the shorter reading is no request of its own.
    let hidden = format!(
        "{post}Content-Length: 6\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n{inner}"
    );
    let answer = server.raw(hidden.as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 400"), "an empty upload: {answer}");
    // Ids and names are no paths.
    for path in [
        "/persister/synchronization/jobs/..%2f..%2f..%2fetc%2fpasswd",
        "/persister/synchronization/jobs/%2e%2e/entities",
        "/v1/jobs/..%2ftombolo.redb.tokens",
        "/deferred/..%2f..%2fetc",
        "/v1/jobs/f445397d%00",
        "/../../etc/passwd",
        "/v1/%c0%ae%c0%ae/",
    ] {
        let reply = server.raw(
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        );
        let told = reply.lines().next().unwrap_or_default().to_owned();
        assert!(told.contains(" 40"), "{path}: {reply}");
    }
    // A method that somebody made up is counted under one name, not under its own.
    let made_up = "BREW42 /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(server.raw(made_up.as_bytes()).starts_with("HTTP/1.1 405"));
    let metrics = server.get("/metrics").text;
    assert!(metrics.contains("(other)") && !metrics.contains("BREW42"), "{metrics}");
}

#[test]
fn slow_and_silent_clients_keep_nobody_waiting() {
    let server = Server::start();
    let job = server.job(&json!({ "source": "api", "scope": "s" }));
    let mut open: Vec<TcpStream> = (0..360)
        .map(|i| {
            let mut stream = TcpStream::connect(&server.address).expect("it listens");
            let begun: &[&str] = match i % 6 {
                0 => &[],
                1 => &["GET /health HT"],
                2 => &["GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "],
                3 => &["POST ", &job, "/entities HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n{"],
                4 => &["POST ", &job, "/entities HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"ent\r\n"],
                // Asks again and again, and never reads.
                _ => &["GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"],
            };
            for part in begun {
                stream.write_all(part.as_bytes()).expect("it reads");
            }
            if i % 6 == 5 {
                stream.set_write_timeout(Some(Duration::from_millis(20))).expect("a time");
                for _ in 0..200 {
                    if stream.write_all(begun[0].as_bytes()).is_err() {
                        break;
                    }
                }
            }
            stream
        })
        .collect();
    for turn in 0..5 {
        let before = Instant::now();
        server.get("/health").ok();
        server
            .post(&format!("{job}/entities"), &json!({ "entities": [user(&format!("u{turn}"))] }))
            .ok();
        server.ask("FIND User RETURN count(User) AS n");
        assert!(before.elapsed() < Duration::from_secs(25), "{:?}", before.elapsed());
        // A byte now and then changes nothing.
        for stream in &mut open {
            let _ = stream.write_all(b"1");
        }
    }
    let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
    assert_eq!(done["job"]["numEntitiesCreated"], 5);
    drop(open);
}

#[test]
fn each_limit_has_an_answer_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--max-open-jobs", "2", "--max-staged", "1", "--max-rows", "50"];
    let server = Server::in_folder(folder, &flags);
    let create = json!({ "source": "api", "scope": "s" });
    let (job, other) = (server.job(&create), server.job(&create));
    let third = server.post(JOBS, &create);
    assert_eq!((third.status, third.code()), (429, "TOO_MANY_OPEN_JOBS"));
    server.post(&format!("{other}/abort"), &json!({})).ok();
    server.post(&format!("{}/abort", server.job(&create)), &json!({})).ok();
    let entities: Vec<Json> = (0..60).map(|i| user(&format!("u{i}"))).collect();
    server.post(&format!("{job}/entities"), &json!({ "entities": entities })).ok();
    server.post(&format!("{job}/finalize"), &json!({})).ok();
    let large = server.post("/v1/query", &json!({ "query": "FIND User" }));
    assert_eq!((large.status, large.code()), (422, "ANSWER_TOO_LARGE"));
    assert_eq!(server.ask("FIND User RETURN count(User) AS n"), json!([{ "n": 60 }]));
    assert_eq!(server.ask("FIND User LIMIT 50").as_array().map(Vec::len), Some(50));
    let job = server.job(&create);
    let path = format!("{job}/entities");
    let long = "x".repeat(200_000);
    let wide = |i: usize| json!({ "entities": [{ "_key": format!("w{i}"), "_type": "t", "_class": "C", "s": long }] });
    let full = (0..40).map(|i| server.post(&path, &wide(i))).find(|reply| reply.status != 200);
    let full = full.expect("one mebibyte is soon full");
    assert_eq!((full.status, full.code()), (507, "TOO_MUCH_STAGED"));
    server.post(&format!("{job}/abort"), &json!({})).ok();
    // Whoever sends too much hears about it, however much it is: with a length, and in chunks.
    let path = format!("{}/entities", server.job(&create));
    let sent = server.call("POST", &path, &[], &vec![b' '; 40 << 20]);
    assert_eq!((sent.status, sent.code()), (413, "RequestEntityTooLargeException"));
    let ratio =
        server.call("POST", &path, &[("Content-Encoding", "gzip")], &gzip(&vec![b' '; 20 << 20]));
    assert_eq!(ratio.status, 413);
    assert!(ratio.text.contains("times"), "{}", ratio.text);
    let small = server.call("POST", "/v1/query", &[], &vec![b' '; 5 << 20]);
    assert_eq!(small.status, 413);
    let url = server.post(&format!("{path}/../uploadUrl").replace("/entities/..", ""), &json!({}));
    assert_eq!((url.status, url.code()), (501, "NOT_IMPLEMENTED"));
    let slow = Server::in_folder(tempfile::tempdir().expect("a folder"), &["--max-seconds", "0"]);
    let entities: Vec<Json> = (0..9_000).map(|i| user(&format!("u{i}"))).collect();
    slow.sync("s", &json!({ "entities": entities }));
    let costly = slow.post(
        "/v1/query",
        &json!({ "query": "FIND User WITH _key ~= 'u' RETURN count(User) AS n" }),
    );
    assert_eq!((costly.status, costly.code()), (422, "QUERY_TOO_COSTLY"), "{}", costly.text);
}

#[test]
fn few_connections_are_shared_by_many() {
    let server =
        Server::in_folder(tempfile::tempdir().expect("a folder"), &["--max-connections", "4"]);
    let held: Vec<TcpStream> =
        (0..4).map(|_| TcpStream::connect(&server.address).expect("it listens")).collect();
    std::thread::scope(|threads| {
        // The fifth waits until one of them ends.
        let fifth = threads.spawn(|| server.get("/health").status);
        std::thread::sleep(Duration::from_millis(200));
        assert!(!fifth.is_finished());
        drop(held);
        assert_eq!(fifth.join().expect("an answer"), 200);
    });
}

#[test]
fn a_token_writes_no_scope_but_its_own_in_whatever_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let create = |name: &str, rights: &[&str]| {
        let mut words = vec!["token", "create", name, "--quiet"];
        words.extend(rights.iter().flat_map(|right| ["--right", right]));
        String::from_utf8(tombolo(folder.path(), &words).stdout).expect("text").trim().to_owned()
    };
    let (admin, api) = (create("admin", &["admin"]), create("api", &["write:api"]));
    let server = Server::in_folder(folder, &[]);
    let call = |token: &str, method: &str, path: &str, kind: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", kind)];
        server.call(method, path, &headers, body.as_bytes())
    };
    let json_type = "application/json";
    let sync = json!({ "source": "api", "scope": "secret" }).to_string();
    let made = call(&admin, "POST", JOBS, json_type, &sync).ok();
    let secret = format!("{JOBS}/{}", made["job"]["id"].as_str().expect("an id"));
    let sent = json!({ "entities": [user("a")] }).to_string();
    call(&admin, "POST", &format!("{secret}/upload"), json_type, &sent).ok();
    call(&admin, "POST", &format!("{secret}/finalize"), json_type, "{}").ok();
    let found = call(&admin, "POST", "/v1/query", json_type, "{\"query\":\"FIND User\"}").ok();
    let id = found["data"][0]["id"].as_str().expect("an id").to_owned();
    // A job that may write anywhere is still its caller's.
    let patch = json!({ "source": "api", "syncMode": "PATCH" }).to_string();
    let made = call(&api, "POST", JOBS, json_type, &patch).ok();
    let job = format!("{JOBS}/{}", made["job"]["id"].as_str().expect("an id"));
    let row = "{\"_scope\":\"secret\",\"_key\":\"a\",\"stolen\":true}";
    let uploads: Vec<(&str, String)> = vec![
        (json_type, format!("{{\"entities\":[{row}]}}")),
        (json_type, format!("[{row}]")),
        (json_type, format!("{{\"entities\":[{{\"_id\":\"{id}\",\"stolen\":true}}]}}")),
        (json_type, "{\"entities\":[{\"_key\":\"a\",\"stolen\":true}]}".into()),
        (json_type, format!("{{\"deleteEntities\":[{{\"_id\":\"{id}\"}}]}}")),
        ("application/x-ndjson", format!("{row}\n")),
        ("text/csv", "_scope,_key,stolen\nsecret,a,true\n".into()),
        (
            "application/yaml",
            "entities:\n  - _scope: secret\n    _key: a\n    stolen: true\n".into(),
        ),
    ];
    for (kind, body) in &uploads {
        let reply = call(&api, "POST", &format!("{job}/upload"), kind, body);
        assert_eq!(
            (reply.status, reply.code()),
            (403, "FORBIDDEN"),
            "{kind} {body}: {}",
            reply.text
        );
    }
    // Nor is a scope that is its caller's a way into another one.
    let own = json!({ "source": "api", "scope": "api" }).to_string();
    let made = call(&api, "POST", JOBS, json_type, &own).ok();
    let own = format!("{JOBS}/{}", made["job"]["id"].as_str().expect("an id"));
    let foreign =
        "{\"entities\":[{\"_scope\":\"secret\",\"_key\":\"a\",\"_type\":\"t\",\"_class\":\"C\"}]}";
    assert_eq!(call(&api, "POST", &format!("{own}/entities"), json_type, foreign).status, 400);
    let deletes = format!("{{\"deleteEntities\":[{{\"_id\":\"{id}\"}}]}}");
    let _ = call(&api, "POST", &format!("{own}/upload"), json_type, &deletes);
    for path in [&job, &own] {
        call(&api, "POST", &format!("{path}/finalize"), json_type, "{}").ok();
    }
    for (path, method) in [
        ("", "GET"),
        ("/entities", "POST"),
        ("/finalize", "POST"),
        ("/abort", "POST"),
        ("/events", "POST"),
    ] {
        let reply = call(&api, method, &format!("{secret}{path}"), json_type, "{}");
        assert_eq!((reply.status, reply.code()), (404, "JOB_NOT_FOUND"), "{path}");
    }
    let query = "{\"query\":\"FIND User AS u RETURN u._key AS k, u.stolen AS s\"}";
    let found = call(&admin, "POST", "/v1/query", json_type, query).ok();
    assert_eq!(found["data"], json!([{ "k": "a", "s": null }]));
    // Ways to show a token that are none.
    for (name, value) in [
        ("Authorization", format!("Basic {admin}")),
        ("Authorization", admin.clone()),
        ("Authorization", format!("Bearer {}", admin.to_uppercase())),
        ("Authorization", format!("Bearer {}", &admin[..admin.len() - 1])),
        ("Authorization", format!("Bearer {admin}0")),
        ("Authorization", "Bearer ".to_owned()),
        ("X-Api-Key", admin.clone()),
        ("Cookie", format!("token={admin}")),
    ] {
        let reply = server.call("GET", "/v1/scopes", &[(name, value.as_str())], b"");
        assert_eq!(reply.status, 401, "{name}");
        assert!(!reply.text.contains(&admin), "a secret is not said back");
    }
    assert_eq!(server.get(&format!("/v1/scopes?token={admin}")).status, 401);
    let lower = [("authorization", format!("bearer {admin}"))];
    assert_eq!(server.call("GET", "/v1/scopes", &[(lower[0].0, &lower[0].1)], b"").status, 200);
    // Who may not upload hears it, also in the middle of a large body.
    let body = vec![b' '; 20 << 20];
    assert_eq!(server.call("POST", &format!("{own}/upload"), &[], &body).status, 401);
}

#[test]
fn no_secret_gets_into_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = ["token", "create", "admin", "--right", "admin", "--quiet"];
    let token = String::from_utf8(tombolo(folder.path(), &words).stdout).expect("text");
    let token = token.trim().to_owned();
    let log = std::fs::File::create(folder.path().join("log")).expect("a file");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tombolo"));
    command.stderr(log).env("RUST_LOG", "trace");
    let server = Server::run(folder, command, &["--log", "text"]);
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    let body = json!({ "source": "api", "scope": "s" }).to_string();
    let made = server.call("POST", JOBS, &headers, body.as_bytes()).ok();
    let job = format!("{JOBS}/{}", made["job"]["id"].as_str().expect("an id"));
    let sent =
        b"{\"entities\":[{\"_key\":\"k\",\"_type\":\"t\",\"_class\":\"C\",\"p\":\"hunter2\"}]}";
    server.call("POST", &format!("{job}/entities"), &headers, sent).ok();
    let event =
        b"{\"events\":[{\"name\":\"step\",\"description\":\"first\\nlevel=ERROR forged\"}]}";
    server.call("POST", &format!("{job}/events"), &headers, event).ok();
    server.call("POST", &format!("{job}/finalize"), &headers, b"").ok();
    let mut log = String::new();
    let path = server.folder.path().join("log");
    std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut log)).expect("a log");
    assert!(log.contains("job finalized"), "{log}");
    assert!(!log.contains(&token) && !log.contains("hunter2"), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("level=ERROR")), "a line that data made");
}
