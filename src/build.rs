//! Build script: how the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    // A program at a fixed address starts in three quarters of the time: the loader of one that can
    // lie anywhere writes 26,000 addresses into it first, and each question is a start.
    // Libraries, heap and stack lie at random addresses all the same.
    let is_static =
        std::env::var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|f| f.contains("crt-static"));
    if is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("PROFILE", "release")
        && !is_static
    {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
