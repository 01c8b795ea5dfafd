//! Scope `github`: teams and the repositories they own.

use super::DemoFile;
use super::rng::DemoRng;
use super::scope_file::ScopeFile;

const TEAMS: [(&str, &str); 6] = [
    ("sre", "SRE"),
    ("platform", "Platform"),
    ("payments", "Payments"),
    ("web", "Web"),
    ("data", "Data"),
    ("security", "Security"),
];

/// The name of a repository and its main language.
type GithubRepo = (&'static str, &'static str);

/// Repositories by owning team. A search for orphans finds those without a team.
const REPOS: [(Option<&str>, &[GithubRepo]); 7] = [
    (
        Some("sre"),
        &[
            ("cluster-config", "HCL"),
            ("runbooks", "Markdown"),
            ("log-shipper", "Rust"),
            ("backup-operator", "Go"),
            ("status-page", "TypeScript"),
        ],
    ),
    (
        Some("platform"),
        &[
            ("platform-api", "Go"),
            ("platform-infra", "HCL"),
            ("service-template", "Go"),
            ("identity-service", "Rust"),
            ("notification-service", "Go"),
            ("file-service", "Rust"),
            ("feature-flags", "TypeScript"),
        ],
    ),
    (
        Some("payments"),
        &[
            ("billing-api", "Kotlin"),
            ("invoice-renderer", "Python"),
            ("ledger", "Rust"),
            ("payment-gateway", "Kotlin"),
            ("subscription-service", "Kotlin"),
            ("tax-rules", "Python"),
            ("payout-scheduler", "Go"),
        ],
    ),
    (
        Some("web"),
        &[
            ("storefront", "TypeScript"),
            ("customer-portal", "TypeScript"),
            ("checkout-ui", "TypeScript"),
            ("design-system", "TypeScript"),
            ("marketing-site", "Astro"),
            ("docs-site", "MDX"),
            ("mobile-app", "Dart"),
        ],
    ),
    (
        Some("data"),
        &[
            ("warehouse-models", "SQL"),
            ("event-pipeline", "Scala"),
            ("churn-model", "Python"),
            ("metrics-exporter", "Python"),
            ("search-indexer", "Rust"),
            ("report-builder", "Python"),
        ],
    ),
    (
        Some("security"),
        &[
            ("detection-rules", "YAML"),
            ("audit-collector", "Go"),
            ("secret-scanner", "Rust"),
            ("access-reviews", "Python"),
        ],
    ),
    (
        None,
        &[
            ("hackday-2023", "JavaScript"),
            ("legacy-importer", "Perl"),
            ("old-admin", "Ruby"),
            ("sandbox", "Shell"),
        ],
    ),
];

/// Makes the upload of the scope.
pub(super) fn file() -> DemoFile {
    let mut rng = DemoRng::stream("github");
    let mut out = ScopeFile::new("github.ndjson", "github");
    for (slug, name) in TEAMS {
        let key = team_key(slug);
        out.entity(&key, "github_team", &["Team"], name, vec![("name", name.into())]);
    }
    for (team, repos) in REPOS {
        for (name, language) in repos {
            add_repo(&mut out, &mut rng, name, language, team.is_none());
            if let Some(team) = team {
                let kind = "github_team_owns_repo";
                out.relate(&team_key(team), "OWNS", &repo_key(name), kind, vec![]);
            }
        }
    }
    out.finish()
}

fn add_repo(out: &mut ScopeFile, rng: &mut DemoRng, name: &str, language: &str, forgotten: bool) {
    // Repositories without a team also look forgotten: old pushes, no branch protection.
    let pushed_in = if forgotten { rng.pick(&[2022, 2023]) } else { 2025 };
    let properties = vec![
        ("name", name.into()),
        ("fullName", format!("example/{name}").into()),
        ("language", language.into()),
        ("defaultBranch", "main".into()),
        ("private", (!matches!(name, "design-system" | "docs-site")).into()),
        ("branchProtection", (!forgotten && rng.chance(85)).into()),
        ("openIssues", rng.below(60).into()),
        ("pushedOn", rng.day(pushed_in).into()),
    ];
    out.entity(&repo_key(name), "github_repo", &["CodeRepo"], name, properties);
}

fn team_key(slug: &str) -> String {
    format!("github-team:{slug}")
}

fn repo_key(name: &str) -> String {
    format!("github-repo:{name}")
}
