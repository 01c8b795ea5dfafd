//! Tombolo is an embedded graph database of scoped entities. A program opens one file, writes what its
//! collectors found, bridges the scopes with mapping files, and asks what a compromised thing reaches and
//! who owns it.
//!
//! Each collector owns a *scope* and reconciles it by *jobs*: an upload is compared with what is stored,
//! and the difference is one commit. Relationships between scopes belong to a scope of their own.
//!
//! # Which laptops does a group reach?
//!
//! ```
//! use tombolo::{Database, DraftEnd, DraftEntity, DraftRelationship, SyncMode};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("graph.redb");
//! let database = Database::options().create(true).open(&path)?;
//!
//! // Okta knows users and groups, Jamf knows laptops: a scope each.
//! database
//!     .job("okta")
//!     .entities([
//!         DraftEntity::new("okta-group:sre", "okta_group", "UserGroup"),
//!         DraftEntity::new("okta-user:alice", "okta_user", "User"),
//!     ])?
//!     .relationships([DraftRelationship::new("okta-group:sre", "HAS", "okta-user:alice")])?
//!     .finalize()?;
//! database
//!     .job("jamf")
//!     .entities([DraftEntity::new("laptop-001", "jamf_computer", "Device")
//!         .property("serialNumber", "C02XYZ1A")])?
//!     .finalize()?;
//!
//! // Who has which laptop is known to neither, so the relationship lies in a scope of its own.
//! let alice = DraftEnd::in_scope("okta", "okta-user:alice");
//! let laptop = DraftEnd::in_scope("jamf", "laptop-001");
//! database
//!     .job("okta-jamf")
//!     .mode(SyncMode::CrossScope)
//!     .relationships([DraftRelationship::new(alice, "OWNS", laptop)])?
//!     .finalize()?;
//!
//! let rows = database
//!     .query("FIND UserGroup WITH _key = {{group}} THAT HAS User THAT OWNS Device AS d RETURN d.serialNumber")
//!     .param("group", "okta-group:sre")
//!     .rows()?;
//! assert_eq!(rows[0].text("d.serialNumber"), Some("C02XYZ1A"));
//!
//! let blast = database.blast_radius("okta-group:sre").class("Device").run()?;
//! let laptops: Vec<&str> = blast.reached().map(|reached| reached.entity.key.as_str()).collect();
//! assert_eq!(laptops, ["laptop-001"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to begin
//!
//! | to | call |
//! | --- | --- |
//! | open a file | [`Database::options`] |
//! | write a scope | [`Database::job`], with [`DraftEntity`] and [`DraftRelationship`] |
//! | change single objects | [`Database::job`] with [`SyncMode::Patch`] or [`SyncMode::CreateOrUpdate`] |
//! | decide on a job that its guard holds | [`Database::approve`], [`Database::abort`] |
//! | take a job back | [`Database::undo`] |
//! | run a mapping file | [`Database::mapping`] |
//! | ask what an entity reaches | [`Database::blast_radius`] |
//! | ask who owns it | [`Database::owners`] |
//! | ask how one reaches another | [`Database::path`] |
//! | ask anything else, in J1QL | [`Database::query`] |
//! | ask many questions of one state | [`Database::snapshot`], and `on(&snapshot)` of each question |
//! | ask one state from many threads | [`Database::shared_snapshot`] |
//!
//! # Guarantees
//!
//! - A job is one commit: after a crash or a power cut the graph is as before it or as after it.
//! - Nothing is deleted by accident. A job that would delete more than its guard lets pass is HELD, and
//!   changes nothing until somebody approves it. Deletion is soft, and can be undone.
//! - A relationship whose end is missing is listed with the reason; it is never lost silently.
//! - A snapshot does not change while it is read, and a [`SharedSnapshot`] is `Send` and `Sync`. Other
//!   threads and other processes write meanwhile.
//! - Every stored value carries a checksum. Damage is an error, never a wrong answer.
//! - Memory does not grow with an upload, and each question stops at its [`QuestionLimits`].
//! - There is no `unsafe` code in this crate.
//!
//! # Features
//!
//! The library needs none of them: `default-features = false` compiles no command line and no server.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `cli` | the program `tombolo` |
//! | `server` | its commands `serve` and `token` |
//! | `push` | its command `push` |
//! | `mcp` | its command `mcp`, and `/mcp` of the server |
//!
//! All are on by default, for those who build the program.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

// The floors below the facade, from the ground up; `ARCHITECTURE.md` is their map. The program of this
// package is a crate of its own and needs them. Other crates go without: what is hidden may change in
// any version.
#[doc(hidden)]
pub mod answers;
#[doc(hidden)]
pub mod db;
#[doc(hidden)]
pub mod demo;
mod embed;
mod error;
#[doc(hidden)]
pub mod graph;
#[doc(hidden)]
pub mod lang;
#[doc(hidden)]
pub mod limits;
#[doc(hidden)]
pub mod mapping;
#[doc(hidden)]
pub mod picture;
#[doc(hidden)]
pub mod query;
#[doc(hidden)]
pub mod rules;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod sync;
#[doc(hidden)]
pub mod view;

pub use embed::{
    AnswerRow, BlastRadius, BlastRadiusQuestion, ChainStep, DatabaseOptions, EntityOwner,
    JobOptions, JobWriter, MappingFile, MappingFilePlan, OwnerList, OwnersQuestion, PathList,
    PathQuestion, QueryQuestion, QueryRows, QuestionGraph, ReachedEntity,
};
pub use error::{Error, ErrorKind};

#[doc(inline)]
pub use db::{Database, GcReport, RelationshipAction, RelationshipDetails, UndoReport};
#[doc(inline)]
pub use graph::{
    DraftEnd, DraftEntity, DraftRelationship, Entity, EntityHead, ObjectId, ObjectKind,
    ObjectMetadata, Relationship, Value,
};
#[doc(inline)]
pub use lang::{Diagnostic, DiagnosticSeverity, SourceText};
#[doc(inline)]
pub use limits::{LimitError, QuestionLimits};
#[doc(inline)]
pub use rules::{ImpactState, RuleTable};
#[doc(inline)]
pub use store::{SharedSnapshot, Snapshot, StoreError};
#[doc(inline)]
pub use sync::{HoldReport, JobReport, JobStatus, JobTally, SkippedObject, SyncError, SyncMode};
#[doc(inline)]
pub use view::WalkDirection;
