//! Canonical forms of machines, networks, cloud resources and repositories.

use super::fold;
use std::net::IpAddr;

/// Texts that stand in the serial number of machines that have none.
const FILLER: [&str; 22] = [
    "NA",
    "N/A",
    "NONE",
    "NULL",
    "NIL",
    "UNKNOWN",
    "UNDEFINED",
    "DEFAULT",
    "EMPTY",
    "INVALID",
    "NOTAVAILABLE",
    "NOTAPPLICABLE",
    "NOTSPECIFIED",
    "TOBEFILLEDBYO.E.M.",
    "TOBEFILLEDBYOEM",
    "DEFAULTSTRING",
    "SYSTEMSERIALNUMBER",
    "CHASSISSERIALNUMBER",
    "BASEBOARDSERIALNUMBER",
    "SERIALNUMBER",
    "O.E.M.",
    "123456789",
];

/// The first label of a host name, lower case; undefined for an IP address and `localhost`.
pub(crate) fn hostname(text: &str) -> Option<String> {
    let folded = fold(text);
    let name = folded.trim().trim_end_matches('.');
    if name.parse::<IpAddr>().is_ok() {
        return None;
    }
    let label = name.split('.').next().unwrap_or_default();
    let sound = !label.is_empty()
        && label != "localhost"
        && !label.contains(char::is_whitespace)
        && label.parse::<IpAddr>().is_err();
    sound.then(|| label.to_owned())
}

/// A full host name: lower case, no dot at the end; undefined without a dot inside.
pub(crate) fn fqdn(text: &str) -> Option<String> {
    let folded = fold(text);
    let name = folded.trim().trim_end_matches('.');
    let sound = name.contains('.')
        && !name.starts_with('.')
        && !name.contains(char::is_whitespace)
        && name.parse::<IpAddr>().is_err();
    sound.then(|| name.to_owned())
}

/// A serial number: upper case, no blanks and dashes; undefined for known filler, for what `junk`
/// lists, and for one character repeated.
pub(crate) fn serial(text: &str, junk: &[String]) -> Option<String> {
    let strip = |text: &str| -> String {
        let upper = super::nfkc(&super::nfkc(text).to_uppercase());
        upper.chars().filter(|c| !c.is_whitespace() && *c != '-').collect()
    };
    let mut serial = strip(text);
    // Upper case may bring up characters that fold again, and the form must be idempotent.
    for _ in 0..4 {
        let again = strip(&serial);
        if again == serial {
            break;
        }
        serial = again;
    }
    let first = serial.chars().next()?;
    let one_character = serial.chars().all(|c| c == first);
    let filler = FILLER.contains(&serial.as_str()) || junk.iter().any(|j| strip(j) == serial);
    (!one_character && !filler).then_some(serial)
}

/// A hardware address: 12 lower-case hex digits; undefined for all 0 and all f.
pub(crate) fn mac(text: &str) -> Option<String> {
    let digits: String =
        text.trim().chars().filter(|c| !matches!(c, ':' | '-' | '.' | ' ')).collect();
    let digits = digits.to_ascii_lowercase();
    let sound = digits.len() == 12
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
        && !matches!(digits.as_str(), "000000000000" | "ffffffffffff");
    sound.then_some(digits)
}

fn folded_address(text: &str) -> Option<IpAddr> {
    Some(text.trim().parse::<IpAddr>().ok()?.to_canonical())
}

/// An IP address in its shortest form; IPv4 inside IPv6 becomes IPv4.
pub(crate) fn ip(text: &str) -> Option<String> {
    Some(folded_address(text)?.to_string())
}

/// The bits of an address, and true for IPv6.
pub(crate) fn address(text: &str) -> Option<(bool, u128)> {
    Some(match folded_address(text)? {
        IpAddr::V4(v4) => (false, u32::from(v4).into()),
        IpAddr::V6(v6) => (true, v6.into()),
    })
}

