//! The resident set of the runtime itself.

unsafe extern "C" {
    // Given by the linker (end(3)): the first byte of the program and the one after its code.
    static __executable_start: u8;
    static etext: u8;
}

/// Gives back the pages of the program's own code and constants: those that are needed again come
/// back from the page cache.
///
/// The kernel maps code around each place that is executed, and so most of the program in the course of
/// a launch, while the parser of the command line, that of config.json and libcontainer each do their
/// work once. Called between those steps, this halves the peak; a failure changes nothing else.
pub(crate) fn release_code() {
    const PAGE: usize = 4096;
    let (start, end) = (&raw const __executable_start as usize, &raw const etext as usize);
    let (start, end) = (start.next_multiple_of(PAGE), end / PAGE * PAGE);
    if start >= end {
        return;
    }
    // SAFETY: the range lies within the read-only segments of the static program, which are private
    // mappings of its file and are never written: dropped pages are read again from the file as they were.
    unsafe { libc::syscall(libc::SYS_madvise, start, end - start, libc::MADV_DONTNEED) };
}
