//! A collector: it reports all that it sees of one system, and the job finds out what is new.

use std::error::Error;
use tombolo::{Database, DraftEntity, DraftRelationship, JobStatus};

/// A group of the system, with the logins of its members.
struct Group {
    name: &'static str,
    members: Vec<String>,
}

/// Reports the system. Nothing here asks what the graph knows already.
fn collect(database: &Database, groups: &[Group]) -> Result<JobStatus, Box<dyn Error>> {
    let users = groups.iter().flat_map(|group| &group.members).map(|login| {
        DraftEntity::new(format!("user:{login}"), "okta_user", "User").property("login", &**login)
    });
    let entities = groups
        .iter()
        .map(|group| DraftEntity::new(format!("group:{}", group.name), "okta_group", "UserGroup"));
    let members = groups.iter().flat_map(|group| {
        let from = format!("group:{}", group.name);
        group.members.iter().map(move |login| {
            DraftRelationship::new(from.clone(), "HAS", format!("user:{login}"))
                .with_type("okta_group_has_user")
        })
    });
    let report = database
        .job("okta")
        .source("api")
        .entities(entities)?
        .entities(users)?
        .relationships(members)?
        .finalize()?;
    let (entities, status) = (&report.entities, report.status);
    println!(
        "{status:?}: {} created, {} updated, {} deleted, {} unchanged",
        entities.created, entities.updated, entities.deleted, entities.unchanged
    );
    for reason in report.held.iter().flat_map(|held| &held.reasons) {
        println!("  held: {reason}");
    }
    Ok(status)
}

pub fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let database = Database::options().create(true).open(folder.path().join("graph.redb"))?;
    let mut groups = [
        Group { name: "sre", members: (0..40).map(|n| format!("sre-{n}")).collect() },
        Group { name: "web", members: vec!["alice".into(), "bob".into()] },
    ];
    assert_eq!(collect(&database, &groups)?, JobStatus::Finished);
    groups[1].members.pop();
    assert_eq!(collect(&database, &groups)?, JobStatus::Finished);
    // A system that answers with nothing would delete a whole scope. The guard holds such a job.
    groups[0].members.clear();
    assert_eq!(collect(&database, &groups)?, JobStatus::Held);
    assert!(database.query("FIND User").rows()?.len() > 40);
    Ok(())
}