/// The first address and the prefix length of a network, after true for IPv6. A bare address is
/// the network that holds only itself.
pub(crate) fn network(text: &str) -> Option<(bool, u128, u8)> {
    let text = text.trim();
    let (base, len) = match text.split_once('/') {
        // `parse` would take a plus sign, so only digits pass.
        Some((base, len)) if len.len() <= 3 && len.bytes().all(|b| b.is_ascii_digit()) => {
            (base, Some(len.parse::<u8>().ok()?))
        }
        Some(_) => return None,
        None => (text, None),
    };
    let written: IpAddr = base.parse().ok()?;
    let (v6, bits) = address(base)?;
    let bound = if v6 { 128 } else { 32 };
    // IPv4 inside IPv6 has its prefix counted over all 128 bits.
    let inside = written.is_ipv6() && !v6;
    let len = match (len, inside) {
        (Some(len), true) => len.checked_sub(96)?,
        (Some(len), false) => len,
        (None, _) => bound,
    };
    if len > bound {
        return None;
    }
    let host = u32::from(bound - len);
    // A shift by all 128 bits would overflow.
    let first = if host >= 128 { 0 } else { bits >> host << host };
    Some((v6, first, len))
}

/// A network as `first address/length`, bits of the host cleared.
pub(crate) fn cidr(text: &str) -> Option<String> {
    let (v6, first, len) = network(text)?;
    let base = match v6 {
        true => IpAddr::V6(first.into()),
        false => IpAddr::V4(u32::try_from(first).ok()?.into()),
    };
    Some(format!("{base}/{len}"))
}

/// The prefix length of a network.
pub(crate) fn prefix_len(text: &str) -> Option<i64> {
    Some(network(text)?.2.into())
}

/// A part of an ARN (`arn:partition:service:region:account:resource`): `service`, `region`,
/// `account`, or `name`, the last segment of the resource.
pub(crate) fn arn(text: &str, part: &str) -> Option<String> {
    let fields: Vec<&str> = text.trim().splitn(6, ':').collect();
    let ["arn", partition, service, region, account, resource] = fields.as_slice() else {
        return None;
    };
    if partition.is_empty() || service.is_empty() || resource.is_empty() {
        return None;
    }
    let value = match part {
        "service" => service,
        "region" => region,
        "account" => account,
        _ => resource.rsplit(['/', ':']).next().unwrap_or_default(),
    };
    (!value.is_empty()).then(|| value.to_owned())
}

/// A repository as `owner/name`, lower case, out of its https, ssh or short form.
pub(crate) fn repo(text: &str) -> Option<String> {
    let folded = fold(text);
    let mut rest = folded.trim();
    let mut hosted = false;
    if let Some((_, after)) = rest.split_once("://") {
        rest = after;
        hosted = true;
    }
    if let Some((user, after)) = rest.split_once('@')
        && !user.contains('/')
    {
        rest = after;
        hosted = true;
    }
    rest = rest.split(['?', '#']).next().unwrap_or_default();
    // `host:owner/name`, or `host:22/owner/name`.
    let parts: Vec<&str> =
        rest.split(|c| c == '/' || (hosted && c == ':')).filter(|part| !part.is_empty()).collect();
    let parts = match parts.as_slice() {
        [_, port, path @ ..] if hosted && port.bytes().all(|b| b.is_ascii_digit()) => path,
        [_, path @ ..] if hosted => path,
        // `github.com/owner/name` without a scheme.
        [host, path @ ..] if path.len() == 2 && host.contains('.') => path,
        path => path,
    };
    let [owner, name, ..] = parts else { return None };
    let mut name = *name;
    // All of them go, so that the form is idempotent.
    while let Some(shorter) = name.strip_suffix(".git") {
        name = shorter;
    }
    let sound = |part: &str| {
        !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || matches!(c, '@' | ':'))
    };
    let canonical = format!("{owner}/{name}");
    (sound(owner) && sound(name)).then_some(canonical)
}

