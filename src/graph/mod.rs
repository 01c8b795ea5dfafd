//! The values of the program: names, ids, properties, entities, relationships, drafts, and the
//! traits that read a graph.
//!
//! Nothing here knows of files, jobs or queries. Every other module may use this one; it uses none.

mod draft;
mod id;
mod name;
mod object;
mod origin;
mod read;
mod spelling;
mod value;

pub use draft::{
    DraftEnd, DraftEntity, DraftRelationship, InputLocation, default_relationship_key,
};
pub use id::{IdHash, ObjectId, ObjectKind, SHORT_ID};
pub use name::{InvalidName, NameKind, check_name};
pub use object::{Entity, EntityHead, ObjectMetadata, Relationship};
pub use origin::{ORIGIN, RelationshipOrigin};
pub use read::{
    AdjacencyRead, CLASS_SEPARATOR, EdgeDirection, EntityFacts, GraphRead, IncidentEdge,
    NameLookup, PropertyCell, ScopeCounts,
};
pub use spelling::{fold_name, fold_verb, same_name, same_verb};
pub use value::Value;
