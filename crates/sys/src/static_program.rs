//! What a static program has to define for its C library.
//!
//! In a static program, getaddrinfo(3), getpwnam(3), getgrnam(3) and initgroups(3) load shared libraries at run time,
//! namely those of nsswitch.conf(5): of another glibc than the one that is linked, and inside of a container from its image.
//! Nothing here calls them, but libraries have functions that would. The two commands define these functions in their place,
//! with [`without_name_service!`](crate::without_name_service), which find nothing; a library that embeds this one does not.

use libc::{EAI_FAIL, ENOSYS};
#[doc(hidden)]
pub use libc::{
    addrinfo, c_char, c_int, c_void, gid_t, group, passwd, pthread_attr_t, pthread_t, size_t, uid_t,
};
use nix::errno::Errno;

/// Defines the functions of the name service in the crate of a program. The linker takes the first definition that it meets,
/// and a dependency that names libc puts it before the crates that follow: only the program's own object files are certain
/// to come before it.
#[macro_export]
macro_rules! without_name_service {
    () => {
        mod name_service {
            use $crate::static_program::{addrinfo, c_char, c_int, gid_t, group, passwd, size_t, uid_t};

            // SAFETY: with the name and the arguments of getaddrinfo(3), of which none is looked at. The result is undefined
            // where the answer is an error, as it always is.
            #[unsafe(no_mangle)]
            extern "C" fn getaddrinfo(
                _node: *const c_char,
                _service: *const c_char,
                _hints: *const addrinfo,
                _result: *mut *mut addrinfo,
            ) -> c_int {
                $crate::static_program::no_address()
            }

            // SAFETY: with the name and the argument of freeaddrinfo(3). There is never a list to be freed.
            #[unsafe(no_mangle)]
            extern "C" fn freeaddrinfo(_list: *mut addrinfo) {}

            $crate::static_program::no_entry! {
                getpwuid_r(uid_t, passwd);
                getpwnam_r(*const c_char, passwd);
                getgrgid_r(gid_t, group);
                getgrnam_r(*const c_char, group);
            }

            // SAFETY: with the name and the arguments of getgrouplist(3), of which none is looked at.
            #[unsafe(no_mangle)]
            extern "C" fn getgrouplist(
                _user: *const c_char,
                _group: gid_t,
                _groups: *mut gid_t,
                _count: *mut c_int,
            ) -> c_int {
                $crate::static_program::refuse()
            }

            // SAFETY: with the name and the arguments of initgroups(3), of which none is looked at.
            #[unsafe(no_mangle)]
            extern "C" fn initgroups(_user: *const c_char, _group: gid_t) -> c_int {
                $crate::static_program::refuse()
            }
        }
    };
}

/// Defines what musl lacks, or does otherwise than the runtime needs it; nothing where glibc is linked. As above, in the
/// crate of a program.
#[macro_export]
macro_rules! with_musl {
    () => {
        #[cfg(target_env = "musl")]
        mod with_musl {
            use $crate::allocator::{Single, Twice};
            use $crate::static_program::{c_char, c_int, c_void, pthread_attr_t, pthread_t};

            // libseccomp.a of a distribution is compiled with the headers of glibc. Only its export as text, which nothing
            // here calls, writes to a FILE.
            // SAFETY: it does not return, so that no argument is looked at.
            #[unsafe(no_mangle)]
            extern "C" fn __fprintf_chk() -> c_int {
                $crate::process::abort()
            }

            // musl remembers the id of each thread, which in a process that clone(2) has made is another one: its own
            // functions would send the signal to the process of which that one is a copy.
            // SAFETY: with the name and the argument of raise(3).
            #[unsafe(no_mangle)]
            extern "C" fn raise(signal: c_int) -> c_int {
                $crate::process::raise(signal)
            }

            // The standard library describes its errors with it. musl has words of its own for some, which nobody searches
            // for; these are those of glibc.
            // SAFETY: with the name that strerror_r(3) of POSIX has in glibc and in musl, and its arguments; the caller gives a
            // buffer of this length.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn __xpg_strerror_r(errno: c_int, buffer: *mut u8, length: usize) -> c_int {
                // SAFETY: the caller's buffer.
                unsafe { $crate::static_program::describe(errno, buffer, length) }
            }

            // musl unblocks the signal 34, with which it reaches threads, when the first handler is installed or the first
            // thread started, and the standard library installs one before main. One that is pending would end the program.
            // SAFETY: functions in this section are called before main, and this one needs neither arguments nor anything that
            // is prepared later.
            #[used]
            #[unsafe(link_section = ".init_array")]
            static BEFORE_MAIN: extern "C" fn() = $crate::static_program::ignore_signal_of_musl;

            // What is executed is not to have it ignored because of us, and the standard library executes with it, as
            // musl's posix_spawn(3) does.
            // SAFETY: with the name and the arguments of execve(2), which the caller answers for.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn execve(
                path: *const c_char,
                args: *const *const c_char,
                env: *const *const c_char,
            ) -> c_int {
                // SAFETY: the caller's arguments.
                unsafe { $crate::exec::execute(path, args, env) }
            }

            // SAFETY: with the name of abort(3), which does not return.
            #[unsafe(no_mangle)]
            extern "C" fn abort() -> ! {
                $crate::process::abort()
            }

            // SAFETY: `pthread_create` below tells it when there is a second thread.
            #[global_allocator]
            static ALLOCATOR: Twice<Single> = Twice(unsafe { Single::new() });

            unsafe extern "C" {
                // What musl's pthread_create(3) is a weak name of. Without it the program is not linked.
                fn __pthread_create(
                    thread: *mut pthread_t,
                    attributes: *const pthread_attr_t,
                    start: extern "C" fn(*mut c_void) -> *mut c_void,
                    argument: *mut c_void,
                ) -> c_int;
            }

            // SAFETY: with the name and the arguments of pthread_create(3), which the caller answers for.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn pthread_create(
                thread: *mut pthread_t,
                attributes: *const pthread_attr_t,
                start: extern "C" fn(*mut c_void) -> *mut c_void,
                argument: *mut c_void,
            ) -> c_int {
                $crate::allocator::begin_threads();
                // SAFETY: the caller's arguments.
                unsafe { __pthread_create(thread, attributes, start, argument) }
            }
        }

        #[cfg(all(target_env = "musl", target_arch = "x86_64"))]
        mod memory_with_musl {
            use $crate::memory::{compare, copy};
            use $crate::static_program::{c_int, size_t};

            // SAFETY: with the name and the arguments of memcpy(3), which the caller answers for.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: size_t) -> *mut u8 {
                // SAFETY: the caller's arguments.
                unsafe { copy(to, from, length) };
                to
            }

            // SAFETY: with the name and the arguments of memmove(3), which the caller answers for.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: size_t) -> *mut u8 {
                // SAFETY: the caller's arguments.
                unsafe { copy(to, from, length) };
                to
            }

            // SAFETY: with the name and the arguments of memcmp(3), which the caller answers for.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, length: size_t) -> c_int {
                // SAFETY: the caller's arguments.
                unsafe { compare(one, other, length) }
            }

            // SAFETY: with the name and the arguments of bcmp(3), which the caller answers for.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, length: size_t) -> c_int {
                // SAFETY: the caller's arguments.
                unsafe { compare(one, other, length) }
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __no_entry {
    ($($function:ident($key:ty, $entry:ty);)*) => {$(
        // SAFETY: with the name and the arguments of the function of getpwnam(3) or getgrnam(3), whose caller gives a
        // pointer for the result.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $function(
            _key: $key,
            _entry: *mut $entry,
            _buffer: *mut c_char,
            _size: size_t,
            result: *mut *mut $entry,
        ) -> c_int {
            // SAFETY: the caller's pointer, as the manual page has it. Null and no error are a key without an entry.
            unsafe { result.write(std::ptr::null_mut()) };
            0
        }
    )*};
}
#[doc(hidden)]
pub use __no_entry as no_entry;

