//! The rows that the mapping files read. They come from people, pipelines and registers.
//!
//! No scope holds any of this: only the inventory knows that Alice has `laptop-001`.

use std::fmt::Write;

use super::jamf::JamfLaptop;
use super::okta::PEOPLE;
use super::rng::DemoRng;
use super::scope_file::json_line;

/// Logins with a second laptop, for tests or for being on call.
const SECOND_LAPTOPS: [&str; 5] = ["bob", "kavya", "daniel", "kenji", "marcus"];

/// A repository, the bucket that it deploys, and the status of the deployment.
const DEPLOYMENTS: [(&str, &str, &str); 29] = [
    ("platform-api", "platform-assets", "active"),
    ("platform-api", "platform-uploads", "active"),
    ("platform-infra", "platform-terraform-state", "active"),
    ("identity-service", "identity-exports", "active"),
    ("notification-service", "notification-templates", "active"),
    ("billing-api", "billing-exports", "active"),
    ("invoice-renderer", "invoices", "active"),
    ("ledger", "ledger-archive", "active"),
    ("payment-gateway", "payment-receipts", "active"),
    ("payout-scheduler", "payout-files", "active"),
    ("tax-rules", "tax-tables", "active"),
    ("storefront", "storefront-static", "active"),
    ("customer-portal", "customer-portal-static", "active"),
    ("checkout-ui", "checkout-static", "active"),
    ("marketing-site", "marketing-media", "active"),
    ("docs-site", "docs-site", "active"),
    ("mobile-app", "mobile-builds", "active"),
    ("warehouse-models", "warehouse-raw", "active"),
    ("warehouse-models", "warehouse-curated", "active"),
    ("event-pipeline", "event-lake", "active"),
    ("churn-model", "model-artifacts", "active"),
    ("report-builder", "report-output", "active"),
    ("search-indexer", "search-snapshots", "active"),
    ("audit-collector", "audit-logs", "active"),
    ("access-reviews", "access-review-evidence", "active"),
    ("log-shipper", "log-archive", "active"),
    // The service moved to another repository; the old line stays in the pipeline's log.
    ("service-template", "platform-assets", "retired"),
    // The bucket was removed by hand, the manifest still names it.
    ("marketing-site", "campaign-2023-media", "active"),
    // The repository was archived and is no longer collected.
    ("status-page-legacy", "status-page", "active"),
];

/// A group, and a role that it may take by single sign-on. Alice has rights in AWS only as a member.
const AWS_ACCESS: [(&str, &str); 5] = [
    ("production-access", "platform-deployer"),
    ("production-access", "backup-operator"),
    ("security", "audit-collector"),
    ("finance", "billing-reader"),
    // The role went with the project, the assignment stayed.
    ("data", "migration-2023"),
];

/// An application, and a role that it runs under, by the CMDB's own register.
const APP_ROLES: [(&str, &str); 25] = [
    ("identity", "identity-service"),
    ("feature-flags", "flag-reader"),
    ("file-store", "platform-api"),
    ("api-gateway", "platform-api"),
    ("notifications", "notification-sender"),
    ("event-bus", "event-ingest"),
    ("tax", "tax-reader"),
    ("ledger", "ledger-writer"),
    ("payments", "payment-gateway"),
    ("billing", "billing-writer"),
    ("invoicing", "billing-writer"),
    ("invoicing", "billing-reader"),
    ("customer-portal", "billing-reader"),
    ("subscriptions", "subscription-service"),
    ("payouts", "payout-runner"),
    ("checkout", "cart-service"),
    ("storefront", "storefront-publisher"),
    ("mobile", "mobile-builder"),
    ("search", "search-indexer"),
    ("warehouse", "warehouse-loader"),
    ("warehouse", "warehouse-modeler"),
    ("reporting", "report-builder"),
    ("churn-prediction", "model-trainer"),
    ("audit", "audit-collector"),
    // The register was filled in before the role was made.
    ("accounting", "accounting-reader"),
];

/// `inventory.csv`: one row a laptop, as IT exports it every night.
pub(super) fn inventory(laptops: &[JamfLaptop]) -> String {
    let mut rng = DemoRng::stream("inventory");
    let mut text = String::from("asset_tag,device,serial,login,status,assigned\n");
    let active = PEOPLE.iter().filter(|person| person.active).map(|person| person.login);
    let mut owners = active.chain(SECOND_LAPTOPS);
    let mut tags = 1001..;
    let mut row = |device: &str, serial: &str, login: &str, status: &str, since: &str| {
        let tag = tags.next().expect("BUG: the range has no end");
        writeln!(text, "A-{tag},{device},{serial},{login},{status},{since}")
            .expect("BUG: writing into a string cannot fail");
    };
    for laptop in laptops {
        let since = rng.day(2025);
        match owners.next() {
            Some(login) => row(&laptop.slug, &laptop.serial, login, "assigned", &since),
            None => row(&laptop.slug, &laptop.serial, "", "in stock", ""),
        }
    }
    // Rows that make no edge: never enrolled, assigned to somebody who is not in Okta, retired.
    row("laptop-071", &rng.serial(11), "priya", "assigned", "2025-11-03");
    row("laptop-072", &rng.serial(11), "rupert", "assigned", "2024-02-19");
    row("laptop-073", &rng.serial(11), "zoe", "retired", "2021-06-14");
    row("laptop-074", &rng.serial(11), "trent", "retired", "2020-09-01");
    text
}

/// `deployments.ndjson`: one object for each bucket that a pipeline says it deploys.
pub(super) fn deployments() -> String {
    let mut rng = DemoRng::stream("deployments");
    DEPLOYMENTS
        .iter()
        .map(|(repository, bucket, status)| {
            json_line(vec![
                ("repository", (*repository).into()),
                ("bucket", (*bucket).into()),
                ("status", (*status).into()),
                ("environment", "production".into()),
                ("deployedOn", rng.day(2025).into()),
            ])
        })
        .collect()
}

/// `aws-access.csv`: one row for each role that the members of a group may take.
pub(super) fn aws_access() -> String {
    let mut text = String::from("group,role\n");
    for (group, role) in AWS_ACCESS {
        writeln!(text, "{group},{role}").expect("BUG: writing into a string cannot fail");
    }
    text
}

/// `app-roles.csv`: one row for each role that an application runs under.
pub(super) fn app_roles() -> String {
    let mut text = String::from("application,role\n");
    for (app, role) in APP_ROLES {
        writeln!(text, "{app},{role}").expect("BUG: writing into a string cannot fail");
    }
    text
}
