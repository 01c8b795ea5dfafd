//! A mapping file: it is planned, looked at, and applied exactly as planned.

use std::error::Error;
use tombolo::{Database, DraftEntity, RelationshipAction};

const OWNERS: &str = r#"
scope        = "okta-jamf-ownership"
rows         = { file = "inventory.csv" }
relationship = { class = "OWNS", type = "user_owns_device" }
from         = { scope = "okta", key = "user:{row.login}" }
to           = { scope = "jamf", key = "device:{row.device}" }
"#;

pub fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let database = Database::options().create(true).open(folder.path().join("graph.redb"))?;
    let users = ["user:alice", "user:bob"].map(|key| DraftEntity::new(key, "okta_user", "User"));
    database.job("okta").entities(users)?.finalize()?;
    let laptops = ["device:a", "device:b"].map(|key| DraftEntity::new(key, "laptop", "Device"));
    database.job("jamf").entities(laptops)?.finalize()?;

    let file = folder.path().join("owners.toml");
    std::fs::write(&file, OWNERS)?;
    std::fs::write(folder.path().join("inventory.csv"), "login,device\nalice,a\nbob,b\n")?;

    let plan = database.mapping(&file)?.plan()?;
    for change in plan.relationships()? {
        assert_eq!(change.action, RelationshipAction::Create);
        println!("+ {} {} {}", change.from, change.class, change.to);
    }
    let report = plan.apply()?;
    assert_eq!(report.relationships.created, 2);

    // A plan is for one state of the graph. A mistake in the file points at its place.
    std::fs::write(&file, OWNERS.replace("row.login", "row.logn"))?;
    match database.mapping(&file).and_then(|mapping| mapping.plan().map(drop)) {
        Err(tombolo::Error::Mapping(faults)) => println!("{}", faults[0].plain()),
        other => panic!("the column does not exist: {other:?}"),
    }
    Ok(())
}
