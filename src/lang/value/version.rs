//! Versions as people write them, and their order.
//!
//! A text looks like a version if it is digits and dots with a suffix as packages have one: `2.17.0`,
//! `v1.2`, `1.0-rc1`, `1.8.0_292`, `2.0.0.Final`, `2:8.39-13~deb11u1`, `2024.04`. Numbers compare as
//! numbers; a missing one is 0. Some suffixes come before the release that they belong to (`alpha`,
//! `beta`, `M`, `rc`, `SNAPSHOT`, any word behind a hyphen, anything behind `~`). Some are the release
//! itself (`Final`, `GA`, `RELEASE`). All others follow it (revisions, patches, builds).
//!
//! A [`VersionedName`] is a version with the text that people write around it: a name before it (`go1.20`,
//! `Ubuntu 20.04`), a build in brackets and words of the release behind it (`14.4 (23E214)`,
//! `20.04.6 LTS`).
//!
//! The order is total among texts that look like versions. Two of them may be the same version:
//! `1.0` and `1.0.0`.
//!
//! Sources: Semantic Versioning 2.0.0, item 11; PEP 440; deb-version(7); Maven's order of qualifiers.
//! They differ about a number behind a hyphen: here it is the revision of a package, not a pre-release.

use std::cmp::Ordering;

/// A longer text is no version.
const LENGTH_MAX: usize = 128;
/// Words before the release, by rank; those of one rank are the same word.
const BEFORE: [(&str, i8); 16] = [
    ("dev", -9),
    ("nightly", -9),
    ("canary", -9),
    ("alpha", -8),
    ("a", -8),
    ("beta", -7),
    ("b", -7),
    ("milestone", -6),
    ("m", -6),
    ("rc", -4),
    ("c", -4),
    ("cr", -4),
    ("pre", -4),
    ("preview", -4),
    ("ea", -4),
    ("snapshot", -3),
];
/// Words that only say that this is the release.
const RELEASE: [&str; 6] = ["final", "ga", "release", "stable", "lts", "gold"];
/// Words that follow the release even behind a hyphen.
const AFTER: [&str; 22] = [
    "sp", "post", "patch", "p", "pl", "u", "update", "r", "rev", "hotfix", "hf", "fix", "build",
    "deb", "ubuntu", "el", "fc", "amzn", "dfsg", "jre", "android", "generic",
];

/// A text that looks like a version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParsedVersion<'a> {
    /// The epoch, which is compared first: `2` of `2:1.0` and `2!1.0`.
    epoch: &'a str,
    /// Digits and dots.
    release: &'a str,
    tail: &'a str,
}

/// A text as people compare it with another one: name, version and build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VersionedName<'a> {
    text: &'a str,
    /// The text before the version.
    name: &'a str,
    version: Option<ParsedVersion<'a>>,
    /// The text in brackets behind the version.
    build: &'a str,
}

impl<'a> VersionedName<'a> {
    /// Reads `text`; its version is `None` if it looks like none.
    pub fn of(text: &'a str) -> VersionedName<'a> {
        let plain = VersionedName { text, name: text, version: None, build: "" };
        if text.len() > LENGTH_MAX {
            return plain;
        }
        if let Some(version) = ParsedVersion::parse(text) {
            return VersionedName { name: "", version: Some(version), ..plain };
        }
        let (head, build) = match text.strip_suffix(')').and_then(|rest| rest.split_once(" (")) {
            Some((head, build)) => (head, build),
            None => (text, ""),
        };
        let head = match head.rsplit_once(' ') {
            Some((before, word)) if RELEASE.iter().any(|known| is(word, known)) => before,
            _ => head,
        };
        let Some(first) = head.bytes().position(|byte| byte.is_ascii_digit()) else { return plain };
        let (name, number) = head.split_at(first);
        let named = name.is_empty() || name.contains(char::is_alphabetic);
        // `host2` is a name, `go1.20` and `Windows 10` have a version.
        let version = ParsedVersion::parse(number).filter(|version| {
            name.is_empty() || name.ends_with(' ') || version.release.contains('.')
        });
        match version.filter(|_| named) {
            Some(version) => VersionedName { name, version: Some(version), build, ..plain },
            None => plain,
        }
    }

    /// The order of two texts that look like versions of one thing; `None` for all others.
    pub fn compare(&self, other: &VersionedName<'_>) -> Option<Ordering> {
        match (&self.version, &other.version) {
            (Some(a), Some(b)) if self.name == other.name => {
                Some(a.order(b).then_with(|| self.build.cmp(other.build)))
            }
            _ => None,
        }
    }

    /// The order of all texts: plain versions first, then by name; texts of one name by version; spellings
    /// of one version by code points.
    pub fn order(&self, other: &VersionedName<'_>) -> Ordering {
        let rank = |look: &VersionedName<'_>| match look.version {
            Some(_) if look.name.is_empty() => 0,
            _ => 1,
        };
        let versions = || match (&self.version, &other.version) {
            (Some(_), Some(_)) => self.compare(other).unwrap_or(Ordering::Equal),
            (one, two) => one.is_some().cmp(&two.is_some()),
        };
        (rank(self).cmp(&rank(other)))
            .then_with(|| self.name.cmp(other.name))
            .then_with(versions)
            .then_with(|| self.text.cmp(other.text))
    }
}

