//! What a program asks of the C library's allocator.

/// Blocks that are at least so large are given back to the system when they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: std::ffi::c_int = 1 << 20;

/// Lets large blocks of memory go back to the system as soon as they are freed. By itself glibc keeps ever larger ones, up to
/// 32 MiB, each time that one is freed (`M_MMAP_THRESHOLD` in mallopt(3)), and these leave gaps: a table of ten million rows
/// took 40 MB more. To be called before anything large is allocated; on other systems it does nothing.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const M_MMAP_THRESHOLD: std::ffi::c_int = -3;
        unsafe extern "C" {
            fn mallopt(parameter: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
        }
        // SAFETY: the function of the C library takes two numbers, may be called at any time, and refuses what it does not know.
        unsafe { mallopt(M_MMAP_THRESHOLD, LARGE) };
    }
}
