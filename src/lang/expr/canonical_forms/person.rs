//! Canonical forms of people and their accounts.

use super::filler::is_filler;
use super::fold;

/// An e-mail address: NFKC, trimmed, lower case. Accepts `mailto:` and `Name <a@b>`; undefined
/// without an `@` between two parts, or with blanks inside.
pub(crate) fn email(text: &str, junk: &[String]) -> Option<String> {
    let folded = fold(text);
    let mut address = folded.trim();
    if let Some((_, rest)) = address.rsplit_once('<') {
        address = rest.strip_suffix('>')?.trim();
    }
    // All of them go, so that the form is idempotent.
    while let Some(rest) = address.strip_prefix("mailto:") {
        address = rest.trim();
    }
    let (local, host) = address.rsplit_once('@')?;
    let sound = |part: &str| {
        !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>'))
    };
    (sound(local) && sound(host) && !local.contains('@') && !is_filler(address, junk))
        .then(|| address.to_owned())
}

/// A login: the local part of an e-mail address, or what follows `DOMAIN\`; lower case.
pub(crate) fn username(text: &str, junk: &[String]) -> Option<String> {
    let folded = fold(text);
    let login = folded.rsplit('\\').next().unwrap_or_default();
    let login = login.split('@').next().unwrap_or_default().trim();
    let sound = !folded.contains("://") && !is_filler(&folded, junk) && !is_filler(login, junk);
    sound.then(|| login.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e_mail_addresses_have_one_spelling() {
        for text in [
            " Alice@Example.COM ",
            "mailto:alice@example.com",
            "Alice A. <alice@example.com>",
            "ａlice@example.com",
        ] {
            assert_eq!(email(text, &[]).as_deref(), Some("alice@example.com"), "{text}");
        }
        for text in
            ["", "alice", "@example.com", "alice@", "al ice@example.com", "a@b@c", "Alice <alice>"]
        {
            assert_eq!(email(text, &[]), None, "{text}");
        }
    }

    #[test]
    fn logins_lose_their_domain() {
        for text in ["alice", "Alice@example.com", "CORP\\alice", " ALICE "] {
            assert_eq!(username(text, &[]).as_deref(), Some("alice"), "{text}");
        }
        for text in
            ["", " ", "@example.com", "CORP\\", "N/A", "-", "CORP\\unknown", "https://web/x"]
        {
            assert_eq!(username(text, &[]), None, "{text}");
        }
    }
}