/// One part of the tail. The end of a tail counts as a part of rank 0, the release.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SuffixToken<'a> {
    rank: i8,
    word: CaselessText<'a>,
    number: DigitRun<'a>,
}

impl SuffixToken<'_> {
    const END: SuffixToken<'static> =
        SuffixToken { rank: 0, word: CaselessText(""), number: DigitRun("") };

    fn marked(rank: i8) -> Self {
        SuffixToken { rank, ..SuffixToken::END }
    }
}

/// Compared without regard to case.
struct CaselessText<'a>(&'a str);

impl Ord for CaselessText<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let lower = |byte: u8| byte.to_ascii_lowercase();
        self.0.bytes().map(lower).cmp(other.0.bytes().map(lower))
    }
}

/// Digits of any length, compared as the number they are.
struct DigitRun<'a>(&'a str);

impl Ord for DigitRun<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Without leading zeros the longer number is the greater one, however long both are.
        let (a, b) = (self.0.trim_start_matches('0'), other.0.trim_start_matches('0'));
        a.len().cmp(&b.len()).then_with(|| a.cmp(b))
    }
}

macro_rules! by_order {
    ($($name:ident)*) => {$(
        impl PartialOrd for $name<'_> {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl PartialEq for $name<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }
        impl Eq for $name<'_> {}
    )*};
}
by_order!(CaselessText DigitRun);

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

impl<'a> ParsedVersion<'a> {
    /// The version that `text` looks like, if it does.
    pub fn parse(text: &'a str) -> Option<ParsedVersion<'a>> {
        let rest = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let first = digits(rest);
        if first == 0 || text.len() > LENGTH_MAX {
            return None;
        }
        let (epoch, rest) = match rest.as_bytes().get(first) {
            Some(b':' | b'!') => (&rest[..first], &rest[first + 1..]),
            _ => ("", rest),
        };
        let mut end = digits(rest);
        if end == 0 {
            return None;
        }
        let mut dots = 0;
        while rest.as_bytes().get(end) == Some(&b'.') && digits(&rest[end + 1..]) > 0 {
            end += 1 + digits(&rest[end + 1..]);
            dots += 1;
        }
        let (release, tail) = rest.split_at(end);
        let part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+~".contains(&byte);
        if !tail.bytes().all(part) || !epoch.is_empty() && dots == 0 {
            return None;
        }
        // `2021-01-01`, `7f3a` and `42-abc` are no versions; `8u292` and `5-rc1` are.
        (dots > 0 || tail.is_empty() || lone_suffix(tail)).then_some(ParsedVersion {
            epoch,
            release,
            tail,
        })
    }

    /// The order of two versions; `Equal` for two spellings of one.
    pub fn order(&self, other: &ParsedVersion<'_>) -> Ordering {
        let epoch = || DigitRun(self.epoch).cmp(&DigitRun(other.epoch));
        epoch().then_with(|| self.release_order(other)).then_with(|| self.tail_order(other))
    }

    fn release_order(&self, other: &ParsedVersion<'_>) -> Ordering {
        let (mut a, mut b) = (self.release.split('.'), other.release.split('.'));
        loop {
            let (one, two) = (a.next(), b.next());
            if one.is_none() && two.is_none() {
                return Ordering::Equal;
            }
            let order = DigitRun(one.unwrap_or("")).cmp(&DigitRun(two.unwrap_or("")));
            if order.is_ne() {
                return order;
            }
        }
    }

    fn tail_order(&self, other: &ParsedVersion<'_>) -> Ordering {
        let (mut a, mut b) = (SuffixTokens::new(self.tail), SuffixTokens::new(other.tail));
        loop {
            let (one, two) = (a.next(), b.next());
            if one.is_none() && two.is_none() {
                return Ordering::Equal;
            }
            let order = one.unwrap_or(SuffixToken::END).cmp(&two.unwrap_or(SuffixToken::END));
            if order.is_ne() {
                return order;
            }
        }
    }
}

fn is(word: &str, known: &str) -> bool {
    word.eq_ignore_ascii_case(known)
}

/// True if a suffix alone shows that the number before it is a version: one known word, perhaps with
/// a number.
fn lone_suffix(tail: &str) -> bool {
    let tail = tail.trim_start_matches(['.', '-', '_']);
    let word = &tail[..tail.bytes().take_while(u8::is_ascii_alphabetic).count()];
    let number = tail[word.len()..].trim_start_matches(['.', '-']);
    let known = word.len() > 1 && BEFORE.iter().any(|(known, _)| is(word, known))
        || RELEASE.iter().any(|known| is(word, known))
        || is(word, "u") && !number.is_empty();
    known && digits(number) == number.len()
}

/// The parts of a tail in turn.
struct SuffixTokens<'a> {
    rest: &'a str,
    first: bool,
    /// True once a pre-release word was met; the parts behind it tell pre-releases apart.
    before: bool,
    /// True if the mark at this place was already given; the part behind it comes next.
    marked: bool,
}

