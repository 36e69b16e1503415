//! What small allocations really take, for the memory plan.

/// What the allocator hands out for a request: a header and steps of 16 bytes.
pub(crate) fn heap_bytes(requested: usize) -> usize {
    if requested == 0 { 0 } else { (requested + 8).next_multiple_of(16).max(32) }
}
