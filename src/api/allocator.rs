//! Settings of the C library's allocator for a server, which runs long and gives memory back. This is the
//! only `unsafe` code of the project, since the library has no other interface.
//!
//! Other allocators give memory back by themselves or have no such calls; there this does nothing.

#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "`mallopt` and `malloc_trim` have no safe interface")
)]

/// Sets it up, before there are threads: few arenas, since each keeps what its threads gave back.
pub fn set_up() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let arenas = i32::try_from((cores / 4).max(1)).unwrap_or(1);
        // SAFETY: `mallopt` takes two numbers, and may be called at any time.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
    }
}

/// Gives the free pages of the heap back to the system: by itself the allocator does so for its end
/// alone, and one page that is kept there holds all those before it.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes a number, and locks out every other call while it runs.
    unsafe {
        libc::malloc_trim(0);
    }
}
