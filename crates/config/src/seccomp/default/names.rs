//! The system calls of the default profile, by what they are for.
//!
//! The list is derived from the kernel's tables for x86, Arm, RISC-V, POWER and s390 up to Linux 6.17. It allows
//! calls that act on the caller's own processes, files, memory and sockets, and whose permission checks do not depend
//! on the host trusting the caller. It leaves out, whatever the capabilities are:
//!
//! - what the kernel does not separate by namespace: keyrings (`add_key`, `keyctl`, `request_key`), swap, kexec, and
//!   quotas of whole file systems;
//! - what is large and new, has been broken often, and is used by few programs: `io_uring_*`, `userfaultfd`; programs
//!   do without if it answers EPERM;
//! - what is obsolete or a stub: `uselib`, `ustat`, `sysfs`, `nfsservctl`, `vm86`, `_sysctl` and others;
//! - `socketcall`, the old way to make sockets on 32-bit x86: it passes the address family in memory, where a filter
//!   cannot look. C libraries have used `socket` and related calls since Linux 4.3 provides them.

/// For every container.
pub(super) const ALWAYS: [&str; 10] = [
    // Files and directories, by path and by descriptor.
    "_llseek access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 \
     faccessat faccessat2 fadvise64 fadvise64_64 arm_fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat \
     fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr file_getattr file_setattr flistxattr flock \
     fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd \
     getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl \
     lchown lchown32 lgetxattr link linkat listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr \
     lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat oldfstat oldlstat oldstat open openat \
     openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readdir readlink readlinkat readv \
     removexattr removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat \
     stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range sync_file_range2 \
     arm_sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes \
     vmsplice write writev",
    // Memory.
    "brk get_mempolicy madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall \
     mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect \
     process_madvise process_mrelease remap_file_pages",
    // Processes and threads.
    "arch_prctl cacheflush capget capset execve execveat exit exit_group fork futex futex_requeue futex_time64 \
     futex_wait futex_waitv futex_wake get_robust_list get_thread_area get_tls getcpu getpgid getpgrp getpid getppid \
     getsid gettid modify_ldt pause pidfd_open pidfd_send_signal prctl process_vm_readv process_vm_writev ptrace \
     restart_syscall riscv_flush_icache riscv_hwprobe rseq set_robust_list set_thread_area set_tid_address set_tls \
     setpgid setsid swapcontext vfork wait4 waitid waitpid",
    // Users and groups.
    "getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid \
     getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 \
     setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32",
    // Signals.
    "kill rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
     rt_sigtimedwait_time64 rt_tgsigqueueinfo sgetmask sigaction sigaltstack signal signalfd signalfd4 sigpending \
     sigprocmask sigreturn sigsuspend ssetmask tgkill tkill uretprobe",
    // Time; setting the clock needs a capability that the kernel asks for.
    "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
     clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete \
     timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime \
     timerfd_gettime64 timerfd_settime timerfd_settime64 times",
    // Waiting for descriptors, and the old kind of asynchronous I/O.
    "_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait \
     epoll_wait_old eventfd eventfd2 io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup \
     io_submit pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select",
    // Sockets after they have been made; for making them see FAMILIES.
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 \
     recvmsg send sendmmsg sendmsg sendto setsockopt shutdown",
    // System V and POSIX objects of the ipc namespace.
    "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 \
     mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget",
    // Scheduling, limits, information about the system, and what restricts a process further.
    "getpriority getrandom getrlimit getrusage ioprio_get ioprio_set landlock_add_rule landlock_create_ruleset \
     landlock_restrict_self lsm_get_self_attr lsm_list_modules lsm_set_self_attr nice oldolduname olduname prlimit64 \
     sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam \
     sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr \
     sched_setparam sched_setscheduler sched_yield seccomp setpriority setrlimit sysinfo ugetrlimit uname",
];

/// Only for a container with one of the capabilities: without it they would fail in the kernel, but only after
/// running more of its code. The capabilities are those that the kernel checks.
pub(super) const WITH: [(&[&str], &str); 13] = [
    // With mounts and namespaces of its own, a container can be nested.
    (
        &["SYS_ADMIN"],
        "clone clone3 fanotify_init fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree \
         open_tree_attr pivot_root quotactl quotactl_fd setdomainname sethostname setns umount umount2 unshare",
    ),
    (&["SYS_ADMIN", "BPF"], "bpf"),
    (&["SYS_ADMIN", "PERFMON"], "perf_event_open"),
    (&["SYS_ADMIN", "SYSLOG"], "syslog"),
    (&["SYS_CHROOT"], "chroot"),
    (&["DAC_READ_SEARCH"], "open_by_handle_at"),
    (&["SYS_PTRACE"], "kcmp pidfd_getfd"),
    (&["SYS_TIME"], "clock_settime clock_settime64 settimeofday stime"),
    (&["SYS_NICE"], "mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node"),
    (&["SYS_TTY_CONFIG"], "vhangup"),
    (&["SYS_PACCT"], "acct"),
    (&["SYS_RAWIO"], "ioperm iopl"),
    (&["SYS_BOOT"], "reboot"),
];

/// Modules belong to the kernel itself, and depend on one capability.
pub(super) const WITH_MODULES: (&[&str], &str) = (&["SYS_MODULE"], "delete_module finit_module init_module");

/// Address families for socket(2) and socketpair(2), by number (linux/socket.h): local, IPv4, IPv6, netlink. Others
/// are rarely used and often broken in the kernel, and some, such as AF_VSOCK, are not separated by namespace.
pub(super) const FAMILIES: [u64; 4] = [1, 2, 10, 16];

/// AF_PACKET, which needs CAP_NET_RAW.
pub(super) const PACKET: u64 = 17;

/// Execution domains for personality(2): Linux, the 32-bit one, both with the version numbers of Linux 2.6, and the
/// query of the current one. Those that turn off address space randomisation are left out.
pub(super) const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Flags of clone(2) that make namespaces: mount, cgroup, uts, ipc, user, pid, network.
pub(super) const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// The time namespace, for unshare(2) only: clone(2) has the exit signal in these bits.
pub(super) const NEW_TIME: u64 = 0x80;