impl<'a> SuffixTokens<'a> {
    fn new(tail: &'a str) -> SuffixTokens<'a> {
        SuffixTokens { rest: tail, first: true, before: false, marked: false }
    }

    /// The rank of a word, and the word itself if it counts beside the rank.
    fn rank(&self, word: &'a str, hyphen: bool, apart: bool, numbered: bool) -> (i8, &'a str) {
        let known = BEFORE.iter().find(|(known, _)| is(word, known));
        if self.before {
            // `rc1.dev2` and `rc1-SNAPSHOT` come before `rc1`, `alpha.beta` follows `alpha`.
            return match known {
                Some((_, rank)) if [-9, -3].contains(rank) => (*rank, ""),
                _ => (4, word),
            };
        }
        match known {
            // `1.0.2a` is a patch of OpenSSL's kind, `1.0a1` an alpha.
            Some(_) if word.len() == 1 && !apart && !numbered => (2, word),
            Some((_, rank)) => (*rank, ""),
            None if self.first && hyphen && !AFTER.iter().any(|known| is(word, known)) => {
                (-5, word)
            }
            None => (2, word),
        }
    }
}

impl<'a> Iterator for SuffixTokens<'a> {
    type Item = SuffixToken<'a>;

    fn next(&mut self) -> Option<SuffixToken<'a>> {
        loop {
            let separators =
                self.rest.len() - self.rest.trim_start_matches(['.', '-', '_', '+', '~']).len();
            let marks = &self.rest[..separators];
            if !self.marked && marks.contains(['~', '+']) {
                self.marked = true;
                return Some(SuffixToken::marked(if marks.contains('~') { -10 } else { 1 }));
            }
            self.marked = false;
            let rest = &self.rest[separators..];
            if rest.is_empty() {
                self.rest = "";
                return None;
            }
            let number = digits(rest);
            if number > 0 {
                self.rest = &rest[number..];
                self.first = false;
                return Some(SuffixToken {
                    number: DigitRun(&rest[..number]),
                    ..SuffixToken::marked(3)
                });
            }
            let word = &rest[..rest.bytes().take_while(u8::is_ascii_alphabetic).count()];
            self.rest = &rest[word.len()..];
            // `2.0.0.Final` is `2.0.0`: such a word is no part of its own.
            if RELEASE.iter().any(|known| is(word, known)) {
                continue;
            }
            let numbered = digits(self.rest.trim_start_matches('.')) > 0;
            let (rank, word) = self.rank(word, marks.ends_with('-'), separators > 0, numbered);
            self.before |= rank < 0;
            self.first = false;
            return Some(SuffixToken { rank, word: CaselessText(word), number: DigitRun("") });
        }
    }
}

#[cfg(test)]
mod tests;