/// strerror_r(3), in the words of nix.
///
/// # Safety
/// `length` bytes can be written at `buffer`.
#[doc(hidden)]
pub unsafe fn describe(errno: c_int, buffer: *mut u8, length: usize) -> c_int {
    let errno = Errno::from_raw(errno);
    let text = WORDS.iter().find(|(other, _)| *other == errno).map_or(errno.desc(), |(_, text)| text);
    if text.len() >= length {
        return libc::ERANGE;
    }
    // SAFETY: the text and the byte behind it fit, and a constant does not overlap with the caller's buffer.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), buffer, text.len());
        buffer.add(text.len()).write(0);
    }
    0
}

/// What glibc says, and with it other runtimes and tools, where nix has other words.
const WORDS: &[(Errno, &str)] = &[
    (Errno::EIO, "Input/output error"),
    (Errno::EBADF, "Bad file descriptor"),
    (Errno::EAGAIN, "Resource temporarily unavailable"),
    (Errno::ENOMEM, "Cannot allocate memory"),
    (Errno::EXDEV, "Invalid cross-device link"),
    (Errno::ENFILE, "Too many open files in system"),
    (Errno::ENOTTY, "Inappropriate ioctl for device"),
    (Errno::ERANGE, "Numerical result out of range"),
    (Errno::ENOLCK, "No locks available"),
    (Errno::ELOOP, "Too many levels of symbolic links"),
    (Errno::EOPNOTSUPP, "Operation not supported"),
    (Errno::EOVERFLOW, "Value too large for defined data type"),
    (Errno::ENODATA, "No data available"),
    (Errno::EDOM, "Numerical argument out of domain"),
    (Errno::EDEADLK, "Resource deadlock avoided"),
    (Errno::EBADMSG, "Bad message"),
    (Errno::EILSEQ, "Invalid or incomplete multibyte or wide character"),
    (Errno::ENETRESET, "Network dropped connection on reset"),
    (Errno::EDQUOT, "Disk quota exceeded"),
];

#[doc(hidden)]
pub extern "C" fn ignore_signal_of_musl() {
    crate::actions::ignore_until_execution(34);
}

#[doc(hidden)]
pub fn no_address() -> c_int {
    EAI_FAIL
}

#[doc(hidden)]
pub fn refuse() -> c_int {
    Errno::from_raw(ENOSYS).set();
    -1
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn errors_are_described_in_the_words_of_glibc() {
        // Two numbers are not used.
        let differ: Vec<String> = (1..=133)
            .filter(|errno| ![41, 58].contains(errno))
            .filter_map(|errno| {
                let mut buffer = [0_u8; 80];
                // SAFETY: the buffer has that length.
                assert_eq!(unsafe { describe(errno, buffer.as_mut_ptr(), buffer.len()) }, 0, "{errno}");
                let ours = std::ffi::CStr::from_bytes_until_nul(&buffer).expect("an end").to_string_lossy();
                let theirs = std::io::Error::from_raw_os_error(errno).to_string();
                (theirs != format!("{ours} (os error {errno})")).then(|| format!("{ours}: {theirs}"))
            })
            .collect();
        assert!(differ.is_empty(), "{}", differ.join("\n"));
    }
}
