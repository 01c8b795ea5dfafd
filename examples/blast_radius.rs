//! Many questions of one state: a snapshot, shared between threads.

use std::error::Error;
use tombolo::{Database, DraftEntity, DraftRelationship, ImpactState};

pub fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let database = Database::options().create(true).open(folder.path().join("graph.redb"))?;
    database
        .job("aws")
        .entities([
            DraftEntity::new("group:sre", "okta_group", "UserGroup"),
            DraftEntity::new("user:alice", "okta_user", "User"),
            DraftEntity::new("laptop-001", "laptop", "Device"),
            DraftEntity::new("role:admin", "aws_role", "AccessRole"),
            DraftEntity::new("bucket:invoices", "aws_bucket", "DataStore"),
        ])?
        .relationships([
            DraftRelationship::new("group:sre", "HAS", "user:alice"),
            DraftRelationship::new("user:alice", "OWNS", "laptop-001"),
            DraftRelationship::new("group:sre", "ASSIGNED", "role:admin"),
            DraftRelationship::new("role:admin", "ALLOWS", "bucket:invoices"),
        ])?
        .finalize()?;

    let snapshot = database.shared_snapshot()?;
    let reached = std::thread::scope(|scope| {
        let ask = |entity: &'static str| {
            let (database, snapshot) = (&database, &snapshot);
            scope.spawn(move || database.blast_radius(entity).on(snapshot).depth(4).run())
        };
        ["group:sre", "user:alice"].map(ask).map(|thread| thread.join())
    });
    for blast in reached {
        let blast = blast.expect("the question does not panic")?;
        println!("{}", blast.roots[0].key);
        for reached in blast.reached() {
            let chain: Vec<String> =
                blast.chain(reached).iter().map(|step| step.to_string()).collect();
            println!("  {} {}   {}", reached.entity.key, reached.state.word(), chain.join(", "));
        }
        let taken = |state| blast.reached().filter(move |reached| reached.state == state).count();
        assert!(taken(ImpactState::Controlled) > 0);
    }
    Ok(())
}
