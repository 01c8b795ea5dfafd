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
