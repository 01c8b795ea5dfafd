//! Tokens: who may call, and what for.
//!
//! A token is 256 random bits, shown once and kept as its SHA-256 in `<database>.tokens`. A slow
//! hash would buy nothing against guessing that many bits and would cost every request.

use globset::GlobBuilder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;
use std::time::SystemTime;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// What every token begins with, so that scanners for secrets can find it.
const PREFIX: &str = "tmb_";

/// One thing that a token allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Right {
    /// Ask questions.
    Read,
    /// Open jobs of the scopes that this pattern fits, and write to them.
    Write(String),
    /// Everything, approval of held plans included.
    Admin,
}

impl FromStr for Right {
    type Err = String;

    fn from_str(text: &str) -> Result<Right, String> {
        match text.split_once(':') {
            None if text == "read" => Ok(Right::Read),
            None if text == "admin" => Ok(Right::Admin),
            Some(("write", glob)) if !glob.is_empty() => {
                GlobBuilder::new(glob).build().map_err(|e| e.to_string())?;
                Ok(Right::Write(glob.to_owned()))
            }
            _ => Err("expected read, write:SCOPE (a pattern such as okta-*) or admin".into()),
        }
    }
}

impl TryFrom<String> for Right {
    type Error = String;

    fn try_from(text: String) -> Result<Right, String> {
        text.parse()
    }
}

impl From<Right> for String {
    fn from(right: Right) -> String {
        right.to_string()
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Right::Read => f.write_str("read"),
            Right::Write(glob) => write!(f, "write:{glob}"),
            Right::Admin => f.write_str("admin"),
        }
    }
}

/// All that a caller may do.
#[derive(Clone, Debug, Default)]
pub struct Rights(pub Vec<Right>);

impl Rights {
    /// Whether questions may be asked.
    pub fn read(&self) -> bool {
        self.0.iter().any(|right| matches!(right, Right::Read | Right::Admin))
    }

    /// Whether a scope may be written.
    pub fn write(&self, scope: &str) -> bool {
        self.0.iter().any(|right| match right {
            Right::Admin => true,
            Right::Write(glob) => GlobBuilder::new(glob)
                .build()
                .is_ok_and(|glob| glob.compile_matcher().is_match(scope)),
            Right::Read => false,
        })
    }

    /// Whether everything may be done.
    pub fn admin(&self) -> bool {
        self.0.contains(&Right::Admin)
    }
}

/// A token as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// What it is revoked by.
    pub id: Uuid,
    /// What it is for, in words.
    pub name: String,
    /// What it allows.
    pub rights: Vec<Right>,
    /// When it was made, epoch milliseconds.
    pub created_on: i64,
    /// When it ends, epoch milliseconds.
    pub expires_on: Option<i64>,
    /// SHA-256 of the text, hexadecimal.
    digest: String,
}

impl Token {
    /// Whether it has ended.
    pub fn expired(&self, now: i64) -> bool {
        self.expires_on.is_some_and(|end| end <= now)
    }
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The tokens of a database.
pub struct Tokens {
    path: PathBuf,
    /// What was read last, and the state of the file then.
    known: Mutex<(Option<(SystemTime, u64)>, Vec<Token>)>,
}

impl Tokens {
    /// The tokens beside a database file.
    pub fn of(database: &Path) -> Tokens {
        let mut path = database.as_os_str().to_owned();
        path.push(".tokens");
        Tokens { path: path.into(), known: Mutex::default() }
    }

    /// All of them, expired ones included. The file is read again when it has changed, so that a
    /// revoked token ends at once.
    pub fn all(&self) -> io::Result<Vec<Token>> {
        let state = match std::fs::metadata(&self.path) {
            Ok(metadata) => Some((metadata.modified()?, metadata.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.0 != state {
            let tokens = match state {
                Some(_) => serde_json::from_slice(&std::fs::read(&self.path)?)?,
                None => Vec::new(),
            };
            *known = (state, tokens);
        }
        Ok(known.1.clone())
    }

    /// Makes a token; the text is not kept and cannot be shown again.
    pub fn create(
        &self,
        name: &str,
        rights: Vec<Right>,
        now: i64,
        expires_on: Option<i64>,
    ) -> io::Result<(Token, String)> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let text = format!("{PREFIX}{}", hex(&bytes));
        let token = Token {
            id: Uuid::new_v4(),
            name: name.to_owned(),
            rights,
            created_on: now,
            expires_on,
            digest: digest(&text),
        };
        let _turn = self.turn()?;
        let mut all = self.all()?;
        all.push(token.clone());
        self.put(&all)?;
        Ok((token, text))
    }

    /// Takes a token back; gives it, or `None` if the start or end of an id fits none or several.
    pub fn revoke(&self, id: &str) -> io::Result<Option<Token>> {
        let _turn = self.turn()?;
        let mut all = self.all()?;
        let asked = id.trim().to_lowercase();
        let fits = |token: &Token| {
            let id = token.id.to_string();
            let end = asked.len() >= 4 && id.ends_with(&asked);
            end || !asked.is_empty() && id.starts_with(&asked)
        };
        if all.iter().filter(|token| fits(token)).count() != 1 {
            return Ok(None);
        }
        let at = all.iter().position(fits);
        let token = at.map(|at| all.remove(at));
        self.put(&all)?;
        Ok(token)
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Waits for others who change the tokens, so that none of them brings back a revoked one.
    /// The turn ends with the file.
    fn turn(&self) -> io::Result<File> {
        let folder = File::open(self.folder())?;
        folder.lock()?;
        Ok(folder)
    }

    fn put(&self, tokens: &[Token]) -> io::Result<()> {
        let folder = self.folder();
        // Only the owner may read what a temporary file holds.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, tokens)?;
        file.flush()?;
        file.as_file().sync_data()?;
        file.persist(&self.path).map_err(|e| e.error)?;
        File::open(folder)?.sync_all()
    }

    /// What the bearer of `text` may do; `None` for an unknown or expired token.
    pub fn check(&self, text: &str, now: i64) -> io::Result<Option<Rights>> {
        let given = digest(text);
        let mut found = None;
        // All are compared, so that the time says nothing about which one it is.
        for token in self.all()? {
            if bool::from(token.digest.as_bytes().ct_eq(given.as_bytes())) && !token.expired(now) {
                found = Some(Rights(token.rights));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_and_held() {
        let rights = Rights(vec!["read".parse().unwrap(), "write:okta-*".parse().unwrap()]);
        assert!(rights.read() && rights.write("okta-1") && !rights.write("jamf"));
        assert!(!rights.admin());
        assert!("write:".parse::<Right>().is_err());
        assert!("delete".parse::<Right>().is_err());
    }

    #[test]
    fn a_token_works_until_it_is_revoked_or_expires() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::of(&folder.path().join("t.redb"));
        let (token, text) = tokens.create("ci", vec![Right::Read], 1_000, Some(2_000)).unwrap();
        assert!(tokens.check(&text, 1_500).unwrap().unwrap().read());
        assert!(tokens.check(&text, 2_000).unwrap().is_none(), "expired");
        assert!(tokens.check("tmb_0", 1_500).unwrap().is_none());
        assert!(!std::fs::read_to_string(&tokens.path).unwrap().contains(&text));
        tokens.revoke(&token.id.to_string()).unwrap().unwrap();
        assert!(tokens.check(&text, 1_500).unwrap().is_none());
    }
}
