//! Filler: texts that stand where a value should be, such as `N/A`. Two machines without a serial
//! number do not have one serial number, so filler is undefined in every form.

use super::nfkc;

/// Filler in its folded form: upper case, letters and digits only.
const FILLERS: &[&str] = &[
    "NA",
    "NAN",
    "NONE",
    "NULL",
    "NIL",
    "UNKNOWN",
    "UNDEFINED",
    "UNASSIGNED",
    "UNSPECIFIED",
    "DEFAULT",
    "EMPTY",
    "BLANK",
    "INVALID",
    "MISSING",
    "TBD",
    "TBA",
    "TODO",
    "PLACEHOLDER",
    "NOTAVAILABLE",
    "NOTAPPLICABLE",
    "NOTSPECIFIED",
    "NOTPROVIDED",
    "NOTASSIGNED",
    "NOTPRESENT",
    "NOTSET",
    "NOTFOUND",
    "NOASSERTION",
    "NOSERIAL",
    "NOSERIALNUMBER",
    "TOBEFILLEDBYOEM",
    "TOBEDETERMINED",
    "TOBEDEFINED",
    "DEFAULTSTRING",
    "DEFAULTSERIAL",
    "DEFAULTSERIALNUMBER",
    "SYSTEMSERIALNUMBER",
    "CHASSISSERIALNUMBER",
    "BASEBOARDSERIALNUMBER",
    "SERIALNUMBER",
    "OEM",
    "12345678",
    "123456789",
    "1234567890",
    "0123456789",
    "0123456789ABCDEF",
];

/// True if a text is filler: by the table, by the `junk` of this organisation, or because it has no
/// letter and no digit.
pub(super) fn is_filler(text: &str, junk: &[String]) -> bool {
    // Most texts are no filler, and longer than any; they are not folded.
    let long = |text: &str| text.bytes().filter(u8::is_ascii_alphanumeric).count() > LONGEST;
    if junk.is_empty() && text.is_ascii() && long(text) {
        return false;
    }
    let folded = folded(text);
    folded.is_empty()
        || FILLERS.contains(&folded.as_str())
        || junk.iter().any(|own| self::folded(own) == folded)
}

/// The letters of the longest filler in ASCII.
const LONGEST: usize = 21;

/// Upper case, letters and digits only.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        let mut folded = String::with_capacity(text.len());
        let kept = text.bytes().filter(u8::is_ascii_alphanumeric);
        folded.extend(kept.map(|byte| char::from(byte.to_ascii_uppercase())));
        return folded;
    }
    let upper = nfkc(&nfkc(text).to_uppercase());
    upper.chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::is_filler;

    #[test]
    fn one_table_knows_the_filler_of_all_forms() {
        assert_eq!(super::FILLERS.iter().map(|text| text.len()).max(), Some(super::LONGEST));
        for text in [
            "N/A",
            "n.a.",
            "#N/A",
            "(null)",
            "-",
            "*",
            " ",
            "<none>",
            "NaN",
            "TBD",
            "unknown",
            "Default Serial",
            "1234567890",
            "To Be Filled By O.E.M.",
        ] {
            assert!(is_filler(text, &[]), "{text}");
        }
        for text in ["C02XL0GJGH5", "alice", "example.com", "0", "nancy"] {
            assert!(!is_filler(text, &[]), "{text}");
        }
        assert!(is_filler("Spare-Part", &["spare part".to_owned()]));
    }
}
