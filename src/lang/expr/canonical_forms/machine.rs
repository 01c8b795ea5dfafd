//! Canonical forms of machines, networks, cloud resources and repositories.

use super::filler::is_filler;
use super::fold;
use std::net::IpAddr;

/// The first label of a host name, lower case; undefined for an IP address, `localhost`, and what is
/// no host name, such as a URL, a network or a host with a port.
pub(crate) fn hostname(text: &str, junk: &[String]) -> Option<String> {
    let folded = fold(text);
    let name = folded.trim().trim_end_matches('.');
    if name.parse::<IpAddr>().is_ok() || is_filler(name, junk) || !is_host(name) {
        return None;
    }
    let label = name.split('.').next().unwrap_or_default();
    let sound = !label.is_empty()
        && label != "localhost"
        && label.parse::<IpAddr>().is_err()
        && !is_filler(label, junk);
    sound.then(|| label.to_owned())
}

/// True if a text has only what a host name may have.
fn is_host(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// A full host name: lower case, no dot at the end; undefined without a dot inside.
pub(crate) fn fqdn(text: &str, junk: &[String]) -> Option<String> {
    let folded = fold(text);
    let name = folded.trim().trim_end_matches('.');
    // The name of a certificate may begin with a star.
    let host = name.strip_prefix("*.").unwrap_or(name);
    let sound = host.contains('.')
        && !host.starts_with('.')
        && is_host(host)
        && !is_filler(host, junk)
        && host.parse::<IpAddr>().is_err();
    sound.then(|| name.to_owned())
}

/// A serial number: upper case, no blanks and dashes; undefined for filler and for one character
/// repeated.
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
    // An address is no serial number.
    let sound = !one_character && !serial.contains("://") && !is_filler(&serial, junk);
    sound.then_some(serial)
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
    let value: &str = match part {
        "service" => service,
        "region" => region,
        "account" => account,
        _ => resource_name(service, resource),
    };
    (!value.is_empty()).then(|| value.to_owned())
}

/// The name in the resource of an ARN. What only narrows a resource, such as a version, a revision or
/// `*`, is no part of its name.
fn resource_name<'a>(service: &str, resource: &'a str) -> &'a str {
    let (kind, rest) = resource.split_once([':', '/']).unwrap_or(("", resource));
    let before = |sign: char| rest.split(sign).next().unwrap_or(rest);
    match (service, kind) {
        // Names of log groups have slashes, and a stream or `*` may follow.
        ("logs", "log-group") => before(':'),
        ("lambda", "function" | "layer") => before(':'),
        ("ecs", "task-definition") => before(':'),
        ("elasticloadbalancing", "targetgroup") => before('/'),
        ("elasticloadbalancing", "loadbalancer") => {
            // `app/NAME/ID` of the new kind, `NAME` of the old.
            rest.split('/').nth(1).unwrap_or(rest)
        }
        _ => {
            let mut parts = resource.rsplit(['/', ':']);
            let last = parts.next().unwrap_or_default();
            match last {
                "*" | "$LATEST" => parts.next().unwrap_or(last),
                last => last,
            }
        }
    }
}

/// Pages below a repository in the web: what follows them names no repository.
const REPO_PAGES: [&str; 16] = [
    "-",
    "tree",
    "blob",
    "raw",
    "src",
    "pull",
    "pulls",
    "issues",
    "commit",
    "commits",
    "releases",
    "actions",
    "wiki",
    "browse",
    "branch",
    "merge_requests",
];

/// A repository as its whole path without host, lower case, out of its https, ssh or short form:
/// `owner/name`, or `group/subgroup/name`.
pub(crate) fn repo(text: &str) -> Option<String> {
    repo_parts(text).map(|(_, path)| path)
}

