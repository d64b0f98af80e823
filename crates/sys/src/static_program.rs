//! The name service of glibc, without which a static program has to do.
//!
//! In a static program, getaddrinfo(3), getpwnam(3), getgrnam(3) and initgroups(3) load shared libraries at run time,
//! namely those of nsswitch.conf(5): of another glibc than the one that is linked, and inside of a container from its image.
//! Nothing here calls them, but libraries have functions that would. The two commands define these functions in their place,
//! with [`without_name_service!`](crate::without_name_service), which find nothing; a library that embeds this one does not.

use libc::{EAI_FAIL, ENOSYS};
#[doc(hidden)]
pub use libc::{addrinfo, c_char, c_int, gid_t, group, passwd, size_t, uid_t};

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

#[doc(hidden)]
pub fn no_address() -> c_int {
    EAI_FAIL
}

#[doc(hidden)]
pub fn refuse() -> c_int {
    nix::errno::Errno::from_raw(ENOSYS).set();
    -1
}
