//! Every sentence of the original CROSS_SCOPE page, through the command line.

use crate::cli::{Said, World, entity};
use serde_json::json;

/// The upload of the page's first example, as printed there.
const OWNS: &str = r#"{"relationships":[{"_key":"okta-user:alice|owns|jamf-device:laptop-001","_type":"user_owns_device","_class":"OWNS","_fromEntityKey":"okta-user:alice","_toEntityKey":"jamf-device:laptop-001","_fromEntityScope":"okta-instance-id","_toEntityScope":"jamf-instance-id"}]}"#;

const SCOPE: &str = "okta-jamf-ownership";

/// Alice in Okta, her laptop in Jamf, each owned by its own integration.
fn islands() -> World {
    let world = World::new();
    let okta = concat!(
        r#"{"_key":"okta-user:alice","_type":"okta_user","_class":"User"}"#,
        "\n",
        r#"{"_key":"okta-group:sre","_type":"okta_group","_class":"UserGroup"}"#,
        "\n",
        r#"{"_key":"sre|has|alice","_type":"group_has_user","_class":"HAS","_fromEntityKey":"okta-group:sre","_toEntityKey":"okta-user:alice"}"#,
    );
    world.sync("okta-instance-id", "diff", okta).ok();
    let jamf = r#"{"_key":"jamf-device:laptop-001","_type":"laptop","_class":"Device"}"#;
    world.sync("jamf-instance-id", "diff", jamf).ok();
    world
}

fn cross(world: &World, document: &str) -> Said {
    world.write("upload.json", document);
    let mode = ["--mode", "CROSS_SCOPE", "--source", "api"];
    let mut arguments = vec!["sync", "--scope", SCOPE, "-o", "json"];
    arguments.extend(mode);
    arguments.push("upload.json");
    world.run(&arguments)
}

fn edge(change: impl Fn(&mut serde_json::Value)) -> String {
    let mut document: serde_json::Value = serde_json::from_str(OWNS).unwrap();
    change(&mut document["relationships"][0]);
    document.to_string()
}

#[test]
fn cross_scope_is_the_bridge_between_scopes_that_do_not_own_both_ends() {
    let world = islands();
    let report = cross(&world, OWNS).ok().json();
    assert_eq!(report["syncMode"], "CROSS_SCOPE");
    assert_eq!(report["relationships"]["created"], 1);
    assert_eq!(report["status"], "FINISHED");
}

#[test]
fn every_laptop_assigned_to_a_member_of_the_sre_okta_group() {
    let world = islands();
    cross(&world, OWNS).ok();
    let said = world.run(&["blast-radius", "okta-group:sre", "--class", "Device", "-o", "json"]);
    let answer = said.ok().json();
    assert_eq!(answer["reached"][0]["_key"], "jamf-device:laptop-001");
    assert_eq!(answer["reached"][0]["distance"], 2);
}

#[test]
fn it_never_creates_or_deletes_entities() {
    let world = islands();
    let report = cross(&world, OWNS).ok().json();
    assert_eq!(
        report["entities"],
        json!({"uploaded":0,"created":0,"updated":0,"deleted":0,"unchanged":0,"skipped":0})
    );
    world.run(&["get", "okta-instance-id::okta-user:alice"]).ok();
    world.run(&["get", "jamf-instance-id::jamf-device:laptop-001"]).ok();
}

