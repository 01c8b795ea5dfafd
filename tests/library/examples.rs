//! The examples run, and hold what they claim.

#[path = "../../examples/blast_radius.rs"]
mod blast_radius;
#[path = "../../examples/collector.rs"]
mod collector;
#[path = "../../examples/embed.rs"]
mod embed;
#[path = "../../examples/mapping.rs"]
mod mapping;

#[test]
fn a_program_embeds_the_graph() {
    embed::main().expect("it runs");
}

#[test]
fn a_collector_reports_all_that_it_sees() {
    collector::main().expect("it runs");
}

#[test]
fn a_mapping_is_planned_and_applied() {
    mapping::main().expect("it runs");
}

#[test]
fn threads_share_a_snapshot() {
    blast_radius::main().expect("it runs");
}
