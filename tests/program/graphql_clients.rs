//! What clients of JupiterOne send about the graph, and what they send about other things: documents
//! with the fields that those clients ask for, at the doors that they knock at.

use crate::http::{JOBS, Server};
use serde_json::{Value as Json, json};

/// Sends one operation as the clients do; gives the whole answer.
fn send(server: &Server, query: &str, variables: Json) -> Json {
    let reply = server.post("/graphql", &json!({ "query": query, "variables": variables }));
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(
        reply.json.get("data").is_some() || reply.json.get("errors").is_some(),
        "{}",
        reply.text
    );
    reply.json
}

/// The answer of an operation that goes well.
#[track_caller]
fn ask(server: &Server, query: &str, variables: Json) -> Json {
    let answer = send(server, query, variables);
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"].clone()
}

/// The error of an operation: its code, its area and its words.
fn refused(server: &Server, query: &str, variables: Json) -> (String, String, String) {
    let answer = send(server, query, variables);
    let error = &answer["errors"][0];
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let more = &error["extensions"];
    (text(&more["code"]), text(&more["area"]), text(&error["message"]))
}

/// Two integrations that have uploaded, and something by hand.
fn world() -> Server {
    let server = Server::start();
    let host = |i: usize| json!({ "_key": format!("h{i:04}"), "_type": "acme_host", "_class": "Host", "n": i });
    for (instance, count) in
        [("11111111-1111-1111-1111-111111111111", 600), ("22222222-2222-2222-2222-222222222222", 2)]
    {
        let create = json!({ "source": "integration-external", "integrationInstanceId": instance });
        let job = server.job(&create);
        let upload = json!({ "entities": (0..count).map(host).collect::<Vec<_>>() });
        server.post(&format!("{job}/upload"), &upload).ok();
        server.post(&format!("{job}/finalize"), &json!({})).ok();
    }
    let raw = json!([{ "name": "default", "rawData": { "from": "source" } }]);
    let user = json!({ "_key": "u", "_type": "acme_user", "_class": ["User"], "email": "a@b.c", "_rawData": raw });
    server.sync("people", &json!({ "entities": [user] }));
    server
}

const QUERY_V2: &str = "query Q($query: String!, $variables: JSON, $cursor: String, $scopeFilters: JSON, \
    $includeDeleted: Boolean, $returnRowMetadata: Boolean, $returnComputedProperties: Boolean) { \
    queryV2(query: $query, variables: $variables, cursor: $cursor, scopeFilters: $scopeFilters, \
    includeDeleted: $includeDeleted, returnRowMetadata: $returnRowMetadata, \
    returnComputedProperties: $returnComputedProperties) { type url correlationId } }";

/// Fetches a deferred answer without headers, as clients poll it.
fn poll(server: &Server, url: &str) -> Json {
    let path = url.split_once(&server.address).expect("our own address").1;
    server.get(path).ok()
}

#[test]
fn query_v2_gives_an_address_whose_pages_hold_every_row_once() {
    let server = world();
    let asked = json!({
        "query": "FIND acme_host WITH n >= {{least}} AS h RETURN h._key AS k, h._scope AS s",
        "variables": { "least": 0 }, "includeDeleted": false, "returnRowMetadata": true,
        "returnComputedProperties": true, "scopeFilters": [],
    });
    let mut rows = Vec::new();
    let mut cursor = json!(null);
    let mut pages = 0;
    loop {
        let mut asked = asked.clone();
        asked["cursor"] = cursor.clone();
        let answer = ask(&server, QUERY_V2, asked)["queryV2"].clone();
        assert_eq!(answer["type"], "deferred");
        assert_eq!(answer["correlationId"].as_str().map(str::len), Some(36), "{answer}");
        let page = poll(&server, answer["url"].as_str().expect("an address"));
        assert_eq!((&page["status"], &page["type"]), (&json!("COMPLETED"), &json!("table")));
        let some = page["data"].as_array().expect("rows");
        assert!(some.len() <= 250);
        rows.extend(some.iter().map(|row| format!("{} {}", row["s"], row["k"])));
        pages += 1;
        match page.get("cursor") {
            Some(next) => cursor = next.clone(),
            // Clients that loop on a null need it to be absent.
            None => break,
        }
    }
    rows.sort();
    rows.dedup();
    assert_eq!((rows.len(), pages), (602, 3));
    let tree = ask(&server, QUERY_V2, json!({ "query": "FIND acme_user RETURN TREE" }));
    let tree = poll(&server, tree["queryV2"]["url"].as_str().expect("an address"));
    assert_eq!(
        (&tree["type"], &tree["data"]["vertices"][0]["entity"]["_key"]),
        (&json!("tree"), &json!("u"))
    );
    let (code, _, words) = refused(&server, QUERY_V2, json!({ "query": "FIND acme_host THAT" }));
    assert_eq!(code, "BAD_QUERY");
    assert!(words.contains("expected a verb") && words.contains("^"), "{words}");
    let (code, ..) = refused(&server, QUERY_V2, json!({ "query": "FIND Host", "cursor": "x" }));
    assert_eq!(code, "BAD_CURSOR");
    let gone = json!({ "query": "FIND Host", "cursor": "f445397d-8491-4a12-806a-04792839abe3:2" });
    assert_eq!(refused(&server, QUERY_V2, gone).0, "CURSOR_EXPIRED");
    let filtered = json!({ "query": "FIND Host", "scopeFilters": [{ "tag.Production": true }] });
    assert_eq!(refused(&server, QUERY_V2, filtered).0, "SCOPE_FILTERS_NOT_SUPPORTED");
}

