//! A program with a graph inside: it opens a file, loads two scopes, bridges them, and asks.

use std::error::Error;
use tombolo::{Database, DraftEntity};

const BRIDGE: &str = r#"
scope        = "okta-jamf"
join         = "email(from.email) = email(to.user)"
relationship = { class = "OWNS", type = "user_owns_device" }
from         = { scope = "okta", type = "okta_user" }
to           = { scope = "jamf", type = "jamf_computer" }
"#;

pub fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let database = Database::options().create(true).open(folder.path().join("graph.redb"))?;

    let people = ["alice", "bob"].map(|name| {
        let mail = format!("{name}@example.com");
        DraftEntity::new(name, "okta_user", "User").property("email", mail)
    });
    database.job("okta").entities(people)?.finalize()?;
    let laptop = DraftEntity::new("laptop-001", "jamf_computer", "Device");
    database.job("jamf").entities([laptop.property("user", "Alice@Example.com")])?.finalize()?;

    let file = folder.path().join("okta-jamf.toml");
    std::fs::write(&file, BRIDGE)?;
    let report = database.mapping(&file)?.apply()?;
    assert_eq!(report.relationships.created, 1);

    for row in
        database.query("FIND User AS u THAT OWNS Device AS d RETURN u._key, d._key").rows()?
    {
        println!("{}", serde_json::to_string(&row)?);
    }
    let owners = database.owners("laptop-001").run()?;
    assert_eq!(owners.owners[0].entity.key, "alice");
    Ok(())
}