/// The host of a URL or e-mail address, lower case.
pub(crate) fn domain(text: &str) -> Option<String> {
    let folded = fold(text);
    let rest = folded.trim();
    let rest = rest.split_once("://").map_or(rest, |(_, after)| after);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let rest = rest.rsplit('@').next().unwrap_or_default();
    let host = match rest.strip_prefix('[') {
        Some(v6) => {
            let inner = v6.split(']').next().unwrap_or_default();
            inner.parse::<std::net::Ipv6Addr>().is_ok().then_some(inner)?
        }
        // The colons of a bare IPv6 address begin no port.
        None if rest.parse::<std::net::Ipv6Addr>().is_ok() => rest,
        None => rest.split(':').next().unwrap_or_default(),
    };
    let host = host.trim_end_matches(['.', '>']);
    let sound =
        !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || matches!(c, '[' | ']'));
    sound.then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(form: impl Fn(&str) -> Option<String>, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            let expected = (!expected.is_empty()).then(|| (*expected).to_owned());
            assert_eq!(form(text), expected, "{text}");
        }
    }

    #[test]
    fn hosts() {
        table(
            hostname,
            &[
                ("MBP-Lena.corp.example.com.", "mbp-lena"),
                ("web-01", "web-01"),
                ("10.0.0.1", ""),
                ("::1", ""),
                ("localhost", ""),
                ("LOCALHOST.localdomain", ""),
                (" ", ""),
            ],
        );
        table(
            fqdn,
            &[("Web.Example.COM.", "web.example.com"), ("web", ""), ("web.", ""), ("10.0.0.1", "")],
        );
        table(
            domain,
            &[
                ("https://User@Example.com:8443/a?b", "example.com"),
                ("alice@example.com", "example.com"),
                ("Example.com.", "example.com"),
                ("http://[::1]:80/", "::1"),
                ("", ""),
            ],
        );
    }

    #[test]
    fn serials_that_are_filler_are_undefined() {
        table(
            |t| serial(t, &["spare part".into()]),
            &[
                ("c02-xl0 gjgh5", "C02XL0GJGH5"),
                ("To Be Filled By O.E.M.", ""),
                ("Default string", ""),
                ("System Serial Number", ""),
                ("N/A", ""),
                ("0000000", ""),
                ("xxxx", ""),
                ("Spare-Part", ""),
                ("", ""),
            ],
        );
    }

    #[test]
    fn addresses_and_networks() {
        table(
            mac,
            &[
                ("AA:BB-CC.dd ee:01", "aabbccddee01"),
                ("00:00:00:00:00:00", ""),
                ("ff-ff-ff-ff-ff-ff", ""),
                ("aa:bb", ""),
            ],
        );
        table(
            ip,
            &[
                (" 10.0.0.1 ", "10.0.0.1"),
                ("::ffff:10.0.0.1", "10.0.0.1"),
                ("2001:DB8::0:1", "2001:db8::1"),
                ("10.0.0", ""),
            ],
        );
        table(
            cidr,
            &[
                ("10.1.2.3/8", "10.0.0.0/8"),
                ("10.1.2.3", "10.1.2.3/32"),
                ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
                ("2001:db8:1::/32", "2001:db8::/32"),
                ("0.0.0.0/0", "0.0.0.0/0"),
                ("::/0", "::/0"),
                ("10.0.0.0/33", ""),
                ("10.0.0.0/+8", ""),
                ("10.0.0.0/", ""),
            ],
        );
        assert_eq!(prefix_len("10.0.0.0/8"), Some(8));
    }

    #[test]
    fn parts_of_an_arn() {
        let role = "arn:aws:iam::123456789012:role/path/billing-writer";
        assert_eq!(arn(role, "account").as_deref(), Some("123456789012"));
        assert_eq!(arn(role, "name").as_deref(), Some("billing-writer"));
        assert_eq!(arn(role, "service").as_deref(), Some("iam"));
        assert_eq!(arn(role, "region"), None);
        assert_eq!(arn("arn:aws:s3:::bucket", "name").as_deref(), Some("bucket"));
        assert_eq!(arn("arn:aws:sns:eu-west-1:1:topic:sub", "name").as_deref(), Some("sub"));
        assert_eq!(arn("not:an:arn", "name"), None);
    }

    #[test]
    fn repositories_have_one_spelling() {
        for text in [
            "https://github.com/Acme/Platform-API.git",
            "https://github.com/acme/platform-api/",
            "git@github.com:acme/platform-api.git",
            "ssh://git@github.com:22/acme/platform-api.git",
            "ssh://git@github.com/acme/platform-api",
            "github.com/acme/platform-api",
            "https://github.com/acme/platform-api/tree/main?x=1",
            "Acme/platform-api",
        ] {
            assert_eq!(repo(text).as_deref(), Some("acme/platform-api"), "{text}");
        }
        for text in ["", "platform-api", "https://github.com", "https://github.com/acme"] {
            assert_eq!(repo(text), None, "{text}");
        }
    }
}
