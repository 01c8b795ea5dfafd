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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(a: &str, b: &str) -> Ordering {
        let version =
            |text| ParsedVersion::parse(text).unwrap_or_else(|| panic!("`{text}` is no version"));
        version(a).order(&ParsedVersion::parse(b).unwrap_or_else(|| panic!("`{b}` is no version")))
    }

    /// Versions that were published, each line ascending.
    const ASCENDING: [&str; 22] = [
        "2.9.1 2.14.1 2.17.0 2.17.1",
        "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0",
        "1.0-rc1 1.0-rc2 1.0-rc10 1.0 1.0.1",
        "v1.2 v1.9.3 v1.10 1.11",
        "1.8.0_45 1.8.0_252 1.8.0_292",
        "7 8 8u45 8u292 11 17-ea 17",
        "11.0.2+7 11.0.2+9 11.0.10+9",
        "1.0.dev1 1.0a1 1.0b2 1.0rc1.dev2 1.0rc1 1.0 1.0.post1 1!0.5",
        "2.0.0.Alpha1 2.0.0.Beta1 2.0.0.CR1 2.0.0.Final 2.0.1.Final",
        "5.0.0-M1 5.0.0-M2 5.0.0-RC1 5.0.0-SNAPSHOT 5.0.0.RELEASE 5.0.1.RELEASE",
        "2.30-1~deb10u1 2.30-1 2.30-1ubuntu1 2.30-2 2:1.0-1",
        "1.0~beta1 1.0~rc1 1.0 1.0+deb11u1",
        "1.2.3-4.el7 1.2.3-4.el7_9 1.2.3-10.el7",
        "5.4.0-42-generic 5.4.0-100-generic 5.15.0-1",
        "1.0.1 1.0.2 1.0.2a 1.0.2k 1.1.0 1.1.1w 3.0.0",
        "2020.12.4 2021.4.1 2021.10.0",
        "18.04 18.10 20.04.1 20.04.6 22.04",
        "10.0.9 10.0.10 10.0.17763.1 10.0.19041.685",
        "9.4.35.v20201120 9.4.36.v20210114",
        "1.2.3-r0 1.2.3-r10 1.2.4-r0",
        "7.9p1 8.2p1 9.3p2",
        "0.0.0 0.0.0-20200101120000-abcdef 0.0.0-20210101120000-0123ab 0.1.0",
    ];

    #[test]
    fn published_versions_stand_in_the_order_of_their_release() {
        for line in ASCENDING {
            let versions: Vec<&str> = line.split(' ').collect();
            for (at, one) in versions.iter().enumerate() {
                for (other_at, other) in versions.iter().enumerate() {
                    assert_eq!(order(one, other), at.cmp(&other_at), "{one} and {other}");
                }
            }
        }
    }

    #[test]
    fn spellings_of_one_version_are_neither_less_nor_greater() {
        for (one, other) in [
            ("1.0", "1.0.0"),
            ("v1.2", "1.2"),
            ("2.0.0.Final", "2.0.0"),
            ("1.0-rc1", "1.0.0-RC1"),
            ("1.0.GA", "1"),
            ("2021.04", "2021.4"),
        ] {
            assert_eq!(order(one, other), Ordering::Equal, "{one} and {other}");
        }
    }

    /// Versions with what people write around them, each line ascending.
    const NAMED: [&str; 8] = [
        "go1.9|go1.20|go1.20.3",
        "14.4 (23E214)|14.10 (23X)|15.0",
        "14.4|14.4 (23E214)|14.4 (23E224)",
        "Ubuntu 9.04|Ubuntu 20.04|Ubuntu 20.04.6 LTS|Ubuntu 22.04.3 LTS (Jammy Jellyfish)",
        "Windows 7|Windows 10|Windows 11",
        "Debian GNU/Linux 9 (stretch)|Debian GNU/Linux 12 (bookworm)",
        "OpenSSL 1.0.2k|OpenSSL 1.1.1w|OpenSSL 3.0.2",
        "nginx/1.9.1|nginx/1.18.0",
    ];

    #[test]
    fn versions_with_a_name_a_build_or_a_word_compare_as_versions() {
        for line in NAMED {
            let all: Vec<&str> = line.split('|').collect();
            for (at, one) in all.iter().enumerate() {
                for (other_at, other) in all.iter().enumerate() {
                    let (a, b) = (VersionedName::of(one), VersionedName::of(other));
                    let order = at.cmp(&other_at);
                    assert_eq!(a.compare(&b), Some(order), "{one} and {other}");
                    assert_eq!(a.order(&b), order, "{one} and {other}");
                }
            }
        }
        for (one, other) in [
            ("host2", "host10"),
            ("go1.9", "java1.20"),
            ("2021-01-01 (x)", "2021-01-02 (x)"),
            ("a", "b"),
            ("i-0abc", "i-1"),
        ] {
            assert_eq!(
                VersionedName::of(one).compare(&VersionedName::of(other)),
                None,
                "{one} and {other}"
            );
        }
    }

    #[test]
    fn what_is_no_version_is_not_taken_for_one() {
        for text in [
            "",
            "v",
            "latest",
            "2021-01-01",
            "2021-01-01T00:00:00.000Z",
            "10.0.0.0/8",
            "1.5 GB",
            "12:30",
            "7f3a",
            "42-abc",
            "1.2.3.4:80",
            "12.5%",
            "-1.2",
            "1..2 ",
            "a1.2",
            "1,5",
        ] {
            assert!(ParsedVersion::parse(text).is_none(), "`{text}`");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_total(
            all in prop::collection::vec(
                "(v|1:)?[0-2](\\.[0-2]){1,2}([-.+~_]?(alpha|rc|final|x|a|sp|dev|[0-2])){0,3}",
                3,
            ),
        ) {
            let [a, b, c] = [0, 1, 2].map(|at| all[at].as_str());
            prop_assert_eq!(order(a, b), order(b, a).reverse());
            if order(a, b).is_le() && order(b, c).is_le() {
                prop_assert!(order(a, c).is_le(), "{} {} {}", a, b, c);
            }
        }

        #[test]
        fn the_order_of_all_texts_is_total(
            all in prop::collection::vec("(go|a |g|v)?[0-2]?(\\.1[0-2]?)?(x| LTS)?( \\(b\\))?", 3),
        ) {
            let [a, b, c] = [0, 1, 2].map(|at| VersionedName::of(&all[at]));
            prop_assert_eq!(a.order(&b), b.order(&a).reverse());
            prop_assert_eq!(a.order(&b).is_eq(), all[0] == all[1]);
            if a.order(&b).is_le() && b.order(&c).is_le() {
                prop_assert!(a.order(&c).is_le(), "{:?}", all);
            }
        }
    }
}
