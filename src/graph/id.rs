//! The `_id` of entities and relationships: a version 5 UUID of (kind, scope, `_key`).
//!
//! The same object has the same `_id` on every machine and in every rebuild, so an entity that
//! comes back gets its old `_id`, and the store can find an object by `_id` without an index of
//! its own: the identity table is sorted by it.

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The kind of an object: entity or relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum ObjectKind {
    /// A node of the graph.
    Entity = 0,
    /// A directed edge of the graph.
    Relationship = 1,
}

impl ObjectKind {
    /// The plural noun that reports use.
    pub const fn plural(self) -> &'static str {
        match self {
            ObjectKind::Entity => "entities",
            ObjectKind::Relationship => "relationships",
        }
    }
}

/// The namespace of our ids: the version 5 UUID of `tombolo` in the DNS namespace of RFC 9562.
const NAMESPACE: Uuid = Uuid::from_u128(0x18d7_26e8_40bf_5ee9_be41_bb71_8a44_9afd);

/// Letters at the end of an id by which people may name it. The first letters of an id do not
/// serve: those of a job are a time, which the jobs of one day share.
pub const SHORT_ID: usize = 8;

/// The global `_id` of an entity or relationship.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Uuid", from = "Uuid")]
pub struct ObjectId(pub [u8; 16]);

impl Ord for ObjectId {
    /// The order of the bytes, compared as one number.
    fn cmp(&self, other: &ObjectId) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for ObjectId {
    fn partial_cmp(&self, other: &ObjectId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for ObjectId {
    /// An id is a hash already; its first half is enough.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// A 64-bit hash of an `_id`, keyed by the secret of a database. The store finds objects by it.
///
/// It is half as long as the `_id`, which is made from scope and key whenever it is needed. Nobody
/// without the secret can prepare two keys with one hash. By chance, two of a hundred million
/// objects in one scope have the same hash in one of four thousand databases; the upload of the
/// second is then refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdHash(pub u64);

impl From<Uuid> for ObjectId {
    fn from(id: Uuid) -> ObjectId {
        ObjectId(id.into_bytes())
    }
}

impl From<ObjectId> for Uuid {
    fn from(id: ObjectId) -> Uuid {
        Uuid::from_bytes(id.0)
    }
}

impl ObjectId {
    /// The id of the object with `key` in `scope`.
    ///
    /// The hashed name is the kind as one byte (`e` or `r`), the scope, a NUL and the key; neither
    /// scope nor key can hold a NUL, so different objects have different names.
    pub fn new(kind: ObjectKind, scope: &str, key: &str) -> ObjectId {
        let letter = match kind {
            ObjectKind::Entity => b'e',
            ObjectKind::Relationship => b'r',
        };
        let bytes = sha1_start(letter, scope.as_bytes(), key.as_bytes());
        ObjectId(uuid::Builder::from_sha1_bytes(bytes).into_uuid().into_bytes())
    }

    /// Its hash in the database with this secret.
    pub fn hashed(&self, seed: u64) -> IdHash {
        // All ones stand for "no bound" in the file.
        IdHash(xxh3_64_with_seed(&self.0, seed).min(u64::MAX - 1))
    }

    /// True if its text ends with `end`: at least [`SHORT_ID`] letters, in either case.
    pub fn ends_with(&self, end: &str) -> bool {
        let text = self.to_string();
        let start = text.len().checked_sub(end.len()).filter(|_| end.len() >= SHORT_ID);
        start.is_some_and(|start| text.as_bytes()[start..].eq_ignore_ascii_case(end.as_bytes()))
    }

    /// Reads the usual text form of a UUID.
    pub fn parse(text: &str) -> Option<ObjectId> {
        Uuid::try_parse(text).ok().map(|id| ObjectId(id.into_bytes()))
    }
}

/// The first 16 bytes of the SHA-1 of namespace, letter, scope, NUL and key.
fn sha1_start(letter: u8, scope: &[u8], key: &[u8]) -> [u8; 16] {
    const START: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    const FIRST: usize = 17;
    let (scope_end, len) = (FIRST + scope.len(), FIRST + scope.len() + 1 + key.len());
    let mut first = [letter; FIRST];
    first[..16].copy_from_slice(NAMESPACE.as_bytes());
    let mut out = [0; 16];
    // Names are short and there are millions of them: two blocks need no hasher that buffers.
    let mut buffer = [0; 128];
    if len + 9 > buffer.len() {
        let parts = [&first, scope, &[0], key];
        let hasher = parts.iter().fold(Sha1::new(), |hasher, part| hasher.chain_update(part));
        out.copy_from_slice(&hasher.finalize()[..16]);
        return out;
    }
    buffer[..FIRST].copy_from_slice(&first);
    buffer[FIRST..scope_end].copy_from_slice(scope);
    buffer[scope_end + 1..len].copy_from_slice(key);
    // The padding of SHA-1: a one bit, zeros, and the length in bits.
    buffer[len] = 0x80;
    let used = if len + 9 <= 64 { 64 } else { 128 };
    buffer[used - 8..used].copy_from_slice(&(8 * len as u64).to_be_bytes());
    let mut state = START;
    sha1::block_api::compress(&mut state, buffer[..used].as_chunks().0);
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_object_never_changes() {
        let id = ObjectId::new(ObjectKind::Entity, "okta", "okta-user:alice");
        assert_eq!(id.to_string(), "a0338329-e119-5ff1-9fa9-a9b1cc322dc0");
        assert_eq!(Uuid::from_bytes(id.0).get_version_num(), 5);
        assert_eq!(ObjectId::parse(&id.to_string()), Some(id));
    }

    #[test]
    fn an_id_is_named_by_its_end() {
        let id = ObjectId::new(ObjectKind::Entity, "okta", "okta-user:alice");
        for end in ["22dc0", "1CC322DC0", "c322dc0", "a9b1cc322dc0", &id.to_string()] {
            assert_eq!(id.ends_with(end), end.len() >= SHORT_ID, "{end}");
        }
        assert!(!id.ends_with("a0338329") && !id.ends_with("é322dc0é"));
    }

    #[test]
    fn kind_scope_and_key_each_make_a_difference() {
        let id = ObjectId::new(ObjectKind::Entity, "ab", "c");
        assert_ne!(id, ObjectId::new(ObjectKind::Entity, "a", "bc"));
        assert_ne!(id, ObjectId::new(ObjectKind::Relationship, "ab", "c"));
    }

    #[test]
    fn the_hash_agrees_with_the_uuid_library() {
        for len in 1..200 {
            let key = "k".repeat(len);
            let theirs = Uuid::new_v5(&NAMESPACE, format!("eokta\0{key}").as_bytes());
            assert_eq!(ObjectId::new(ObjectKind::Entity, "okta", &key).0, theirs.into_bytes());
        }
    }
}
