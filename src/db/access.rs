//! Access: the tokens of a database, and whether it is open to callers without one.
//!
//! They lie in the database file, in a row of its own, so they belong to the data and not to a path:
//! a link, another spelling, a renamed file, a copy and a backup all have them. A database that ever
//! had a token stays closed, also without any, until it is opened by name.
//!
//! Earlier versions kept tokens in `<database>.tokens`. [`Database::take_over_tokens`] moves such a
//! file into the database, once.

use super::{AccessRight, Database, Error, RightSet, identity, io};
use crate::store::{DatabaseFile, StoreError, folder_of};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// The beginning of every token, by which scanners for secrets find it.
const PREFIX: &str = "tmb_";

/// Largest file of tokens that is taken over, in bytes: 30,000 of them.
const FILE_MAX: u64 = 16 << 20;

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessToken {
    /// The id by which it is revoked.
    pub id: Uuid,
    /// Its purpose, in words.
    pub name: String,
    /// The rights of its bearer.
    pub rights: Vec<AccessRight>,
    /// The time it was made, in epoch milliseconds.
    pub created_on: i64,
    /// The time it ends, in epoch milliseconds; `None` if it never does.
    pub expires_on: Option<i64>,
    /// SHA-256 of the text, hexadecimal. The text has 256 random bits, so a slow hash would buy
    /// nothing and would cost every request.
    digest: String,
}

impl AccessToken {
    /// True if it has ended.
    pub fn expired(&self, now: i64) -> bool {
        self.expires_on.is_some_and(|end| end <= now)
    }
}

/// The tokens of a database, and whether callers need one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessControl {
    /// True if callers need a token, whatever tokens there are.
    pub closed: bool,
    /// All tokens that were not revoked, expired ones included.
    pub tokens: Vec<AccessToken>,
    /// Digests of the files of tokens that were taken over.
    #[serde(default)]
    taken_over: Vec<String>,
}

impl AccessControl {
    /// The access of a database that is closed to everybody.
    pub fn nobody() -> AccessControl {
        AccessControl { closed: true, ..AccessControl::default() }
    }

    /// Reads the row; a database without one is open.
    pub fn read(row: Option<&[u8]>) -> Result<AccessControl, StoreError> {
        let Some(row) = row else { return Ok(AccessControl::default()) };
        serde_json::from_slice(row).map_err(|e| StoreError::corrupt("access", &[], &e.to_string()))
    }

    /// The rights of the bearer of `text`; `None` for an unknown or expired token.
    pub fn rights_of(&self, text: &str, now: i64) -> Option<RightSet> {
        self.token_of(text, now).map(|token| RightSet(token.rights.clone()))
    }

    /// The token with this text; `None` if it is unknown or expired.
    pub fn token_of(&self, text: &str, now: i64) -> Option<&AccessToken> {
        let given = digest(text.as_bytes());
        let mut found = None;
        // All are compared, so that the time says nothing about which one it is.
        for token in &self.tokens {
            if bool::from(token.digest.as_bytes().ct_eq(given.as_bytes())) && !token.expired(now) {
                found = Some(token);
            }
        }
        found
    }