#[test]
fn entities_are_rejected() {
    let world = islands();
    let before = world.dump();
    cross(&world, &format!(r#"{{"entities":[{}]}}"#, entity("x").trim()))
        .refused(2, "Entities cannot be uploaded in CROSS_SCOPE mode");
    assert_eq!(world.dump(), before);
}

#[test]
fn the_related_entities_must_live_outside_the_jobs_scope() {
    let world = islands();
    for end in ["_fromEntityScope", "_toEntityScope"] {
        cross(&world, &edge(|e| e[end] = json!(SCOPE)))
            .refused(2, "equals the sync job's scope")
            .refused(2, end)
            .refused(2, "okta-user:alice|owns|jamf-device:laptop-001");
    }
}

#[test]
fn the_two_entity_scopes_can_equal_each_other() {
    let world = islands();
    let same = edge(|e| {
        e["_toEntityScope"] = json!("okta-instance-id");
        e["_toEntityKey"] = json!("okta-group:sre");
    });
    assert_eq!(cross(&world, &same).ok().json()["relationships"]["created"], 1);
}

#[test]
fn same_scope_relationships_are_rejected_where_asked_for() {
    let world = islands();
    let same = edge(|e| {
        e["_toEntityScope"] = json!("okta-instance-id");
        e["_toEntityKey"] = json!("okta-group:sre");
    });
    world.write("upload.json", same);
    let mode = ["--mode", "cross-scope", "--same-scope", "reject", "upload.json"];
    world
        .run(&[&["sync", "--scope", SCOPE], &mode[..]].concat())
        .refused(2, "Same-scope relationships rejected");
}

#[test]
fn source_must_be_api() {
    let world = islands();
    world.write("upload.json", OWNS);
    let source = ["--source", "integration-managed", "upload.json"];
    world
        .run(&[&["sync", "--scope", SCOPE, "--mode", "cross-scope"], &source[..]].concat())
        .refused(2, "`source` must be api");
}

#[test]
fn from_and_to_entity_scope_are_required() {
    let world = islands();
    for end in ["_fromEntityScope", "_toEntityScope"] {
        let without = edge(|e| {
            e.as_object_mut().unwrap().remove(end);
        });
        cross(&world, &without).refused(2, &format!("need `{end}`"));
    }
}

#[test]
fn entities_can_be_referenced_by_key_or_by_id() {
    let world = islands();
    let id =
        |name: &str| world.run(&["get", name, "-o", "json"]).ok().json()["entity"]["_id"].clone();
    let (alice, laptop) = (id("okta-user:alice"), id("jamf-device:laptop-001"));
    assert!(alice.is_string() && laptop.is_string());
    let by_id = edge(|e| {
        let members = e.as_object_mut().unwrap();
        members.remove("_fromEntityKey");
        members.remove("_toEntityKey");
        members.insert("_fromEntityId".into(), alice.clone());
        members.insert("_toEntityId".into(), laptop.clone());
    });
    assert_eq!(cross(&world, &by_id).ok().json()["relationships"]["created"], 1);
    // The same edge by key is the same edge.
    assert_eq!(cross(&world, OWNS).ok().json()["relationships"]["unchanged"], 1);
}

#[test]
fn where_key_and_id_are_both_given_they_must_agree() {
    let world = islands();
    let wrong = edge(|e| e["_fromEntityId"] = json!("00000000-0000-5000-8000-000000000000"));
    cross(&world, &wrong).refused(2, "where both are given they must agree");
}

#[test]
fn a_relationship_whose_entity_is_missing_is_not_created() {
    let world = islands();
    let report =
        cross(&world, &edge(|e| e["_toEntityKey"] = json!("jamf-device:gone"))).ok().json();
    assert_eq!(report["relationships"]["created"], 0);
    assert_eq!(report["relationships"]["skipped"], 1);
    let reason = report["skipped"][0]["reason"].as_str().unwrap().to_owned();
    assert_eq!(reason, "`to` entity `jamf-device:gone` in scope `jamf-instance-id` was never seen");
}

#[test]
fn the_reason_names_other_scopes_that_hold_the_key() {
    let world = islands();
    let other = edge(|e| e["_toEntityScope"] = json!("jamf-eu"));
    let report = cross(&world, &other).ok().json();
    let reason = report["skipped"][0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.ends_with("the same key lives in scope `jamf-instance-id`"), "{reason}");
}

#[test]
fn a_relationship_whose_entity_was_soft_deleted_is_not_created() {
    let world = islands();
    let jamf = r#"{"_key":"jamf-device:laptop-002","_type":"laptop","_class":"Device"}"#;
    world.sync("jamf-instance-id", "diff", jamf).ok();
    let report = cross(&world, OWNS).ok().json();
    let reason = report["skipped"][0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("was soft-deleted at 20") && reason.contains("by job"), "{reason}");
    assert_eq!(report["relationships"]["created"], 0);
}

#[test]
fn relationships_not_in_the_new_upload_are_deleted() {
    let world = islands();
    cross(&world, OWNS).ok();
    let other = edge(|e| e["_key"] = json!("another"));
    let report = cross(&world, &other).ok().json();
    assert_eq!(report["relationships"]["created"], 1);
    assert_eq!(report["relationships"]["deleted"], 1);
}

#[test]
fn it_behaves_like_diff_for_its_own_scope_and_touches_no_other() {
    let world = islands();
    cross(&world, OWNS).ok();
    let changed = edge(|e| e["note"] = json!("assigned"));
    assert_eq!(cross(&world, &changed).ok().json()["relationships"]["updated"], 1);
    let again = cross(&world, &changed).ok().json();
    assert_eq!(again["relationships"]["unchanged"], 1);
    assert!(world.dump().contains("sre|has|alice"), "the edge of another scope stays");
}

#[test]
fn edges_that_went_with_an_entity_come_back_when_their_job_runs_again() {
    let world = islands();
    cross(&world, OWNS).ok();
    let jamf = r#"{"_key":"jamf-device:laptop-002","_type":"laptop","_class":"Device"}"#;
    let report = world.sync("jamf-instance-id", "diff", jamf).ok().json();
    assert_eq!(report["foreignDeletions"][SCOPE], 1, "{report}");
    let jamf = r#"{"_key":"jamf-device:laptop-001","_type":"laptop","_class":"Device"}"#;
    world.sync("jamf-instance-id", "diff", jamf).ok();
    assert!(!world.dump().contains("user_owns_device"));
    assert_eq!(cross(&world, OWNS).ok().json()["relationships"]["created"], 1);
    world.run(&["verify"]).ok();
}

#[test]
fn which_repository_deploys_this_bucket() {
    let world = World::new();
    let repo = r#"{"_key":"github-repo:platform-api","_type":"github_repo","_class":"CodeRepo"}"#;
    world.sync("github-instance-id", "diff", repo).ok();
    let bucket =
        r#"{"_key":"s3-bucket:platform-assets","_type":"aws_s3_bucket","_class":"DataStore"}"#;
    world.sync("aws-instance-id", "diff", bucket).ok();
    let deploys = r#"{"_key":"github-repo:platform-api|deploys|s3-bucket:platform-assets","_type":"repo_deploys_bucket","_class":"DEPLOYS","_fromEntityKey":"github-repo:platform-api","_toEntityKey":"s3-bucket:platform-assets","_fromEntityScope":"github-instance-id","_toEntityScope":"aws-instance-id"}"#;
    world.sync("repo-deployment-edges", "cross-scope", deploys).ok();
    let answer = world
        .run(&[
            "blast-radius",
            "s3-bucket:platform-assets",
            "--direction",
            "in",
            "--verb",
            "DEPLOYS",
            "-o",
            "json",
        ])
        .ok()
        .json();
    assert_eq!(answer["reached"][0]["_key"], "github-repo:platform-api");
    assert_eq!(
        answer["reached"][0]["via"]["relationship"]["_key"],
        "github-repo:platform-api|deploys|s3-bucket:platform-assets"
    );
}
