//! Answers as values: what faces build on, without a face.

use crate::common::{fleeting, sync};
use serde_json::{Value, json};
use tombolo::answers::{
    AnswerAdvice, AnswerError, BlastRadiusRequest, CountFormat, CyclesRequest, EntityRequest,
    OwnersRequest, PathRequest, QueryFindings, QueryRequest, QuestionContext, ScopesAnswer,
    StatsAnswer, read_query,
};
use tombolo::lang::SourceText;
use tombolo::limits::{CostMeter, QuestionLimits};
use tombolo::rules::RuleTable;
use tombolo::sync::SyncMode;
use tombolo::view::WalkDirection;
use tombolo::{Database, ErrorKind};

/// `alice` owns a laptop; `bob` stands alone, in both scopes.
fn office() -> (tempfile::TempDir, Database) {
    let folder = fleeting();
    let database = Database::create(&folder.path().join("office.redb")).expect("a database");
    let rows = [
        r#"{"_key":"alice","_type":"user","_class":"User","displayName":"Alice"}"#,
        r#"{"_key":"bob","_type":"user","_class":"User"}"#,
        r#"{"_key":"mac","_type":"laptop","_class":"Device"}"#,
        r#"{"_key":"r","_type":"owns","_class":"OWNS","_fromEntityKey":"alice","_toEntityKey":"mac"}"#,
    ];
    sync(&database, "office", SyncMode::Diff, &rows.join("\n")).expect("it is taken");
    let bob = r#"{"_key":"bob","_type":"person","_class":"Person"}"#;
    sync(&database, "hr", SyncMode::Diff, bob).expect("it is taken");
    (folder, database)
}

/// Asks a question of the office.
fn asked<T>(ask: impl FnOnce(&QuestionContext<'_>) -> T) -> T {
    let (_folder, database) = office();
    let snapshot = database.snapshot().expect("it can be read");
    let meter = CostMeter::new(QuestionLimits::default());
    let counts = CountFormat::Plain;
    ask(&QuestionContext { database: &database, snapshot: &snapshot, meter: &meter, counts })
}

fn blast(change: impl FnOnce(&mut BlastRadiusRequest)) -> Result<Value, AnswerError> {
    let mut request =
        BlastRadiusRequest { entities: vec!["alice".into()], ..BlastRadiusRequest::default() };
    change(&mut request);
    asked(|context| request.ask(context, &RuleTable::default()).map(|found| json!(found)))
}

#[track_caller]
fn refused<T>(result: Result<T, AnswerError>, kind: ErrorKind, code: &str, message: &str) {
    let error = result.err().expect("it is refused");
    assert_eq!((error.kind(), error.code(), error.message()), (kind, code, message));
}

#[test]
fn a_blast_is_a_value_with_its_json() {
    let answer = blast(|_| {}).expect("an answer");
    assert_eq!(answer["root"]["_key"], "alice");
    assert_eq!(answer["reached"][0]["_key"], "mac");
    assert_eq!(answer["byDistance"], json!({ "1": 1 }));
    let plain = blast(|request| request.direction = Some(WalkDirection::In)).expect("an answer");
    assert_eq!((&plain["total"], plain.get("byState")), (&json!(0), None));
}

#[test]
fn an_error_tells_its_kind_its_code_and_what_to_do() {
    let name = |name: &str| blast(|request| request.entities = vec![name.to_owned()]);
    let unknown = "no live entity is called `nobody`";
    refused(name("nobody"), ErrorKind::NotFound, "NOT_FOUND", unknown);
    refused(name("bob"), ErrorKind::Invalid, "BAD_REQUEST", "`bob` is the key of 2 entities");
    let verb = blast(|request| request.verbs = vec!["OWN".into()]);
    let error = verb.expect_err("nothing has this verb");
    assert_eq!(error.advice(), Some(&AnswerAdvice::Nearest("OWNS".into())));
    refused(
        Err::<(), _>(error),
        ErrorKind::NotFound,
        "NOT_FOUND",
        "no verb `OWN` in this database",
    );
    let scope = blast(|request| request.scopes = vec!["zz".into()]);
    assert_eq!(scope.err().and_then(|e| e.advice().cloned()), Some(AnswerAdvice::ListScopes));
}

#[test]
fn a_question_stops_at_its_limits() {
    let (_folder, database) = office();
    let snapshot = database.snapshot().expect("it can be read");
    let meter = CostMeter::new(QuestionLimits { memory: 10, ..QuestionLimits::default() });
    let counts = CountFormat::Plain;
    let context =
        QuestionContext { database: &database, snapshot: &snapshot, meter: &meter, counts };
    let found = EntityRequest { entity: "alice".into() }.ask(&context);
    let error = found.err().expect("it needs more");
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert_eq!(error.code(), "QUERY_NEEDS_TOO_MUCH_MEMORY");
    assert!(error.limit().is_some() && error.advice().is_some());
}

#[test]
fn owners_paths_and_cycles_are_values() {
    let owners = OwnersRequest { entities: vec!["mac".into()], ..OwnersRequest::default() };
    let names = asked(|context| {
        let found = owners.ask(context, &RuleTable::default()).expect("an answer");
        let owners = found.answers[0].owners.iter();
        owners.map(|owner| owner.chain.entity.key.clone()).collect::<Vec<String>>()
    });
    assert_eq!(names, ["alice"]);
    let path = PathRequest {
        from: "mac".into(),
        to: "alice".into(),
        via: Vec::new(),
        max: 1,
        direction: WalkDirection::Both,
        verbs: Vec::new(),
    };
    let (total, length) = asked(|context| {
        let found = path.ask(context).expect("an answer");
        (found.total, found.chains[0].links.len())
    });
    assert_eq!((total, length), (1, 1));
    let cycles = |context: &QuestionContext<'_>| CyclesRequest::default().ask(context);
    assert!(asked(cycles).expect("an answer").cycles.is_empty());
}

#[test]
fn contents_are_values() {
    asked(|context| {
        let found = EntityRequest { entity: "mac".into() }.ask(context).expect("an answer");
        let named = found.named(&found.near).expect("heads can be read");
        assert_eq!((named.len(), named[0].direction), (1, "in"));
        assert_eq!(json!(found)["relationships"][0]["entity"]["_key"], "alice");
        let scopes = ScopesAnswer::read(context.snapshot).expect("an answer").scopes;
        assert_eq!(scopes.iter().map(|s| s.scope.as_str()).collect::<Vec<_>>(), ["hr", "office"]);
        let stats = StatsAnswer::read(context.database, context.snapshot).expect("an answer");
        assert_eq!((stats.entities, stats.relationships, stats.scopes), (4, 1, 2));
    });
}

#[test]
fn a_query_that_cannot_be_read_has_a_place() {
    let options = QueryRequest::default().options(RuleTable::default(), None);
    let read = |text: &str| read_query(&SourceText::whole("query", text), &options);
    let error = read("FIND User THATS").expect_err("there is no such word");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "BAD_QUERY"));
    assert_eq!(error.diagnostics().len(), 1);
    let query = read("FIND User").expect("a query");
    let rows = asked(|context| {
        let found = QueryFindings::ask(context, &query).expect("an answer");
        let notes = found.notes(context, &query).expect("notes");
        json!(found.document(&notes))["data"].as_array().map(Vec::len)
    });
    assert_eq!(rows, Some(2));
}