/// A repository with its host: `github.com/owner/name`; undefined where no host is written.
pub(crate) fn repo_url(text: &str) -> Option<String> {
    let (host, path) = repo_parts(text)?;
    // A host without a dot could not be told from the owner of a repository. The scheme says of any
    // other host that it is one.
    let host = host.filter(|host| host.contains('.'))?;
    Some(match is_repo_host(&host) {
        true => format!("{host}/{path}"),
        false => format!("https://{host}/{path}"),
    })
}

/// The host, where one is written, and the path of a repository.
fn repo_parts(text: &str) -> Option<(Option<String>, String)> {
    let folded = fold(text);
    let mut rest = folded.trim();
    let mut hosted = false;
    // `codecommit::REGION://NAME` is the form of the helper of AWS.
    if let Some((region, name)) =
        rest.strip_prefix("codecommit::").and_then(|r| r.split_once("://"))
    {
        let name = name.rsplit('@').next().unwrap_or(name);
        let host = format!("git-codecommit.{region}.amazonaws.com");
        return (!name.is_empty() && !name.contains('/')).then(|| (Some(host), name.to_owned()));
    }
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
    let (host, mut parts) = match parts.as_slice() {
        [host, port, path @ ..] if hosted && port.bytes().all(|b| b.is_ascii_digit()) => {
            (Some(*host), path.to_vec())
        }
        [host, path @ ..] if hosted => (Some(*host), path.to_vec()),
        // `github.com/owner/name` without a scheme.
        [host, path @ ..] if path.len() >= 2 && is_repo_host(host) => (Some(*host), path.to_vec()),
        path => (None, path.to_vec()),
    };
    let alone = repo_prefix(host.unwrap_or_default(), &mut parts);
    // Each may uncover another one, as in `a/b/-.git`; all go, so that the form is idempotent.
    loop {
        let before = (parts.len(), parts.last().map_or(0, |name| name.len()));
        if let Some(page) = parts.iter().skip(2).position(|part| REPO_PAGES.contains(part)) {
            parts.truncate(page + 2);
        }
        let name = parts.pop()?;
        parts.push(name.strip_suffix(".git").unwrap_or(name));
        if before == (parts.len(), parts.last().map_or(0, |name| name.len())) {
            break;
        }
    }
    let sound = |part: &&str| {
        !matches!(*part, "" | "." | "..")
            && !part.contains(|c: char| c.is_whitespace() || matches!(c, '@' | ':'))
    };
    if host.is_some_and(|host| host.starts_with(['.', '-']) || !is_host(host)) {
        return None;
    }
    let whole = parts.iter().all(sound) && (parts.len() >= 2 || alone);
    // Services that have a host of their own for SSH.
    let host = host.map(|host| {
        let host = host.strip_prefix("www.").unwrap_or(host);
        match host {
            "ssh.dev.azure.com" | "vs-ssh.visualstudio.com" => "dev.azure.com".to_owned(),
            "altssh.bitbucket.org" => "bitbucket.org".to_owned(),
            host => host.trim_end_matches('.').to_owned(),
        }
    });
    whole.then(|| (host, parts.join("/")))
}

/// True for a host that is known without a scheme before it. Owners may have dots in their names too.
fn is_repo_host(host: &str) -> bool {
    const HOSTS: [&str; 6] = [
        "github.com",
        "gitlab.com",
        "bitbucket.org",
        "dev.azure.com",
        "codeberg.org",
        "www.github.com",
    ];
    const STARTS: [&str; 5] = ["git.", "github.", "gitlab.", "bitbucket.", "git-codecommit."];
    HOSTS.contains(&host) || STARTS.iter().any(|start| host.starts_with(start))
}

