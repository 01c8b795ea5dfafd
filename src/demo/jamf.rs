//! Scope `jamf`: the laptops that report to device management. Jamf does not know who has which.

use super::DemoFile;
use super::rng::DemoRng;
use super::scope_file::ScopeFile;

const LAPTOPS: u32 = 70;

/// Models with the letters their host names begin with.
const MODELS: [(&str, &str); 4] = [
    ("MacBook Pro 14", "mbp14"),
    ("MacBook Pro 16", "mbp16"),
    ("MacBook Air 13", "mba13"),
    ("MacBook Air 15", "mba15"),
];

// Versions that stand here twice are twice as frequent.
const OS_VERSIONS: [&str; 7] = ["15.5", "15.5", "15.4.1", "15.4.1", "15.3.2", "14.7.6", "13.7.1"];

/// One laptop; the inventory shares its serial number with Jamf.
pub(super) struct JamfLaptop {
    /// The end of the key, e.g. `laptop-001`.
    pub(super) slug: String,
    pub(super) serial: String,
}

/// All laptops, from `laptop-001` on.
pub(super) fn laptops() -> Vec<JamfLaptop> {
    // A stream of its own, so that a change of the other properties keeps the serial numbers.
    let mut rng = DemoRng::stream("jamf serials");
    (1..=LAPTOPS)
        .map(|n| JamfLaptop {
            slug: format!("laptop-{n:03}"),
            serial: format!("C02{}", rng.serial(8)),
        })
        .collect()
}

/// Makes the upload of the scope.
pub(super) fn file(laptops: &[JamfLaptop]) -> DemoFile {
    let mut rng = DemoRng::stream("jamf");
    let mut out = ScopeFile::new("jamf.ndjson", "jamf");
    for laptop in laptops {
        add_laptop(&mut out, &mut rng, laptop);
    }
    out.finish()
}

fn add_laptop(out: &mut ScopeFile, rng: &mut DemoRng, laptop: &JamfLaptop) {
    let (model, prefix) = rng.pick(&MODELS);
    let last_four = &laptop.serial[laptop.serial.len() - 4..];
    let hostname = format!("{prefix}-{}", last_four.to_lowercase());
    let properties = vec![
        ("hostname", hostname.as_str().into()),
        ("serialNumber", laptop.serial.as_str().into()),
        ("model", model.into()),
        ("platform", "darwin".into()),
        ("osVersion", rng.pick(&OS_VERSIONS).into()),
        ("encrypted", rng.chance(94).into()),
        ("managed", rng.chance(97).into()),
        ("ramGb", rng.pick(&[16, 16, 24, 32, 64]).into()),
        ("enrolledOn", rng.day(2024).into()),
    ];
    let key = format!("jamf-device:{}", laptop.slug);
    out.entity(&key, "jamf_computer", &["Device"], &hostname, properties);
}
