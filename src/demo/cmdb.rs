//! Scope `cmdb`: applications, what they depend on, their databases and their teams.

use super::DemoFile;
use super::rng::DemoRng;
use super::scope_file::ScopeFile;

const TEAMS: [(&str, &str); 7] = [
    ("sre", "SRE"),
    ("platform", "Platform"),
    ("payments", "Payments"),
    ("web", "Web"),
    ("data", "Data"),
    ("security", "Security"),
    ("finance", "Finance"),
];

const DATABASES: [(&str, &str); 14] = [
    ("identity", "PostgreSQL"),
    ("catalog", "PostgreSQL"),
    ("orders", "PostgreSQL"),
    ("billing", "PostgreSQL"),
    ("ledger", "PostgreSQL"),
    ("subscriptions", "PostgreSQL"),
    ("support-tickets", "MySQL"),
    ("notifications", "PostgreSQL"),
    ("search", "OpenSearch"),
    ("sessions", "Redis"),
    ("events", "Kafka"),
    ("warehouse", "Snowflake"),
    ("metrics", "ClickHouse"),
    ("employees", "MySQL"),
];

/// One application. If its team is empty, nobody owns it.
struct CmdbApplication {
    slug: &'static str,
    name: &'static str,
    team: &'static str,
    databases: &'static [&'static str],
    depends_on: &'static [&'static str],
}

const fn app(
    slug: &'static str,
    name: &'static str,
    team: &'static str,
    databases: &'static [&'static str],
    depends_on: &'static [&'static str],
) -> CmdbApplication {
    CmdbApplication { slug, name, team, databases, depends_on }
}

/// Every application; an application comes after those it depends on.
const APPS: [CmdbApplication; 26] = [
    app("identity", "Identity", "platform", &["identity", "sessions"], &[]),
    app("feature-flags", "Feature flags", "platform", &[], &[]),
    app("file-store", "File store", "platform", &[], &["identity"]),
    app("notifications", "Notifications", "platform", &["notifications"], &[]),
    app("api-gateway", "API gateway", "platform", &["sessions"], &["identity", "feature-flags"]),
    app("event-bus", "Event bus", "data", &["events"], &[]),
    app("tax", "Tax calculation", "payments", &[], &[]),
    app("ledger", "Ledger", "payments", &["ledger"], &["event-bus"]),
    app("payments", "Payment gateway", "payments", &["orders"], &["ledger", "identity"]),
    app("billing", "Billing", "payments", &["billing"], &["ledger", "tax", "notifications"]),
    app("invoicing", "Invoicing", "payments", &["billing"], &["billing", "file-store"]),
    app("subscriptions", "Subscriptions", "payments", &["subscriptions"], &["billing", "identity"]),
    app("payouts", "Partner payouts", "payments", &["ledger"], &["ledger", "payments"]),
    app("catalog", "Product catalog", "web", &["catalog", "search"], &["file-store"]),
    app("search", "Search", "data", &["search"], &["event-bus"]),
    app("checkout", "Checkout", "web", &["orders"], &["payments", "catalog", "tax"]),
    app("storefront", "Storefront", "web", &["sessions"], &["catalog", "search", "checkout"]),
    app("customer-portal", "Customer portal", "web", &[], &["api-gateway", "invoicing"]),
    app("mobile", "Mobile app", "web", &[], &["api-gateway", "subscriptions"]),
    app("support-desk", "Support desk", "", &["support-tickets"], &["identity", "invoicing"]),
    app("warehouse", "Data warehouse", "data", &["warehouse"], &["event-bus"]),
    app("reporting", "Reporting", "data", &["warehouse", "metrics"], &["warehouse"]),
    app("churn-prediction", "Churn prediction", "data", &["warehouse"], &["warehouse"]),
    app("audit", "Audit trail", "security", &["events"], &["identity", "event-bus"]),
    app("accounting", "Accounting", "finance", &["ledger"], &["ledger", "reporting"]),
    app("staff-directory", "Staff directory", "", &["employees"], &["identity"]),
];

/// Makes the upload of the scope.
pub(super) fn file() -> DemoFile {
    let mut rng = DemoRng::stream("cmdb");
    let mut out = ScopeFile::new("cmdb.ndjson", "cmdb");
    for (slug, name) in TEAMS {
        let key = format!("cmdb-team:{slug}");
        out.entity(&key, "cmdb_team", &["Team"], name, vec![("name", name.into())]);
    }
    for (slug, engine) in DATABASES {
        let key = database_key(slug);
        let properties = vec![
            ("name", slug.into()),
            ("engine", engine.into()),
            ("sizeGb", (rng.below(900) + 2).into()),
            ("backedUp", rng.chance(90).into()),
        ];
        out.entity(&key, "cmdb_database", &["Database"], slug, properties);
    }
    for app in &APPS {
        add_app(&mut out, &mut rng, app);
    }
    out.finish()
}

fn add_app(out: &mut ScopeFile, rng: &mut DemoRng, app: &CmdbApplication) {
    let key = app_key(app.slug);
    let properties = vec![
        ("name", app.name.into()),
        ("tier", (rng.below(3) + 1).into()),
        ("production", true.into()),
        ("reviewedOn", rng.day(2025).into()),
    ];
    out.entity(&key, "cmdb_application", &["Application"], app.name, properties);
    if !app.team.is_empty() {
        let team = format!("cmdb-team:{}", app.team);
        out.relate(&team, "OWNS", &key, "cmdb_team_owns_application", vec![]);
    }
    for database in app.databases {
        let kind = "cmdb_application_uses_database";
        out.relate(&key, "USES", &database_key(database), kind, vec![]);
    }
    for other in app.depends_on {
        let kind = "cmdb_application_depends_on_application";
        out.relate(&key, "DEPENDS_ON", &app_key(other), kind, vec![]);
    }
}

fn app_key(slug: &str) -> String {
    format!("cmdb-app:{slug}")
}

fn database_key(slug: &str) -> String {
    format!("cmdb-db:{slug}")
}
