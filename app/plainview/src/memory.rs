//! How the process asks for memory.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Takes memory in small pages only. The allocator asks for huge ones, and the kernel clears two
/// megabytes where a few kilobytes are used: a seventh of the work of taking readings in, and a
/// quarter more memory.
///
/// Where the kernel does not do it, everything works, only slower.
pub(crate) fn refuse_huge_pages() {
    #[cfg(target_os = "linux")]
    rustix::thread::disable_transparent_huge_pages(true).ok();
}