/// Takes what a service puts before or between the parts of a path. True if one part is a whole path
/// there.
fn repo_prefix(host: &str, parts: &mut Vec<&str>) -> bool {
    let github = host == "github.com" || host == "www.github.com";
    match parts.as_slice() {
        // Two parts name a repository of GitHub; what follows is a page.
        [_, _, _, ..] if github => parts.truncate(2),
        ["scm", rest @ ..] if rest.len() >= 2 => *parts = rest.to_vec(),
        // A page of a Bitbucket server.
        ["projects" | "users", project, "repos", name, ..] => *parts = vec![project, name],
        ["v3", rest @ ..] if host.contains("azure.com") || host.contains("visualstudio.com") => {
            *parts = rest.to_vec();
        }
        ["v1", "repos", name] if host.contains("codecommit") => {
            *parts = vec![name];
            return true;
        }
        _ if host.contains("azure.com") || host.contains("visualstudio.com") => {
            // Azure writes `org/project/_git/repo`, and other pages behind the name.
            if let Some(at) = parts.iter().position(|part| *part == "_git") {
                parts.truncate(at + 2);
                parts.remove(at);
            }
        }
        _ => {}
    }
    false
}

/// The host of a URL or e-mail address, lower case.
pub(crate) fn domain(text: &str, junk: &[String]) -> Option<String> {
    if is_filler(text, junk) {
        return None;
    }
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
    let sound = sound && !is_filler(host, junk);
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
            |text| hostname(text, &[]),
            &[
                ("MBP-Lena.corp.example.com.", "mbp-lena"),
                ("web-01", "web-01"),
                ("10.0.0.1", ""),
                ("::1", ""),
                ("localhost", ""),
                ("LOCALHOST.localdomain", ""),
                ("10.0.0.5/24", ""),
                ("10.1.2.3:443", ""),
                ("https://web/x", ""),
                ("N/A", ""),
                ("unknown", ""),
                (" ", ""),
            ],
        );
        table(
            |text| fqdn(text, &[]),
            &[
                ("#N/A", ""),
                ("Web.Example.COM.", "web.example.com"),
                ("web", ""),
                ("web.", ""),
                ("10.0.0.1", ""),
            ],
        );
        table(
            |text| domain(text, &[]),
            &[
                ("N/A", ""),
                ("-", ""),
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
                ("https://web/x", ""),
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
        for (text, name) in [
            ("arn:aws:logs:eu-west-1:1:log-group:x:*", "x"),
            ("arn:aws:logs:eu-west-1:1:log-group:/aws/lambda/f:*", "/aws/lambda/f"),
            ("arn:aws:lambda:eu-west-1:1:function:f:$LATEST", "f"),
            ("arn:aws:lambda:eu-west-1:1:function:f:7", "f"),
            ("arn:aws:ecs:eu-west-1:1:task-definition/web:12", "web"),
            ("arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/web/50dc", "web"),
            ("arn:aws:s3:::bucket/*", "bucket"),
        ] {
            assert_eq!(arn(text, "name").as_deref(), Some(name), "{text}");
        }
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
        for (text, path, url) in [
            ("https://gitlab.com/acme/platform/api", "acme/platform/api", "gitlab.com"),
            ("git@gitlab.com:acme/platform/sub/web.git", "acme/platform/sub/web", "gitlab.com"),
            ("https://gitlab.com/acme/platform/api/-/tree/main", "acme/platform/api", "gitlab.com"),
            ("https://bitbucket.corp/scm/PROJ/x.git", "proj/x", "bitbucket.corp"),
            ("https://bitbucket.corp/projects/PROJ/repos/x/browse", "proj/x", "bitbucket.corp"),
            ("git@ssh.dev.azure.com:v3/org/project/repo", "org/project/repo", "dev.azure.com"),
            ("https://me@dev.azure.com/org/project/_git/repo", "org/project/repo", "dev.azure.com"),
            (
                "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/Tool",
                "tool",
                "git-codecommit.eu-west-1.amazonaws.com",
            ),
        ] {
            assert_eq!(repo(text).as_deref(), Some(path), "{text}");
            let whole = repo_url(text).expect("it names a host");
            assert_eq!(whole.trim_start_matches("https://"), format!("{url}/{path}"), "{text}");
        }
        assert_eq!(repo_url("acme/api"), None);
    }
}
