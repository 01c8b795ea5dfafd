//! Scope `aws`: two accounts with their buckets, tables, roles and functions.

use serde_json::Value;

use super::DemoFile;
use super::rng::DemoRng;
use super::scope_file::{PropertyList, ScopeFile};

/// Account slugs and numbers; the numbers are those of Amazon's own examples.
const ACCOUNTS: [(&str, &str); 2] = [("production", "111122223333"), ("staging", "444455556666")];

/// Buckets with what they hold: public, internal or confidential.
const BUCKETS: [(&str, &str); 32] = [
    ("platform-assets", "public"),
    ("platform-uploads", "confidential"),
    ("platform-terraform-state", "confidential"),
    ("identity-exports", "confidential"),
    ("notification-templates", "internal"),
    ("billing-exports", "confidential"),
    ("invoices", "confidential"),
    ("ledger-archive", "confidential"),
    ("payment-receipts", "confidential"),
    ("payout-files", "confidential"),
    ("tax-tables", "internal"),
    ("storefront-static", "public"),
    ("customer-portal-static", "public"),
    ("checkout-static", "public"),
    ("marketing-media", "public"),
    ("docs-site", "public"),
    ("mobile-builds", "internal"),
    ("warehouse-raw", "confidential"),
    ("warehouse-curated", "confidential"),
    ("event-lake", "confidential"),
    ("model-artifacts", "internal"),
    ("report-output", "confidential"),
    ("search-snapshots", "internal"),
    ("audit-logs", "confidential"),
    ("cloudtrail", "confidential"),
    ("access-review-evidence", "confidential"),
    ("cluster-backups", "confidential"),
    ("log-archive", "confidential"),
    ("status-page", "public"),
    ("staging-assets", "internal"),
    ("staging-uploads", "internal"),
    ("staging-logs", "internal"),
];

const TABLES: [&str; 13] = [
    "sessions",
    "feature-flags",
    "notifications",
    "payments",
    "invoices",
    "ledger-entries",
    "subscriptions",
    "payouts",
    "carts",
    "search-cursor",
    "event-offsets",
    "audit-index",
    "staging-sessions",
];

/// Roles with the keys of the data that they allow to read. A `+` in front allows to write as well.
const ROLES: [(&str, &[&str]); 25] = [
    ("platform-api", &["+s3-bucket:platform-uploads", "s3-bucket:platform-assets"]),
    ("platform-deployer", &["+s3-bucket:platform-assets", "+s3-bucket:platform-terraform-state"]),
    ("identity-service", &["+dynamodb-table:sessions", "+s3-bucket:identity-exports"]),
    ("notification-sender", &["+dynamodb-table:notifications", "s3-bucket:notification-templates"]),
    ("flag-reader", &["dynamodb-table:feature-flags"]),
    (
        "billing-writer",
        &[
            "+s3-bucket:invoices",
            "+s3-bucket:billing-exports",
            "+s3-bucket:ledger-archive",
            "+dynamodb-table:payments",
            "+dynamodb-table:invoices",
        ],
    ),
    ("billing-reader", &["s3-bucket:invoices", "dynamodb-table:invoices"]),
    ("ledger-writer", &["+dynamodb-table:ledger-entries", "+s3-bucket:ledger-archive"]),
    ("payment-gateway", &["+dynamodb-table:payments", "+s3-bucket:payment-receipts"]),
    ("payout-runner", &["+dynamodb-table:payouts", "+s3-bucket:payout-files"]),
    ("subscription-service", &["+dynamodb-table:subscriptions"]),
    ("tax-reader", &["s3-bucket:tax-tables"]),
    ("storefront-publisher", &["+s3-bucket:storefront-static"]),
    ("portal-publisher", &["+s3-bucket:customer-portal-static", "+s3-bucket:checkout-static"]),
    ("cart-service", &["+dynamodb-table:carts"]),
    ("mobile-builder", &["+s3-bucket:mobile-builds"]),
    ("warehouse-loader", &["+s3-bucket:warehouse-raw", "s3-bucket:event-lake"]),
    ("warehouse-modeler", &["s3-bucket:warehouse-raw", "+s3-bucket:warehouse-curated"]),
    ("event-ingest", &["+s3-bucket:event-lake", "+dynamodb-table:event-offsets"]),
    ("model-trainer", &["s3-bucket:warehouse-curated", "+s3-bucket:model-artifacts"]),
    ("report-builder", &["s3-bucket:warehouse-curated", "+s3-bucket:report-output"]),
    ("search-indexer", &["+s3-bucket:search-snapshots", "+dynamodb-table:search-cursor"]),
    ("audit-collector", &["+s3-bucket:audit-logs", "+dynamodb-table:audit-index"]),
    ("backup-operator", &["+s3-bucket:cluster-backups", "+s3-bucket:log-archive"]),
    ("staging-deployer", &["+s3-bucket:staging-assets", "+s3-bucket:staging-uploads"]),
];

/// Functions with the role each runs as.
const FUNCTIONS: [(&str, &str); 22] = [
    ("thumbnailer", "platform-api"),
    ("upload-scanner", "platform-api"),
    ("session-sweeper", "identity-service"),
    ("mail-dispatcher", "notification-sender"),
    ("push-dispatcher", "notification-sender"),
    ("invoice-finisher", "billing-writer"),
    ("dunning-reminder", "billing-reader"),
    ("ledger-compactor", "ledger-writer"),
    ("receipt-printer", "payment-gateway"),
    ("refund-worker", "payment-gateway"),
    ("payout-nightly", "payout-runner"),
    ("renewal-nightly", "subscription-service"),
    ("tax-refresh", "tax-reader"),
    ("cart-expiry", "cart-service"),
    ("raw-loader", "warehouse-loader"),
    ("event-batcher", "event-ingest"),
    ("churn-scorer", "model-trainer"),
    ("weekly-report", "report-builder"),
    ("reindex-nightly", "search-indexer"),
    ("trail-splitter", "audit-collector"),
    ("snapshot-rotator", "backup-operator"),
    ("staging-reset", "staging-deployer"),
];