    /// The token with this id; `None` if it was revoked or has expired.
    pub fn token(&self, id: Uuid, now: i64) -> Option<&AccessToken> {
        self.tokens.iter().find(|token| token.id == id && !token.expired(now))
    }
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Database {
    /// The stored row of tokens, as of now; `None` if there never was one.
    #[doc(hidden)]
    pub fn access_row(&self) -> Result<Option<Vec<u8>>, Error> {
        match &self.injected {
            Some(store) => Ok(store.access()?),
            None => Ok(match &self.reader {
                Some(reader) => reader.ask(&self.path, DatabaseFile::access)?,
                None => DatabaseFile::open_reader(&self.path)?.access()?,
            }),
        }
    }

    /// The tokens and whether callers need one, as of now.
    #[doc(hidden)]
    pub fn access(&self) -> Result<AccessControl, Error> {
        Ok(AccessControl::read(self.access_row()?.as_deref())?)
    }

    /// Changes the tokens, or whether callers need one, in one commit of its own that raises no
    /// revision. It waits for writers in other processes. `None` leaves everything as it is.
    fn edit_access<T>(
        &self,
        edit: impl FnOnce(AccessControl, bool) -> Result<(T, Option<AccessControl>), Error>,
    ) -> Result<T, Error> {
        let _turn = self.lock_writers();
        let edit = |row: Option<Vec<u8>>| {
            let known = row.is_some();
            let (value, changed) = edit(AccessControl::read(row.as_deref())?, known)?;
            let row = changed.map(|access| serde_json::to_vec(&access));
            Ok((value, row.transpose().expect("BUG: access is plain JSON")))
        };
        match &self.injected {
            Some(store) => store.edit_access(edit),
            None => self.writer()?.expect("BUG: a file is opened for writing").edit_access(edit),
        }
    }

    /// Makes a token, and closes the database for callers without one. The text is not kept and
    /// cannot be shown again.
    #[doc(hidden)]
    pub fn create_token(
        &self,
        name: &str,
        rights: Vec<AccessRight>,
        now: i64,
        expires_on: Option<i64>,
    ) -> Result<(AccessToken, String), Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|e| io(std::io::Error::other(e)))?;
        let text = format!("{PREFIX}{}", hex(&bytes));
        let token = AccessToken {
            id: Uuid::new_v4(),
            name: name.to_owned(),
            rights,
            created_on: now,
            expires_on,
            digest: digest(text.as_bytes()),
        };
        self.edit_access(|mut access, _| {
            access.closed = true;
            access.tokens.push(token.clone());
            Ok(((token, text), Some(access)))
        })
    }

    /// Revokes a token and returns it; `None` if the beginning or end of an id fits none or
    /// several. The database stays closed.
    #[doc(hidden)]
    pub fn revoke_token(&self, id: &str) -> Result<Option<AccessToken>, Error> {
        self.edit_access(|mut access, _| {
            let asked = id.trim().to_lowercase();
            let fits = |token: &AccessToken| {
                let id = token.id.to_string();
                let end = asked.len() >= 4 && id.ends_with(&asked);
                end || !asked.is_empty() && id.starts_with(&asked)
            };
            if access.tokens.iter().filter(|token| fits(token)).count() != 1 {
                return Ok((None, None));
            }
            let at = access.tokens.iter().position(fits).expect("BUG: one fits");
            let token = access.tokens.remove(at);
            Ok((Some(token), Some(access)))
        })
    }

    /// Opens a database that had tokens to callers without one, as far as a server lets such in at
    /// all.
    ///
    /// # Errors
    ///
    /// A usage error while there are tokens: their owners expect that every caller needs one.
    #[doc(hidden)]
    pub fn allow_anonymous(&self) -> Result<(), Error> {
        self.edit_access(|access, known| match access.tokens.len() {
            0 if known && !access.closed => Ok(((), None)),
            0 => Ok(((), Some(AccessControl { closed: false, ..access }))),
            count => Err(Error::usage(
                format!("the database has tokens ({count}), so callers need one"),
                "revoke them first; `tombolo token list` shows all",
            )),
        })
    }

    /// Moves the tokens that an earlier version kept beside the file into it, and removes their
    /// file; returns its path, or `None` if there was none.
    ///
    /// # Errors
    ///
    /// A file that others may have written, that is damaged, or that may be older than the tokens
    /// of the database. It is never passed over, since that could open a database that it closed.
    #[doc(hidden)]
    pub fn take_over_tokens(&self) -> Result<Option<PathBuf>, Error> {
        let found = self.files_of_tokens()?;
        let Some(path) = found.first() else { return Ok(None) };
        if let Some(second) = found.get(1) {
            return Err(Error::usage(
                format!("tokens lie in both `{}` and `{}`", path.display(), second.display()),
                "remove the one that does not count",
            ));
        }
        let bytes = read_private(path, &self.path)?;
        let tokens: Vec<AccessToken> = serde_json::from_slice(&bytes).map_err(|e| {
            let what = format!("the tokens in `{}` cannot be read: {e}", path.display());
            Error::usage(what, "restore the file or remove it")
        })?;
        let seal = digest(&bytes);
        self.edit_access(|mut access, known| {
            // A crash came before the file was removed; since then its tokens may have been
            // revoked.
            if access.taken_over.contains(&seal) {
                return Ok(((), None));
            }
            if known {
                return Err(Error::usage(
                    format!(
                        "the database has tokens of its own, and `{}` of an earlier version lies \
                         beside it",
                        path.display()
                    ),
                    "remove the file; make tokens with `tombolo token create`",
                ));
            }
            access.closed = true;
            access.tokens = tokens;
            access.taken_over.push(seal);
            Ok(((), Some(access)))
        })?;
        // Only after the commit, so that no crash loses the tokens.
        std::fs::remove_file(path).map_err(io)?;
        // If the removal is not durable, the file is looked at once more, and is then known.
        let _ = crate::store::sync_folder(folder_of(path));
        Ok(Some(path.clone()))
    }

    /// Files of tokens of an earlier version: beside the path that was given, beside what it links
    /// to, and beside other names of the same file in those folders.
    fn files_of_tokens(&self) -> Result<Vec<PathBuf>, Error> {
        let mut names = vec![self.path.clone()];
        names.extend(std::fs::canonicalize(&self.path));
        if let Ok(ours) = identity(&self.path) {
            for folder in names.clone().iter().map(|name| folder_of(name)) {
                // A folder that cannot be listed may still be one that files are opened in.
                for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                    let tokens = entry.path();
                    let name = tokens.to_str().and_then(|name| name.strip_suffix(".tokens"));
                    let Some(name) = name.map(Path::new) else { continue };
                    if identity(name).is_ok_and(|theirs| theirs == ours) {
                        names.push(name.to_owned());
                    }
                }
            }
        }
        let mut found = Vec::new();
        for name in names {
            let mut file = name.file_name().unwrap_or_default().to_owned();
            file.push(".tokens");
            // One spelling of each, so that none is taken for two.
            let path = std::fs::canonicalize(folder_of(&name)).map_err(io)?.join(file);
            match std::fs::symlink_metadata(&path) {
                Ok(_) if found.contains(&path) => {}
                Ok(_) => found.push(path),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(io(e)),
            }
        }
        Ok(found)
    }
}
/// Reads a file that only the owner of the database can have written.
fn read_private(path: &Path, database: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let named = std::fs::symlink_metadata(path).map_err(io)?;
    let strange = |what: String| {
        Error::usage(
            format!("the tokens in `{}` are not taken: {what}", path.display()),
            "if they are yours, make the file yours and private (chown, chmod 600); if not, remove it",
        )
    };
    if !named.is_file() {
        return Err(strange("it is no plain file".into()));
    }
    let mut file = std::fs::File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    // Asked of the open file: another one may have taken the name since it was looked at.
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if (metadata.dev(), metadata.ino()) != (named.dev(), named.ino()) {
            return Err(strange("it changed while it was opened".into()));
        }
        if metadata.uid() != std::fs::metadata(database).map_err(io)?.uid() {
            return Err(strange("its owner is not the owner of the database".into()));
        }
        if metadata.mode() & 0o077 != 0 {
            let mode = metadata.mode() & 0o777;
            return Err(strange(format!("others may read or write it (mode {mode:03o})")));
        }
    }
    #[cfg(not(unix))]
    let _ = database;
    if metadata.len() > FILE_MAX {
        return Err(strange(format!("it has more than {} MiB", FILE_MAX >> 20)));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::create(&folder.path().join("t.redb")).expect("a new file");
        (folder, database)
    }

    #[test]
    fn a_token_works_until_it_is_revoked_or_expires() {
        let (_folder, database) = database();
        let (token, text) =
            database.create_token("ci", vec![AccessRight::Read], 1_000, Some(2_000)).expect("made");
        let rights = |text: &str, now| database.access().expect("sound").rights_of(text, now);
        assert!(rights(&text, 1_500).expect("known").read());
        assert!(rights(&text, 2_000).is_none(), "expired");
        assert!(rights("tmb_0", 1_500).is_none());
        let file = std::fs::read(database.file_path()).expect("a file");
        assert!(memchr::memmem::find(&file, text.as_bytes()).is_none(), "the text is not kept");
        assert_eq!(database.revoke_token("").expect("sound"), None);
        database.revoke_token(&token.id.to_string()).expect("sound").expect("it was there");
        assert!(rights(&text, 1_500).is_none());
    }

    #[test]
    fn a_database_that_had_a_token_stays_closed_until_it_is_opened() {
        let (_folder, database) = database();
        assert!(!database.access().expect("sound").closed);
        database.allow_anonymous().expect("it is open already");
        let (token, _) =
            database.create_token("ci", vec![AccessRight::Read], 0, None).expect("made");
        assert!(database.allow_anonymous().is_err(), "there is a token");
        database.revoke_token(&token.id.to_string()).expect("sound").expect("it was there");
        assert!(database.access().expect("sound").closed);
        database.allow_anonymous().expect("nobody has a token");
        assert!(!database.access().expect("sound").closed);
        assert_eq!(database.verify().expect("sound"), [""; 0]);
    }

    #[test]
    fn tokens_raise_no_revision_and_keep_a_new_file() {
        let (_folder, database) = database();
        let revision = || database.snapshot().expect("sound").meta().revision;
        let before = revision();
        database.create_token("ci", vec![AccessRight::Admin], 0, None).expect("made");
        assert_eq!(revision(), before);
        let path = database.file_path().to_owned();
        database.discard_unused().expect("sound");
        assert!(path.exists(), "what has tokens is used");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_an_earlier_version_is_taken_over_once_whatever_it_is_called() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, database) = database();
        let (_, text) =
            database.create_token("old", vec![AccessRight::Read], 0, None).expect("made");
        let tokens = serde_json::to_vec(&database.access().expect("sound").tokens).expect("JSON");
        for other in ["t.redb", "link.redb", "hard.redb"] {
            let path = folder.path().join(other);
            let of = |path: &Path| Database::open(path).expect("a database");
            std::fs::remove_file(folder.path().join("t.redb")).expect("it was there");
            Database::create(&folder.path().join("t.redb")).expect("a new file");
            let _ = std::fs::remove_file(folder.path().join("link.redb"));
            let _ = std::fs::remove_file(folder.path().join("hard.redb"));
            let real = folder.path().join("t.redb");
            std::os::unix::fs::symlink(&real, folder.path().join("link.redb")).expect("a link");
            std::fs::hard_link(&real, folder.path().join("hard.redb")).expect("a link");
            let file = folder.path().join("t.redb.tokens");
            let put = |mode| {
                std::fs::write(&file, &tokens).expect("written");
                let private = std::fs::Permissions::from_mode(mode);
                std::fs::set_permissions(&file, private).expect("ours");
            };
            for mode in [0o644, 0o620, 0o602, 0o666] {
                put(mode);
                let told = of(&path).take_over_tokens().expect_err("others may write it");
                assert!(told.to_string().contains("others may"), "{told}");
                assert!(file.exists() && !of(&path).access().expect("sound").closed);
            }
            put(0o600);
            assert!(of(&path).take_over_tokens().expect("ours").is_some(), "{other}");
            assert!(!file.exists());
            let access = of(&path).access().expect("sound");
            assert!(access.closed && access.rights_of(&text, 1).is_some());
            // The same file again, as after a crash before it was removed, is no news.
            put(0o600);
            of(&path).revoke_token(&access.tokens[0].id.to_string()).expect("sound");
            assert!(of(&path).take_over_tokens().expect("ours").is_some());
            assert!(of(&path).access().expect("sound").tokens.is_empty(), "revoked is revoked");
            // Another one beside tokens of our own is never passed over.
            std::fs::write(&file, b"[]").expect("written");
            put(0o600);
            std::fs::write(&file, b"[]").expect("written");
            assert!(of(&path).take_over_tokens().is_err());
            std::fs::remove_file(&file).expect("it is there");
        }
    }
}
