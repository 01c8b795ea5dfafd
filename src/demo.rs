//! A small company to try the program on: five scopes, some three hundred entities, and the rows
//! that four mapping files turn into edges between the scopes.
//!
//! Everything is made in memory from tables and a seeded generator, so the same program always
//! makes the same bytes. Names, teams and dependencies stand in tables, because they must be
//! believable; serial numbers, versions and dates come from the generator, because nobody reads
//! them twice. Each scope draws from a stream of its own: a change in one moves no other.
//!
//! The input of a mapping also holds a few rows that cannot link (a laptop that was never
//! enrolled, a bucket that is gone), as real exports do.

mod aws;
mod cmdb;
mod github;
mod jamf;
mod okta;
mod rng;
mod rows;
mod scope_file;

/// The demo company: the uploads of its collectors, and the input of its mapping files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoCompany {
    /// One file a scope, each complete for a DIFF job.
    pub files: Vec<DemoFile>,
    /// The rows of the mappings: path below `mappings/`, and the text of the file.
    pub mapping_inputs: Vec<(&'static str, String)>,
}

/// The upload of one collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoFile {
    /// The name of the file, e.g. `okta.ndjson`.
    pub name: &'static str,
    /// The scope that owns every object of the file, e.g. `okta`.
    pub scope: &'static str,
    /// One JSON object a line, entities before relationships.
    pub text: String,
}

/// The mapping files of the demo: path below `mappings/`, and the text of the file.
///
/// They are the files of the repository, so people read the files that run.
pub const MAPPINGS: [(&str, &str); 4] = [
    ("okta-jamf-ownership.toml", include_str!("../mappings/okta-jamf-ownership.toml")),
    ("repo-deployment-edges.toml", include_str!("../mappings/repo-deployment-edges.toml")),
    ("app-iam-assumption.toml", include_str!("../mappings/app-iam-assumption.toml")),
    ("okta-aws-access.toml", include_str!("../mappings/okta-aws-access.toml")),
];

/// Makes the company. Every call returns the same bytes.
pub fn company() -> DemoCompany {
    // Made once: Jamf and the inventory have to agree on the serial numbers.
    let laptops = jamf::laptops();
    DemoCompany {
        files: vec![okta::file(), jamf::file(&laptops), github::file(), aws::file(), cmdb::file()],
        mapping_inputs: vec![
            ("data/inventory.csv", rows::inventory(&laptops)),
            ("data/deployments.ndjson", rows::deployments()),
            ("data/app-roles.csv", rows::app_roles()),
            ("data/aws-access.csv", rows::aws_access()),
        ],
    }
}

#[cfg(test)]
mod tests;