#[test]
fn query_v1_says_which_request_it_was() {
    let server = world();
    let document = "query ExecuteQuery($query: String!, $includeDeleted: Boolean, $cursor: String) { queryV1( \
        query: $query deferredResponse: DISABLED includeDeleted: $includeDeleted cursor: $cursor ) \
        { type data url totalCount cursor correlationId } }";
    let first = ask(&server, document, json!({ "query": "FIND acme_host" }))["queryV1"].clone();
    assert_eq!((&first["type"], &first["totalCount"]), (&json!("list"), &json!(602)));
    let next = json!({ "query": "FIND acme_host", "cursor": first["cursor"] });
    let second = ask(&server, document, next)["queryV1"].clone();
    for page in [&first, &second] {
        assert_eq!(page["correlationId"].as_str().map(str::len), Some(36), "{page}");
    }
    assert_ne!(first["correlationId"], second["correlationId"]);
}

#[test]
fn the_account_its_counts_and_its_properties_are_told() {
    let server = world();
    let account = "query account { iamGetAccount { accountId accountSubdomain accountName accountOwner status \
        accountType accountLogoUrl __typename } }";
    let headers = [("Content-Type", "application/json"), ("LifeOmic-Account", "acme")];
    let body = json!({ "query": account }).to_string();
    let said = server.call("POST", "/", &headers, body.as_bytes()).ok();
    assert_eq!(said["data"]["iamGetAccount"]["accountId"], "acme");
    let counts =
        ask(&server, "query GetEntityCounts { getEntityCounts { classes types } }", json!({}));
    let expected = json!({ "classes": { "Host": 602, "User": 1 }, "types": { "acme_host": 602, "acme_user": 1 } });
    assert_eq!(counts["getEntityCounts"], expected);
    let names = ask(&server, "query getAllAssetProperties { getAllAssetProperties }", json!({}));
    assert_eq!(names["getAllAssetProperties"], json!(["email", "n"]));
    let user = server.ask("FIND acme_user")[0]["id"].clone();
    let raw = "query GetEntityRawData($entityId: String!, $source: String!) { entityRawDataLegacy(entityId: \
        $entityId, source: $source) { entityId payload { ... on RawDataJSONEntityLegacy { contentType name data } } } }";
    let said = ask(&server, raw, json!({ "entityId": user, "source": "integration-managed" }));
    assert_eq!(said["entityRawDataLegacy"]["payload"][0]["data"], json!({ "from": "source" }));
    let (code, _, words) = refused(&server, raw, json!({ "entityId": "no-uuid", "source": "api" }));
    assert_eq!((code.as_str(), words.as_str()), ("NOT_FOUND", "no object with the id `no-uuid`"));
}