const RUNTIMES: [&str; 4] = ["python3.12", "nodejs22.x", "provided.al2023", "java21"];

/// Makes the upload of the scope.
pub(super) fn file() -> DemoFile {
    let mut rng = DemoRng::stream("aws");
    let mut out = ScopeFile::new("aws.ndjson", "aws");
    for (slug, number) in ACCOUNTS {
        let properties = vec![("name", slug.into()), ("accountId", number.into())];
        out.entity(&account_key(slug), "aws_account", &["Account"], slug, properties);
    }
    for (name, classification) in BUCKETS {
        add_bucket(&mut out, &mut rng, name, classification);
    }
    for name in TABLES {
        add_table(&mut out, &mut rng, name);
    }
    for (name, allowed) in ROLES {
        add_role(&mut out, &mut rng, name, allowed);
    }
    for (name, role) in FUNCTIONS {
        add_function(&mut out, &mut rng, name, role);
    }
    out.finish()
}

fn add_bucket(out: &mut ScopeFile, rng: &mut DemoRng, name: &str, classification: &str) {
    let properties = vec![
        ("classification", classification.into()),
        ("public", (classification == "public").into()),
        ("encrypted", (classification != "public" || rng.chance(70)).into()),
        ("versioning", rng.chance(60).into()),
        ("createdOn", created_on(rng).into()),
        ("arn", format!("arn:aws:s3:::{name}").into()),
    ];
    add_resource(out, ("s3-bucket", "aws_s3_bucket", &["DataStore"]), name, properties);
}

fn add_table(out: &mut ScopeFile, rng: &mut DemoRng, name: &str) {
    let properties = vec![
        ("encrypted", true.into()),
        ("itemCount", (rng.below(4_000_000) + 500).into()),
        ("pointInTimeRecovery", rng.chance(80).into()),
        ("arn", arn("dynamodb:eu-central-1", name, "table").into()),
    ];
    let kind = ("dynamodb-table", "aws_dynamodb_table", &["DataStore", "Database"][..]);
    add_resource(out, kind, name, properties);
}

fn add_role(out: &mut ScopeFile, rng: &mut DemoRng, name: &str, allowed: &[&str]) {
    let properties = vec![
        ("roleName", name.into()),
        ("createdOn", created_on(rng).into()),
        ("arn", arn("iam:", name, "role").into()),
    ];
    add_resource(out, ("aws-iam-role", "aws_iam_role", &["AccessRole"]), name, properties);
    for data in allowed {
        let (key, access) = match data.strip_prefix('+') {
            Some(key) => (key, "write"),
            None => (*data, "read"),
        };
        let kind = match key.starts_with("s3-bucket:") {
            true => "aws_iam_role_allows_s3_bucket",
            false => "aws_iam_role_allows_dynamodb_table",
        };
        let properties = vec![("access", Value::from(access))];
        out.relate(&format!("aws-iam-role:{name}"), "ALLOWS", key, kind, properties);
    }
}

fn add_function(out: &mut ScopeFile, rng: &mut DemoRng, name: &str, role: &str) {
    let properties = vec![
        ("runtime", rng.pick(&RUNTIMES).into()),
        ("memoryMb", rng.pick(&[128, 256, 512, 1024]).into()),
        ("timeoutSeconds", rng.pick(&[15, 30, 60, 300]).into()),
        ("arn", arn("lambda:eu-central-1", name, "function").into()),
    ];
    let kind = ("lambda-function", "aws_lambda_function", &["Function"][..]);
    add_resource(out, kind, name, properties);
    let (from, to) = (format!("lambda-function:{name}"), format!("aws-iam-role:{role}"));
    out.relate(&from, "ASSUMES", &to, "aws_lambda_function_assumes_iam_role", vec![]);
}

/// Adds an entity and the account that has it. `kind` is key prefix, type, classes.
fn add_resource(
    out: &mut ScopeFile,
    kind: (&str, &str, &[&str]),
    name: &str,
    mut properties: PropertyList,
) {
    let (prefix, entity_type, classes) = kind;
    let key = format!("{prefix}:{name}");
    let (account, number) = account_of(name);
    properties.extend([("name", name.into()), ("accountId", number.into())]);
    out.entity(&key, entity_type, classes, name, properties);
    // The vendor stands once in the type: `aws_account_has_s3_bucket`.
    let kind = format!("aws_account_has_{}", entity_type.trim_start_matches("aws_"));
    out.relate(&account_key(account), "HAS", &key, &kind, vec![]);
}

fn created_on(rng: &mut DemoRng) -> String {
    let year = rng.pick(&[2020, 2021, 2022, 2023, 2024]);
    rng.day(year)
}

fn account_of(name: &str) -> (&'static str, &'static str) {
    ACCOUNTS[usize::from(name.starts_with("staging"))]
}

fn account_key(slug: &str) -> String {
    format!("aws-account:{slug}")
}

/// The ARN of a resource; `service` carries its region, or a colon alone where there is none.
fn arn(service: &str, name: &str, kind: &str) -> String {
    let (_, number) = account_of(name);
    let separator = if kind == "function" { ':' } else { '/' };
    format!("arn:aws:{service}:{number}:{kind}{separator}{name}")
}
