//! Build script: how the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rerun-if-changed=src/order.ld");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let is_static =
        std::env::var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|f| f.contains("crt-static"));
    if is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("PROFILE", "release")
        && !is_static
    {
        // Programs lie at a random address, and the loader writes 26,000 addresses into one at each start. In
        // packed form they are a hundredth of the pages to read. A C library before 2.36 cannot load that
        // form, so only a program that is built where it runs gets it.
        if is("HOST", &std::env::var("TARGET").unwrap_or_default()) && packed_relocations() {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
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

/// Whether the C library of this machine loads packed relocations.
fn packed_relocations() -> bool {
    let Ok(told) = std::process::Command::new("getconf").arg("GNU_LIBC_VERSION").output() else {
        return false;
    };
    let text = String::from_utf8_lossy(&told.stdout);
    let version = text.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let Some((major, minor)) = version else { return false };
    let (major, minor) = (major.parse().unwrap_or(0_u32), minor.parse().unwrap_or(0_u32));
    (major, minor) >= (2, 36)
}
