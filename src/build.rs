//! Build script: how the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rerun-if-changed=src/order.ld");
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
        // What a question runs lies side by side: the system reads and maps code in pieces of 64 KB,
        // and these were strewn over 16 MB. The linker that comes with the compiler understands such
        // a script, and so does that of GNU; one that somebody chose may not.
        let chosen = std::env::var("RUSTC_LINKER").is_ok()
            || std::env::var("CARGO_ENCODED_RUSTFLAGS")
                .is_ok_and(|flags| flags.contains("linker") || flags.contains("fuse-ld"));
        if is("CARGO_CFG_TARGET_ARCH", "x86_64") && !chosen {
            let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo tells where it builds");
            println!("cargo::rustc-link-arg-bins=-T");
            println!("cargo::rustc-link-arg-bins={folder}/src/order.ld");
        }
    }
}
