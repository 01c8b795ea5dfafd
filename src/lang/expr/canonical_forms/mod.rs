//! Canonical forms: each identifier has one spelling, so that two systems that write it in different
//! ways still meet.
//!
//! Pure functions over text. `None` is undefined: the text is no such identifier, or it is known
//! filler. Each form is idempotent: the form of a canonical form is itself.

mod filler;
mod machine;
mod person;

pub(crate) use machine::{
    address, arn, cidr, domain, fqdn, hostname, ip, mac, network, prefix_len, repo, repo_url,
    serial,
};
pub(crate) use person::{email, username};

use unicode_normalization::UnicodeNormalization;

/// Unicode normal form NFKC: compatible characters become one, e.g. a wide `Ａ` becomes `A`.
pub(crate) fn nfkc(text: &str) -> String {
    match text.is_ascii() {
        true => text.to_owned(),
        false => text.nfkc().collect(),
    }
}

/// NFKC and lower case, in a form that doing both again does not change.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Lower case can bring up sequences that NFKC composes, which have lower case in turn.
    let mut folded = nfkc(&nfkc(text).to_lowercase());
    for _ in 0..4 {
        let again = nfkc(&folded.to_lowercase());
        if again == folded {
            break;
        }
        folded = again;
    }
    folded
}

/// `true` or `false` as people and forms write them, in either case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The text with `%`, `|`, control characters and blanks at its ends percent-encoded, so that it
/// can be a part of a key. Not idempotent: `%` is among what it encodes.
pub(crate) fn key(text: &str) -> String {
    let inner = text.trim();
    let start = inner.as_ptr() as usize - text.as_ptr() as usize;
    let mut out = String::with_capacity(text.len());
    for (i, c) in text.char_indices() {
        let outside = i < start || i >= start + inner.len();
        if outside || c.is_control() || matches!(c, '%' | '|') {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The canonical forms, for those who ask the same of each.
    fn forms() -> Vec<(&'static str, fn(&str) -> Option<String>)> {
        vec![
            ("email", |text| email(text, &[])),
            ("username", |text| username(text, &[])),
            ("hostname", |text| hostname(text, &[])),
            ("fqdn", |text| fqdn(text, &[])),
            ("serial", |text| serial(text, &["SPARE".to_owned()])),
            ("mac", mac),
            ("ip", ip),
            ("cidr", cidr),
            ("repo", repo),
            ("repo_url", repo_url),
            ("domain", |text| domain(text, &[])),
            ("nfkc", |text| Some(nfkc(text))),
            ("fold", |text| Some(fold(text))),
        ]
    }

    fn near_valid() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[ ]?(mailto:|MAILTO:)?[A-Za-zÄß .+'-]{1,8}(@|＠)[A-Za-z.-]{1,10}[ ]?",
            "[A-Z a-z]{0,5} ?<[a-z.]{1,5}@[a-z.]{1,8}>",
            "([A-Z]{1,5}\\\\){0,2}[A-Za-z.@]{0,8}",
            "[A-Za-z0-9-]{1,6}(\\.[A-Za-z0-9-]{0,6}){0,3}\\.?",
            "[A-Za-z0-9 /.-]{0,12}",
            "([0-9A-Fa-f]{2}[:-]?){5,7}",
            "[0-9]{1,3}(\\.[0-9]{1,3}){3}(/[0-9]{1,3})?",
            "(::ffff:)?[0-9a-f:]{2,12}(/[0-9]{1,3})?",
            "(https?://|ssh://|git@)?(user@)?[a-z.]{1,8}[:/][A-Za-z./-]{0,16}(\\.git)?/?",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn every_canonical_form_is_idempotent(text in near_valid()) {
            for (name, form) in forms() {
                if let Some(once) = form(&text) {
                    prop_assert!(!once.is_empty() || text.is_empty() || name == "nfkc" || name == "fold", "{} of {:?} is empty", name, text);
                    prop_assert_eq!(form(&once), Some(once.clone()), "{} of {:?}", name, &text);
                }
            }
        }

        #[test]
        fn no_form_panics(text: String) {
            for part in ["service", "region", "account", "name"] {
                let _ = arn(&text, part);
            }
            let _ = (boolean(&text), key(&text), prefix_len(&text));
            let _ = (address(&text), network(&text));
        }
    }

    #[test]
    fn keys_hold_no_separator_and_no_blank_ends() {
        assert_eq!(key(" a|b%c "), "%20a%7Cb%25c%20");
        assert_eq!(key("plain key:1"), "plain key:1");
    }
}