#[test]
fn integrations_are_those_that_uploaded_and_their_jobs() {
    let server = world();
    let list = "query IntegrationInstances($definitionId: String, $cursor: String, $limit: Int, \
        $filter: ListIntegrationInstancesSearchFilter) { integrationInstancesV2(definitionId: $definitionId \
        cursor: $cursor limit: $limit filter: $filter) { instances { ...Lite __typename } pageInfo { endCursor \
        __typename } __typename } } fragment Lite on IntegrationInstanceLite { id name accountId \
        sourceIntegrationInstanceId pollingInterval pollingIntervalCronExpression { hour dayOfWeek __typename } \
        integrationDefinitionId description config instanceRelationship resourceGroupId createdOn createdBy \
        updatedOn updatedBy mostRecentJob { status hasSkippedSteps createDate __typename } __typename }";
    let first =
        ask(&server, list, json!({ "limit": 1, "filter": {} }))["integrationInstancesV2"].clone();
    assert_eq!(first["instances"][0]["id"], "11111111-1111-1111-1111-111111111111");
    assert_eq!(first["instances"][0]["mostRecentJob"]["status"], "COMPLETED");
    let next = json!({ "limit": 1, "cursor": first["pageInfo"]["endCursor"] });
    let second = ask(&server, list, next)["integrationInstancesV2"].clone();
    assert_eq!(second["instances"][0]["id"], "22222222-2222-2222-2222-222222222222");
    assert_eq!(second["pageInfo"]["endCursor"], json!(null));
    assert_eq!(refused(&server, list, json!({ "cursor": "9" })).0, "BAD_CURSOR");
    assert_eq!(refused(&server, list, json!({ "filter": { "x": 1 } })).0, "BAD_FILTER");
    let old = "query ListIntegrationInstances($definitionId: String, $cursor: String) { integrationInstances( \
        definitionId: $definitionId, cursor: $cursor) { instances { accountId config description id \
        integrationDefinitionId name pollingInterval pollingIntervalCronExpression { hour dayOfWeek } } \
        pageInfo { endCursor hasNextPage } } }";
    let all = ask(&server, old, json!({}))["integrationInstances"].clone();
    assert_eq!(all["instances"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["pageInfo"], json!({ "endCursor": null, "hasNextPage": false }));
    let jobs = "query IntegrationJobs($status: IntegrationJobStatus, $integrationInstanceId: String, \
        $integrationDefinitionId: String, $integrationInstanceIds: [String], $cursor: String, $size: Int) { \
        integrationJobs(status: $status integrationInstanceId: $integrationInstanceId integrationDefinitionId: \
        $integrationDefinitionId integrationInstanceIds: $integrationInstanceIds cursor: $cursor size: $size) { \
        jobs { id status integrationInstanceId createDate endDate hasSkippedSteps integrationInstance { id name } \
        integrationDefinition { id title integrationType } } pageInfo { endCursor } } }";
    let of = "22222222-2222-2222-2222-222222222222";
    let found = ask(&server, jobs, json!({ "integrationInstanceId": of, "status": "COMPLETED" }))["integrationJobs"]["jobs"].clone();
    assert_eq!(
        (found.as_array().map(Vec::len), &found[0]["integrationInstanceId"]),
        (Some(1), &json!(of))
    );
    assert_eq!(
        ask(&server, jobs, json!({ "status": "FAILED" }))["integrationJobs"]["jobs"],
        json!([])
    );
    let one = "query IntegrationJob($id: ID!, $of: String!) { integrationJob(id: $id, integrationInstanceId: $of) \
        { id status } }";
    let asked = json!({ "id": found[0]["id"], "of": of });
    assert_eq!(ask(&server, one, asked)["integrationJob"]["status"], "COMPLETED");
    assert_eq!(refused(&server, one, json!({ "id": "x", "of": of })).0, "JOB_NOT_FOUND");
    let instance = "query I($id: String!) { integrationInstance(id: $id) { id name pollingInterval offsiteComplete \
        integrationDefinition { name integrationType } jobs { jobs { id status } } collectorPoolId \
        ingestionSourcesOverrides { ingestionSourceId enabled } config } }";
    let said = ask(&server, instance, json!({ "id": of }))["integrationInstance"].clone();
    assert_eq!(said["jobs"]["jobs"][0]["id"], found[0]["id"]);
    assert_eq!(refused(&server, instance, json!({ "id": "nobody" })).0, "NOT_FOUND");
}

#[test]
fn what_is_outside_a_graph_store_is_said_so_with_one_code() {
    let server = world();
    for (document, expected) in [
        ("query D { getDashboards(options: { includeAll: true }) { id name } }", "dashboards"),
        (
            "mutation M($input: CreateInsightsDashboardInput!) { createDashboard(input: $input) { id } }",
            "dashboards",
        ),
        (
            "query A($s: AlertStatus) { listAlertInstances(alertStatus: $s) { instances { id } } }",
            "rules and alerts",
        ),
        (
            "query R { listRuleInstances { questionInstances { ...F } } } fragment F on QuestionRuleInstance { id }",
            "rules and alerts",
        ),
        ("mutation E($id: ID!) { evaluateRuleInstance(id: $id) { id } }", "rules and alerts"),
        ("query Q($id: ID!) { question(id: $id) { id } }", "questions kept in an account"),
        ("query C($i: X!) { complianceFrameworkItem(input: $i) { id } }", "compliance"),
        (
            "query G { iamGetGroupList(limit: 10) { items { id } } }",
            "users, groups and their rights",
        ),
        (
            "mutation I($e: String!) { invite(input: { email: $e }) { id } }",
            "users, groups and their rights",
        ),
        (
            "mutation U($id: ID!) { updateInvitation(input: { invitationId: $id, status: REVOKED }) { id } }",
            "users, groups and their rights",
        ),
        (
            "query GetInvitations { iamGetAccount { accountInvitations { items { id } } } }",
            "users, groups and their rights",
        ),
        ("query P($n: String!) { parameter(name: $n) { name value } }", "parameters of an account"),
        (
            "mutation S($input: CreateSmartClassInput!) { createSmartClass(input: $input) { id } }",
            "smart classes kept in an account",
        ),
        (
            "query D { integrationDefinitions { definitions { id } } }",
            "the running of integrations",
        ),
        (
            "mutation V($id: String!) { invokeIntegrationInstance(id: $id) { success } }",
            "the running of integrations",
        ),
    ] {
        let (code, area, words) = refused(&server, document, json!({}));
        assert_eq!(
            (code.as_str(), area.as_str()),
            ("OUTSIDE_GRAPH_STORE", expected),
            "{document}: {words}"
        );
        assert!(words.contains("which this graph store does not have"), "{words}");
    }
    // Only the operation is known, and one of several in a request.
    let many = json!([
        { "operationName": "GetDashboards" },
        { "query": "{ queryV1(query: \"FIND acme_user\") { type } }" },
        { "query": "query ListAlerts { somethingNew { id } }", "operationName": "ListAlerts" },
    ]);
    let said = server.post("/graphql", &many).ok();
    let codes: Vec<&Json> = (0..3).map(|at| &said[at]["errors"][0]["extensions"]["code"]).collect();
    assert_eq!(codes, [&json!("OUTSIDE_GRAPH_STORE"), &json!(null), &json!("OUTSIDE_GRAPH_STORE")]);
    // A mistake in a question of ours is told as what it is.
    let (code, _, words) =
        refused(&server, "query FindUsers { queryV1(nope: 1) { type } }", json!({}));
    assert!(code.is_empty() && words.contains("queryV1"), "{code} {words}");
}

#[test]
fn a_bulk_delete_without_a_scope_and_with_unknown_ids_works_as_the_node_client_sends_it() {
    let server = world();
    let user = server.ask("FIND acme_user")[0]["id"].clone();
    let job = server.job(&json!({ "source": "api", "syncMode": "CREATE_OR_UPDATE" }));
    let body = json!({ "deleteEntities": [{ "_id": user }, { "_id": "not-a-uuid" }], "deleteRelationships": [{ "_id": "nor-this" }] });
    server.post(&format!("{job}/upload"), &body).ok();
    let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
    assert_eq!(
        (&done["job"]["status"], &done["job"]["numEntitiesDeleted"]),
        (&json!("FINISHED"), &json!(1))
    );
    assert_eq!(server.ask("FIND acme_user"), json!([]));
    let delete =
        "mutation D($id: String!) { deleteEntityV2(entityId: $id, hardDelete: true) { entity } }";
    assert_eq!(refused(&server, delete, json!({ "id": "not-a-uuid" })).0, "NOT_FOUND");
    assert!(server.get(JOBS).status >= 400, "there is no list of jobs there");
}
